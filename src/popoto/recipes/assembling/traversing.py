"""Relationships between records of one class as associations: who is how near to some of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import reduce
from typing import Any, Final, TypeAlias

from popoto.engine.request import Plan
from popoto.engine.together import together
from popoto.exceptions import QueryException
from popoto.fields.asking.conditions import Q
from popoto.fields.constants import Defaults
from popoto.fields.describing import describe
from popoto.models.reading.executing import Execution
from popoto.recipes.assembling.asked import Asked

__all__ = ["check_traversed", "traversed"]

#: A key, and the keys that its record refers to, None where it refers to none.
_Row: TypeAlias = tuple[Any, ...]

#: How many records that refer to those of one step are followed.
_MOST_REFERRERS: Final = 1000


def check_traversed(model: Any, names: Iterable[str] | None) -> tuple[str, ...]:
    """The relationships to walk along. Raises QueryException for what leads to another model."""
    if isinstance(names, str) or not isinstance(names, (Iterable, type(None))):
        raise QueryException(
            f"graph_traversal_relationship_fields is a list of names; got {describe(names)}"
        )
    given = tuple(names or ())
    fields = model._meta.by_name
    for name in given:
        field = fields.get(name) if isinstance(name, str) else None
        if field is None or not field.is_reference or field.target_name != field.model_name:
            own = [
                each.name
                for each in model._meta.listed("relationship")
                if each.target_name == each.model_name
            ]
            raise QueryException(
                f"graph_traversal_relationship_fields names {describe(name)}, which is no "
                f"Relationship of {model.__name__} to itself; those are {', '.join(own) or 'none'}"
            )
    return given


def traversed(asked: Asked, seeds: Sequence[str]) -> Plan[dict[str, float]]:
    """How near the records around the seeds are: halved with each step, in either direction.

    The walk goes through records that meet all filters, and no others. One round trip a step.
    """
    near: dict[str, float] = {}
    known, frontier = set(seeds), list(seeds)
    activation = 1.0
    for _ in range(asked.depth):
        if not frontier:
            break
        activation *= Defaults.CO_OCCURRENCE_DECAY_PER_HOP
        around = yield from _around(asked, frontier)
        frontier = [key for key in dict.fromkeys(around) if key not in known]
        known.update(frontier)
        near.update(dict.fromkeys(frontier, activation))
    return near


def _around(asked: Asked, keys: Collection[str]) -> Plan[list[str]]:
    """The keys that these records refer to, and those of the records that refer to these."""
    names = asked.traversed
    referring = reduce(Q.__or__, (Q(**{f"{name}__in": list(keys)}) for name in names))
    own, others = yield from together(
        _rows(asked, Q(pk__in=list(keys))), _rows(asked, referring, _MOST_REFERRERS)
    )
    # What a filter keeps out has no row, and leads nowhere.
    there = {row[0] for row in own}
    targets = [target for _, *targets in own for target in targets if target is not None]
    return [*targets, *(key for key, *targets in others if not there.isdisjoint(targets))]


def _rows(asked: Asked, condition: Q, limit: int | None = None) -> Plan[list[_Row]]:
    query = asked.model.query.filter(condition, **asked.filters).no_track()
    spec = query.values_list("pk", *asked.traversed).limit(limit)._spec
    rows = yield from Execution(spec).results()
    return [(key, *(None if to is None else str(to) for to in targets)) for key, *targets in rows]
