"""What all writes have in common: the form in which the one loop of `carrying` takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from popoto.engine import looking_up
from popoto.engine.batch import Batch, GuardFailure, QueuedCommits, Step
from popoto.engine.codec import Stored
from popoto.engine.request import Argument, Plan, Reply, Request
from popoto.exceptions import AlreadyExistsError, NotStoredError
from popoto.models.record.loading import indexed_of
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record


class Operation:
    """One write of one record under way.

    It begins with what is believed to be stored: the bytes that the instance was loaded
    with, or what `take_stored` is told. For each try the loop asks for its `batch`. Where
    the server holds something else, it hands the failed guard to `learn` and tries again;
    once the batch has been carried out it calls `finish`.
    """

    #: whether what its instance holds afterwards follows from the reply of one of its commands
    needs_reply: bool = False
    #: what it does, for messages
    what: str
    #: its place among the operations that are carried out with it
    position: int = 0
    #: whether it waits in a pipeline of the caller's own
    queued: bool = False
    #: what the caller is given for it, once it has been carried out
    result: Any = None
    #: what it is called as the cause of a change, in histories
    cause: str = ""
    #: whether its model has several shards, which are on different nodes
    is_apart: bool = False
    #: whether its record would be the first of its shard, which has to be registered before; and
    #: whether it is
    enters_shard: bool = False
    is_registered: bool = False

    def __init__(self, instance: Record, key: str) -> None:
        self.instance = instance
        self.options = instance._meta
        self.key = key
        #: who does it, when and why, for the history of the record; None where none is kept
        self.noting = self.options.noting(self.cause)

    @property
    def needs_record(self) -> bool:
        """Whether it can be carried out only where a record is stored under its key."""
        return True

    @property
    def title(self) -> str:
        """What it does to which record, for messages."""
        return f"{self.what} of {self.instance!r}"

    @property
    def keys(self) -> tuple[str, ...]:
        """The record keys that it writes or looks at."""
        return (self.key,)

    @property
    def beside(self) -> tuple[str, ...]:
        """The keys of records beside which it writes something, while others may write these."""
        return () if self.keys else (self.key,)

    def goes_with(self, other: Operation) -> bool:
        """Whether both may write one record in the same step."""
        return False

    def join(self, other: Operation) -> None:
        """Take note of one that writes the same record in the same step, and goes with it."""

    def renews(self, names: Iterable[str]) -> bool:
        """Whether these moments are set to now by it, or are gone with the record."""
        return False

    # Before the first try -----------------------------------------------------------

    def check_shard(self) -> None:
        """Raise where it concerns more than the shard that its record is in."""

    def guard_shard(self, batch: Batch) -> None:
        """Demand that the shard is registered, as one is that has records."""
        if self.is_apart and not self.is_registered:
            batch.guard("holds", self.options.class_set_key)

    def is_first(self, step: Step) -> bool:
        """Whether a guard has failed since the shard has no records yet; noted if so."""
        self.enters_shard |= step[1] == self.options.class_set_key
        return self.enters_shard

    #: the key whose stored bytes have to be read before the first try; None = none
    unknown_key: str | None = None

    #: the keys that equal key values make by other texts, where none is known to be stored
    other_keys: Sequence[str] = ()

    def find_key(self, waiting: Mapping[str, object] | None = None) -> Plan[None]:
        """Go to the key of equal values, where that is stored and the own one is not.

        `waiting` has what a pipeline leaves under keys; None: nothing.
        """
        if not self.other_keys:
            return
        every = (self.key, *self.other_keys)
        there = yield from looked_up([("EXISTS", key) for key in every], self.options.shard)
        stored = {key: bool(is_there) for key, is_there in zip(every, there, strict=True)}
        stored |= {key: left is not None for key, left in (waiting or {}).items() if key in stored}
        self.go_to(next((key for key, is_there in stored.items() if is_there), ""))

    def go_to(self, key: str) -> None:
        """Write under this key; "" = under the own one."""
        if key:
            self.key = key
            if self.unknown_key is not None:
                self.unknown_key = key

    def take_stored(self, stored: Mapping[str, Stored] | None) -> None:
        """Believe that this is stored (None: nothing). Raises where that ends the matter."""

    def confirm(self) -> Plan[None]:
        """Find out what became of writes that wait in a caller's pipeline, or did."""
        yield from ()

    def look(self, queued: QueuedCommits) -> Plan[None]:
        """Learn what is stored, or will be once what waits in a pipeline is carried out."""
        if self.key in queued.records:
            self.take_stored(queued.records[self.key])
        else:
            self.take_stored((yield from read_stored([(self.options, self.key)]))[0])

    def make_sure(self, names: Iterable[str]) -> Plan[bool]:
        """Look at what is stored in these fields, unless it is known or written by this."""
        yield from ()
        return False

    # Each try -----------------------------------------------------------------------

    #: whether nothing has to be done before the batch can be built
    is_ready: bool = True

    def get_ready(self) -> Plan[None]:
        """Do what has to be done before the batch can be built."""
        yield from ()

    def batch(self) -> Batch | None:
        """Guards and commands as far as is known now; None: there is nothing to do."""
        raise NotImplementedError

    #: whether the stored bytes show that the batch has been carried out
    shows: bool = False

    def recognizes(self, stored: Mapping[str, Stored]) -> bool:
        """Whether this is stored because of it, which it believes from then on."""
        return False

    def doubt(self) -> None:
        """Take note that it may have been carried out, or may not."""

    def learn(self, failure: GuardFailure, step: Step | None) -> None:
        """Correct what is believed, or raise what the caller has to know.

        `step` is the guard that failed; None for a key of a wrong type.
        """
        raise NotImplementedError

    def gives_up(self, names: Iterable[str]) -> bool:
        """Whether the record does not keep its values of these fields."""
        return False

    # Once it is carried out ------------------------------------------------------------

    def finish(self, replies: Sequence[Reply]) -> Any:
        """Take over what was written; `replies` are those of its commands. Its result."""
        raise NotImplementedError

    #: whether something follows a write that was carried out
    has_sequel: bool = False

    def after(self) -> Plan[None]:
        """Do what follows a write that was carried out."""
        yield from ()

    @property
    def left(self) -> tuple[str, str | None] | None:
        """The key that no record has any more because of it, and the one it has instead."""
        return None

    def told_key(self, failure: GuardFailure) -> str:
        """The record key that a failed guard tells."""
        return text_of(failure.details[0])

    def leave(self, queued: QueuedCommits) -> None:
        """Say what will be stored under its keys once a caller's pipeline is carried out."""
        raise NotImplementedError

    def queue_up(self) -> None:
        """Take over what waits in a caller's pipeline and may never be carried out."""
        raise NotImplementedError


