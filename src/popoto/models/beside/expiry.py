"""Expiry of records: setting it with a save, and sweeping what expired records leave.

A record that expires takes its hash along, but not its index entries. So a save
with an expiry also notes, in the same step, when the record ends and the bytes
its entries follow from. Queries that come across records past their time hand
them to `sweep`, which removes their entries; nothing ever scans the keyspace.
"""

from __future__ import annotations

import datetime
import math
from typing import Any, cast

import msgpack

from popoto.engine import keys
from popoto.engine.batch import Batch, KeyArgument
from popoto.engine.codec import Stored
from popoto.fields.keeping.entries import Entry
from popoto.models.beside.pointers import put_pointer_removal
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record
from popoto.models.record.stored_form import decoded_values


def put_expiry(batch: Batch, instance: Record, key: str, *, is_new: bool, replaces: bool) -> None:
    """Queue the expiry that `_ttl` or `_expire_at` ask for; neither means permanent.

    `is_new` for a record that is not stored yet, `replaces` for one that takes the place of
    a stored one. For other saves the model's policy decides.
    """
    options = instance._meta
    ttl, expire_at = instance._ttl, instance._expire_at
    if not (is_new or replaces) and _leaves_expiry(instance):
        put_expiry_as_is(batch, options, key)
        return
    if ttl is not None:
        seconds = ttl.total_seconds() if isinstance(ttl, datetime.timedelta) else ttl
        command, amount = "EXPIRE-IN", math.ceil(seconds * 1000)
    elif expire_at is not None:
        command, amount = "EXPIRE-AT", int(expire_at.timestamp()) * 1000
    elif is_new:
        return
    else:
        options.put_kinds(batch, key)
        # An entry in the registry stays until it is due: `sweep` then finds the record alive.
        batch.put("PERSIST", key)
        for companion in options.companion_keys(key):
            batch.put("PERSIST", companion)
        return
    _put_expire(batch, options, key, command, amount)


def note_applied(instance: Record) -> None:
    """Remember which expiry a save has applied, where the model's policy asks for it later."""
    if instance._meta.ttl_policy != "reset":
        vars(instance)["_applied_expiry"] = (instance._ttl, instance._expire_at)


def _leaves_expiry(instance: Record) -> bool:
    """Whether a save of a stored record leaves its running time to live alone."""
    policy = instance._meta.ttl_policy
    if policy == "reset":
        return False
    wanted = (instance._ttl, instance._expire_at)
    if wanted != vars(instance).get("_applied_expiry", (instance._meta.ttl, None)):
        # Set on this instance since it was saved or loaded: that is what is meant now.
        return False
    return policy == "fixed" or wanted == (None, None)


def put_expiry_as_is(batch: Batch, options: ModelOptions, key: str) -> None:
    """Queue that the record's end stays; its lists and what is noted of its entries follow."""
    _put_expire(batch, options, key, "EXPIRE-AS-IS", 0)


def _put_expire(batch: Batch, options: ModelOptions, key: str, command: str, amount: int) -> None:
    companions = options.companion_keys(key)
    options.put_kinds(batch, key)
    batch.put(
        command,
        key,
        amount,
        options.expiry_key,
        options.expiry_values_key,
        key,
        len(companions),
        *(KeyArgument(companion) for companion in companions),
        *options.index_names,
    )


def put_removal(batch: Batch, options: ModelOptions, key: str) -> None:
    """Queue the removal of a record's hash, companions and class-set member."""
    batch.put("RETIRE", key, options.expiry_key, options.expiry_values_key, key)
    options.remove_member(batch, key)
    options.put_kinds(batch, key)
    for companion in options.companion_keys(key):
        batch.put("DEL", companion)
    put_pointer_removal(batch, options, key)


def guard_absent(
    batch: Batch, options: ModelOptions, key: str, note: bytes, *, known: bool = True
) -> None:
    """Demand that no record is stored under a key, and that an expired one left this note.

    Unless it is `known` what a record that went without a note has left, demand that there
    was none.
    """
    if known or note:
        batch.guard("absent", key, options.expiry_values_key, key, note)
    else:
        values, members = options.expiry_values_key, options.class_set_key
        batch.guard("absent", key, values, key, note, members)


def left_entries(options: ModelOptions, key: str, note: bytes) -> list[Entry]:
    """The entries that an expired record may have left, as far as its note and key tell."""
    stored = {**from_key(options, key), **_unpacked(options, note)}
    return options.entries(key, decoded_values(options, stored))


def put_forgetting(batch: Batch, options: ModelOptions, key: str) -> None:
    """Queue that the registry forgets a record, whose leftovers this batch removes."""
    batch.put("FORGET", key, options.expiry_key, options.expiry_values_key, key)


def _unpacked(options: ModelOptions, packed: bytes) -> dict[str, bytes]:
    """What a note says of the fields that this definition of the model has."""
    try:
        # Any: who wrote it may be another program.
        noted: Any = msgpack.unpackb(packed, raw=True) if packed else {}
    except ValueError:
        return {}
    if not isinstance(noted, dict):
        return {}
    found = {name: cast("Any", noted).get(name.encode()) for name in options.index_names}
    return {name: value for name, value in found.items() if isinstance(value, bytes) and value}


def from_key(options: ModelOptions, key: str) -> dict[str, Stored]:
    """The key fields' values, as far as a record key tells them."""
    parts = key.split(keys.SEPARATOR)[1:]
    stored: dict[str, Stored] = {}
    if len(parts) == len(options.key_fields):
        for field, part in zip(options.key_fields, parts, strict=True):
            text = keys.unescape(part)
            if text != "None":
                try:
                    stored[field.name] = field.encode(field.coerce(text))
                except ValueError:
                    continue
    return stored
