"""The nearest vectors as a vector set on the server names them (Redis 8: VADD, VSIM).

The set follows the vectors in the hash, which stay the truth: what it names is compared exactly, by
what the hash has.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from popoto import redis_db
from popoto.engine.keys import as_text
from popoto.engine.looking_up import asked, looked_up
from popoto.engine.request import Plan, Request, ScriptCall
from popoto.memory.vectors.arrays import Array, cosines, packed, unit
from popoto.memory.vectors.scripts import NEAREST

__all__ = ["Named", "VectorSet"]

logger = logging.getLogger("POPOTO.embedding")

#: States of a vector set in which it names nothing.
_ABSENT, _BEHIND = b"absent", b"behind"
#: How many changes one search takes over, at about a millisecond of the server's time each.
_TURN = 16
#: How many vectors one call reads.
_PAGE = 1_000
#: Of so many nearest, all vectors may as well be compared.
_MOST_NEAREST = 4_000


class Named(NamedTuple):
    """What a vector set says: how many vectors it has, and the nearest by their exact likeness."""

    described: list[bytes | None]
    size: int
    similar: dict[str, float]


@dataclass(frozen=True, slots=True)
class VectorSet:
    """A vector set and the keys that it follows."""

    key: str
    note: str
    changes: str
    vectors: str
    shard: str

    def nearest(self, vector: Array, count: int) -> Plan[Named | None]:
        """About the nearest `count`. None: it cannot tell, or has not taken everything over yet."""
        if count > _MOST_NEAREST or redis_db.reads_replicas():
            return None
        _, named = yield from self._asked(vector, count)
        return named

    def compared(self, vector: Array, keys: Sequence[str]) -> Plan[dict[str, float]]:
        """How similar the vectors of these records are; one round trip for every 1,000."""
        found: dict[str, float] = {}
        for first in range(0, len(keys), _PAGE):
            page = keys[first : first + _PAGE]
            commands = [("HMGET", self.vectors, *page)]
            (stored,) = yield from looked_up(commands, self.shard)
            found.update(_similarities(vector, [key.encode("utf-8") for key in page], stored))
        return found

    def caught_up(self) -> Plan[int | None]:
        """Take everything over; how many vectors it has then. None: there are no vector sets."""
        state, named = _BEHIND, None
        while state == _BEHIND:
            state, named = yield from self._asked(None, 0)
        return None if named is None else named.size

    def _asked(self, vector: Array | None, count: int) -> Plan[tuple[bytes, Named | None]]:
        """The state of the set, and what it says; see nearest.lua."""
        if self._is_absent():
            return _ABSENT, None
        question = b"" if vector is None else packed(unit(vector), "float32")
        call = ScriptCall(
            NEAREST, [self.note, self.changes, self.vectors, self.key], [question, count, _TURN]
        )
        kinds = (
            *((self.note, "hash"), (self.changes, "zset")),
            *((self.vectors, "hash"), (self.key, "vectorset")),
        )
        request = Request.of(call, shard=self.shard, repeatable=True)
        ((note, state, *told),) = yield from asked(request, kinds)
        if state == _ABSENT:
            self._note_absence(told[0])
        if state in (_ABSENT, _BEHIND):
            return state, None
        size, found = told
        similar = {} if vector is None else _similarities(vector, found[::2], found[1::2])
        return state, Named(note[2:], size, similar)

    def _is_absent(self) -> bool:
        return redis_db.connection().url in _WITHOUT

    def _note_absence(self, why: bytes) -> None:
        url = redis_db.connection().url
        if len(_WITHOUT) >= _MOST_SERVERS:
            _WITHOUT.clear()
        _WITHOUT.add(url)
        logger.info(
            "%r: no vector set is used, all vectors are compared: %s",
            self.key,
            why.decode("utf-8", "replace"),
        )


#: Servers that are known to have no vector sets, or to let this user use none, by URL: as long as
#: the process lives. The oldest knowledge goes where there are very many.
_WITHOUT: set[str] = set()
_MOST_SERVERS = 1_000


def _similarities(
    vector: Array, keys: Sequence[bytes], stored: Sequence[bytes | None]
) -> dict[str, float]:
    """The cosines of a vector and stored ones of float32, as far as these are such."""
    found: dict[str, float] = {}
    for key, cosine in zip(keys, cosines(vector, stored), strict=True):
        name = as_text(key)
        if name is None or cosine is None:
            continue
        if math.isnan(cosine):
            logger.warning("the vector of %r is left out of searches: it is none", name)
            continue
        found[name] = cosine
    return found
