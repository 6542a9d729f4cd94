"""Models and queries."""

from popoto.models.expressions import CombinedExpression, Expression
from popoto.models.q import Q

__all__ = ["CombinedExpression", "Expression", "Q"]
