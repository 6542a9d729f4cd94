"""What missing records leave, and taking it away: the one place for it.

A record goes without the library when it expires or is deleted by hand. Of one that expired,
a note may tell what its entries were made of. As long as its key is free, its entries are
only dead: queries never return it, and hand it to `sweep` and `repair`, which remove what
they know of (`Meta.self_repair = False` switches the latter off). A new record under the key
would bring the rest back to life. So who creates one is told that there was another, by the
class set or, once a query has taken the key out of it, by the note `UNTOLD`, and takes away
what `find_places` finds of it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final, TypeAlias

from redis.exceptions import ResponseError

from popoto import redis_db
from popoto.engine import keys
from popoto.engine.batch import Batch, GuardFailure, outcomes
from popoto.engine.keys import as_text, text_of
from popoto.engine.looking_up import looked_up
from popoto.engine.request import Command, Plan, Request
from popoto.engine.scanning import Scan, literally
from popoto.engine.tree import EVERYTHING, Members, Near, Node, ScoreRange, TextMatch, key_kinds
from popoto.fields.keeping.entries import SetEntry
from popoto.fields.keeping.families import KeyFamily
from popoto.models.beside.expiry import (
    guard_absent,
    left_entries,
    put_removal,
)
from popoto.models.record.options import ModelOptions

logger = logging.getLogger("POPOTO.model_base")

#: Keys of missing records, each followed by its note (empty if there is none).
Reported: TypeAlias = Sequence[bytes]
#: The family of an index key, the key, and the hash field in one of a composite index.
Place: TypeAlias = tuple[KeyFamily, str, str]

#: The note on a record of which nothing tells what it held: a map of nothing, as MessagePack. It
#: stays until another record takes the key, or `clean_indexes`.
UNTOLD: Final = b"\x80"

_LOOKS = {"set": "SISMEMBER", "zset": "ZSCORE", "names": "HEXISTS"}
_KINDS = {"set": b"set", "zset": b"zset", "names": b"hash"}
_SCAN_COUNT = 1000
_RECORDS_PER_CALL = 1000


# Taking away --------------------------------------------------------------------------------


def while_missing(key: str) -> Batch:
    """A batch that is carried out only as long as no record is stored under a key."""
    batch = Batch()
    batch.guard("absent", key)
    return batch


def take_away(
    options: ModelOptions, batches: Sequence[Batch], *, is_asked_for: bool = True
) -> Plan[list[int | None]]:
    """Carry out batches, each in a step of its own, all in one round trip.

    Returns how much each has removed; None where the record is there after all. Raises
    ModelException for a key that another program uses, unless it is a query that cleans in
    passing: its answer does not need that.
    """
    removed: list[int | None] = []
    for outcome in (yield from outcomes(batches, options.shard, upkeep=is_asked_for)):
        if not isinstance(outcome, GuardFailure):
            removed.append(sum(each for each in outcome if isinstance(each, int)))
            continue
        if outcome.what in ("type", "number"):
            if is_asked_for:
                raise outcome.error()
            logger.warning("what a missing record left stays: %s", outcome.error())
        removed.append(None)
    return removed


def _all_of(options: ModelOptions, key: str, note: bytes, *, is_more: bool) -> Batch:
    """Removes all that a missing record has left, as far as its note and its key tell.

    `is_more`: without a note it may have left more than is removed.
    """
    # Who comes upon it is not who has ended it.
    noting = options.noting("gone")
    batch = Batch(replace(noting, by="") if noting is not None else None)
    guard_absent(batch, options, key, note)
    for entry in left_entries(options, key, note):
        entry.remove(batch)
    put_removal(batch, options, key)
    if is_more and not note:
        batch.put("HSET", options.expiry_values_key, key, UNTOLD)
    return batch


def _may_leave_more(options: ModelOptions, node: Node) -> bool:
    """Whether a record without a note may stand where neither its key nor this index tells."""
    families = _searched(options)
    match node:
        case Members(key) | ScoreRange(key) | Near(key) | TextMatch(set_prefix=key):
            families = [family for family in families if not family.holds(key)]
        case _:
            pass
    return bool(families or options.composites)


def _told(reported: Reported) -> list[tuple[str, bytes]]:
    """Keys, and their notes, of missing records; without what can be no record's key."""
    pairs = zip(reported[::2], reported[1::2], strict=True)
    return [(text, note) for key, note in pairs if (text := as_text(key)) is not None]


