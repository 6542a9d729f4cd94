"""Ranked queries: plans that find the records with the highest scores."""
