"""`Q` objects, and the keys that one stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from popoto.fields.asking.conditions import Q

if TYPE_CHECKING:
    from popoto.models.base import Model

__all__ = ["Q", "evaluate_q"]


def evaluate_q(q: Q, model: type[Model]) -> set[bytes]:
    """The keys of the model's records that match. One command."""
    return set(model.query.filter(q).keys())
