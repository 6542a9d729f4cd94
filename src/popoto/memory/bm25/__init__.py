"""BM25: records found by their words."""
