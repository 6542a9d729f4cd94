"""Recall: words, meaning and what memory says of a record, as one score."""
