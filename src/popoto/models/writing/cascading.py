"""Deleting records, and with them what `on_delete` says of those that refer to them.

At first it is tried as if nobody did: the commit says if somebody does. Then all who depend on the
records are looked for, and go into the same commit. Where they are too many for one, or kept on
another shard of a cluster, they go before, in batches, those that depend on others first: what a
crash leaves is a record with fewer dependants, and deleting it again finishes it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from typing import Any

from popoto._stock import is_replaced
from popoto.engine.looking_up import looked_up
from popoto.engine.nodes import on_cluster
from popoto.engine.request import Plan, Request
from popoto.exceptions import BulkError, ModelException
from popoto.models.record.dependants import dependants_of
from popoto.models.record.loading import new_instance, read_commands, stored_of_each
from popoto.models.record.overridden import own_call
from popoto.models.record.record import Record
from popoto.models.record.sharding import shards_of
from popoto.models.writing.carrying import MAX_ATTEMPTS, carry_out
from popoto.models.writing.company import Company, gave_up
from popoto.models.writing.conditions import UnmatchedError
from popoto.models.writing.deleting import Deletion, ReferredError
from popoto.models.writing.depending import CHUNK, Relatives, find_relatives
from popoto.models.writing.operation import Operation
from popoto.models.writing.queueing import queue_up
from popoto.models.writing.relatives import (
    Clearing,
    DependantDeletion,
    check_others,
    check_shards,
    referrers_first,
)
from popoto.models.writing.rows import chunks
from popoto.models.writing.saving import Saving

#: How often it is looked who depends on a record: anybody may begin to meanwhile, so that this is
#: in vain far more often than a write of one record is.
_MOST_LOOKS = 4 * MAX_ATTEMPTS
#: How many records go or change with others in one commit at most.
MOST_TOGETHER = 1_000


class _StaysError(Exception):
    """A record that was to go does not match any more: those that depend on it stay as well."""


def carry_out_deletions(
    operations: Sequence[Operation],
    company: Company[Operation],
    *,
    later: set[str] | None = None,
    is_transaction: bool = False,
) -> Plan[list[Operation]]:
    """Carry out operations, deletions among them, with what follows for other records.

    `later`: records that are deleted after these, and have no say therefore; those that stay, as
    they do not match any more, are taken out of it. In a transaction everything goes into its one
    step. Raises ProtectedError. One call more for the first record that anybody depends on, and
    those of `find_relatives`.
    """
    if not any(dependants_of(type(each.instance)) for each in _deletions(operations)):
        return (yield from carry_out(_in_order(operations), company))
    departure = _Departure(operations, company, later or set(), is_transaction=is_transaction)
    return (yield from departure.carry_out())


def queue_deletion(deletion: Deletion, pipeline: Any) -> Plan[Any]:
    """Queue a deletion on a caller's pipeline, behind what follows for other records.

    Each is a commit of its own there, and looks at the server once more.
    """
    model = type(deletion.instance)
    if dependants_of(model):
        found = yield from find_relatives({deletion.key: model})
        if found.number > MOST_TOGETHER:
            raise ModelException(
                f"{deletion.title}: {found.number} records depend on it, which is too many for a "
                "pipeline; nothing was queued. Delete it without one."
            )
        relatives = yield from _operations(found)
        going = [*_deletions(relatives), deletion]
        _spare(found, going, {*found.going, *found.strangers})
        for each in relatives:
            yield from queue_up(each, pipeline)
        _spare(found, [deletion], found.strangers)
    return (yield from queue_up(deletion, pipeline))


class _Departure:
    """Deletions under way, with operations that belong to them."""

    def __init__(
        self,
        operations: Sequence[Operation],
        company: Company[Operation],
        later: set[str],
        *,
        is_transaction: bool,
    ) -> None:
        self.waiting = list(operations)
        self.family = _Family(company, operations, later)
        self.later = later
        self.is_transaction = is_transaction
        #: how many records that depended on others have gone or changed before
        self.before = 0

    def carry_out(self) -> Plan[list[Operation]]:
        is_apart = (yield from on_cluster()) and self._spans_shards()
        roots = [each.key for each in _deletions(self.waiting)]
        # No commit sees what other shards hold.
        is_sought = is_apart
        in_vain = 0
        while in_vain < _MOST_LOOKS:
            try:
                relatives = (yield from self._relatives(is_apart=is_apart)) if is_sought else ()
                self.family.is_one_step |= bool(relatives)
                # Who stays in another shard is seen by no commit of those that go.
                self.family.has_relatives = is_apart or bool(relatives)
                yield from carry_out(_in_order([*relatives, *self.waiting]), self.family)
            except BulkError as error:
                if not all(isinstance(each.error, ReferredError) for each in error.errors):
                    raise
            except (ReferredError, _StaysError):
                pass
            else:
                if is_apart:
                    yield from self._follow(roots)
                return self.family.done
            is_sought = True
            settled = {id(each) for each in self.family.done} | self.family.staying
            waiting = [each for each in self.waiting if id(each) not in settled]
            in_vain += len(waiting) == len(self.waiting)
            self.waiting = waiting
        raise gave_up(self.waiting[0].title, _MOST_LOOKS, self._outcome)

    def _spans_shards(self) -> bool:
        """Whether somebody who may depend on the records is kept on another shard."""
        return any(
            field.owner._meta.shard != each.options.shard
            for each in _deletions(self.waiting)
            for field in dependants_of(type(each.instance))
        )

    @property
    def _outcome(self) -> str:
        told: list[str] = []
        if self.family.done:
            told.append(f"{len(self.family.done)} others that were to go have been deleted before")
        if self.before:
            told.append(f"{self.before} records that depended on it were deleted or changed before")
        return " and ".join(told) or "nothing was written"

    def _relatives(self, *, is_apart: bool) -> Plan[Sequence[Operation]]:
        """What else goes into the commit; where it cannot, it is carried out before."""
        roots = [each for each in _deletions(self.waiting) if each.known is not None]
        if is_apart:
            # What goes before goes for nothing if the record is not there.
            roots = yield from _still_stored(roots)
        others = [each for each in self.waiting if not isinstance(each, Deletion)]
        found = yield from find_relatives(
            {each.key: type(each.instance) for each in roots},
            {*self.later, *(each.key for each in others)},
            self._outcome,
        )
        check_others(found, others)
        spared = {*self.later, *found.roots}
        _spare(found, roots, spared)
        if self.is_transaction:
            relatives = yield from _operations(found)
            check_shards([*self.waiting, *relatives], is_cluster=is_apart)
        elif is_apart or found.number > MOST_TOGETHER or _deletes_itself(found):
            yield from self._look_again(roots)
            yield from self._carry_out_before(found)
            if is_apart:
                self.waiting = [*others, *referrers_first(_deletions(self.waiting), found)]
            return ()
        else:
            relatives = yield from _operations(found)
        # Also those that only an index takes for dependants.
        _spare(found, [*roots, *_deletions(relatives)], spared | found.strangers)
        return relatives

    def _look_again(self, roots: Sequence[Deletion]) -> Plan[None]:
        """See whether all of them are to go yet, before others do for their sake."""
        conditional = {each.key: each for each in roots if each.condition is not None}
        self.family.has_relatives = False
        for model, several in groupby(conditional.values(), key=lambda each: type(each.instance)):
            for instance in (yield from _read(model, [each.key for each in several])):
                deletion = conditional[str(instance._redis_key)]
                try:
                    deletion.check(instance._stored)
                except UnmatchedError as error:
                    self.family.refuse(deletion, error)
        if any(id(each) in self.family.staying for each in roots):
            raise _StaysError

    def _carry_out_before(self, found: Relatives) -> Plan[None]:
        company = Company[Operation]()
        for chunk in chunks(found.cleared.items(), CHUNK):
            for _, items in groupby(chunk, key=lambda item: item[1][0]):
                clearings = yield from _clearings(found, dict(items))
                yield from carry_out(clearings, company)
                self.before += len(clearings)
        remaining = {*found.going, *self.later}
        for model, keys in _batches(found):
            deletions = yield from _dependants(found, model, keys)
            remaining.difference_update(keys)
            _spare(found, deletions, remaining | found.strangers)
            if is_replaced(model, "delete"):
                for each in deletions:
                    yield own_call(each.instance, "delete")
            else:
                yield from carry_out(deletions, company)
            self.before += len(deletions)

    def _follow(self, keys: Sequence[str]) -> Plan[None]:
        """Let the rules hold for those, too, that came to refer before the records had gone."""
        models = {each.key: type(each.instance) for each in self.family.done if each.left}
        roots = {key: models[key] for key in keys if key in models}
        found = yield from find_relatives(roots, self.later, self._outcome, protects=False)
        if found.number:
            yield from self._carry_out_before(found)


class _Family(Company[Operation]):
    """The operations that were asked for, of which a company is told, among their relatives."""

    def __init__(
        self, company: Company[Operation], own: Sequence[Operation], later: set[str]
    ) -> None:
        self._company = company
        self._later = later
        self._own = {id(each) for each in own}
        self.done: list[Operation] = []
        #: those that do not match any more, and whether others would go for their sake
        self.staying: set[int] = set()
        self.has_relatives = False
        self.is_one_step = company.is_one_step
        self.needs_replies = company.needs_replies
        self.may_show = company.may_show

    @property
    def is_whole(self) -> bool:
        return self._company.is_whole

    def refuse(self, operation: Operation, error: ModelException) -> None:
        if id(operation) not in self._own:
            raise error
        self._company.refuse(operation, error)
        if isinstance(error, UnmatchedError):
            self.staying.add(id(operation))
            self._later.discard(operation.key)
            if self.has_relatives:
                raise _StaysError from error

    def give_up(self, operations: Sequence[Operation], attempts: int) -> None:
        self._company.give_up(operations, attempts)

    def end_round(self) -> None:
        self._company.end_round()

    def carried_out(self, operations: Sequence[Operation]) -> None:
        own = [each for each in operations if id(each) in self._own]
        self.done += own
        self._company.carried_out(own)

    def claimed_by(self, operation: Operation) -> str:
        return self._company.claimed_by(operation)


def _in_order(operations: Sequence[Operation]) -> Sequence[Operation]:
    """What is adjusted of a record comes before the write by which that goes or moves.

    Behind it, something would be written beside a key where no record is any more. Everything else
    stays in its order, as its events are to be read.
    """
    adjusting: dict[str, list[Operation]] = {}
    for each in operations:
        for key in each.beside:
            adjusting.setdefault(key, []).append(each)
    if not adjusting:
        return operations
    found: dict[int, Operation] = {}
    for operation in operations:
        left = _left_key(operation)
        for each in (*(adjusting.get(left, ()) if left else ()), operation):
            found.setdefault(id(each), each)
    return list(found.values())


def _left_key(operation: Operation) -> str | None:
    """The key under which an operation leaves no record."""
    if isinstance(operation, Saving) and operation.old_key != operation.key:
        return operation.old_key
    return operation.key if isinstance(operation, Deletion) else None


def _deletions(operations: Sequence[Operation]) -> list[Deletion]:
    return [each for each in operations if isinstance(each, Deletion)]


def _spare(found: Relatives, deletions: Sequence[Deletion], spared: Collection[str]) -> None:
    """Let deletions take no notice of these records."""
    for each in deletions:
        each.spared = [key for key in found.referrers.get(each.key, ()) if key in spared]


def _deletes_itself(found: Relatives) -> bool:
    models = dict.fromkeys(model for key, model in found.going.items() if key not in found.roots)
    return any(is_replaced(model, "delete") for model in models)


def _batches(found: Relatives) -> Iterator[tuple[type[Record], list[str]]]:
    """The records that go with the roots, those that depend on others first."""
    order = [(model, key) for key, model in found.going.items() if key not in found.roots]
    for model, run in groupby(reversed(order), key=lambda each: each[0]):
        for chunk in chunks((key for _, key in run), CHUNK):
            yield model, chunk


def _operations(found: Relatives) -> Plan[list[Operation]]:
    """All that goes and changes beside the roots."""
    operations: list[Operation] = []
    for _, items in groupby(found.cleared.items(), key=lambda item: item[1][0]):
        operations += yield from _clearings(found, dict(items))
    for model, keys in _batches(found):
        operations += yield from _dependants(found, model, keys)
    return operations


def _dependants(
    found: Relatives, model: type[Record], keys: Sequence[str]
) -> Plan[list[DependantDeletion]]:
    deletions: list[DependantDeletion] = []
    for instance in (yield from _read(model, keys)):
        reasons = found.reasons(instance)
        if reasons:
            deletions.append(DependantDeletion(instance, reasons))
        else:
            found.strangers.add(str(instance._redis_key))
    return deletions


def _clearings(
    found: Relatives, items: dict[str, tuple[type[Record], set[str]]]
) -> Plan[list[Clearing]]:
    clearings: list[Clearing] = []
    ((model, _), *_) = items.values()
    for instance in (yield from _read(model, list(items))):
        key = str(instance._redis_key)
        names = found.reasons(instance).keys() & items[key][1]
        if names:
            clearings.append(Clearing.of(instance, sorted(names), key))
        else:
            found.strangers.add(key)
    return clearings


def _read(model: type[Record], keys: Sequence[str]) -> Plan[list[Record]]:
    """The records under these keys, as far as they are there."""
    options = model._meta
    commands = [command for key in keys for command in read_commands(options, key)]
    shards = shards_of(options, keys, 1 + len(options.list_names))
    replies = yield from looked_up(commands, options.shard, before_writing=True, shards=shards)
    return [
        new_instance(model, key, stored, resolves_references=False)
        for key, stored in stored_of_each(options, keys, replies)
        if stored is not None
    ]


def _still_stored(deletions: Sequence[Deletion]) -> Plan[list[Deletion]]:
    if not deletions:
        return []
    there = yield Request(
        [("EXISTS", each.key) for each in deletions],
        deletions[0].options.shard,
        repeatable=True,
        shards=[each.options.shard for each in deletions],
    )
    return [each for each, exists in zip(deletions, there, strict=True) if exists]
