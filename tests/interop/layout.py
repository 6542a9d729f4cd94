"""What is on the server, and the literal bytes that the contract asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import redis

# Keys that this package adds to the published layout. The published one neither
# reads nor removes them, so they may outlive a record that it deletes.
KEYS_ADDED_BY_OURS = (b"$Expiry:", b"$Values:", b"$DecayBase:", b"$CoOccurrenceIn:")

# (type, content, whether the key expires)
Stored = tuple[str, object, bool]

_READERS: dict[str, Callable[[redis.Redis, bytes], object]] = {
    "string": lambda server, key: server.get(key),
    "set": lambda server, key: sorted(cast("set[bytes]", server.smembers(key))),
    "zset": lambda server, key: sorted(
        cast("list[tuple[bytes, float]]", server.zrange(key, 0, -1, withscores=True))
    ),
    "hash": lambda server, key: dict(
        sorted(cast("dict[bytes, bytes]", server.hgetall(key)).items())
    ),
    "list": lambda server, key: server.lrange(key, 0, -1),
    "stream": lambda server, key: server.xrange(key),
}


def dump(server: redis.Redis) -> dict[bytes, Stored]:
    """Every key of the published layout: type, members, scores and hash bytes."""
    found: dict[bytes, Stored] = {}
    for key in sorted(server.scan_iter(count=1000)):
        if not key.startswith(KEYS_ADDED_BY_OURS) and not _lists_partitions(key):
            kind = cast("bytes", server.type(key)).decode()
            found[key] = (kind, _READERS[kind](server, key), server.ttl(key) > 0)
    return found


def _lists_partitions(key: bytes) -> bool:
    """Whether a key says in which partitions there are proposals, which 1.6 does not note."""
    return key.startswith(b"$RP:") and key.endswith(b":partitions")


def escape(text: str) -> str:
    """A key part, by the rules of the contract; independent of either package."""
    text = text.replace("/", "//")
    for character in "'?*^[]-":
        text = text.replace(character, "/" + character)
    return text.replace(":", "{&#58;}")


def record_key(model: Mapping[str, Any], record: Mapping[str, object]) -> str:
    """The key of a record that gives every automatic key explicitly."""
    names = sorted(name for name, (kind, _) in model["fields"].items() if "KeyField" in kind)
    parts = [escape(str(record.get(name))) for name in names or ["_auto_key"]]
    return ":".join([str(model["name"]), *parts])
