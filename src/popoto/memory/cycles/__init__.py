"""Relevance that comes in cycles, and pressure that builds up: formulas and stored forms."""
