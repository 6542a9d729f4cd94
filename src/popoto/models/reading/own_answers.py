"""Fields with a `filter_query` of their own: what they are told, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from popoto.engine.request import Call, Plan
from popoto.engine.tree import NOTHING, RecordKeys
from popoto.fields.asking.operands import Operand, Scope
from popoto.fields.field import Field
from popoto.models.record.record import Record

#: Lookups with their operands.
Conditions: TypeAlias = "list[tuple[str, Any]]"


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


def answer(model: type[Record], target: Field[Any], params: Mapping[str, Any]) -> Plan[Operand]:
    """The records that a field names. Those of a list have its order."""
    named: Any = yield Call(lambda: target.filter_query(model, target.name, **params))
    found = tuple(key.decode("utf-8") if isinstance(key, bytes) else str(key) for key in named)
    places = {key: place for place, key in enumerate(dict.fromkeys(found))}
    node = RecordKeys(tuple(places)) if places else NOTHING
    operand = Operand(node, lambda view: view.key in places)
    if isinstance(named, (list, tuple)):
        operand.extra["listed"] = places
    return operand
