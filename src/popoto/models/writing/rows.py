"""The rows of a bulk operation: where they come from, and what becomes of those refused."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import islice
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar

from redis.exceptions import RedisError

from popoto.engine.failures import in_its_own_words, kind_after_others, of_others
from popoto.engine.replication import wait_for_replicas
from popoto.engine.request import Plan
from popoto.exceptions import (
    BulkError,
    CommandRefusedError,
    ModelException,
    NothingWrittenError,
    NotReplicatedError,
    NotStoredError,
    QueryException,
    RowError,
)
from popoto.fields.describing import describe
from popoto.models.reading.calls import Row as FoundRow
from popoto.models.reading.executing import Execution
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.pages import Pages
from popoto.models.reading.spec import QuerySpec, check_values
from popoto.models.record.record import Record
from popoto.models.writing.company import Company, gave_up
from popoto.models.writing.conditions import Condition
from popoto.models.writing.given_rows import instances_in, spec_of
from popoto.models.writing.operation import Operation

Item = TypeVar("Item")

#: Called after each batch with the number of rows that are done.
Progress: TypeAlias = Callable[[int], object]
OnError: TypeAlias = Callable[[RowError], object]


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of this size; reads no further than the list it gives."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"batch_size must be an int of 1 or more, got {size!r}")
    source = iter(items)
    return iter(lambda: list(islice(source, min(size, sys.maxsize))), [])


def _check_told(what: str, told: object) -> None:
    """Raise TypeError for what cannot be called, and for a coroutine function, never awaited."""
    if told is not None and (not callable(told) or inspect.iscoroutinefunction(told)):
        raise TypeError(
            f"{what} takes a plain function, which is called as the operation goes on, got "
            f"{describe(told)}; nothing was written"
        )


class Rows(Company[Operation]):
    """The rows of a bulk operation. Those refused are told one by one, or raised at once."""

    is_one_step = False
    needs_replies = False

    def __init__(
        self,
        what: str,
        *,
        on_error: OnError | None = None,
        progress: Progress | None = None,
        skips_missing: bool = False,
    ) -> None:
        for name, told in (("progress", progress), ("on_error", on_error)):
            _check_told(f"{what}({name}=…)", told)
        self.what = what
        self._on_error = on_error
        self._progress = progress
        #: leave out records that are gone, instead of reporting them
        self._skips_missing = skips_missing
        # Those that are left out come of a query, whose results nobody has.
        self.is_seen = not skips_missing
        self._errors: list[RowError] = []
        #: positions of rows that `on_error` was told
        self.refused: set[int] = set()
        #: rows that the batches before this one have carried out, and rows they had
        self.done = 0
        self.seen = 0
        #: by key: operations of this batch that wait for an earlier one on the same record
        self.followers: Mapping[str, Sequence[Operation]] = {}
        #: what a row's own method has said of replicas; nobody waits for them after that
        self.shortfall: NotReplicatedError | None = None
        #: positions of rows of this batch that are stored, whatever becomes of the others
        self._stored: list[int] = []

    @property
    def is_whole(self) -> bool:
        return self._on_error is None

    def carried_out(self, operations: Sequence[Operation]) -> None:
        self.note_written(operation.position for operation in operations)

    def note_written(self, positions: Iterable[int]) -> None:
        """Take note of rows of this batch that are stored, whatever becomes of the others."""
        self._stored += positions

    def written_by_itself(
        self, position: int, method: Plan[Any], is_written: Callable[[], bool]
    ) -> Plan[Any]:
        """Write a row by a method of the caller's own, and return what that does.

        Where too few replicas have what it wrote, the others go on, as they do where rows are
        written together. That need not be the row: `is_written` says whether it is.
        """
        try:
            with wait_for_replicas(0) if self.shortfall is not None else nullcontext():
                result = yield from method
        except (NotReplicatedError, CommandRefusedError) as error:
            if is_written():
                self._stored.append(position)
            if isinstance(error, CommandRefusedError) or not is_written():
                raise
            self.shortfall, result = error, error.result
        else:
            if result is not False or is_written():
                self._stored.append(position)
        return result

    def refuse(self, operation: Operation, error: ModelException) -> None:
        is_missing = isinstance(error, NotStoredError)
        if is_missing and self._skips_missing:
            return
        # A record that is missing is so for every row that means it.
        others = self.followers.get(operation.key, ()) if is_missing else ()
        for each in (operation, *(other for other in others if other.needs_record)):
            self.refuse_row(each.position, each.instance, error)

    def refuse_row(self, position: int, instance: Any, error: ModelException) -> None:
        """Take note of a row that cannot be carried out."""
        self._errors.append(RowError(position, instance, error))

    def give_up(self, operations: Sequence[Operation], attempts: int) -> None:
        for operation in operations:
            self.refuse(operation, gave_up(operation.title, attempts, "it was not written"))

    def end_round(self) -> None:
        """Raise BulkError, or hand each error to the caller's `on_error`."""
        # Guards of many rows fail by their kind, not row by row.
        errors, self._errors = sorted(self._errors, key=attrgetter("position")), []
        if not errors:
            return
        if self._on_error is None:
            raise self._bulk_error(errors)
        for error in errors:
            self.refused.add(error.position)
            self._on_error(error)

    def _bulk_error(self, errors: Sequence[RowError]) -> BulkError:
        first = errors[0]
        more = f" (and {len(errors) - 1} more rows)" if len(errors) > 1 else ""
        told = str(first.error).rstrip(".")
        if self._stored:
            # Said of the row, it would be read as said of all.
            told = told.replace("; nothing was written", "; the row was not written")
        error = BulkError(
            f"{self.what}: row {first.position}: {told}{more}; {self._what_is_stored()}",
            errors,
            self.done + len(self._stored),
            sorted(self._stored),
        )
        error.__cause__ = first.error
        return error

    def _what_is_stored(self) -> str:
        before = f"{self.done} rows of earlier batches were"
        if not self._stored:
            return f"nothing of its batch was written, {before}"
        number = len(self._stored)
        return (
            f"of its batch {number} rows were written before ({_spans(self._stored)}), and {before}"
        )

    def interrupted(self, error: RedisError) -> RedisError:
        """The error of the server or the connection, which says what is stored all the same."""
        done = self.done + len(self._stored)
        if not done:
            return error
        told = f"{self.what}: {done} rows were written before that"
        if self._stored:
            told += f", of the batch under way these: {_spans(self._stored)}"
        if not isinstance(error, NothingWrittenError):
            error.add_note(f"{told}.")
            return error
        partly = kind_after_others(error)(
            f"{told}; the others were not: {of_others(error)}",
            done=done,
            stored=sorted(self._stored),
        )
        partly.__cause__ = in_its_own_words(error)
        return partly

    def claimed_by(self, operation: Operation) -> str:
        return f"row {operation.position} of this batch"

    def end_batch(self, done: int, seen: int) -> None:
        """A batch is finished: `done` of its `seen` rows were carried out."""
        self.done += done
        self.seen += seen
        self._stored = []
        if self._progress is not None:
            self._progress(self.seen)

    def check_instances(self, model: type[Record], batch: Sequence[Any]) -> None:
        """Refuse what is no instance of the model, before anything of the batch is looked at."""
        for position, instance in enumerate(batch, self.seen):
            options: object = getattr(instance, "_meta", None)
            if getattr(options, "model", None) is not model or isinstance(instance, type):
                # A mistake of the caller's, not a bad row: on_error is not asked.
                raise ModelException(
                    f"{self.what}: row {position} is {describe(instance)}, no instance of "
                    f"{model.__name__}; {self._what_is_stored()}"
                )


