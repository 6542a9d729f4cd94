"""Upkeep of a model with `Meta.shard_by`: shard after shard, also those that nobody has registered.

A shard is registered before its first record is written. It is not where keys were put there by
other means (a restored dump, a copy of another server), or where the set of shards was lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from popoto import redis_db
from popoto.engine import keys
from popoto.engine.request import Call, Plan
from popoto.engine.scanning import literally
from popoto.fields.keeping.shards import are_apart, known_shards, register
from popoto.models.record.options import ModelOptions

__all__ = ["found_shards", "in_turn"]

Answer = TypeVar("Answer")


def found_shards(options: ModelOptions) -> Plan[tuple[list[ModelOptions], list[ModelOptions]]]:
    """The shards that are registered, and those with records that are not. Visits every key.

    On a single server, and of most models, one that needs no registering, at no cost.
    """
    if not (yield from are_apart(options)):
        return [options], []
    known = yield from known_shards(options)
    pattern = b"{" + literally(options.model_name) + b":*}" + literally(options.class_set_key)
    names: list[bytes] = yield Call(
        lambda: list(redis_db.scan_keys(pattern)), lambda: redis_db.async_scan_keys(pattern)
    )
    found = {keys.text_of_shard(name, options.model_name) for name in names}
    strangers = found - {None, *(each.shard_text for each in known)}
    return known, [options.in_shard(text) for text in sorted(map(str, strangers))]


def in_turn(
    options: ModelOptions, plan: Callable[[ModelOptions], Plan[Answer]]
) -> Plan[list[Answer]]:
    """What a plan that writes comes to in each shard; those that were not registered are now."""
    known, strangers = yield from found_shards(options)
    yield from register(strangers)
    answers: list[Any] = []
    for view in (*known, *strangers):
        answers.append((yield from plan(view)))  # noqa: PERF401 - a plan
    return answers
