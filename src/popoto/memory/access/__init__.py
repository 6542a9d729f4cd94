"""Reads that are staged, and confirmed once they mattered."""
