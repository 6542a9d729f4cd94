"""What a record has beside its values, told as it is, so that another one can be given the same.

Two kinds: what it has in keys of many (`Carried` entries, told by their `kind`), and keys of its
own, which mixins keep (told by their names, with ``*`` in place of the record's key).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from popoto.engine import keys
from popoto.engine.batch import Batch, GuardFailure, KeyArgument, outcomes
from popoto.engine.codec import Stored
from popoto.engine.request import Argument, Plan, Reply, Request
from popoto.fields.keeping.entries import Carried
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record
from popoto.models.record.stored_form import decoded_values

#: By kind of entry what it tells, and by name of an own key what that holds.
Belongings: TypeAlias = Mapping[str, Any]


class OwnKey(NamedTuple):
    """What a key of a record's own holds: its type, its parts, when it ends (0: with the record).

    Of a string one part; of a hash, a sorted set and a stream pairs: of field and value, member
    and score, id and a list of fields and values.
    """

    kind: str
    parts: Sequence[Any]
    ends: int = 0


# Which they are ----------------------------------------------------------------------------


def carried(options: ModelOptions, key: str, values: Mapping[str, Any]) -> dict[str, Carried]:
    """What can be told of a record with these values in keys of many, by kind."""
    return {
        entry.kind: entry
        for entry in options.entries(key, values)
        if isinstance(entry, Carried) and entry.can_be_told
    }


def own_keys(options: ModelOptions, key: str) -> dict[str, str]:
    """The keys of a record's own, by name. Those of fields hold values and are told as such."""
    lists = {keys.capped_list_key(key, name) for name in options.list_names}
    found = [each for each in options.companion_keys(key) if each not in lists]
    return {"*".join(each.rsplit(key, 1)): each for each in found}


# Telling -----------------------------------------------------------------------------------

_READS: dict[bytes, tuple[Argument, ...]] = {
    b"string": ("GET",),
    b"hash": ("HGETALL",),
    b"list": ("LRANGE", 0, -1),
    b"set": ("SMEMBERS",),
    b"zset": ("ZRANGE", 0, -1, "WITHSCORES"),
    b"stream": ("XRANGE", "-", "+"),
}


def belongings(
    options: ModelOptions, records: Sequence[tuple[str, Mapping[str, Stored]]]
) -> Plan[list[Belongings | GuardFailure]]:
    """What these records have, given as (key, stored bytes), each told in one step.

    Of a record that has changed since, or is gone, the failed guard. Two round trips.
    """
    kinds = yield from _kinds(options, [key for key, _ in records])
    batches: list[Batch] = []
    asked: list[tuple[dict[str, Carried], dict[str, str]]] = []
    for (key, stored), of_keys in zip(records, kinds, strict=True):
        entries = carried(options, key, decoded_values(options, stored))
        batch = Batch()
        batch.guard_holds(key, stored, options.index_names)
        for entry in entries.values():
            entry.tell(batch)
        for own, kind in of_keys.items():
            name, *arguments = _READS[kind]
            batch.put(str(name), own, *arguments)
        batches.append(batch)
        asked.append((entries, {own: kind.decode("ascii") for own, kind in of_keys.items()}))
    found = yield from outcomes(batches, options.shard)
    return [
        _told(options, key, entries, of_keys, outcome)
        for (key, _), (entries, of_keys), outcome in zip(records, asked, found, strict=True)
    ]


def _kinds(options: ModelOptions, record_keys: Sequence[str]) -> Plan[list[dict[str, bytes]]]:
    """Of each record, the types of the keys of its own that there are."""
    own = [list(own_keys(options, key).values()) for key in record_keys]
    flat = [each for of_record in own for each in of_record]
    if not flat:
        return [{} for _ in record_keys]
    replies = yield Request([("TYPE", each) for each in flat], options.shard, repeatable=True)
    kinds: dict[str, bytes] = dict(zip(flat, replies, strict=True))
    return [{each: kinds[each] for each in of_record if kinds[each] in _READS} for of_record in own]


def _told(
    options: ModelOptions,
    key: str,
    entries: Mapping[str, Carried],
    of_keys: Mapping[str, str],
    outcome: list[Reply] | GuardFailure,
) -> Belongings | GuardFailure:
    if isinstance(outcome, GuardFailure):
        return outcome
    found: dict[str, Any] = {}
    for (kind, entry), reply in zip(entries.items(), outcome, strict=False):
        value = entry.told(reply)
        if value is not None:
            found[kind] = value
    names = {own: name for name, own in own_keys(options, key).items()}
    for (own, kind), reply in zip(of_keys.items(), outcome[len(entries) :], strict=True):
        if reply:
            found[names[own]] = OwnKey(kind, _parts(kind, reply))
    return found


def _parts(kind: str, reply: Reply) -> list[Any]:
    read: Any = reply
    if kind == "string":
        return [read]
    if kind == "hash":
        # In order, so that equal records are told alike by different servers.
        return sorted(list(pair) for pair in zip(read[::2], read[1::2], strict=True))
    if kind == "zset":
        return [[member, float(score)] for member, score in zip(read[::2], read[1::2], strict=True)]
    return sorted(read) if kind == "set" else list(read)


# Giving back -------------------------------------------------------------------------------


def put_belongings(batch: Batch, instance: Record, key: str, values: Mapping[str, Any]) -> None:
    """Queue that a stored record has just what was told of it, in place of what it has."""
    options, told = instance._meta, instance._belongings or {}
    for kind, entry in carried(options, key, values).items():
        entry.restore(batch, told.get(kind))
    for name, own in own_keys(options, key).items():
        batch.put("DEL", own)
        found = cast("OwnKey | None", told.get(name))
        if found is not None and found.parts:
            put_own_key(batch, own, found)
            batch.put("FOLLOW", own, KeyArgument(key))
            if found.ends:
                batch.put("PEXPIREAT", own, found.ends)


def put_own_key(batch: Batch, key: str, found: OwnKey) -> None:
    """Queue that a key, which is not there, holds this. Raises ValueError for what none can."""
    try:
        for command, *arguments in _WRITES[found.kind](found.parts):
            batch.put(command, key, *arguments)
    except (TypeError, KeyError) as error:
        raise ValueError(f"no {found.kind} has the parts {found.parts!r}") from error


def _flat(parts: Sequence[Any]) -> list[Argument]:
    return [word for first, second in parts for word in (first, second)]


_WRITES: dict[str, Callable[[Sequence[Any]], list[tuple[Any, ...]]]] = {
    "string": lambda parts: [("SET", *parts)],
    "hash": lambda parts: [("HSET", *_flat(parts))],
    "list": lambda parts: [("RPUSH", *parts)],
    "set": lambda parts: [("SADD", *parts)],
    "zset": lambda parts: [("ZADD", repr(float(score)), member) for member, score in parts],
    "stream": lambda parts: [("XADD", entry, *words) for entry, words in parts],
}
