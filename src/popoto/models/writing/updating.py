"""`Updating`: a save of which some fields are added to, or which conditions have to allow.

Either follows from what is stored, so the commit demands that this is still as it is believed.
Where another writer was faster, it is worked out again from what the server holds. The server
adds by itself where it can do it exactly, so that any number of writers can at the same time.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import reduce
from typing import Any, cast

from popoto.engine.batch import Batch, GuardFailure, KeyArgument, QueuedCommits, Step
from popoto.engine.codec import NIL, Stored
from popoto.engine.request import Plan, Reply
from popoto.exceptions import KeyMutationError, ModelException, ValidationError
from popoto.fields.stored_number import F
from popoto.models.record.decision import Decision
from popoto.models.record.options import AnyField, ModelOptions
from popoto.models.record.record import Record
from popoto.models.record.stored_form import decoded_values
from popoto.models.writing.numbers import EXACT_DECIMALS, added, checked_delta
from popoto.models.writing.save_request import SaveRequest
from popoto.models.writing.saving import Saving

#: No field is stored like this: demanded where what is stored has to be told first.
_NOT_KNOWN = b"\xc1 not known"


def numbers_of(instance: Record, names: Iterable[str] | None) -> dict[str, F]:
    """The fields of an instance that are to be added to; of these names, if any are given."""
    values = vars(instance)
    found = {name: value for name, value in values.items() if type(value) is F}
    if not found or names is None:
        return found
    return {name: value for name, value in found.items() if name in names}


@contextmanager
def set_aside(instance: Record, numbers: Mapping[str, F]) -> Generator[None]:
    """While the numbers of an instance are looked at as they were loaded."""
    values = vars(instance)
    for name in numbers:
        values.pop(name, None)
    try:
        yield
    finally:
        values.update(numbers)


@contextmanager
def _shown(instance: Record, numbers: Mapping[str, Any]) -> Generator[None]:
    """While hooks run, the numbers of an instance are those that will be stored."""
    values = vars(instance)
    before = {name: values[name] for name in numbers if name in values}
    values.update(numbers)
    try:
        yield
    finally:
        for name in numbers:
            values.pop(name, None)
        values.update(before)


def checked_number(options: ModelOptions, name: str, number: F) -> Any:
    """What is to be added to a field, in its type. Raises ValidationError or KeyMutationError."""
    field = options.by_name.get(name)
    if field is None:
        raise ModelException(f"{options.model_name} has no field {name!r} to add to")
    if number.name != name:
        raise _refused(
            field, number, f"it can be set to F({name!r}) plus or minus a number, not to another's"
        )
    if field.key:
        raise KeyMutationError(
            f"{field.label} is part of the record key, which does not change in place; "
            "save(migrate_key=True) moves a record"
        )
    if any(field in options.listed(word) for word in ("confidence", "decay")):
        raise _refused(field, number, f"a {type(field).__name__} is changed by its own methods")
    try:
        amounts = [checked_delta(field, amount) for amount in (0, *number.amounts)]
        return reduce(EXACT_DECIMALS.add, amounts) if field.type is Decimal else sum(amounts)
    except (TypeError, ArithmeticError) as error:
        raise _refused(field, number, str(error)) from error


def _refused(field: AnyField, number: F, reason: str) -> ValidationError:
    return ValidationError(
        f"{field.label}: {number!r} is refused: {reason}; nothing was written",
        model_name=field.model_name,
        field_name=field.name,
        value=number,
    )


class Updating(Saving):
    """A save that follows from what is stored."""

    def __init__(
        self, instance: Record, request: SaveRequest, names: list[str] | None, key: str
    ) -> None:
        super().__init__(instance, request, names, key)
        self._condition = request.condition
        #: by field: what the instance has in place of a number, and the amount to be added
        self._numbers: Mapping[str, F] = {}
        self._amounts: dict[str, Any] = {}
        #: by field: where the reply stands of the command by which the server adds
        self._places: dict[str, int] = {}
        self._server_may_add = True
        #: fields that decide whether it is carried out, and those that a try demands as believed
        self._demanded: frozenset[str] = frozenset()
        self._demanded_now: frozenset[str] = frozenset()
        if self._condition is not None:
            self._demanded = frozenset(self._condition.fields(self.options))

    def add(self, numbers: Mapping[str, F]) -> None:
        """Take up which numbers are added to. Raises ValidationError."""
        self._numbers = numbers
        for name, number in numbers.items():
            self._amounts[name] = checked_number(self.options, name, number)
            if self.known is None and not self.partial:
                raise _refused(
                    self.options.by_name[name], number, "no number is stored yet to add to"
                )
            # Until the sum is known: it is written anyway.
            self.changed[name] = NIL

    # Before the first try ------------------------------------------------------------------

    def look(self, queued: QueuedCommits) -> Plan[None]:
        yield from super().look(queued)
        held = self.possible[0]
        self._take_in({**held, **(queued.records.get(self.old_key) or {})})

    def refresh(self, current: Mapping[str, Stored]) -> None:
        with set_aside(self.instance, self._numbers):
            super().refresh(current)

    # Each try ----------------------------------------------------------------------------

    def batch(self) -> Batch:
        by_server = [name for name in self._amounts if self._adds_on_server(name)]
        doubtful: list[str] = []
        shown: dict[str, Any] = {}
        for name, amount in self._amounts.items():
            if name in by_server:
                self.changed.pop(name, None)
                continue
            try:
                shown[name] = self._sum(name, amount)
            except ModelException:
                # Perhaps only of what is believed to be stored: that has to be told first.
                doubtful.append(name)
            else:
                self.changed[name] = self.options.by_name[name].encode(shown[name])
        self._demanded_now = self._demanded.union(self._amounts.keys() - by_server)
        with _shown(self.instance, shown):
            batch = super().batch()
        self._places = {}
        for name in by_server:
            self._put_addition(batch, name)
        self.needs_reply = bool(by_server)
        if doubtful:
            batch.guard_holds(self.old_key, dict.fromkeys(doubtful, _NOT_KNOWN), doubtful)
        return batch

    def put_change(self, batch: Batch, decision: Decision, guarded: Iterable[str]) -> None:
        super().put_change(batch, decision, dict.fromkeys((*guarded, *sorted(self._demanded_now))))

    def _put_move(self, batch: Batch) -> None:
        if self._demanded_now:
            self.guard_bytes(batch, sorted(self._demanded_now))
        super()._put_move(batch)

    def _shows(self, decision: Decision) -> bool:
        # Another writer may have stored the same sum.
        return False

    def _sum(self, name: str, amount: Any) -> Any:
        return added(self.options.by_name[name], (self.known or {}).get(name), amount)

    # Additions by the server ----------------------------------------------------------------

    def _adds_on_server(self, name: str) -> bool:
        """Whether the server adds exactly, and nothing has to know the sum beforehand."""
        options, field = self.options, self.options.by_name[name]
        if not self._server_may_add or self.queued or self.moves:
            return False
        decision = options.decision(frozenset({name}))
        if decision.composites or decision.fields not in ((), (field,)):
            return False
        if options.version_field or options.commit_hooks or options.save_hooks:
            return False
        if not self.changed.keys().isdisjoint(field.depends_on):
            return False
        return field.server_addition(self._amounts[name]) is not None

    def _put_addition(self, batch: Batch, name: str) -> None:
        field = self.options.by_name[name]
        addition = field.server_addition(self._amounts[name])
        if addition is None:
            raise AssertionError("asked for before")
        index: tuple[str, ...] = ()
        if addition.order_key is not None:
            if field.depends_on:
                self.guard_bytes(batch, field.depends_on)
            others = decoded_values(self.options, self.known or {}, field.depends_on)
            index = (KeyArgument(addition.order_key(others)), self.key)
        amount = (name, addition.delta, addition.kind)
        batch.guard("addable", self.key, *amount)
        self._places[name] = len(batch.commands)
        batch.put("ADD", self.key, *amount, *index)

    # Learning from a failed guard -----------------------------------------------------------

    def learn(self, failure: GuardFailure, step: Step | None) -> None:
        if failure.what == "addable":
            self._server_may_add = False
            self._take_in(failure.stored(self.options.hash_names))
            return
        super().learn(failure, step)
        if failure.what == "holds":
            self._take_in(failure.stored(self.options.hash_names))

    @property
    def _followed(self) -> frozenset[str]:
        """The fields that this save follows from."""
        return self._demanded.union(self._amounts)

    def _take_in(self, stored: Mapping[str, Stored]) -> None:
        """Believe this of the fields that the save follows from. Raises where it ends there."""
        known = {**(self.known or {})}
        for name in self._followed:
            known.pop(name, None)
            if name in stored:
                known[name] = stored[name]
        self.known = known
        if self._condition is not None:
            self._condition.check(self.options, self.old_key, {**known, **stored})
        for name, amount in self._amounts.items():
            if not self._adds_on_server(name):
                self._sum(name, amount)

    def _start_anew(self) -> None:
        # There is no number to add to, whatever the caller wants to be written again.
        raise self._not_stored()

    # Once it is carried out --------------------------------------------------------------------

    def finish(self, replies: Sequence[Reply]) -> int:
        result = super().finish(replies)
        for name, place in self._places.items():
            if place < len(replies):
                self.instance._stored[name] = cast("bytes", replies[place])
        return result

    def _take_over(self, *, persisted: bool) -> None:
        super()._take_over(persisted=persisted)
        values = vars(self.instance)
        for name, number in self._numbers.items():
            if values.get(name) is number:
                del values[name]
