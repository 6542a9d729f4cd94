"""Transactions: writes of several records that are carried out together or not at all.

Each operation brings the guards and commands that it would send alone. Joined, they are
one call of commit.lua, which carries out nothing unless every guard holds. What
instances know of their records changes only after that.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from popoto import redis_db
from popoto.engine.batch import Batch, GuardFailure, Step
from popoto.engine.request import Call, Plan, Reply, Request
from popoto.engine.run import arun, run
from popoto.exceptions import ConflictError, ModelException, UniquenessError
from popoto.models.expectations import Expected
from popoto.models.hooks import follow_up
from popoto.models.save_commit import SaveRequest
from popoto.models.transaction_parts import Addition, Deletion, Expectation, Operation, Saving

if TYPE_CHECKING:
    from decimal import Decimal

    from popoto.models.base import Model

M = TypeVar("M", bound="Model")

#: How often a transaction is built again because other writers were faster.
MAX_ATTEMPTS = 64
_ATTEMPTS_WITHOUT_PAUSE = 4
_LONGEST_PAUSE = 0.1

#: Where the member stands whose claim a guard overlooks, next to the record's own.
_OLD_MEMBER = {"claim": 1, "slot": 3}


def transaction() -> Transaction:
    """A new transaction, for ``with`` or ``async with``."""
    return Transaction()


class Transaction:
    """Saves, deletes and additions that are carried out in one step, or not at all.

    In a ``with`` or ``async with`` block, operations are collected, checked and sent at its
    end, as one command; if the block raises, nothing is sent. Without a block, end it with
    `commit()` or `await async_commit()`. `results` then has one result for each operation,
    in order: what the single operation returns. A failed guard of any operation (a unique
    value that is taken, an expectation, a record that is gone) raises that operation's own
    exception with a note naming the operation, and nothing is written; instances and
    stored records stay as they were, except that attributes were converted and formatted
    as before every save. A record may take part once.
    """

    def __init__(self) -> None:
        self._operations: list[Operation] = []
        self._keys: dict[str, Operation] = {}
        self._is_over = False
        #: guards of an operation that overlook a claim which another operation gives up
        self._released: dict[tuple[int, Step], str] = {}
        #: One result per operation, in order; empty until the transaction is committed.
        self.results: list[Any] = []

    # Operations --------------------------------------------------------------------------

    def save(
        self,
        instance: Model,
        *,
        update_fields: Iterable[str] | None = None,
        skip_auto_now: bool = False,
        migrate_key: bool = False,
        expected: Expected = None,
        **kwargs: Any,
    ) -> None:
        """Save an instance as it is now; arguments, checks and result as of `Model.save`."""
        request = SaveRequest(
            skip_auto_now=skip_auto_now,
            update_fields=update_fields,  # pyright: ignore[reportArgumentType]
            migrate_key=migrate_key,
            expected=expected,
            hook_arguments=kwargs,
        )
        self._add(Saving(instance, request))

    def create(self, model: type[M], **values: Any) -> M:
        """Construct and save a new record, and return it. Fails if its key is taken."""
        instance = model(**values)
        self._add(Saving(instance, SaveRequest(create_only=True), creates=True))
        return instance

    def delete(self, instance: Model, **kwargs: Any) -> None:
        """Delete a record. The result says whether it existed."""
        self._add(Deletion(instance, kwargs))

    def increment(self, instance: Model, field_name: str, delta: float | Decimal) -> None:
        """Add to a stored number; checks and result as of `Model.atomic_increment`."""
        self._add(Addition(instance, field_name, delta))

    def expect(self, instance: Model, expected: Expected = True) -> None:
        """Commit only if a record that is not written here is as expected; see `Model.save`.

        The failure is a ConflictError. True, the default, means as it was loaded.
        """
        self._add(Expectation(instance, expected))

    def _add(self, operation: Operation) -> None:
        if self._is_over:
            raise ModelException("this transaction is over: begin a new one")
        for key in operation.keys:
            if key in self._keys:
                raise ModelException(
                    f"{key!r} takes part in this transaction already ({self._keys[key].what}); "
                    "a record may do so once: make all its changes, then save it"
                )
        self._keys.update(dict.fromkeys(operation.keys, operation))
        self._operations.append(operation)

    # Committing --------------------------------------------------------------------------

    def commit(self) -> list[Any]:
        """Carry everything out and return the results. One command, one round trip.

        One more for each time that another writer was faster. Raises what the operations
        raise; ModelException where they concern several shards of a cluster.
        """
        return run(self._plan(is_cluster=redis_db.connection().is_cluster))

    async def async_commit(self) -> list[Any]:
        """`commit` for asyncio."""
        connection = await redis_db.async_connection()
        return await arun(self._plan(is_cluster=connection.is_cluster))

    def discard(self) -> None:
        """End the transaction without sending anything."""
        self._is_over = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is not None:
            self.discard()
        elif not self._is_over:
            self.commit()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is not None:
            self.discard()
        elif not self._is_over:
            await self.async_commit()

    # The plan ----------------------------------------------------------------------------

    def _plan(self, *, is_cluster: bool) -> Plan[list[Any]]:
        if self._is_over:
            raise ModelException("this transaction is over: begin a new one")
        self._is_over = True
        if not self._operations:
            return self.results
        shard = self._shard(is_cluster=is_cluster)
        for operation in self._operations:
            yield from operation.prepare()
        for attempt in range(MAX_ATTEMPTS):
            for operation in self._operations:
                yield from operation.store_contents()
            parts = [(operation, operation.batch()) for operation in self._operations]
            joined = _Joined(parts, self._still_released())
            joined.check_claims()
            # Not repeatable: an addition would count twice.
            (reply,) = yield Request.of(joined.batch.call(every=True), shard=shard)
            failures = Batch.failures(reply)
            if not failures:
                self.results = joined.finished(reply[1:])
                yield from follow_up(joined.batch, self._operations[0].options)
                return self.results
            self._learn(joined, failures)
            # Every second try goes at once, with what the one before has learned.
            if attempt >= _ATTEMPTS_WITHOUT_PAUSE and attempt % 2:
                yield _pause(attempt)
        raise ConflictError(
            f"records of this transaction were changed by other writers {MAX_ATTEMPTS} times "
            "while it was being committed; nothing was written. Try again."
        )

    def _shard(self, *, is_cluster: bool) -> str:
        shards = sorted({operation.options.shard for operation in self._operations})
        if is_cluster and len(shards) > 1:
            raise ModelException(
                f"a transaction on a cluster concerns one shard, not {', '.join(shards)}: their "
                "records may be on different nodes, which commit nothing together. Nothing was "
                "written."
            )
        return shards[0]

    def _learn(self, joined: _Joined, failures: Sequence[GuardFailure]) -> None:
        taught: set[int] = set()
        for failure in failures:
            if failure.guard < 0:
                key, found, expected = (_text(each) for each in failure.details)
                raise ModelException(
                    f"the transaction cannot be committed: the key {key!r} holds a {found} where "
                    f"a {expected} belongs; nothing was written. Rename or delete that key."
                )
            operation, guard = joined.owner_of(failure.guard)
            if id(operation) in taught:
                # What else failed may have followed from that; the next try shows.
                continue
            if failure.what in _OLD_MEMBER and self._releases(joined, operation, failure):
                continue
            taught.add(id(operation))
            try:
                operation.learn(GuardFailure(guard, failure.what, failure.details))
            except ModelException as error:
                position = self._operations.index(operation)
                error.add_note(
                    f"Operation {position} of the transaction, {operation.what}; none of its "
                    f"{len(self._operations)} operations was carried out."
                )
                raise

    def _releases(self, joined: _Joined, operation: Operation, failure: GuardFailure) -> bool:
        """Whether the holder of a claim gives it up in this very transaction."""
        holder = _text(failure.details[0])
        other = self._keys.get(holder)
        step = joined.given[failure.guard]
        known = (id(operation), step)
        if other is None or other is operation or known in self._released:
            return False
        if not other.gives_up(_claimed_fields(step)):
            return False
        self._released[known] = holder
        return True

    def _still_released(self) -> dict[tuple[int, Step], str]:
        """Claims to overlook: an operation may have found since that it has nothing to do."""
        return {
            known: holder
            for known, holder in self._released.items()
            if self._keys[holder].gives_up(_claimed_fields(known[1]))
        }


class _Joined:
    """The batches of all operations as one, and which part is whose."""

    def __init__(
        self,
        parts: Iterable[tuple[Operation, Batch | None]],
        released: dict[tuple[int, Step], str],
    ) -> None:
        self.batch = Batch()
        #: the guards as the operations gave them
        self.given: list[Step] = []
        self._owners: list[tuple[Operation, int]] = []
        self._commands: list[tuple[Operation, int, int]] = []
        for operation, batch in parts:
            first = len(self.batch.commands)
            if batch is not None:
                self.given += batch.guards
                self._owners += [(operation, index) for index in range(len(batch.guards))]
                batch.guards = [
                    _overlooking(step, released.get((id(operation), step))) for step in batch.guards
                ]
                self.batch.extend(batch)
            self._commands.append((operation, first, len(self.batch.commands)))

    def owner_of(self, guard: int) -> tuple[Operation, int]:
        """The operation that a guard belongs to, and its position among that one's guards."""
        return self._owners[guard]

    def finished(self, replies: Sequence[Reply]) -> list[Any]:
        """Let every operation take over that it was carried out; their results."""
        return [operation.finish(replies[first:last]) for operation, first, last in self._commands]

    def check_claims(self) -> None:
        """Raise UniquenessError where two records of the transaction claim one value.

        The guards look at what is stored already, so they cannot see this.
        """
        claims: dict[tuple[object, ...], Operation] = {}
        for step, (operation, _) in zip(self.given, self._owners, strict=True):
            claim = _claim_of(step)
            if claim is None:
                continue
            other = claims.setdefault(claim, operation)
            if other is not operation:
                names = ", ".join(_claimed_fields(step))
                kind = "" if step[0] == "claim" else "Unique index violation: "
                raise UniquenessError(
                    f"{kind}{operation.options.model_name}: ({names}) must be unique, but the "
                    f"value of the {operation.what} already exists in the {other.what} of this "
                    "transaction; nothing was written"
                )


