"""Recipes: what agents need, made of models, fields and queries."""

from popoto.recipes.policy_cache import PolicyEntry, compute_fingerprint, update_q_value

__all__ = ["PolicyEntry", "compute_fingerprint", "update_q_value"]
