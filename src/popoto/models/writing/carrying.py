"""The one loop that carries writes out: it joins, sends, learns, pauses and gives up.

A save, a delete, an increment and an expectation are operations of one form. Alone, in bulk
and in a transaction they come here. What differs is what becomes of an operation that is
refused: that is what a `Company` says.

The loop ends. A round that carries out or refuses any operation leaves fewer of them; of those
rounds that do neither there are `MAX_ATTEMPTS`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Generic

from redis.exceptions import RedisError

from popoto.engine.batch import Batch, CommitReply
from popoto.engine.nodes import on_cluster
from popoto.engine.outcome import refused_commands
from popoto.engine.replication import most_demanding
from popoto.engine.request import Call, Plan, Request
from popoto.exceptions import ModelException, OutcomeUnknownError
from popoto.fields.keeping.shards import register
from popoto.models.writing.claims import claim_of, claimed_names, taken
from popoto.models.writing.company import Company, Op
from popoto.models.writing.contents import prepare_contents, take_back
from popoto.models.writing.joining import (
    MOST_ARGUMENTS,
    Joined,
    Refusal,
    Released,
    Rival,
    join,
    refuse_rival,
)
from popoto.models.writing.lateness import MOST_LOSSES, refuse_when_late, see_through
from popoto.models.writing.operation import Operation, read_stored, text_of

#: How often an operation is tried because other writers were faster.
MAX_ATTEMPTS = 64
#: From this attempt on, every second one comes after a pause of at most so many seconds. Those
#: between go at once, with what the failed one before has learned.
_ATTEMPTS_WITHOUT_PAUSE = 4
_LONGEST_PAUSE = 0.25

#: The reply of a call that is not made because it has nothing to do.
_NOTHING_TO_DO: CommitReply = (1,)


def carry_out(operations: Sequence[Op], company: Company[Op]) -> Plan[list[Op]]:
    """Carry out operations on records whose keys all differ; those that were not refused.

    One call, or as few as may be where `company` allows several; one more for each time
    that other writers were faster, and one before where stored bytes have to be known first.
    Where several calls are to be whole, each is sent twice, first to be checked.
    """
    work = _Work(operations, company)
    try:
        yield from _carried_out(work, operations, company)
    except (OutcomeUnknownError, asyncio.CancelledError):
        # What is written may stand.
        raise
    except Exception:
        yield from _taken_back(operations, work)
        raise
    yield from _taken_back(operations, work)
    return work.done


def _taken_back(operations: Sequence[Op], work: _Work[Op]) -> Plan[None]:
    """Undo what was prepared for those that were not carried out."""
    if len(work.done) == len(operations):
        return
    done = {id(operation) for operation in work.done}
    yield from take_back(each for each in operations if id(each) not in done)


def _carried_out(work: _Work[Op], operations: Sequence[Op], company: Company[Op]) -> Plan[None]:
    is_spread = is_unclear = False
    for operation in operations:
        is_spread = is_spread or operation.options.shard_by is not None
        is_unclear = is_unclear or _is_unclear(operation)
    if is_spread and (yield from on_cluster()):
        work.waiting = _told_apart(operations, company)
        work.is_apart = True
    if is_unclear:
        work.waiting = yield from _prepared(work.waiting, company)
    in_vain = 0
    while work.waiting:
        if in_vain == MAX_ATTEMPTS:
            work.give_up()
            break
        if in_vain >= _ATTEMPTS_WITHOUT_PAUSE and in_vain % 2 == 0:
            yield _pause(in_vain)
        before = len(work.waiting)
        yield from work.round()
        in_vain += len(work.waiting) == before
    if work.is_apart:
        # Once more: who empties a model may have taken them out before their records came.
        yield from register([each.options for each in work.done if each.is_registered])


class _Work(Generic[Op]):
    """The operations at hand: those that wait, and those that have been carried out."""

    def __init__(self, operations: Sequence[Op], company: Company[Op]) -> None:
        self.company = company
        self.waiting: list[Op] = list(operations)
        self.done: list[Op] = []
        #: why operations were refused in this round, and their rivals that go with them
        self._refused: dict[int, Refusal] = {}
        self._gone: set[int] = set()
        self._released: Released = {}
        self._in_one_step = company.is_one_step
        #: whether operations may concern shards on different nodes
        self.is_apart = False
        #: replies that were lost, while what they were about was seen to be stored
        self._losses: list[OutcomeUnknownError] = []

    def round(self) -> Plan[None]:
        """Try once to carry out what waits."""
        company = self.company
        if self.is_apart:
            yield from self._register_shards()
        unready = [operation for operation in self.waiting if not operation.is_ready]
        if unready:
            yield from _get_ready(unready)
        self._refused, self._gone = {}, set()
        calls, rivals = join(self.waiting, in_one_step=self._in_one_step)
        while rivals and (yield from self._look_at_rivals(rivals)):
            calls, rivals = join(self.waiting, in_one_step=self._in_one_step)
        if company.is_whole:
            for rival in rivals:
                refuse_rival(rival, company)
            company.end_round()
        if self._released:
            for call in calls:
                call.overlook(self._released)
        if len(calls) > 1 and company.is_whole:
            yield from self._in_parts(calls)
        else:
            for together in self._by_shard(calls):
                replies = yield from self._replies(together)
                for call, reply in zip(together, replies or (), strict=bool(replies)):
                    yield from self._take(call, reply)
        self._settle(rivals)
        if self._refused or self._gone:
            self._leave_out_refused()
        company.end_round()

    def _register_shards(self) -> Plan[None]:
        entering = [each for each in self.waiting if each.enters_shard]
        yield from register([each.options for each in entering])
        for each in entering:
            each.enters_shard, each.is_registered = False, True

    def _by_shard(self, calls: list[Joined[Op]]) -> Sequence[list[Joined[Op]]]:
        """Calls by the shard that they concern."""
        if not self.is_apart:
            return (calls,)
        found: dict[str, list[Joined[Op]]] = {}
        for call in calls:
            found.setdefault(call.operations[0].options.shard, []).append(call)
        return list(found.values())

    def _look_at_rivals(self, rivals: Sequence[Rival[Op]]) -> Plan[bool]:
        """Whether it had to be looked whether rivals hold what they are believed to hold."""
        has_looked = False
        for operation, step, other in rivals:
            for each in (operation, other):
                try:
                    has_looked = (yield from each.make_sure(claimed_names(step))) or has_looked
                except ModelException as error:
                    self.company.refuse(each, error)
                    self.waiting = [op for op in self.waiting if op is not each]
                    has_looked = True
        return has_looked

    # Sending -------------------------------------------------------------------------------

    def _replies(self, calls: Sequence[Joined[Op]]) -> Plan[Sequence[CommitReply] | None]:
        """The replies to calls; None: they were lost, and the operations know what is stored."""
        batches: list[Batch] = []
        operations: list[Op] = []
        for call in calls:
            operations += call.operations
            if call.batch.guards or call.batch.commands:
                batches.append(call.batch)
        if not batches:
            return [_NOTHING_TO_DO] * len(calls)
        company = self.company
        options = operations[0].options
        late = refuse_when_late(options, batches)
        commits = [
            call.batch.call(every=True, replies=_needs_replies(company, call)) for call in calls
        ]
        try:
            replies: list[CommitReply] = yield Request.write(
                *commits,
                shard=options.shard,
                wait=most_demanding([each.options.wait for each in operations])
                if len(operations) > 1
                else options.wait,
            )
        except OutcomeUnknownError as lost:
            may_show = company.may_show and len(self._losses) < MOST_LOSSES
            yield from see_through(operations, late, lost, may_show=may_show)
            self._losses.append(lost)
            return None
        except RedisError:
            if not self._losses:
                raise
            # An earlier call was carried out, whose results were to be asked for.
            for operation in operations:
                operation.doubt()
            raise self._losses[-1] from None
        except asyncio.CancelledError:
            for operation in operations:
                operation.doubt()
            raise
        return replies

    def _in_parts(self, calls: Sequence[Joined[Op]]) -> Plan[None]:
        """Send what is too large for one call: all is checked before any of it is written.

        What others change between the check and a part's turn ends the round; those parts that
        were written before are noted.
        """
        passes = True
        for together in _checked_together(calls):
            options = together[0].operations[0].options
            replies = yield Request(
                [call.batch.call(checks=True) for call in together],
                options.model_name if len(together) > 1 else options.shard,
                repeatable=True,
                shards=[call.operations[0].options.shard for call in together],
            )
            for call, reply in zip(together, replies, strict=True):
                passes = self._has_passed(call, reply) and passes
        if not passes:
            return
        for call in calls:
            replies = yield from self._replies([call])
            if replies is None:
                return
            (reply,) = replies
            yield from self._take(call, reply)
            if reply[0] not in (1, 3):
                return

    # Learning ------------------------------------------------------------------------------

    def _take(self, call: Joined[Op], reply: CommitReply) -> Plan[None]:
        """Take over what became of a call."""
        if not self._has_passed(call, reply):
            return
        problem = refused_commands(reply) if reply[0] == 3 else None
        call.finish(reply[1 if problem is None else 2 :])
        self.done += call.operations
        if len(call.operations) == len(self.waiting):
            self.waiting = []
        else:
            done = {id(operation) for operation in call.operations}
            self.waiting = [each for each in self.waiting if id(each) not in done]
        self.company.carried_out(call.operations)
        yield from call.follow_up()
        if problem is not None:
            raise problem

    def _has_passed(self, call: Joined[Op], reply: CommitReply) -> bool:
        """Whether no guard of a call has failed; what failed is learned."""
        failures = Batch.failures(reply)
        if failures:
            by_key = {key: each for each in self.waiting for key in each.keys}
            self._refused |= call.learn(failures, self.company, self._released, by_key)
            self._in_one_step = self._in_one_step or call.frees_elsewhere(self._released)
        return not failures

    def _settle(self, rivals: Sequence[Rival[Op]]) -> None:
        """Refuse operations that wanted what others of this round have got, or could not get."""
        done = {id(operation) for operation in self.done} if rivals else set[int]()
        for rival in rivals:
            operation, step, other = rival
            refusal = self._refused.get(id(other))
            if id(other) in done:
                refuse_rival(rival, self.company)
            elif refusal is not None and _concerns(refusal, rival):
                error = taken(operation.options, step, refusal.failure)
                self.company.refuse(operation, error)
            else:
                continue
            self._gone.add(id(operation))

    def _leave_out_refused(self) -> None:
        gone = self._gone.union(self._refused)
        self.waiting = [each for each in self.waiting if id(each) not in gone]

    def give_up(self) -> None:
        """Refuse what still waits."""
        waiting, self.waiting = self.waiting, []
        if waiting:
            self.company.give_up(waiting, MAX_ATTEMPTS)
        self.company.end_round()


def _get_ready(unready: Sequence[Operation]) -> Plan[None]:
    """Do what has to be done before the batches of these operations can be built."""
    yield from prepare_contents(unready)
    for operation in unready:
        if not operation.is_ready:
            yield from operation.get_ready()


def _concerns(refusal: Refusal, rival: Rival[Op]) -> bool:
    """Whether what one operation was refused for stands in the way of its rival too."""
    if refusal.step is None or claim_of(refusal.step) != claim_of(rival.step):
        return False
    # A rival that holds the value itself keeps it.
    return text_of(refusal.failure.details[0]) not in rival.operation.keys


def _told_apart(operations: Sequence[Op], company: Company[Op]) -> list[Op]:
    """Tell operations that shards are on different nodes; those that concern one shard each."""
    found: list[Op] = []
    for operation in operations:
        if operation.options.shard_by is not None:
            operation.is_apart = True
            try:
                operation.check_shard()
            except ModelException as error:
                company.refuse(operation, error)
                continue
        found.append(operation)
    company.end_round()
    return found


def _checked_together(calls: Sequence[Joined[Op]]) -> list[list[Joined[Op]]]:
    """Calls of several shards, as far as they are as small together as one may be."""
    found: list[list[Joined[Op]]] = []
    size = 0
    for call in calls:
        if not found or size + call.size > MOST_ARGUMENTS:
            found.append([])
            size = 0
        found[-1].append(call)
        size += call.size
    return found


def _needs_replies(company: Company[Op], call: Joined[Op]) -> bool:
    """Whether a call is to answer each command by itself."""
    if company.needs_replies or not company.is_seen:
        return company.needs_replies
    return any(operation.needs_reply for operation in call.operations)


def _is_unclear(operation: Operation) -> bool:
    """Whether something has to be learned before the first try."""
    return operation.unknown_key is not None or bool(operation.instance._unconfirmed)


def _prepared(operations: Sequence[Op], company: Company[Op]) -> Plan[list[Op]]:
    """Learn what has to be known before the first try; those operations that are not refused."""
    unknown = [operation for operation in operations if operation.unknown_key is not None]
    refused: set[int] = set()
    if unknown:
        for operation in unknown:
            yield from operation.find_key()
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


def _pause(attempt: int) -> Call:
    """Get out of the other writers' way, for a random time that grows with the attempts."""
    seconds = random.uniform(0, min(_LONGEST_PAUSE, 0.0005 * 2**attempt))
    return Call(lambda: time.sleep(seconds), lambda: asyncio.sleep(seconds))
