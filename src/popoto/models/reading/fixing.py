"""What conditions fix: the partition that a model may require, and the shards that are asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from popoto.exceptions import QueryException
from popoto.fields.asking.conditions import OR, Q
from popoto.models.reading.by_pk import PK, key_of
from popoto.models.record.options import ModelOptions
from popoto.models.record.sharding import ShardedOptions

T = TypeVar("T")

_SEVERAL = (list, tuple, set, frozenset)

__all__ = ["check_fixed", "fixed_shards", "fixing"]


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


def fixing(options: ModelOptions, conditions: Sequence[Q]) -> Sequence[Q]:
    """What `check_fixed` has let these conditions pass for; nothing where nothing is required."""
    isolation = options.isolation
    if not isolation:
        return ()
    if isolation.is_told_by_keys:
        for q in conditions:
            given = _values(q, PK)
            if given is not None:
                return (Q(pk__in=[key for each in given for key in _one_or_several(each)]),)
    found = [(name, _values(q, name) or ()) for name in isolation.names for q in conditions]
    return [Q(**{name: values[0]}) for name, values in found if len(values) == 1]


def _one_or_several(given: Any) -> Iterable[Any]:
    return cast("Iterable[Any]", given) if isinstance(given, _SEVERAL) else (given,)


def fixed_shards(options: ModelOptions, conditions: Sequence[Q]) -> list[ModelOptions] | None:
    """The shards that records which match can be in; None if these may be any, or all.

    They are told by ``field=value`` and ``field__in`` of the shard field, and by `pk`.
    """
    if not isinstance(options, ShardedOptions):
        return None
    try:
        found = _met_by_all(_followed(q, partial(_texts, options)) for q in conditions)
    except QueryException:
        # Whoever compiles the conditions says what is wrong with them.
        return None
    return None if found is None else [options.in_shard(text) for text in sorted(found)]


def _texts(
    options: ShardedOptions, q: Q, of_children: Sequence[set[str] | None]
) -> set[str] | None:
    """The texts one of which the shard field must have in keys; None if it may have any."""
    if q.connector == OR and q.children:
        known = [texts for texts in of_children if texts is not None]
        return set[str]().union(*known) if len(known) == len(of_children) else None
    field = options.shard_field
    told: list[set[str] | None] = list(of_children)
    for parameter, value in q.filters.items():
        if parameter == field.name:
            told.append({options.text_of(field.coerce_operand("", value))})
        elif parameter == f"{field.name}__in":
            members = _several(value)
            told.append({options.text_of(field.coerce_operand("in", each)) for each in members})
        elif parameter == PK:
            told.append(_told_by_keys(options, [value]))
        elif parameter == f"{PK}__in":
            told.append(_told_by_keys(options, _several(value)))
    return _met_by_all(told)


def _several(value: Any) -> Iterable[Any]:
    if isinstance(value, _SEVERAL):
        return cast("Iterable[Any]", value)
    raise QueryException("several values were expected")


def _met_by_all(told: Iterable[set[str] | None]) -> set[str] | None:
    known = [texts for texts in told if texts is not None]
    return set[str].intersection(*known) if known else None


def _told_by_keys(options: ShardedOptions, given: Iterable[Any]) -> set[str] | None:
    found: set[str] = set()
    for each in given:
        key = key_of(options, each)
        if key is None:
            found.add(options.text_of(options.shard_field.coerce_operand("", each)))
            continue
        text = options.at(key).shard_text
        if text is not None:
            found.add(text)
    return found


def _values(q: Q, name: str) -> list[Any] | None:
    """The different values one of which the field must have; None if it may have any."""
    return _followed(q, lambda each, of_children: _joined(each, name, of_children))


def _followed(q: Q, join: Callable[[Q, Sequence[T | None]], T | None]) -> T | None:
    """What `join` makes of conditions and what it made of those below; None of negated ones."""
    # Not by recursion: conditions may be nested a thousand deep.
    waiting: list[tuple[Q, bool]] = [(q, False)]
    done: dict[int, T | None] = {}
    while waiting:
        each, is_entered = waiting.pop()
        if not is_entered and not each.negated:
            waiting.append((each, True))
            waiting.extend((child, False) for child in each.children)
            continue
        of_children = [done[id(child)] for child in each.children if id(child) in done]
        done[id(each)] = None if each.negated else join(each, of_children)
    return done[id(q)]


def _joined(q: Q, name: str, of_children: Sequence[list[Any] | None]) -> list[Any] | None:
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
