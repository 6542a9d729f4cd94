"""Which node of a cluster serves a command. No I/O."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Final, cast

import redis
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, RedisError

from popoto._connection.resp import Argument, Command, Reply
from popoto._connection.settings import Address
from popoto._connection.waiting import DEFAULT_MIGRATION_TIMEOUT
from popoto.exceptions import NothingWrittenError

__all__ = ["Topology", "slot_of"]

# Where the first key stands, for commands where that is not 1. A command with all its keys in
# one slot, as every command of ours, is served where its first key is.
_KEY_POSITION: Final = {
    b"BITOP": 2,
    b"MEMORY": 2,
    b"OBJECT": 2,
    b"XGROUP": 2,
    b"XINFO": 2,
}
# Commands that count their keys: where the count stands. The keys follow it.
_COUNT_POSITION: Final = {
    b"BLMPOP": 2,
    b"BZMPOP": 2,
    b"EVAL": 2,
    b"EVALSHA": 2,
    b"EVALSHA_RO": 2,
    b"EVAL_RO": 2,
    b"FCALL": 2,
    b"FCALL_RO": 2,
    b"LMPOP": 1,
    b"SINTERCARD": 1,
    b"ZDIFF": 1,
    b"ZINTER": 1,
    b"ZINTERCARD": 1,
    b"ZMPOP": 1,
    b"ZUNION": 1,
}
_KEYS_AFTER_STREAMS: Final = frozenset({b"XREAD", b"XREADGROUP"})
_WITHOUT_KEYS: Final = frozenset(
    b"""ACL ASKING AUTH BGREWRITEAOF BGSAVE CLIENT CLUSTER COMMAND CONFIG DBSIZE DEBUG DISCARD
    ECHO EXEC FLUSHALL FLUSHDB FUNCTION HELLO INFO KEYS LASTSAVE LATENCY MODULE MONITOR MULTI
    PING PUBLISH PUBSUB QUIT RANDOMKEY READONLY READWRITE RESET ROLE SAVE SCAN SCRIPT SELECT
    SLOWLOG SWAPDB TIME UNWATCH WAIT WAITAOF""".split()
)

# What stands in the place of a node's name if the node does not know it, or is not to tell it.
# Then it is to be found where the node is that was asked.
_WITHOUT_NAME: Final = frozenset({"", "?"})


#: Seconds for which it is good who is a replica of whom.
_REPLICAS_FRESH: Final = 10.0


def slot_of(command: Command) -> int | None:
    """The hash slot that a command belongs to; None if it names no key."""
    name = _bytes(command[0]).upper()
    if name in _WITHOUT_KEYS:
        return None
    if name in _COUNT_POSITION:
        position = _COUNT_POSITION[name]
        if len(command) <= position + 1 or int(command[position]) == 0:
            return None
        position += 1
    elif name in _KEYS_AFTER_STREAMS:
        names = [_bytes(part).upper() for part in command]
        if b"STREAMS" not in names:
            return None
        position = names.index(b"STREAMS") + 1
    else:
        position = _KEY_POSITION.get(name, 1)
    if len(command) <= position:
        return None
    return key_slot(_bytes(command[position]))


def _bytes(part: Argument) -> bytes:
    return part if isinstance(part, bytes) else str(part).encode()


def _unexpected(asked: Address) -> redis.RedisError:
    return redis.RedisError(f"Unexpected answer to CLUSTER SLOTS from {asked[0]}:{asked[1]}.")


def _node_address(node: Reply, asked: Address) -> Address | None:
    """Where a node of the answer to CLUSTER SLOTS is; None for what is no node."""
    if not isinstance(node, list) or len(node) < 2 or not isinstance(node[1], int):
        return None
    named = node[0].decode() if isinstance(node[0], bytes) else ""
    return (asked[0] if named in _WITHOUT_NAME else named), node[1]


class Topology:
    """Which primary serves which slot, as far as known. Safe among threads."""

    def __init__(
        self, seeds: Iterable[Address], migration_timeout: float = DEFAULT_MIGRATION_TIMEOUT
    ) -> None:
        self.seeds: tuple[Address, ...] = tuple(seeds)
        self.migration_timeout = migration_timeout
        """Seconds to wait for a slot whose keys are moved to another node, one by one."""
        self.stale = True
        """Whether the nodes should be asked again before the next command."""
        self.lock = threading.Lock()
        self._served_by: dict[int, Address] = {}
        self._primaries: tuple[Address, ...] = ()
        self._replicas: dict[Address, tuple[Address, ...]] = {}
        self._replicas_due = 0.0

    @property
    def primaries(self) -> tuple[Address, ...]:
        """Every primary that serves slots."""
        return self._primaries

    def candidates(self) -> list[Address]:
        """Whom to ask for the slots: known primaries in any order, then the seeds."""
        known = list(self._primaries)
        random.shuffle(known)
        return known + [seed for seed in self.seeds if seed not in known]

    def node(self, slot: int | None) -> Address:
        """The primary for a slot; any primary for None. Raises NothingWrittenError."""
        if slot is None and self._primaries:
            return self._primaries[0]
        address = self._served_by.get(slot) if slot is not None else None
        if address is None:
            self.stale = True
            raise NothingWrittenError(
                f"No node of the cluster serves slot {slot}. Nothing was sent."
            )
        return address

    def look_for_replicas(self) -> None:
        """Whoever reads of replicas wants to hear of new ones, of which nobody tells."""
        if time.monotonic() >= self._replicas_due:
            self.stale = True

    def replicas(self, slot: int | None) -> tuple[Address, ...]:
        """The replicas of the primary for a slot, as far as known."""
        primary = self._served_by.get(slot) if slot is not None else None
        return self._replicas.get(primary, ()) if primary is not None else ()

    def by_node(self, commands: Sequence[Command]) -> dict[Address, list[int]]:
        """The positions of commands, by the node that serves their keys."""
        positions: dict[Address, list[int]] = {}
        for position, command in enumerate(commands):
            positions.setdefault(self.node(slot_of(command)), []).append(position)
        return positions

    def learn(self, reply: Reply, asked: Address) -> None:
        """Take in the answer to CLUSTER SLOTS. Raises redis.RedisError if it is none."""
        if isinstance(reply, RedisError):
            raise reply
        if not isinstance(reply, list):
            raise _unexpected(asked)
        served_by: dict[int, Address] = {}
        replicas: dict[Address, tuple[Address, ...]] = {}
        for span in reply:
            if not isinstance(span, list) or len(span) < 3:
                raise _unexpected(asked)
            first, last, *nodes = span
            primary, *others = (_node_address(node, asked) for node in nodes)
            if not isinstance(first, int) or not isinstance(last, int) or primary is None:
                raise _unexpected(asked)
            served_by.update(dict.fromkeys(range(first, last + 1), primary))
            replicas[primary] = tuple(each for each in others if each is not None)
        self._served_by = served_by
        self._primaries = tuple(dict.fromkeys(served_by.values()))
        self._replicas = replicas
        self._replicas_due = time.monotonic() + _REPLICAS_FRESH
        self.stale = False

    def redirected(self, error: AskError, asked: Address) -> Address:
        """Where MOVED or ASK points; a MOVED is remembered."""
        named = cast(str, error.host)  # pyright: ignore[reportUnknownMemberType]  # untyped in redis-py
        host = asked[0] if named in _WITHOUT_NAME else named
        address = (host, error.port)
        if isinstance(error, MovedError):
            self._served_by[error.slot_id] = address
            self.stale = True
        return address

    def moved_transaction(self, answers: list[Reply], asked: Address) -> Address | None:
        """Who serves the keys of a transaction, if the one that was asked does not; remembered."""
        for answer in answers:
            if isinstance(answer, MovedError):
                return self.redirected(answer, asked)
        return None
