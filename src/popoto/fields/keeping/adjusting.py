"""`Adjustment`: a change of what a record has beside its values, which is no save.

Confidence that is updated, an access that is confirmed, a cycle that is strengthened: a field
or a mixin says what to do to one stored record, and the model carries it out: alone, with others in
one step, in a transaction, or in a pipeline of the caller's own (`Model._adjusting`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from popoto.engine.batch import Batch, GuardFailure, QueuedCommits, Step, append, prefix_in
from popoto.engine.request import Argument, Plan, Reply, tagged
from popoto.exceptions import NotStoredError, UnsavedError
from popoto.fields.describing import describe
from popoto.memory.history.noting import Noting

__all__ = [
    "Adjustment",
    "Collector",
    "Queued",
    "Touching",
    "carried_out",
    "changed",
    "check_waiting_place",
    "key_until_then",
    "waiting_beside",
]


class Adjustment:
    """One change beside one stored record. Subclasses say what it is."""

    #: what it does, for messages
    what: str = "adjustment"
    #: the fields whose stored values decide where it happens: those of a partition
    names: tuple[str, ...] = ()
    #: the fields of the record whose values the server computes
    computed: tuple[str, ...] = ()
    #: whether an instance that was only constructed does, where a record is stored under its key
    takes_constructed: bool = False
    #: whether it is one of a stored record; if not, `instance` may be the model
    needs_record: bool = True
    #: whether it may leave something in a shard that has no records
    outlasts_records: bool = False
    #: the key of the record that it is of, where that need not be stored
    beside: str = ""
    #: the keys that it is of, where these are several
    ends: tuple[str, ...] = ()
    #: what it is called as the cause of a change, in histories
    cause: str = ""

    def __init__(self, instance: Any) -> None:
        self.instance = instance
        #: those of the shard that it happens in
        self.options: Any = instance._meta
        #: who does it, when and why, for the history of the record; None where none is kept
        self.noting: Noting | None = instance._meta.noting(self.cause)

    def unsaved(self) -> Exception:
        """The error for an instance that was never saved."""
        name = type(self.instance).__name__
        return UnsavedError(
            f"{self.what} requires a saved model instance: this {name} is unsaved (or was "
            "deleted); save() it first"
        )

    def missing(self, key: str) -> Exception:
        """The error for a record that is gone."""
        return NotStoredError(
            f"{self.what} requires a saved model instance: {key!r} is not stored any more "
            "(deleted or expired); nothing was written"
        )

    def check_shard(self) -> None:
        """Raise where it concerns more than one shard of a cluster."""

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        """Queue guards and commands; `values` are the stored ones of `names`.

        Called again where another writer was faster, so it must have no other effect.
        """
        raise NotImplementedError

    def learn(self, failure: GuardFailure, step: Step) -> bool:
        """Learn from a failed guard of its own; whether to try again, else it raises."""
        return False

    def finish(self, replies: Sequence[Reply]) -> Any:
        """Take over what was done; `replies` are those of its commands. Its result."""
        return None


class Queued(Adjustment):
    """Commands for which no record has to be stored. The result is the first one's reply.

    Not sent as they are: like any other write they are refused once they were given up.
    """

    needs_record = False

    def __init__(
        self,
        owner: Any,
        what: str,
        queue: Callable[[Batch], object],
        options: Any = None,
        *,
        beside: str = "",
    ) -> None:
        """`options`: those of the shard, where `owner` is a model with several.

        `beside`: the key of the record that they are of, if they are; a transaction that moves it
        carries them out before that.
        """
        super().__init__(owner)
        if options is not None:
            self.options = options
        self.what = what
        self.queue = queue
        self.beside = beside

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        self.queue(batch)

    def finish(self, replies: Sequence[Reply]) -> Any:
        return replies[0]


class Collector:
    """What takes adjustments in place of a pipeline: a transaction."""

    def __init__(self) -> None:
        #: (what, record key) -> what will stand beside it, as those note it who have to know
        self.beside: dict[tuple[str, str], bytes | None] = {}


def check_waiting_place(pipeline: Any) -> None:
    """Raise TypeError for something in which nothing can wait."""
    if pipeline is None or isinstance(pipeline, (Collector, Batch)):
        return
    if not hasattr(pipeline, "command_stack"):
        raise TypeError(
            f"pipeline must be a redis-py Pipeline (client.pipeline()) or a transaction, got "
            f"{describe(pipeline)}"
        )


def waiting_beside(pipeline: Any) -> dict[tuple[str, str], bytes | None]:
    """What adjustments that wait in a pipeline or transaction have noted; later ones build on it.

    Without one nothing waits. Raises TypeError for what is neither.
    """
    check_waiting_place(pipeline)
    if isinstance(pipeline, Collector):
        return pipeline.beside
    return QueuedCommits.of(pipeline).beside if hasattr(pipeline, "command_stack") else {}


def key_until_then(pipeline: Any, key: str) -> str:
    """The key under which the server has a record until a pipeline has moved it to `key`."""
    if pipeline is None or not hasattr(pipeline, "command_stack"):
        return key
    return QueuedCommits.of(pipeline).origins.get(key, key)


class Touching(Adjustment):
    """Decay fields are set to a moment. The record itself is written, so the model does it."""

    what = "touch()"

    def __init__(
        self, instance: Any, field_names: Sequence[str], now: float, noting: Noting | None = None
    ) -> None:
        super().__init__(instance)
        self.field_names = field_names
        self.now = now
        self.noting = noting


def changed(
    owner: Any,
    what: str,
    pipeline: Any,
    *commands: tuple[Argument, ...],
    options: Any = None,
    beside: str = "",
) -> Plan[Any]:
    """Carry commands out, the first one's reply; or hand them to a pipeline or a transaction.

    `owner` is a model, or an instance of one; `options` are those of the shard, where a model has
    several; `beside` is the key of a record that they are of. On a caller's own pipeline they are
    what they are anywhere else. Raises TypeError for a pipeline that is none.
    """
    check_waiting_place(pipeline)
    if pipeline is None or isinstance(pipeline, Collector):
        put = partial(_append, commands=commands)
        queued = Queued(owner, what, put, options, beside=beside)
        found = yield from carried_out([queued], pipeline)
        return found[0] if pipeline is None else pipeline
    prefix = prefix_in(pipeline, (options or owner._meta).shard)
    _append(pipeline, [tagged(command, prefix) for command in commands])
    return pipeline


def _append(pipeline: Any, commands: Iterable[Sequence[Argument]]) -> None:
    for command in commands:
        append(pipeline, *command)


def carried_out(
    adjustments: Sequence[Adjustment], pipeline: Any = None, *, skips_missing: bool = False
) -> Plan[list[Any]]:
    """Have the model carry adjustments out, or queue them on a pipeline or a transaction.

    Their results, in order; None for records that are gone and may be skipped. Models do it,
    as they have the one loop that writes.
    """
    if not adjustments:
        return []
    # Of a model, or of an instance of one.
    owner = adjustments[0].instance
    plan: Plan[list[Any]] = owner._adjusting(adjustments, pipeline, skips_missing=skips_missing)
    return (yield from plan)
