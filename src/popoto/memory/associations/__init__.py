"""Associations: weighted edges between keys, and activation that spreads along them."""
