"""Properties of `tests/hostile`, searched by a fuzzer that is led by coverage (`make fuzz`)."""
