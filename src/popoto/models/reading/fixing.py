"""Reading within one partition, where a model requires that: `Meta.require_partition`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from popoto.fields.asking.conditions import OR, Q
from popoto.models.reading.by_pk import PK
from popoto.models.record.options import ModelOptions

__all__ = ["check_fixed"]


def check_fixed(options: ModelOptions, conditions: Sequence[Q]) -> None:
    """Raises QueryException unless every record that can be found is of one known partition.

    A field is fixed by ``field=value``, in all that is joined by ``|`` to the same value; neither
    None nor what is negated fixes it.
    """
    if options.isolation.is_told_by_keys and any(_values(q, PK) is not None for q in conditions):
        # Records that are named by their keys, of whatever partitions these tell.
        return
    for name in options.isolation.names:
        if not any(len(_values(q, name) or ()) == 1 for q in conditions):
            raise options.isolation.at_large("this query", f"filter({name}=…)")


def _values(q: Q, name: str) -> list[Any] | None:
    """The different values one of which the field must have; None if it may have any."""
    # Not by recursion: conditions may be nested a thousand deep.
    waiting: list[tuple[Q, bool]] = [(q, False)]
    done: dict[int, list[Any] | None] = {}
    while waiting:
        each, is_entered = waiting.pop()
        if not is_entered and not each.negated:
            waiting.append((each, True))
            waiting.extend((child, False) for child in each.children)
            continue
        of_children = [done[id(child)] for child in each.children if id(child) in done]
        done[id(each)] = None if each.negated else _joined(each, name, of_children)
    return done[id(q)]


def _joined(q: Q, name: str, of_children: list[list[Any] | None]) -> list[Any] | None:
    if q.connector == OR and q.children:
        if any(values is None for values in of_children):
            return None
        return _different([value for values in of_children for value in values or ()])
    if name == PK and "pk__in" in q.filters:
        return [q.filters["pk__in"]]
    if q.filters.get(name) is not None:
        return [q.filters[name]]
    return next((values for values in of_children if values is not None), None)


def _different(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
