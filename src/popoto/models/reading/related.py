"""Reading related records for a whole result at once, and telling of references left behind."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from popoto.engine.looking_up import looked_up
from popoto.engine.request import Plan
from popoto.exceptions import QueryException
from popoto.fields.describing import describe
from popoto.fields.field import Field
from popoto.fields.given import field_named, is_text
from popoto.fields.keeping.naming import model_of_key, with_derived
from popoto.fields.keeping.shards import every_shard
from popoto.fields.reference import is_read, is_reference, loaded
from popoto.models.record.loading import ReadReply, new_instance, read_commands, stored_of_each
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record
from popoto.models.record.reversing import relationships_to
from popoto.models.record.sharding import shards_of

logger = logging.getLogger("POPOTO.Relationship")


def attach_references(instances: Sequence[Any], names: Sequence[str]) -> Plan[None]:
    """Put related records in the place of their keys: one round trip for each name and level.

    A name may lead further (``restaurant__owner``). What refers to a missing record is None
    from then on, and stays stored.
    Raises QueryException for a name that is no Relationship.
    """
    nested: dict[str, list[str]] = {}
    known: Mapping[str, Any] = instances[0]._meta.by_name if instances else {}
    for name in names:
        first, separator, rest = (name, "", "") if name in known else name.partition("__")
        nested.setdefault(first, [])
        if separator:
            nested[first].append(rest)
    for name, deeper in nested.items():
        attached = yield from _attach(instances, name)
        if deeper and attached:
            yield from attach_references(attached, deeper)


def check_related(options: ModelOptions, names: Sequence[str]) -> None:
    """Raise QueryException for names that lead over no Relationship, however little is found.

    What lies behind the first one may be one of a derived model alone.
    """
    for name in names:
        is_whole = not is_text(name) or name in options.by_name
        first, _, rest = (name, "", "") if is_whole else name.partition("__")
        target = getattr(_relationship(options, first), "known_target", None)
        if rest and target is not None:
            _check_deeper(target, rest)


def _check_deeper(target: Any, name: str) -> None:
    """Raise QueryException unless a model, or one derived from it, has what is behind it."""
    problems: list[QueryException] = []
    for model in with_derived(target):
        try:
            check_related(model._meta, [name])
        except QueryException as problem:
            problems.append(problem)
        else:
            return
    raise problems[0]  # that of the model itself


def related(instance: Record, name: str) -> Plan[Any]:
    """The plan of `Model.related`; see there."""
    field = _relationship(instance._meta, name)
    held = vars(instance).get(name)
    if is_reference(held) and is_read(held):
        vars(instance)[name] = loaded(held)
    elif held is None or isinstance(held, str):
        yield from _attach([instance], name)
    return None if field.referred_key(instance) is None else vars(instance).get(name)


def report_referrers(model: type[Record], old_key: str, new_key: str) -> Plan[None]:
    """Warn of records that still refer to a record by the key that it no longer has.

    One round trip (on a cluster to each node) for each model with a relationship to this one, and
    one that asks for the shards of a model that has some; none without any.
    """
    for field in relationships_to(model):
        views = yield from every_shard(field.owner._meta)
        shards = [each.shard for each in views]
        commands = [("SCARD", field.value_set_prefix + old_key)] * len(shards)
        found = (yield from looked_up(commands, field.model_name, shards=shards)) if shards else ()
        count = sum(found)
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


def _relationship(options: ModelOptions, name: str) -> Field[Any]:
    field: Field[Any] | None = field_named(options, name)
    if field is None or not field.is_reference:
        known = ", ".join(sorted(options.relationship_field_names)) or "none"
        raise QueryException(
            f"{options.model_name} has no Relationship {describe(name)}; its relationships are: "
            f"{known}"
        )
    return field


def _attach(instances: Sequence[Any], name: str) -> Plan[list[Any]]:
    field = _relationship(instances[0]._meta, name)
    waiting: dict[str, list[Any]] = {}
    for instance in instances:
        key = field.referred_key(instance)
        if key is not None:
            waiting.setdefault(key, []).append(instance)
    keys_of: dict[Any, list[str]] = {}
    for key in waiting:
        keys_of.setdefault(model_of_key(field.target_model, key), []).append(key)
    targets: dict[str, Any] = {}
    for model, keys in keys_of.items():
        if model is not None:
            targets |= yield from _read(model, keys)
    for key, referring in waiting.items():
        for instance in referring:
            if key in targets:
                vars(instance)[name] = targets[key]
            else:
                _leave_dangling(instance, name, key)
    return list(targets.values())


def _read(model: Any, keys: Sequence[str]) -> Plan[dict[str, Any]]:
    """The records with these keys, those that there are. One round trip."""
    options = model._meta
    commands = [command for key in keys for command in read_commands(options, key)]
    shards = shards_of(options, keys, 1 + len(options.list_names))
    replies: list[ReadReply] = yield from looked_up(commands, options.shard, shards=shards)
    return {
        key: new_instance(model, key, stored, resolves_references=True)
        for key, stored in stored_of_each(options, keys, replies)
        if stored is not None
    }


def _leave_dangling(instance: Record, name: str, key: str) -> None:
    """Take note that a reference leads to no record, without letting go of its key."""
    state = vars(instance)
    state.pop(name, None)
    state.setdefault("_references", {})[name] = key
    state.setdefault("_dangling", {})[name] = key
