"""Fields with a `filter_query` of their own: what they are told, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from popoto.engine.request import Call, Plan
from popoto.engine.tree import NOTHING, RecordKeys, all_of, any_of
from popoto.exceptions import QueryException
from popoto.fields.asking.conditions import Q
from popoto.fields.asking.operands import Operand, Scope
from popoto.fields.field import Field
from popoto.models.reading.fixing import fixing
from popoto.models.record.record import Record

#: Lookups with their operands.
Conditions: TypeAlias = "list[tuple[str, Any]]"


@dataclass(slots=True)
class Asking:
    """A field's own `filter_query` at work, which may ask what the field's index says."""

    model: type[Record]
    field_name: str
    #: what the query says of the partition that its model requires; holds for all that is asked
    fixing: Sequence[Q]
    #: what was learned of the distances in which the index has found records
    nearness: dict[str, Any] = field(default_factory=dict[str, Any])


_ASKING: Final[ContextVar[Asking | None]] = ContextVar("asking", default=None)


def asking(model: type[Record], field_name: str) -> Asking:
    """The `filter_query` of this field that asks its index; one of nobody's outside of all."""
    found = _ASKING.get()
    if found is None or found.model is not model or found.field_name != field_name:
        return Asking(model, field_name, ())
    return found


def keyword_of(name: str, lookup: str) -> str:
    """The keyword of a lookup. Those of positions begin with one underscore: `place_radius`."""
    return name + lookup if not lookup or lookup.startswith("_") else f"{name}__{lookup}"


def once_each(conditions: Conditions) -> list[Conditions]:
    """The conditions, parted so that no keyword stands twice in one part."""
    parts: list[dict[str, Any]] = []
    for lookup, operand in conditions:
        part = next((each for each in parts if lookup not in each), None)
        if part is None:
            parts.append(part := {})
        part[lookup] = operand
    return [list(part.items()) for part in parts]


def partitions(target: Field[Any], scope: Scope) -> dict[str, Any]:
    """Conditions that say which partitions of a field a conjunction asks for."""
    found: dict[str, Any] = {}
    for name in target.partition_names:
        values = scope.fixed.get(name)
        if values is not None:
            found |= {name: values[0]} if len(values) == 1 else {f"{name}__in": list(values)}
    return found


def answer(
    model: type[Record],
    target: Field[Any],
    params: Mapping[str, Any],
    conditions: Conditions,
    whole: Sequence[Q],
) -> Plan[Operand]:
    """The records that a field names. Those of a list have its order.

    `conditions` are those that it answers, `whole` those of the query.
    """
    at_work = Asking(model, target.name, fixing(model._meta, whole))
    named: Any = yield Call(lambda: _asked(at_work, target, params))
    found = tuple(key.decode("utf-8") if isinstance(key, bytes) else str(key) for key in named)
    places = {key: place for place, key in enumerate(dict.fromkeys(found))}
    node = RecordKeys(tuple(places)) if places else NOTHING
    operand = Operand(node, lambda view: view.key in places)
    if isinstance(named, (list, tuple)):
        operand.extra["listed"] = places
    _tell_distances(operand, target, conditions, at_work.nearness)
    return operand


def _asked(at_work: Asking, target: Field[Any], params: Mapping[str, Any]) -> Any:
    token = _ASKING.set(at_work)
    try:
        return target.filter_query(at_work.model, target.name, **params)
    finally:
        _ASKING.reset(token)


def _tell_distances(
    operand: Operand, target: Field[Any], conditions: Conditions, learned: Mapping[str, Any]
) -> None:
    """Have the records that a field names come by distance, if it was asked about a place.

    The circle is the one that it has asked its index for, else that of the conditions. What lies
    in none comes last.
    """
    is_wanted = target.wants_distances(conditions)
    nearness = learned or target.circle_of(conditions)
    circle = nearness.get("near")
    if circle is None:
        if is_wanted:
            raise QueryException(
                f"{target.label}: its own filter_query tells no place that distances could be "
                f"taken from: have it ask super().filter_query() for one, or leave out "
                f"{target.name}_with_distances"
            )
        return
    if "listed" in operand.extra and not is_wanted:
        return
    operand.node = any_of([all_of([operand.node, circle]), operand.node])
    operand.extra["near"] = circle
    if is_wanted:
        operand.extra["distance_unit"] = circle.unit
