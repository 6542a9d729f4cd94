"""Confidence that moves with evidence: the formula, in Python and on the server."""
