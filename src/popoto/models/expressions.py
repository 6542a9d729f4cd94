"""Expressions on fields: conditions such as ``Restaurant.rating > 4``, and `F` for updates."""

from popoto.fields.asking.conditions import CombinedExpression, Expression
from popoto.fields.stored_number import F

__all__ = ["CombinedExpression", "Expression", "F"]
