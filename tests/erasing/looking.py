"""Everything that the server and a directory hold, to be searched for bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis


def contents_of(client: redis.Redis) -> dict[bytes, Any]:
    """Every key of the server, and what it holds."""
    readers: dict[bytes, Any] = {
        b"set": lambda key: sorted(client.smembers(key)),
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"hash": lambda key: sorted(client.hgetall(key).items()),
        b"list": lambda key: client.lrange(key, 0, -1),
        b"string": client.get,
        b"stream": client.xrange,
    }
    return {key: readers[client.type(key)](key) for key in client.scan_iter(count=10_000)}


def keys_with(client: redis.Redis, *words: str) -> list[bytes]:
    """The keys that have one of these words in their names or in what they hold."""
    return [
        key
        for key, held in contents_of(client).items()
        if any(word.encode() in key or word in repr(held) for word in words)
    ]


def files_with(directory: Path, *words: str) -> list[Path]:
    """The files that have one of these words in their names or in what they hold."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return [
        path
        for path in files
        if any(word in str(path) or word.encode() in path.read_bytes() for word in words)
    ]
