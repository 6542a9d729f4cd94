"""One write under way, and the one loop that carries writes out."""
