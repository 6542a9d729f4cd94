"""Instances from stored records."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from popoto.engine import keys
from popoto.engine.codec import DecodeError, Stored
from popoto.engine.request import Argument
from popoto.exceptions import StoredDataError
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record

M = TypeVar("M", bound="Record")

#: What a command of `read_commands` is answered with: the values of hash fields, with None for
#: those that the hash lacks, or the elements of a list.
ReadReply: TypeAlias = list[Any]


def read_commands(options: ModelOptions, key: str) -> list[tuple[Argument, ...]]:
    """The commands that read one record: its hash fields, then its lists."""
    commands: list[tuple[Argument, ...]] = [("HMGET", key, *options.hash_names)]
    commands += [("LRANGE", keys.capped_list_key(key, name), 0, -1) for name in options.list_names]
    return commands


def indexed_of(options: ModelOptions, values: Sequence[bytes | None]) -> dict[str, bytes]:
    """Stored bytes of the fields that decide entries, from the reply that names them in order."""
    pairs = zip(options.index_names, values, strict=True)
    return {name: value for name, value in pairs if value is not None}


def stored_of(
    options: ModelOptions, hash_values: Sequence[bytes | None], lists: Sequence[Sequence[bytes]]
) -> dict[str, Stored] | None:
    """Stored bytes by field name, from the replies; None where there is no record."""
    stored: dict[str, Stored] = {
        name: value
        for name, value in zip(options.hash_names, hash_values, strict=True)
        if value is not None
    }
    if not stored:
        return None
    for name, items in zip(options.list_names, lists, strict=True):
        stored[name] = tuple(items)
    return stored


def stored_of_each(
    options: ModelOptions, record_keys: Iterable[str], replies: Sequence[ReadReply]
) -> Iterator[tuple[str, dict[str, Stored] | None]]:
    """Each key with its stored bytes, from the replies to `read_commands` of all of them."""
    width = 1 + len(options.list_names)
    for position, key in enumerate(record_keys):
        values, *lists = replies[position * width : (position + 1) * width]
        yield key, stored_of(options, values, lists)


def new_instance(
    model: type[M],
    key: str,
    stored: dict[str, Stored],
    *,
    resolves_references: bool,
    deferred: frozenset[str] = frozenset(),
) -> M:
    """A loaded instance. Nothing is decoded yet but what has to be present.

    `deferred` are fields that were not read.

    A model with an ``__init__`` of its own has it run, with the decoded values, so
    that what it sets is there however a record was loaded.
    """
    instance = model.__new__(model)
    state = vars(instance)
    state["_stored"] = stored
    state["_redis_key"] = key
    state["_is_persisted"] = True
    if deferred:
        state["_deferred"] = deferred
    for field in model._meta.present_fields:
        try:  # noqa: SIM105 - a `with` takes as long as the rest, for every record
            getattr(instance, field.name)
        except StoredDataError:
            pass
    if resolves_references and model._meta.has_references:
        state["_resolves_references"] = True
    if model._has_own_init:
        state["_is_loading"] = True
        model.__init__(instance, **_constructor_values(instance))
        state.pop("_is_loading", None)
    return instance


def always_loaded(options: ModelOptions) -> set[str]:
    """The fields that every loaded record has, since saves and the fields' own methods need them.

    The key, what entries and versions follow from, moments of saves, what is present from the
    beginning, and what fields prepare for the server, with the texts that they are made of.
    """
    names = {*options.index_names, *options.key_names}
    made = [*options.listed("embedding"), *options.listed("keywords")]
    names.update(field.source for field in made)
    for field in options.by_name.values():
        if field.is_present or field.formats_untouched or field in options.preparing_fields:
            names.add(field.name)
        if field in made or field.partition_names:
            names.update((field.name, *field.partition_names))
    return names


def as_stored(
    instance: Record, key: str, stored: Mapping[str, Stored], names: Iterable[str]
) -> Record:
    """An instance as these bytes say, except for the named fields and what is no field at all."""
    twin = copy.copy(instance)
    state = vars(twin)
    for name in instance._meta.by_name.keys() - set(names):
        state.pop(name, None)
    state["_stored"] = dict(stored)
    state["_redis_key"] = key
    return twin


def _constructor_values(instance: Record) -> dict[str, Any]:
    values: dict[str, Any] = {}
    fields = instance._meta.by_name
    for name, raw in instance._stored.items():
        try:
            values[name] = fields[name].decode(raw)
        except DecodeError:
            values[name] = None
    return values


class StoredView:
    """One record's stored bytes, decoded as a test asks for them."""

    __slots__ = ("_fields", "_stored", "key")

    def __init__(self, options: ModelOptions, key: str, stored: Mapping[str, Stored]) -> None:
        self.key = key
        self._fields = options.by_name
        self._stored = stored

    def value(self, field_name: str) -> Any:
        field = self._fields[field_name]
        raw = self._stored.get(field_name)
        if raw is None:
            return field.make_default()
        try:
            return field.decode(raw)
        except DecodeError as error:
            raise StoredDataError(
                f"{field.label} of record {self.key!r} cannot be decoded: {error}"
            ) from error