# Expired and dead records that a query has met -------------------------------------------------


def sweep(options: ModelOptions, due: Reported) -> Plan[int]:
    """Remove what expired records left, as far as they are still gone; how many there were.

    Two round trips at most; a record that was created again meanwhile is left alone. Who reads
    replicas writes nothing.
    """
    if redis_db.reads_replicas():
        return 0
    found = _told(due)
    is_more = _may_leave_more(options, EVERYTHING)
    batches = [_all_of(options, *each, is_more=is_more) for each in found]
    removed = yield from take_away(options, batches, is_asked_for=False)
    living = Batch()
    for (key, _), count in zip(found, removed, strict=True):
        if count is None:
            living.put(
                "RESCHEDULE",
                key,
                options.expiry_key,
                options.expiry_values_key,
                key,
            )
    if len(living):
        yield Request.of(living.call(), shard=options.shard, repeatable=True)
    return len(found) - len(living)


def repair(
    options: ModelOptions,
    dead: Reported,
    swept: Reported,
    node: Node,
    stood: Sequence[bytes] = (),
) -> Plan[None]:
    """Remove what missing records left that a query met in the indexes it looked at.

    Besides what follows from notes and keys, entries go from these indexes, and from those of
    which the query tells that they `stood` there: a set and a record key, by turns. What has
    been swept is done with. One round trip; none for who reads replicas.
    """
    if redis_db.reads_replicas():
        return
    done = {key for key, _ in _told(swept)}
    is_more, looked_at = _may_leave_more(options, node), key_kinds(node)
    sets: dict[str, list[str]] = {}
    for set_key, member in zip(stood[::2], stood[1::2], strict=True):
        if (text := as_text(member)) is not None:
            sets.setdefault(text, []).append(text_of(set_key))
    batches: list[Batch] = []
    for key, note in _told(dead):
        if key not in done:
            batch = _all_of(options, key, note, is_more=is_more)
            for index_key, kind in looked_at.items():
                put_entry_removal(batch, options, index_key, kind, key)
            for index_key in sets.get(key, []):
                put_entry_removal(batch, options, index_key, "set", key)
            batches.append(batch)
    yield from take_away(options, batches, is_asked_for=False)


def put_entry_removal(
    batch: Batch, options: ModelOptions, index_key: str, kind: str, key: str
) -> None:
    """Queue that a record key leaves an index, which is known by its key alone."""
    if kind == "zset":
        if not index_key.startswith("$Values:"):
            batch.put("ZREM", index_key, key)
    elif kind == "set":
        for field in options.entry_fields:
            if field.keeps_value_sets and index_key.startswith(field.value_set_prefix):
                text = keys.unescape(index_key.removeprefix(field.value_set_prefix))
                entry = field.value_entry(key, text) if field.type is str else None
                (entry or SetEntry(index_key, key)).remove(batch)
                return
        batch.put("SREM", index_key, key)


def sweep_missing(options: ModelOptions) -> Plan[int]:
    """Remove what records of the class set left that do not exist any more.

    Where no note tells what they were, only the entries that follow from the key go.
    """
    (members,) = yield from looked_up([("SMEMBERS", options.class_set_key)], options.shard)
    removed = 0
    for first in range(0, len(members), _RECORDS_PER_CALL):
        chunk = members[first : first + _RECORDS_PER_CALL]
        exist = yield Request(
            [("EXISTS", member) for member in chunk], options.shard, repeatable=True
        )
        gone = [member for member, exists in zip(chunk, exist, strict=True) if not exists]
        if gone:
            (notes,) = yield from looked_up(
                [("HMGET", options.expiry_values_key, *gone)], options.shard
            )
            due = [
                part
                for member, note in zip(gone, notes, strict=True)
                for part in (member, note or b"")
            ]
            removed += yield from sweep(options, due)
    return removed


