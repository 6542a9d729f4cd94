"""Count-min sketches: how often something was seen, in few counters."""
