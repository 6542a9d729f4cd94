"""One question under way: planned, ordered, carried out, shaped."""
