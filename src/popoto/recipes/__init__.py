"""Recipes: what agents need, made of models, fields and queries."""

from popoto.recipes.adaptive_assembler import AdaptiveAssembler
from popoto.recipes.context_assembler import AssemblyResult, ContextAssembler, RetrievalQuality
from popoto.recipes.default_memory import DefaultMemory
from popoto.recipes.policy_cache import PolicyEntry, compute_fingerprint, update_q_value
from popoto.recipes.subconscious_memory import SubconsciousMemory

__all__ = [
    "AdaptiveAssembler",
    "AssemblyResult",
    "ContextAssembler",
    "DefaultMemory",
    "PolicyEntry",
    "RetrievalQuality",
    "SubconsciousMemory",
    "compute_fingerprint",
    "update_q_value",
]
