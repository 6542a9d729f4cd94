"""Models and queries."""

from popoto.models import base, db_key, encoding, query
from popoto.models.expressions import CombinedExpression, Expression
from popoto.models.q import Q

__all__ = ["CombinedExpression", "Expression", "Q", "base", "db_key", "encoding", "query"]
