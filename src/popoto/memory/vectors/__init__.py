"""Vectors of texts: where they are kept, and one matrix of them in memory that is searched."""
