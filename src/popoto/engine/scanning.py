"""Walking over the keyspace, page by page: for upkeep only, since it visits every key."""

from __future__ import annotations

import re

from popoto import redis_db
from popoto.engine.keys import shard_prefix
from popoto.engine.request import Argument, Call, Plan, Reply

_GLOB = re.compile(rb"([\\*?\[\]^])")


def literally(text: str) -> bytes:
    """Text as a glob pattern that matches just this text."""
    return _GLOB.sub(rb"\\\1", text.encode("utf-8"))


class Scan:
    """The keys that a glob pattern finds, on every node, without the shard's hash tag.

    A key that moves while it is scanned may be reported twice, as SCAN has it.
    """

    def __init__(self, shard: str, pattern: bytes, count: int) -> None:
        self._shard = shard
        self._pattern = pattern
        #: keys that one page visits, found or not
        self.count = count
        self._node = 0
        self._cursor = b"0"
        self._is_over = False

    def next(self) -> Plan[list[bytes] | None]:
        """The next page (perhaps empty), or None at the end. One round trip."""
        if self._is_over:
            return None
        call = Call(self._now, self._later)
        nodes, prefix, reply = yield call
        self._cursor, found = reply
        if self._cursor == b"0":
            self._node += 1
            self._is_over = self._node >= nodes
        size = len(prefix)
        return [key[size:] for key in found if key.startswith(prefix)]

    def _command(self, prefix: bytes) -> tuple[Argument, ...]:
        pattern = literally(prefix.decode("utf-8")) + self._pattern
        return ("SCAN", self._cursor, "MATCH", pattern, "COUNT", self.count)

    def _now(self) -> tuple[int, bytes, Reply]:
        connection = redis_db.connection()
        prefix = shard_prefix(self._shard, is_cluster=connection.is_cluster).encode()
        nodes = connection.per_node()
        node = nodes[min(self._node, len(nodes) - 1)]
        return len(nodes), prefix, node.call(self._command(prefix), repeatable=True)

    async def _later(self) -> tuple[int, bytes, Reply]:
        connection = await redis_db.async_connection()
        prefix = shard_prefix(self._shard, is_cluster=connection.is_cluster).encode()
        nodes = await connection.per_node()
        node = nodes[min(self._node, len(nodes) - 1)]
        return len(nodes), prefix, await node.call(self._command(prefix), repeatable=True)
