"""Joining operations into calls, and telling each what became of it.

What guards cannot see, since all are checked before the first command, is looked at here: two
operations that claim one value, and a holder that gives its value up in the very same call.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Generic, NamedTuple, TypeAlias

from popoto.engine.batch import Batch, CommitReply, GuardFailure, KeyArgument, Step
from popoto.engine.request import Plan
from popoto.exceptions import ModelException
from popoto.models.writing import claims
from popoto.models.writing.company import Company, Op
from popoto.models.writing.contents import let_follow
from popoto.models.writing.hooks import follow_up
from popoto.models.writing.operation import Operation, text_of

#: A joined call stops growing here, so that it does not hold the server for too long: some
#: 15,000 records of the usual kind, 0.3 s. It counts arguments, and so many bytes as one more.
MOST_ARGUMENTS = 1_000_000
_BYTES_OF_ONE = 256
#: Of commands that cost a server more than others: what each argument counts.
_WEIGHTS = {"INDEX": 25}

#: By operation and claim: the holder whose claim is overlooked, and the operation by which that
#: one gives up what it holds.
Released: TypeAlias = dict[tuple[int, claims.Claim], tuple[str, Operation]]


class Rival(NamedTuple, Generic[Op]):
    """An operation that waits, since an earlier one claims the same."""

    operation: Op
    step: Step
    other: Op


class Refusal(NamedTuple):
    """Why an operation was refused: the guard that failed, and what the server said."""

    failure: GuardFailure
    step: Step | None


#: Stands for the batch of a call before it has any.
_EMPTY = Batch()


class Joined(Generic[Op]):
    """The batches of operations as one."""

    def __init__(self) -> None:
        self.batch = _EMPTY
        self.operations: list[Op] = []
        self.size = 0
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

    def finish(self, replies: CommitReply) -> None:
        """Let every operation take over that it was carried out."""
        if len(self.operations) == 1:
            self.operations[0].result = self.operations[0].finish(replies)
            return
        ends = [*(commands for _, commands in self._starts[1:]), len(replies)]
        for operation, (_, first), end in zip(self.operations, self._starts, ends, strict=True):
            operation.result = operation.finish(replies[first:end])

    def follow_up(self) -> Plan[None]:
        """Do what follows operations that were carried out."""
        if self.batch.after:
            yield from follow_up(self.batch, self.operations[0].options)
        yield from let_follow(self.operations)
        for operation in self.operations:
            if operation.has_sequel:
                yield from operation.after()

    def overlook(self, released: Released) -> None:
        """Let guards take no notice of holders that give up in this call what they hold."""
        present = {id(operation) for operation in self.operations}
        for place, step in enumerate(self.batch.guards):
            claim = claims.claim_of(step)
            if claim is not None:
                holder, other = released.get((id(self._of_guard(place)), claim), ("", None))
                if other is not None and id(other) in present and _frees(other, step):
                    self.batch.guards[place] = claims.overlooking(step, holder)

    def learn(
        self,
        failures: Sequence[GuardFailure],
        company: Company[Op],
        released: Released,
        by_key: Mapping[str, Op],
    ) -> dict[int, Refusal]:
        """Teach the operations what the server said; those that are refused, and why.

        `by_key` has every operation at hand, also those of other calls.
        """
        taught: set[int] = set()
        refused: dict[int, Refusal] = {}
        told = ((failure, *each) for failure in failures for each in self._owners_of(failure))
        for failure, operation, step in told:
            if id(operation) in taught:
                # What else failed may have followed from that; the next try shows.
                continue
            if step is not None and _is_freed(operation, step, failure, released, by_key):
                continue
            taught.add(id(operation))
            try:
                operation.learn(failure, step)
            except ModelException as error:
                refused[id(operation)] = Refusal(failure, step)
                company.refuse(operation, error)
        return refused

    def frees_elsewhere(self, released: Released) -> bool:
        """Whether what an operation of this call waits for is given up by one of another call."""
        present = {id(operation) for operation in self.operations}
        return any(
            taker in present and id(other) not in present
            for (taker, _), (_, other) in released.items()
        )

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
        found = {
            bisect_right(self._starts, position, key=itemgetter(1)) - 1: None
            for position, (_, named, arguments) in enumerate(self.batch.commands)
            if named == key
            or any(isinstance(each, KeyArgument) and each == key for each in arguments)
        }
        return [self.operations[position] for position in found or (0,)]


def _frees(operation: Operation, step: Step) -> bool:
    """Whether an operation gives up what a guard claims."""
    return operation.gives_up(claims.claimed_names(step))


def _is_freed(
    operation: Operation,
    step: Step,
    failure: GuardFailure,
    released: Released,
    by_key: Mapping[str, Operation],
) -> bool:
    """Whether what another record holds is given up at the same time; noted if so."""
    claim = claims.claim_of(step)
    if claim is None or (id(operation), claim) in released:
        return False
    holder = text_of(failure.details[0])
    other = by_key.get(holder)
    if other is None or other is operation or not _frees(other, step):
        return False
    released[id(operation), claim] = holder, other
    return True


def join(
    operations: Sequence[Op], *, in_one_step: bool
) -> tuple[list[Joined[Op]], list[Rival[Op]]]:
    """The batches of operations, joined into as few calls as may be; and those that wait.

    Shards on different nodes have calls of their own, whatever `in_one_step` says.

    Of operations that claim one value the first goes; what becomes of the others depends on it.
    """
    if len(operations) == 1:
        call: Joined[Op] = Joined()
        call.add(operations[0], operations[0].batch())
        return [call], []
    calls: list[Joined[Op]] = []
    rivals: list[Rival[Op]] = []
    claimed: dict[claims.Claim, Op] = {}
    #: by shard, where these are on different nodes
    latest: dict[str, Joined[Op]] = {}
    for operation in operations:
        batch = operation.batch()
        if batch is not None and operation.options.has_claims:
            rival = _rival(operation, batch, claimed)
            if rival is not None:
                rivals.append(rival)
                continue
        length = 0 if batch is None or in_one_step else _size_of(batch)
        place = operation.options.shard if operation.is_apart else ""
        under_way = latest.get(place)
        if under_way is None or under_way.size + length > MOST_ARGUMENTS:
            under_way = latest[place] = Joined()
            calls.append(under_way)
        under_way.add(operation, batch)
        under_way.size += length
    return calls, rivals


def _rival(operation: Op, batch: Batch, claimed: dict[claims.Claim, Op]) -> Rival[Op] | None:
    """The operation as one that waits, if another one claims the same; else it has its claims."""
    wanted = {claim: step for step in batch.guards if (claim := claims.claim_of(step))}
    for claim, step in wanted.items():
        if claim in claimed:
            return Rival(operation, step, claimed[claim])
    claimed.update(dict.fromkeys(wanted, operation))
    return None


def refuse_rival(rival: Rival[Op], company: Company[Op]) -> None:
    """Refuse an operation that claims what another one has."""
    operation, step, other = rival
    mine, theirs = company.claimed_by(operation), company.claimed_by(other)
    error = claims.claimed_twice(operation.options, step, mine, theirs)
    company.refuse(operation, error)


def _size_of(batch: Batch) -> int:
    size = 0
    for name, _, arguments in (*batch.guards, *batch.commands):
        size += _WEIGHTS.get(name, 1) * len(arguments) + 3
        if name in ("HSET", "RPUSH"):
            size += sum(len(each) for each in arguments if type(each) is bytes) // _BYTES_OF_ONE
    return size