def telling(rows: Rows, plan: Plan[Item]) -> Plan[Item]:
    """A bulk operation, whose errors say what was written before them."""
    try:
        result = yield from plan
    except RedisError as error:
        told = rows.interrupted(error)
        if told is error:
            raise
        raise told from error
    short = rows.shortfall
    if short is None:
        return result
    raise NotReplicatedError(
        str(short), wanted=short.wanted, replicas=short.replicas, result=result
    ) from short


def _spans(positions: Sequence[int]) -> str:
    """Positions as "0-4999, 5002", the first ten spans of them."""
    spans: list[list[int]] = []
    for position in sorted(positions):
        if spans and spans[-1][1] == position - 1:
            spans[-1][1] = position
        else:
            spans.append([position, position])
    told = [f"{first}-{last}" if first < last else f"{first}" for first, last in spans[:10]]
    return ", ".join(told) + (", …" if len(spans) > 10 else "")


class Matches:
    """The instances that a caller means, batch by batch: a query's results, or those given."""

    def __init__(self, model: type[Record], what: str, given: Any, batch_size: int) -> None:
        self.model = model
        self.batch_size = batch_size
        self._spec = spec_of(given)
        self.is_query = self._spec is not None
        self._given: Iterator[list[Any]] = chunks(
            () if self.is_query else instances_in(model, what, given), batch_size
        )
        self._execution: Execution | None = None
        self._fetch: Fetch | None = None
        self._pages: Pages | None = None
        self._left: list[Any] = []

    @property
    def condition(self) -> Condition | None:
        """What a record of the query has to meet when it is written as well."""
        operand = None if self._fetch is None else self._fetch.operand
        if operand is None or not operand.needs:
            return None
        return Condition(operand.needs, operand.test)

    def next(self) -> Plan[list[Any] | None]:
        """The next batch, never empty, or None at the end."""
        yield from self._fill(self.batch_size)
        batch, self._left = self._left[: self.batch_size], self._left[self.batch_size :]
        return batch or None

    def are_at_most(self, number: int) -> Plan[bool]:
        """Whether no more than so many are to come. Reads so far ahead."""
        yield from self._fill(number + 1)
        return len(self._left) <= number

    def _fill(self, number: int) -> Plan[None]:
        """Have so many at hand, if there are."""
        while len(self._left) < number:
            spec = self._spec
            page = next(self._given, None) if spec is None else (yield from self._page(spec))
            if page is None:
                return
            self._left += page

    def keys(self) -> Plan[list[str]]:
        """The keys of all that are to come."""
        if self._spec is None:
            self._left += [each for batch in self._given for each in batch]
            instances = [each for each in self._left if hasattr(each, "_meta")]
            return [each.pk for each in instances if not isinstance(each, type)]
        found = yield from Execution(self._spec.changed(tracked=False)).keys()
        return [key.decode("utf-8", "surrogateescape") for key in found]

    def _page(self, spec: QuerySpec) -> Plan[list[Any] | None]:
        """The next page of a query's instances. The first call finds all keys."""
        if self._execution is None:
            if spec.values is not None:
                raise QueryException(
                    f"{spec.options.model_name}: a query for values() gives no records to change"
                )
            if spec.only is not None:
                check_values(spec.options, spec.only, "only")
            if spec.model is not self.model:
                raise ModelException(
                    f"{self.model.__name__}: the query is one for {spec.options.model_name}"
                )
            execution = self._execution = Execution(spec.changed(tracked=False, only=None))
            self._fetch, order = yield from execution.compile()
            if order.kind == "values" or spec.computed_sort is not None or execution.limit == 0:
                return (yield from execution.results())
            self._pages = self._fetch.pages(
                execution.reading(), order, execution.offset, execution.limit
            )
        if self._pages is None or self._fetch is None:
            return None
        rows: list[FoundRow] | None = yield from self._pages.next()
        return None if rows is None else self._execution.shaped(self._fetch, rows)