class Nothing(Operation):
    """Stands for a write that turned out to write nothing."""

    what = "save"

    def __init__(self, instance: Record, result: Any) -> None:
        super().__init__(instance, "")
        self._nothing = result

    @property
    def keys(self) -> tuple[str, ...]:
        return ()

    def batch(self) -> Batch | None:
        return None

    def finish(self, replies: Sequence[Reply]) -> Any:
        return self._nothing


def already_exists(operation: Operation, advice: str) -> AlreadyExistsError:
    """The error for a record that stands where another one is to be stored."""
    return AlreadyExistsError(
        f"{operation.options.model_name} {operation.key!r} already exists; nothing was written. "
        f"To go on, {advice}."
    )


def not_stored(
    key: str, advice: str = "", kind: type[NotStoredError] = NotStoredError
) -> NotStoredError:
    """The error for a record that is gone."""
    return kind(f"{key!r} is not stored any more (deleted or expired); nothing was written{advice}")


def text_of(value: Reply) -> str:
    """A reply for a message."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def looked_up(
    commands: Sequence[tuple[Argument, ...]], shard: str, shards: Sequence[str] | None = None
) -> Plan[list[Any]]:
    """What is read before something is written, which an error says was not."""
    return (yield from looking_up.looked_up(commands, shard, before_writing=True, shards=shards))


def read_stored(
    records: Sequence[tuple[ModelOptions, str]],
) -> Plan[list[Mapping[str, Stored] | None]]:
    """The stored bytes that decide entries, of several records; None for missing ones.

    One round trip; one more where a hash has none of these fields.
    """
    first = records[0][0]
    shards = None if first.shard_by is None else [options.shard for options, _ in records]
    replies = yield from looked_up(
        [("HMGET", key, *options.index_names) for options, key in records], first.shard, shards
    )
    found: list[Mapping[str, Stored] | None] = [
        indexed_of(options, values) for (options, _), values in zip(records, replies, strict=True)
    ]
    bare = [place for place, stored in enumerate(found) if not stored]
    if bare:
        exist = yield Request(
            [("EXISTS", records[place][1]) for place in bare],
            first.shard,
            repeatable=True,
            shards=None if shards is None else [shards[place] for place in bare],
        )
        for place, exists in zip(bare, exist, strict=True):
            if not exists:
                found[place] = None
    return found
