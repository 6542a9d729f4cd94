"""The one loop that carries writes out: it joins, sends, learns, pauses and gives up.

A save, a delete, an increment and an expectation are operations of one form. Alone, in bulk
and in a transaction they come here. What differs is what becomes of an operation that is
refused: that is what a `Company` says.
"""

from __future__ import annotations

import asyncio
import random
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Generic, TypeAlias, TypeVar

from popoto.engine.batch import Batch, CommitReply, GuardFailure, KeyArgument, Step
from popoto.engine.keys import shard_prefix
from popoto.engine.replication import most_demanding
from popoto.engine.request import Call, Plan, Request
from popoto.exceptions import ConflictError, ModelException
from popoto.models.writing import claims
from popoto.models.writing.hooks import follow_up
from popoto.models.writing.operation import Operation, read_stored, text_of

Op = TypeVar("Op", bound=Operation)

#: How often an operation is tried because other writers were faster.
MAX_ATTEMPTS = 64
#: From this attempt on, every second one comes after a pause of at most so many seconds. Those
#: between go at once, with what the failed one before has learned.
_ATTEMPTS_WITHOUT_PAUSE = 4
_LONGEST_PAUSE = 0.25

#: A joined call stops growing here, so that it does not hold the server for long: some 3,000
#: records of the usual kind, 60 ms.
MOST_ARGUMENTS = 200_000


#: The reply of a call that is not made because it has nothing to do.
_NOTHING_TO_DO: CommitReply = (1,)


class Company(Generic[Op]):
    """Operations that are carried out together, and what becomes of one that is refused."""

    #: whether they go in one call, however large it is
    is_one_step = True
    #: whether results follow from the replies of commands, which then come one by one
    needs_replies = True
    #: whether their requests may be sent again after a lost reply, if they all say so
    may_repeat = True

    def refuse(self, operation: Op, error: ModelException) -> None:
        """Raise the error, or take note of it: the operation is then left out."""
        raise error

    def end_round(self) -> None:
        """Raise what was taken note of since the last round."""

    def claimed_by(self, operation: Op) -> str:
        """What to call an operation that claims the same value as another one."""
        return f"the {operation.title}"


def carry_out(operations: Sequence[Op], company: Company[Op]) -> Plan[list[Op]]:
    """Carry out operations on records whose keys all differ; those that were not refused.

    One call, or as few as may be where `company` allows several; one more for each time
    that other writers were faster, and one before where stored bytes have to be known first.
    """
    done: list[Op] = []
    waiting: list[Op] = list(operations)
    if any(map(_is_unclear, operations)):
        waiting = yield from _prepared(operations, company)
    released: _Released = {}
    for attempt in range(MAX_ATTEMPTS):
        if attempt >= _ATTEMPTS_WITHOUT_PAUSE and attempt % 2 == 0:
            yield _pause(attempt)
        for operation in waiting:
            if not operation.is_ready:
                yield from operation.get_ready()
        calls = _joined(waiting, company)
        if released:
            for call in calls:
                call.overlook(released)
        replies: list[CommitReply] = [_NOTHING_TO_DO] * len(calls)
        if any(call.batch.guards for call in calls):
            replies = yield Request(
                [call.batch.call(every=True, replies=company.needs_replies) for call in calls],
                calls[0].operations[0].options.shard,
                company.may_repeat and all(each.is_repeatable for each in waiting),
                writes=True,
                wait=most_demanding(each.options.wait for each in waiting),
            )
        wanted, waiting = len(done) + len(waiting), []
        for call, reply in zip(calls, replies, strict=True):
            if reply[0] != 1:
                waiting += call.learn(Batch.failures(reply), company, released)
                continue
            yield from call.finish(reply)
            done += call.operations
        if len(done) < wanted:
            company.end_round()
        if not waiting:
            return done
    raise _gave_up(waiting)


def _is_unclear(operation: Operation) -> bool:
    """Whether something has to be learned before the first try."""
    return operation.unknown_key is not None or bool(operation.instance._unconfirmed)


def _prepared(operations: Sequence[Op], company: Company[Op]) -> Plan[list[Op]]:
    """Learn what has to be known before the first try; those operations that are not refused."""
    unknown = [operation for operation in operations if operation.unknown_key is not None]
    refused: set[int] = set()
    if unknown:
        found = yield from read_stored(
            [(operation.options, operation.unknown_key or "") for operation in unknown]
        )
        for operation, stored in zip(unknown, found, strict=True):
            try:
                operation.take_stored(stored)
            except ModelException as error:
                company.refuse(operation, error)
                refused.add(id(operation))
        company.end_round()
    for operation in operations:
        if operation.instance._unconfirmed:
            yield from operation.confirm()
    return [operation for operation in operations if id(operation) not in refused]


def _gave_up(operations: Sequence[Operation]) -> ConflictError:
    first = operations[0]
    more = f" (and {len(operations) - 1} more)" if len(operations) > 1 else ""
    return ConflictError(
        f"the {first.title}{more} could not be carried out: other writers changed what it writes "
        f"{MAX_ATTEMPTS} times meanwhile; nothing was written. Do it again."
    )


def _pause(attempt: int) -> Call:
    """Get out of the other writers' way, for a random time that grows with the attempts."""
    seconds = random.uniform(0, min(_LONGEST_PAUSE, 0.0005 * 2**attempt))
    return Call(lambda: time.sleep(seconds), lambda: asyncio.sleep(seconds))


# Joining -----------------------------------------------------------------------------------

#: By operation and claim: the holder whose claim is overlooked, and the operation by which that
#: one gives up what it holds, in the same call.
_Released: TypeAlias = dict[tuple[int, claims.Claim], tuple[str, Operation]]


#: Stands for the batch of a call before it has any.
_EMPTY = Batch()


