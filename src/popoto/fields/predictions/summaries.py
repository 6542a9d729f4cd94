"""Summaries of prediction errors."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final, TypeAlias

from popoto.engine.looking_up import looked_up
from popoto.engine.request import Plan
from popoto.fields.describing import describe
from popoto.fields.given import model_in, results_wanted
from popoto.fields.keeping.shards import in_every_shard
from popoto.fields.predictions.ledger import entry_key, errors_key, unpacked
from popoto.memory.prediction.formula import statistics_of

__all__ = ["GroupBy", "highest_errors", "summary"]

logger = logging.getLogger("POPOTO.field")

#: How errors are grouped: not at all, by a word, or by a function of record key and error.
GroupBy: TypeAlias = str | Callable[[str, float], Hashable] | None
Statistics: TypeAlias = dict[str, float | int]

#: The partition of records that name none.
_DEFAULT: Final = "default"
_LABELS: Final[dict[str, Callable[[datetime.datetime], Hashable]]] = {
    "hour": lambda moment: moment.hour,
    "weekday": lambda moment: moment.weekday(),
    "day": lambda moment: moment.strftime("%Y-%m-%d"),
}


def highest_errors(model: Any, partition: str, limit: int) -> Plan[list[tuple[str, float]]]:
    """The plan of `get_highest_errors`."""
    model_in(model, "get_highest_errors()")
    if partition == _DEFAULT:
        model._meta.isolation.check_at_large("the default partition of predictions", "partition=…")
    count = results_wanted(limit)
    if count <= 0:
        return []
    options: Any = model._meta
    command = ("ZREVRANGE", errors_key(options.model_name, partition), 0, count - 1, "WITHSCORES")
    replies = yield from in_every_shard(options, lambda each: looked_up([command], each.shard))
    found = [
        (key.decode("utf-8", "replace"), float(error))
        for (flat,) in replies
        for key, error in zip(flat[::2], flat[1::2], strict=True)
    ]
    if len(replies) != 1:
        # Of one shard they are in this order already.
        found.sort(key=lambda each: (each[1], each[0]), reverse=True)
    return found[:count]


def summary(
    model: Any, partition: str, group_by: GroupBy, limit: int
) -> Plan[dict[Any, Statistics]]:
    """The plan of `error_summary`."""
    if isinstance(group_by, str) and group_by not in _LABELS:
        raise ValueError(f"group_by {group_by!r} is unknown; known are {', '.join(_LABELS)}")
    if group_by is not None and not isinstance(group_by, str) and not callable(group_by):
        raise TypeError(f"group_by must be a word, a function or None, got {describe(group_by)}")
    errors = yield from highest_errors(model, partition, limit)
    if not errors:
        return {"__all__": statistics_of([])} if group_by is None else {}
    if isinstance(group_by, str):
        errors, labels = yield from _moments(model, errors, _LABELS[group_by])
    else:
        errors = yield from _readable(model, errors)
        if group_by is None:
            return {"__all__": statistics_of([error for _, error in errors])}
        labels = [_label_of(group_by, key, error) for key, error in errors]
    groups: dict[Any, list[float]] = {}
    for (_, error), label in zip(errors, labels, strict=True):
        if label is not _NO_LABEL:
            groups.setdefault(label, []).append(error)
    return {label: statistics_of(group) for label, group in groups.items()}


_NO_LABEL: Final = object()


def _label_of(function: Callable[[str, float], Hashable], key: str, error: float) -> Any:
    try:
        return function(key, error)
    except Exception as failure:  # noqa: BLE001 - one entry must not spoil the summary
        logger.warning("group_by raised for %s, which is left out: %r", key, failure)
        return _NO_LABEL


def _entries(model: Any, errors: Sequence[tuple[str, float]]) -> Plan[list[bytes | None]]:
    options: Any = model._meta
    found: list[bytes | None] = yield from looked_up(
        [("HGET", entry_key(options.model_name, key), key) for key, _ in errors],
        options.shard,
        shards=None if options.shard_by is None else [options.at(key).shard for key, _ in errors],
    )
    return found


def _readable(model: Any, errors: Sequence[tuple[str, float]]) -> Plan[list[tuple[str, float]]]:
    """Errors whose prediction can be read, or is not there any more."""
    stored = yield from _entries(model, errors)
    return [
        each
        for each, entry in zip(errors, stored, strict=True)
        if entry is None or unpacked(entry) is not None
    ]


def _moments(
    model: Any,
    errors: Sequence[tuple[str, float]],
    label: Callable[[datetime.datetime], Hashable],
) -> Plan[tuple[list[tuple[str, float]], list[Any]]]:
    """The errors whose moment is known, with the labels of these."""
    stored = yield from _entries(model, errors)
    kept: list[tuple[str, float]] = []
    labels: list[Any] = []
    for each, entry in zip(errors, stored, strict=True):
        found = None if entry is None else unpacked(entry)
        try:
            moment = float((found or {}).get("resolved_at") or 0)
            # Local time is what an hour of the day means to those who ask.
            date = datetime.datetime.fromtimestamp(moment)  # noqa: DTZ006
        except (TypeError, ValueError, OverflowError, OSError):
            # No number, or a moment that no calendar has.
            continue
        if moment > 0:
            kept.append(each)
            labels.append(label(date))
    return kept, labels
