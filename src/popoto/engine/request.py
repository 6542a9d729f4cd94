"""What a plan asks of the outside world: commands for the server, or a call.

A plan is a generator. It yields a `Request` and is sent the list of replies, or
yields a `Call` and is sent its result. It does no I/O itself, so that one plan
serves the sync and the async runner and can be tested by feeding it replies.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, TypeAlias, TypeVar

from popoto import redis_db
from popoto._blocks import tell_of_write
from popoto.engine.keys import shard_prefix
from popoto.engine.scripts import Script

T = TypeVar("T")

Argument: TypeAlias = redis_db.Argument
Wait: TypeAlias = redis_db.Wait
_RUNS_SCRIPTS = frozenset({"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"})
#: A reply as the connection gives it. Errors are among those to several commands, until the
#: runner raises the first. A plan says of what it is sent which of these it is.
Reply: TypeAlias = redis_db.Reply


class ScriptCall:
    """One call of a script. On a cluster its first argument is the shard's hash tag."""

    __slots__ = ("arguments", "keys", "script")

    def __init__(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> None:
        self.script = script
        self.keys = keys
        self.arguments = arguments

    def command(self, prefix: str, *, by_text: bool = False) -> list[Argument]:
        """The command to send: EVALSHA, or EVAL with the whole text."""
        keys = [prefix + key for key in self.keys] if prefix else self.keys
        head: list[Argument] = (
            ["EVAL", self.script.text] if by_text else ["EVALSHA", self.script.digest]
        )
        return [*head, len(keys), *keys, prefix, *self.arguments]


#: A command as ``(name, key, *arguments)``, or a script call.
Command: TypeAlias = tuple[Argument, ...] | ScriptCall


@dataclass(slots=True)
class Request:
    """Commands for one shard, sent together in one round trip, not as a transaction.

    With `shards`, one for each command, they are for several: one round trip for each node.

    `repeatable` says that carrying them out twice, or late, does no harm, so that they may
    be sent again after a lost reply: reads, and `upkeep`, which writes what follows from what
    the server holds at the time.
    """

    commands: Sequence[Command]
    shard: str
    repeatable: bool = False
    upkeep: bool = False
    #: whether a user may want replicas to have what it writes; else nobody waits for them
    replicates: bool = False
    #: for how many replicas its model waits
    wait: Wait | None = None
    #: whether an earlier request of the plan has waited in vain: then none waits any more
    is_late: bool = False
    #: what was waited for, if anything, and how many replicas said that they have it
    waited: Wait | None = None
    replicas: int = 0
    #: of commands on several shards, that of each; `shard` is what they have in common then
    shards: Sequence[str] | None = None

    @classmethod
    def of(
        cls,
        *commands: Command,
        shard: str,
        repeatable: bool = False,
        upkeep: bool = False,
        replicates: bool = False,
        wait: Wait | None = None,
    ) -> Request:
        return cls(commands, shard, repeatable, upkeep, replicates, wait)

    @classmethod
    def write(cls, *commands: Command, shard: str, wait: Wait | None = None) -> Request:
        """What a user writes: not sent again after a lost reply, and replicas may be waited for."""
        tell_of_write(shard)
        return cls(commands, shard, replicates=True, wait=wait)

    @property
    def writes(self) -> bool:
        """Whether a caller has to know what became of it."""
        return self.upkeep or not self.repeatable

    def physical(self, *, is_cluster: bool) -> list[Sequence[Argument]]:
        """The commands as they go over the wire."""
        if not is_cluster:
            return [
                command.command("") if isinstance(command, ScriptCall) else command
                for command in self.commands
            ]
        shards = repeat(self.shard, len(self.commands)) if self.shards is None else self.shards
        prefixes = (shard_prefix(shard, is_cluster=True) for shard in shards)
        return [
            command.command(prefix) if isinstance(command, ScriptCall) else tagged(command, prefix)
            for command, prefix in zip(self.commands, prefixes, strict=True)
        ]

    def prefix(self, place: int) -> str:
        """What stands in front of the keys of one of the commands, on a cluster."""
        shard = self.shard if self.shards is None else self.shards[place]
        return shard_prefix(shard, is_cluster=True)

    def plan(self) -> Plan[list[Any]]:
        """A plan that sends just this and returns the replies, which its caller can name."""
        replies: list[Reply] = yield self
        return replies


@dataclass(slots=True)
class Call:
    """A blocking Python call that a plan needs (an embedding, a file, a user's hook).

    The sync runner calls it. The async runner awaits `async_function` if there is
    one, and otherwise runs `function` in a worker thread.
    """

    function: Callable[[], Any]
    async_function: Callable[[], Awaitable[Any]] | None = None
    writes: bool = False
    """Whether it writes records, as a class's own `save` does."""


#: What an answer is, only the plan knows that asked: it names it where it takes it.
Plan: TypeAlias = Generator[Request | Call, Any, T]


def tagged(command: Sequence[Argument], prefix: str) -> list[Argument]:
    """A command with a shard's prefix in front of its keys.

    Those of a command that runs a script or function are counted by its third word; of
    another one the first word after its name is the key.
    """
    words = list(command)
    if prefix and len(words) > 1:
        counted = str(words[0]).upper() in _RUNS_SCRIPTS
        for index in range(3, 3 + int(words[2])) if counted else (1,):
            words[index] = f"{prefix}{_text(words[index])}"
    return words


def _text(key: Argument) -> str:
    return key.decode("utf-8") if isinstance(key, bytes) else str(key)
