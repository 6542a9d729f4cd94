"""Small functions of their own that callers of popoto use: sequences, threads, rounding."""
