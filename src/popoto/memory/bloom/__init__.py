"""Bloom filters: whether something may have been seen, in few bits."""
