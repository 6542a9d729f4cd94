"""Recipes: what agents need, made of models, fields and queries.

`__all__` is that of popoto 1.6; `DefaultMemory` is public too.
"""

from popoto.recipes.adaptive_assembler import AdaptiveAssembler
from popoto.recipes.context_assembler import AssemblyResult, ContextAssembler, RetrievalQuality
from popoto.recipes.default_memory import DefaultMemory as DefaultMemory
from popoto.recipes.policy_cache import PolicyEntry, compute_fingerprint, update_q_value
from popoto.recipes.subconscious_memory import SubconsciousMemory

__all__ = [
    "AdaptiveAssembler",
    "AssemblyResult",
    "ContextAssembler",
    "PolicyEntry",
    "RetrievalQuality",
    "SubconsciousMemory",
    "compute_fingerprint",
    "update_q_value",
]
