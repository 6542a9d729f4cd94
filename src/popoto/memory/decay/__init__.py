"""Relevance that decays with time: the formula, in Python and on the server."""
