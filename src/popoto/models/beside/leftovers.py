"""Entries of a record that went without the library: deleted by hand, or expired by EXPIRE.

Nothing is noted of such a record. As long as its key is free, its entries are only dead;
a new record under the key would bring them back to life. So who creates one is told by the
class set that there was another, and takes away what stands of it.
"""

from __future__ import annotations

import logging
from typing import TypeAlias

from redis.exceptions import ResponseError

from popoto.engine.batch import Batch
from popoto.engine.request import Command, Plan, Reply, Request
from popoto.engine.scanning import Scan, literally
from popoto.fields.keeping.families import KeyFamily
from popoto.models.record.options import ModelOptions

logger = logging.getLogger("POPOTO.model_base")

#: The family of an index key, the key, and the hash field in one of a composite index.
Place: TypeAlias = tuple[KeyFamily, str, str]

_LOOKS = {"set": "SISMEMBER", "zset": "ZSCORE"}
_SCAN_COUNT = 1000


def find_places(options: ModelOptions, key: str) -> Plan[list[Place]]:
    """Where a record key stands whose former values are not known.

    One round trip where every index is a key of its own (sorted fields). Sets of values,
    partitions and digests are found by going through the keyspace and the composite indexes,
    which only this rare case has to do. Entries that follow from the key are left out: the
    new record has them too.
    """
    families = [
        family
        for field in options.by_name.values()
        for family in field.key_families()
        if family.derived and family.layout in _LOOKS
        if not (field.key and family.layout == "set")
    ]
    found = yield from _standing(options, key, [(each, each.stem, "") for each in families])
    for composite in options.composites:
        found += yield from _digests(options, key, composite.key)
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
            if name != family.stem and family.holds(name)
        ]
        found += yield from _standing(options, key, places)
        page = yield from scan.next()
    return found


def _standing(options: ModelOptions, key: str, places: list[Place]) -> Plan[list[Place]]:
    """Those of these places that hold the record key."""
    if not places:
        return []
    looks: list[Command] = [(_LOOKS[family.layout], name, key) for family, name, _ in places]
    try:
        replies = yield Request(looks, options.shard, repeatable=True)
    except ResponseError as error:
        logger.warning("entries of the former %r may be left: %s", key, error)
        return []
    return [place for place, reply in zip(places, replies, strict=True) if reply not in (None, 0)]


def _digests(options: ModelOptions, key: str, index_key: str) -> Plan[list[Place]]:
    """The fields under which a composite index names the record key."""
    family = KeyFamily("composite_indexes", index_key, index_key, "hash")
    member = key.encode("utf-8")
    found: list[Place] = []
    cursor: Reply = b"0"
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


def put_removals(batch: Batch, places: list[Place], key: str) -> None:
    """Queue the removal of the entries that were found."""
    for family, name, item in places:
        family.remove(batch, name, item, key)
