"""`Batch`: guards and commands that the server carries out all or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self, cast

from redis.client import Pipeline

from popoto import redis_db
from popoto.engine.codec import Stored
from popoto.engine.keys import shard_prefix
from popoto.engine.looking_up import asked, name_stranger, needed
from popoto.engine.outcome import CommitReply, GuardFailure, refused_commands
from popoto.engine.request import Argument, Plan, Reply, Request, ScriptCall, tagged
from popoto.engine.scripts import COMMIT, Script, finding
from popoto.engine.steps import (
    MOST_ARGUMENTS,
    Declared,
    KeyArgument,
    Step,
    write_commands,
    write_guards,
)

__all__ = [
    "Batch",
    "CommitReply",
    "GuardFailure",
    "KeyArgument",
    "QueuedCommits",
    "Step",
    "append",
    "outcomes",
    "prefix_in",
    "queue",
]

#: Commands that do the same in several pieces, and how many arguments belong together.
_REPEATED_ARGUMENTS = {
    **dict.fromkeys(("RPUSH", "LPUSH", "SADD", "SREM", "ZREM", "HDEL", "PFADD"), 1),
    "HSET": 2,
}
#: Commands whose arguments are all keys: sent one by one, so that each key is declared.
_ALL_KEYS = frozenset({"DEL", "UNLINK", "TOUCH"})
#: Commands of several keys, or of one that is not their first word.
_TWO_KEYS = frozenset(
    {
        *("COPY", "GEOSEARCHSTORE", "LMOVE", "RENAME", "RENAMENX", "RPOPLPUSH", "SMOVE"),
        "ZRANGESTORE",
    }
)
_COUNTED_KEYS = frozenset({"ZDIFFSTORE", "ZINTERSTORE", "ZUNIONSTORE"})
_ONLY_KEYS = frozenset({"PFMERGE", "SDIFFSTORE", "SINTERSTORE", "SUNIONSTORE"})
#: Names of two words, of which a key is the next: "XGROUP CREATE".
_KEY_AFTER_TWO_WORDS = ("XGROUP ", "XINFO ", "OBJECT ", "MEMORY USAGE")
#: Commands whose first argument is no key.
_WITHOUT_KEY = frozenset({"PUBLISH"})
#: Commands that a script may not call. They follow the commit in a round trip of their own.
_NOT_IN_SCRIPTS = frozenset({"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"})


class Batch(Pipeline):
    """An ordered list of commands with the call surface of a redis-py pipeline.

    Field hooks receive it as ``pipeline``: every command method appends and
    returns the batch. It is sent as one call of ``commit.lua``, which checks all
    guards first. It has no connection and cannot be executed by itself.
    """

    # What a pipeline has and a batch does not use, kept off the instances.
    connection_pool: Any = None
    connection: Any = None
    command_stack: Any = ()
    watching = False
    explicit_transaction = False
    transaction: Any = True
    shard_hint = None
    response_callbacks: Any = MappingProxyType[object, object]({})

    def __init__(self, noting: Any = None) -> None:
        # Deliberately not Pipeline.__init__: there is no connection to hold.
        self.scripts: Any = set()
        self.guards: list[Step] = []
        self.commands: list[Step] = []
        self.after: list[tuple[Argument, ...]] = []
        #: commit.lua, or an extension of it that has further commands
        self.script: Script = COMMIT
        #: whether a guard looks for records by a lookup, which takes a further extension
        self.finds = False
        #: by whom, when and why, where the model keeps a history (`popoto.memory.history`)
        self.noting = noting

    # The surface of a pipeline ----------------------------------------------

    def execute_command(self, *args: Any, **options: Any) -> Self:
        """Append a command given as redis-py gives it: name, key, arguments."""
        name = str(args[0]).upper()
        if name in _NOT_IN_SCRIPTS:
            self.after.append(args)
        elif name in _ALL_KEYS:
            for key in args[1:]:
                self.put(name, _as_text(key))
        elif keyed := _where_keys_stand(name, args[1:]):
            command, *more = name.split(" ")
            words = [
                KeyArgument(_as_text(word)) if kind == "k" else word
                for kind, word in zip(keyed, args[1:], strict=True)
            ]
            self.put("KEYED", None, command, "v" * len(more) + keyed, *more, *words)
        elif name in _WITHOUT_KEY:
            self.put(name, None, *args[1:])
        elif len(args) == 1 or " " in name:
            # Names of two words ("XGROUP CREATE") are sent as two arguments.
            words = name.split(" ")
            self.put(words[0], None, *words[1:], *args[1:])
        else:
            self.put(name, _as_text(args[1]), *args[2:])
        return self

    pipeline_execute_command = execute_command
    immediate_execute_command = execute_command

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        raise TypeError(
            "this batch belongs to a save or delete that is under way and is sent when that "
            "is complete: queue commands on it, do not execute it"
        )

    def reset(self) -> None:  # type: ignore[override]  # as in redis-py, whose RESET has the name too
        """Nothing to give back: a batch holds no connection."""

    def __del__(self) -> None:
        """As `reset`."""

    def __len__(self) -> int:
        return len(self.commands)

    def __bool__(self) -> bool:
        return True

    # Building ------------------------------------------------------------------

    def put(self, name: str, key: str | None, *arguments: Argument) -> None:
        """Append a command on one key; one with very many arguments as several."""
        if len(arguments) > MOST_ARGUMENTS:
            width = _REPEATED_ARGUMENTS.get(name)
            if width is None:
                raise ValueError(
                    f"{name} with {len(arguments)} arguments is more than a script can pass to one "
                    f"command ({MOST_ARGUMENTS}); queue several"
                )
            piece = MOST_ARGUMENTS - MOST_ARGUMENTS % width
            for first in range(0, len(arguments), piece):
                self.commands.append((name, key, arguments[first : first + piece]))
            return
        self.commands.append((name, key, arguments))

    def guard(self, name: str, key: str | None, *arguments: Argument) -> int:
        """Append a guard and return its position. lua/commit/commit.lua lists the guards."""
        self.guards.append((name, key, arguments))
        return len(self.guards) - 1

    def guard_holds(self, key: str, stored: Mapping[str, Stored], names: Iterable[str]) -> int:
        """Append the guard that a record's hash still holds what was read in these fields."""
        # Any: bytes of the hash, which lists are not kept in.
        pairs: list[Any] = [part for name in names for part in (name, stored.get(name, b""))]
        return self.guard("holds", key, *pairs)

    def guard_unmatched(self, key: str, *arguments: Argument) -> int:
        """Append the guard that no record matches a lookup (lua/finding); the guard's position."""
        self.finds = True
        return self.guard("unmatched", key, *arguments)

    def take_script(self, script: Script) -> None:
        """Go with a script that has the commands of this one, and those that are queued already."""
        if self.script is COMMIT:
            self.script = script
        elif script is not self.script and script is not COMMIT:
            self.script = script.whole

    def extend(self, other: Batch) -> None:
        """Append the guards and commands of another batch."""
        self.finds = self.finds or other.finds
        self.guards += other.guards
        self.commands += other.commands
        self.after += other.after
        self.take_script(other.script)

    # Sending -------------------------------------------------------------------

    def call(
        self,
        *,
        raises: bool = False,
        every: bool = False,
        replies: bool = True,
        checks: bool = False,
    ) -> ScriptCall:
        """The call that commits this batch.

        `raises`: a failed guard is a server error. `every`: all failed guards are
        reported, not just the first; see `failures`. Without `replies` as well, the commands'
        own replies are left out, and what many records ask of one key goes as one command.
        `checks`: as well, and nothing is carried out.
        """
        keys = Declared()
        mode = "error" if raises else "data" if not every else "every" if replies else "many"
        if checks:
            mode = "check"
        together = mode in ("many", "check")
        arguments: list[Argument] = [
            mode,
            *write_guards(self.guards, keys, together=together),
            *write_commands(
                self.commands,
                keys,
                together=together,
                keyed=self.script.keyed,
                apart=self.script.apart,
            ),
        ]
        script = finding(self.script.whole) if self.finds else self.script
        return ScriptCall(script, list(keys), arguments)

    @staticmethod
    def outcome(reply: CommitReply) -> list[Reply] | GuardFailure:
        """The commands' replies, or the guard that failed."""
        if reply[0] == 1:
            return list(reply[1:])
        if reply[0] == 3:
            raise refused_commands(reply)
        return GuardFailure.told(reply[1:])

    @staticmethod
    def answers(reply: CommitReply) -> list[Reply] | GuardFailure:
        """As `outcome`, of questions behind a first one that can be asked: None where a key is of
        another type than its question is for.
        """
        return list(reply[2:]) if reply[0] == 3 else Batch.outcome(reply)

    @staticmethod
    def replies_of(reply: CommitReply) -> list[Reply]:
        """The commands' replies. Raises ModelException for a key of another kind, where no guard
        can fail.
        """
        outcome = Batch.outcome(reply)
        if isinstance(outcome, GuardFailure):
            raise outcome.error()
        return outcome

    @staticmethod
    def failures(reply: CommitReply) -> list[GuardFailure]:
        """Every guard that failed, of a call with `every`; none if the batch was carried out."""
        if reply[0] in (1, 3):
            return []
        if reply[0] == 0:
            return [GuardFailure.told(reply[1:])]
        return [GuardFailure.told(each) for each in cast("Sequence[list[Reply]]", reply[1:])]


