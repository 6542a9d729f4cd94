"""Predictions, how wrong they were, and summaries of that."""
