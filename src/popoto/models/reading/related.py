"""Reading related records for a whole result at once, and telling of references left behind."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from popoto.engine.looking_up import looked_up
from popoto.engine.request import Plan
from popoto.exceptions import QueryException
from popoto.fields.relationship import Relationship
from popoto.models.record.loading import ReadReply, new_instance, read_commands, stored_of

logger = logging.getLogger("POPOTO.Relationship")


def attach_references(instances: Sequence[Any], names: Sequence[str]) -> Plan[None]:
    """Put related records in the place of their keys: one round trip for each name and level.

    A name may lead further (``restaurant__owner``). Keys of missing records stay keys.
    Raises QueryException for a name that is no Relationship.
    """
    nested: dict[str, list[str]] = {}
    for name in names:
        first, separator, rest = name.partition("__")
        nested.setdefault(first, [])
        if separator:
            nested[first].append(rest)
    for name, deeper in nested.items():
        related = yield from _attach(instances, name)
        if deeper and related:
            yield from attach_references(related, deeper)


def report_referrers(model_name: str, old_key: str, new_key: str) -> Plan[None]:
    """Warn of records that still refer to a record by the key that it no longer has.

    One round trip for each model with a relationship to this one; none without any.
    """
    for field in Relationship.all_to(model_name):
        (count,) = yield from looked_up(
            [("SCARD", field.value_set_prefix + old_key)], field.model_name
        )
        if count:
            logger.warning(
                "%s records of %s still refer to %s, which is %s now: assign and save %s of "
                "%s.query.filter(%s=%r)",
                count,
                field.model_name,
                old_key,
                new_key,
                field.name,
                field.model_name,
                field.name,
                old_key,
            )


def _attach(instances: Sequence[Any], name: str) -> Plan[list[Any]]:
    options = instances[0]._meta
    field = options.by_name.get(name)
    if field is None or not field.is_reference:
        known = ", ".join(sorted(options.relationship_field_names)) or "none"
        raise QueryException(
            f"{options.model_name} has no Relationship {name!r}; its relationships are: {known}"
        )
    waiting: dict[str, list[Any]] = {}
    for instance in instances:
        key = field.referred_key(instance)
        if key is not None:
            waiting.setdefault(key, []).append(instance)
    attached: list[Any] = []
    if not waiting:
        return attached
    model = field.target_model
    related = model._meta
    commands = [command for key in waiting for command in read_commands(related, key)]
    replies: list[ReadReply] = yield from looked_up(commands, related.shard)
    width = 1 + len(related.list_names)
    for position, (key, holders) in enumerate(waiting.items()):
        start = position * width
        stored = stored_of(related, replies[start], replies[start + 1 : start + width])
        if stored is None:
            continue
        target = new_instance(model, key, stored, resolves_references=True)
        attached.append(target)
        for instance in holders:
            vars(instance)[name] = target
    return attached