def _claimed_fields(step: Step) -> list[str]:
    name, _, arguments = step
    return [str(arguments[2])] if name == "claim" else [str(each) for each in arguments[4::2]]


def _claim_of(step: Step) -> tuple[object, ...] | None:
    """What a guard claims, comparable between records; None for guards that claim nothing."""
    name, key, arguments = step
    if name == "claim":
        # Equal numbers stand in one set; texts may share one although they differ.
        stored = arguments[3]
        is_text = isinstance(stored, bytes) and (
            0xA0 <= stored[0] <= 0xBF or 0xD9 <= stored[0] <= 0xDB
        )
        return (name, key, stored if is_text else b"")
    if name == "slot":
        return (name, key, arguments[1])
    return None


def _overlooking(step: Step, holder: str | None) -> Step:
    """A claim's guard that takes no notice of this holder."""
    if holder is None:
        return step
    name, key, arguments = step
    at = _OLD_MEMBER[name]
    return (name, key, (*arguments[:at], holder, *arguments[at + 1 :]))


def _pause(attempt: int) -> Call:
    """Get out of the other writers' way, for a random time that grows with the attempts."""
    seconds = random.uniform(0, min(_LONGEST_PAUSE, 0.0005 * 2**attempt))
    return Call(lambda: time.sleep(seconds), lambda: asyncio.sleep(seconds))


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
