"""Expressions on fields: ``Restaurant.rating > 4``."""

from popoto.fields.asking.conditions import CombinedExpression, Expression

__all__ = ["CombinedExpression", "Expression"]