class _Joined(Generic[Op]):
    """The batches of operations as one."""

    def __init__(self) -> None:
        self.batch = _EMPTY
        self.operations: list[Op] = []
        #: where the guards and the commands of each operation begin
        self._starts: list[tuple[int, int]] = []

    def add(self, operation: Op, batch: Batch | None) -> None:
        self._starts.append((len(self.batch.guards), len(self.batch.commands)))
        self.operations.append(operation)
        if batch is None:
            return
        if self.batch is _EMPTY:
            self.batch = batch
        else:
            self.batch.extend(batch)

    def finish(self, reply: CommitReply) -> Plan[None]:
        """Let every operation take over that it was carried out, and do what follows."""
        ends = [*(commands + 1 for _, commands in self._starts[1:]), len(reply)]
        for operation, (_, first), end in zip(self.operations, self._starts, ends, strict=True):
            operation.result = operation.finish(reply[first + 1 : end])
        if self.batch.after:
            yield from follow_up(self.batch, self.operations[0].options)
        for operation in self.operations:
            if operation.has_sequel:
                yield from operation.after()

    def overlook(self, released: _Released) -> None:
        """Let guards take no notice of holders that give up in this call what they hold."""
        present = {id(operation) for operation in self.operations}
        for place, step in enumerate(self.batch.guards):
            claim = claims.claim_of(step)
            if claim is not None:
                holder, other = released.get((id(self._of_guard(place)), claim), ("", None))
                if other is not None and id(other) in present and _frees(other, step):
                    self.batch.guards[place] = claims.overlooking(step, holder)

    def learn(
        self, failures: Sequence[GuardFailure], company: Company[Op], released: _Released
    ) -> list[Op]:
        """Teach the operations what the server said; those that are to be tried again."""
        taught: set[int] = set()
        refused: set[int] = set()
        told = ((failure, *each) for failure in failures for each in self._owners_of(failure))
        for failure, operation, step in told:
            if id(operation) in taught:
                # What else failed may have followed from that; the next try shows.
                continue
            if step is not None and self._is_freed(operation, step, failure, released):
                continue
            taught.add(id(operation))
            try:
                operation.learn(failure, step)
            except ModelException as error:
                refused.add(id(operation))
                company.refuse(operation, error)
        return [each for each in self.operations if id(each) not in refused]

    def _is_freed(
        self, operation: Op, step: Step, failure: GuardFailure, released: _Released
    ) -> bool:
        """Whether what another record holds is given up in this very call; noted if so."""
        claim = claims.claim_of(step)
        if claim is None or (id(operation), claim) in released:
            return False
        holder = text_of(failure.details[0])
        for other in self.operations:
            if other is not operation and holder in other.keys and _frees(other, step):
                released[id(operation), claim] = holder, other
                return True
        return False

    def _owners_of(self, failure: GuardFailure) -> list[tuple[Op, Step | None]]:
        """The operation that a failed guard belongs to, and the guard.

        All operations that name it, for a key of a wrong type.
        """
        if failure.guard < 0:
            return [(each, None) for each in self._naming(text_of(failure.details[0]))]
        return [(self._of_guard(failure.guard), self.batch.guards[failure.guard])]

    def _of_guard(self, guard: int) -> Op:
        return self.operations[bisect_right(self._starts, guard, key=itemgetter(0)) - 1]

    def _naming(self, key: str) -> list[Op]:
        """The operations whose commands name a key."""
        # On a cluster the script knows the key with its hash tag in front.
        shard = self.operations[0].options.shard
        name = key.removeprefix(shard_prefix(shard, is_cluster=True))
        found = {
            bisect_right(self._starts, position, key=itemgetter(1)) - 1: None
            for position, (_, named, arguments) in enumerate(self.batch.commands)
            if named == name
            or any(isinstance(each, KeyArgument) and each == name for each in arguments)
        }
        return [self.operations[position] for position in found or (0,)]


def _frees(operation: Operation, step: Step) -> bool:
    """Whether an operation gives up what a guard claims."""
    return operation.gives_up(claims.claimed_names(step))


def _joined(operations: Sequence[Op], company: Company[Op]) -> list[_Joined[Op]]:
    """The batches of operations, joined into as few calls as may be."""
    if len(operations) == 1:
        call = _Joined[Op]()
        call.add(operations[0], operations[0].batch())
        return [call]
    calls: list[_Joined[Op]] = []
    size = MOST_ARGUMENTS
    for operation, batch in _without_rivals(operations, company):
        length = 0 if batch is None or company.is_one_step else _size_of(batch)
        if not calls or size + length > MOST_ARGUMENTS:
            calls.append(_Joined())
            size = 0
        calls[-1].add(operation, batch)
        size += length
    company.end_round()
    return calls


def _size_of(batch: Batch) -> int:
    size = 0
    for _, _, arguments in (*batch.guards, *batch.commands):
        size += len(arguments) + 3
    return size


def _without_rivals(
    operations: Sequence[Op], company: Company[Op]
) -> Iterator[tuple[Op, Batch | None]]:
    """Operations with their batches, less those that claim what an earlier one claims."""
    claimed: dict[claims.Claim, Op] = {}
    for operation in operations:
        batch = operation.batch()
        if batch is None or not operation.options.has_claims:
            yield operation, batch
            continue
        wanted = {claim: step for step in batch.guards if (claim := claims.claim_of(step))}
        rival = next((claim for claim in wanted if claim in claimed), None)
        if rival is not None:
            mine, other = company.claimed_by(operation), company.claimed_by(claimed[rival])
            error = claims.claimed_twice(operation.options, wanted[rival], mine, other)
            company.refuse(operation, error)
            continue
        claimed.update(dict.fromkeys(wanted, operation))
        yield operation, batch