# Records that went without a note ---------------------------------------------------------------


def find_places(options: ModelOptions, key: str) -> Plan[list[Place]]:
    """Where a record key stands whose former values are not known.

    Two round trips where every index is a key of its own (sorted fields). Sets of values,
    partitions and digests are found by going through the keyspace and the composite indexes,
    which only this rare case has to do. Entries that follow from the key are left out: the
    new record has them too.
    """
    families = _searched(options)
    stems = [(each, each.stem + each.suffix, "") for each in families]
    found = yield from _standing(options, key, stems)
    looked_at = {name for _, name, _ in stems}
    for composite in options.composites:
        found += yield from _digests(options, key, composite.family)
    opened = [family for family in families if family.is_open]
    if not opened:
        return found
    scan = Scan(options.shard, b"$*:" + literally(options.model_name) + b":*", _SCAN_COUNT)
    page = yield from scan.next()
    while page is not None:
        names = [name.decode("utf-8", "replace") for name in page]
        places = [
            (family, name, "")
            for name in names
            for family in opened
            if name != family.stem + family.suffix and family.holds(name)
        ]
        found += yield from _standing(options, key, places, looked_at)
        page = yield from scan.next()
    return found


def _searched(options: ModelOptions) -> list[KeyFamily]:
    """The families of keys whose entries follow from values, composite indexes aside."""
    return [
        family
        for family in dict.fromkeys(options.key_families())
        if (family.derived or family.of_companions) and family.layout in _LOOKS
        if not (family.name in options.key_names and family.layout == "set")
    ]


def _fitting(
    key: str, places: list[Place], kinds: Sequence[bytes], looked_at: AbstractSet[str]
) -> list[Place]:
    """Those of these places whose key is of their family's type: one may belong to several.

    What is of no family's type is told, unless it has been `looked_at` before.
    """
    pairs = list(zip(places, kinds, strict=True))
    fitting = [place for place, kind in pairs if kind == _KINDS[place[0].layout]]
    known = looked_at | {name for _, name, _ in fitting}
    for (_, name, _), kind in pairs:
        if kind != b"none" and name not in known:
            told = kind.decode("ascii", "replace")
            logger.warning("entries of the former %r may be left: %r is a %s", key, name, told)
    return fitting


def _standing(
    options: ModelOptions, key: str, places: list[Place], looked_at: AbstractSet[str] = frozenset()
) -> Plan[list[Place]]:
    """Those of these places that hold the record key. Two round trips."""
    if not places:
        return []
    try:
        types: list[Command] = [("TYPE", name) for _, name, _ in places]
        kinds = yield Request(types, options.shard, repeatable=True)
        places = _fitting(key, places, kinds, looked_at)
        if not places:
            return []
        looks: list[Command] = [(_LOOKS[family.layout], name, key) for family, name, _ in places]
        replies = yield Request(looks, options.shard, repeatable=True)
    except ResponseError as error:
        logger.warning("entries of the former %r may be left: %s", key, error)
        return []
    return [place for place, reply in zip(places, replies, strict=True) if reply not in (None, 0)]


def _digests(options: ModelOptions, key: str, family: KeyFamily) -> Plan[list[Place]]:
    """The fields under which a composite index names the record key."""
    index_key = family.stem
    member = key.encode("utf-8")
    found: list[Place] = []
    cursor = b"0"
    while True:
        ((cursor, flat),) = yield Request.of(
            ("HSCAN", index_key, cursor, "COUNT", _SCAN_COUNT),
            shard=options.shard,
            repeatable=True,
        )
        pairs: list[bytes] = flat
        found += [
            (family, index_key, digest.decode("ascii", "replace"))
            for digest, holder in zip(pairs[::2], pairs[1::2], strict=True)
            if holder == member
        ]
        if cursor == b"0":
            return found