def outcomes(
    batches: Sequence[Batch], shard: str, *, upkeep: bool = False
) -> Plan[list[list[Reply] | GuardFailure]]:
    """The outcomes of batches, each in a step of its own, that may be repeated. One round trip.

    ModelException for a key of another type than one of their commands reads.
    """
    if not batches:
        return []
    calls = [batch.call() for batch in batches]
    request = Request(calls, shard, repeatable=True, upkeep=upkeep)

    def read() -> Iterator[tuple[str, str]]:
        return needed((name, key) for batch in batches for name, key, _ in batch.commands if key)

    replies = yield from asked(request, read())
    for reply in replies:
        if reply[0] == 3:
            # A question behind another one: nothing was written that might be told of.
            yield from name_stranger(refused_commands(reply), read(), shard)
    return [Batch.outcome(reply) for reply in replies]


def _where_keys_stand(name: str, words: Sequence[Argument]) -> str | None:
    """For each word after a command's name "k" for a key, "v" for another one.

    None where just the first word is a key.
    """
    count = len(words)
    if name in _TWO_KEYS:
        return "kk".ljust(count, "v")
    if name in _COUNTED_KEYS:
        return ("kv" + "k" * int(words[1])).ljust(count, "v")
    if name in _ONLY_KEYS:
        return "k" * count
    if name in ("MSET", "MSETNX"):
        return "kv" * (count // 2)
    if name == "BITOP":
        return "v".ljust(count, "k")
    return "k".ljust(count, "v") if count and name.startswith(_KEY_AFTER_TWO_WORDS) else None


def _as_text(key: object) -> str:
    return key.decode("utf-8") if isinstance(key, bytes) else str(key)


class QueuedCommits:
    """What a caller's own pipeline has been given, so that later saves into it know.

    Commits wait in the pipeline until the caller executes it; a second commit on
    the same record must expect what the first will have written, not what the
    server holds now. Kept on the pipeline, for as long as its commands are queued.
    """

    def __init__(self, stack: object) -> None:
        self._stack = stack
        #: record key -> stored bytes by field name, or None for a deleted record
        self.records: dict[str, Mapping[str, Stored] | None] = {}
        #: record key -> what each commit leaves: any of them may be refused when the pipeline runs
        self.versions: dict[str, list[Mapping[str, Stored]]] = {}
        #: record key -> the fields that the commits write, and what they hold after the latest
        self.written: dict[str, dict[str, Stored]] = {}
        #: record key -> fields whose values the server will compute, and what does so
        self.computed: dict[str, dict[str, str]] = {}
        #: (what, record key) -> what will stand beside it, as those note it who have to know
        self.beside: dict[tuple[str, str], bytes | None] = {}
        #: record key -> the one under which the server has what a commit moves there
        self.origins: dict[str, str] = {}
        #: prefixes of the shards whose nodes are sent a script's text by this pipeline, with
        #: the script's digest
        self.taught: set[tuple[str, str]] = set()

    def put(self, key: str, known: Mapping[str, Stored], changed: Mapping[str, Stored]) -> None:
        """A commit changes these fields of a record, of which this was known before."""
        self.records[key] = {**known, **changed}
        self.written[key] = {**self.written.get(key, {}), **changed}

    def move(self, key: str, new_key: str) -> None:
        """A commit renames a record."""
        self.written[new_key] = self.written.get(key, {})
        self.origins[new_key] = self.origins.pop(key, key)
        for what, each in [place for place in self.beside if place[1] == key]:
            self.beside[what, new_key] = self.beside.pop((what, each))
        self.remove(key)

    def remove(self, key: str) -> None:
        """A commit deletes a record."""
        self.records[key] = None
        self.written.pop(key, None)

    def note(self, record_keys: Iterable[str]) -> None:
        """Keep what the latest commit leaves under its keys."""
        for key in record_keys:
            self.versions.setdefault(key, []).append(self.records.get(key) or {})

    @classmethod
    def of(cls, pipeline: Pipeline) -> QueuedCommits:
        stack = cast("object", pipeline.command_stack)  # pyright: ignore[reportUnknownMemberType]  # untyped in redis-py
        queued: object = vars(pipeline).get("_popoto_queued")
        if not isinstance(queued, cls) or queued._stack is not stack:
            queued = cls(stack)
            vars(pipeline)["_popoto_queued"] = queued
        return queued


def append(pipeline: Pipeline, *command: Argument) -> None:
    """Queue a command, given as its words, on a pipeline or batch."""
    pipeline.execute_command(*command)  # type: ignore[no-untyped-call]  # pyright: ignore[reportUnknownMemberType]  # untyped in redis-py


def prefix_in(pipeline: Pipeline, shard: str) -> str:
    """What stands in front of a shard's keys on a pipeline: its hash tag where that leads to
    a cluster. A batch takes names as they are, since they get their tag when it is sent.
    """
    if isinstance(pipeline, Batch):
        return ""
    # Pipelines of our own clients know; those made elsewhere go where the models are.
    raw: object = vars(pipeline).get("raw")
    if not isinstance(raw, (redis_db.SyncConnection, redis_db.AsyncConnection)):
        raw = redis_db.connection()
    return shard_prefix(shard, is_cluster=raw.is_cluster)


def queue(pipeline: Pipeline, batch: Batch, shard: str) -> None:
    """Append a commit on one shard to a pipeline that the caller will execute.

    The first one for a shard carries the script's text, since a transaction cannot recover
    from an emptied script cache; those after it go by digest. A guard that fails
    when the pipeline runs is an error of its `execute()`.
    """
    queued = QueuedCommits.of(pipeline)
    prefix = prefix_in(pipeline, shard)
    call = batch.call(raises=True)
    lesson = prefix, call.script.digest
    append(pipeline, *call.command(prefix, by_text=lesson not in queued.taught))
    queued.taught.add(lesson)
    for command in batch.after:
        append(pipeline, *tagged(command, prefix))
