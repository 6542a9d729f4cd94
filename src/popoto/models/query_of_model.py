"""What `Model.query` is: the queries of a model, or word of a model that has no records."""

from __future__ import annotations

from typing import Any

from popoto._unknown_names import tell
from popoto.models.query import Query
from popoto.models.record.further import refuses_unknown


def query_of(model: Any) -> Any:
    """The value of `Model.query`."""
    if model._meta.abstract:
        return _OfAbstract()
    query: Query[Any] = Query(model)
    return query


class _OfAbstract:
    """`query` of an abstract model, which is asked for nothing: no record has its name."""

    def __get__(self, instance: object, owner: Any) -> Query[Any]:
        tell(
            f"{owner.__name__} is abstract, so that there are no records of it, and none is "
            "found; ask a model that is derived from it",
            refuse=refuses_unknown(owner._meta),
        )
        return Query(owner)
