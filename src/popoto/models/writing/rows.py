"""The rows of a bulk operation: where they come from, and what becomes of those refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar

from popoto.engine.request import Plan
from popoto.exceptions import BulkError, ModelException, NotStoredError, QueryException, RowError
from popoto.fields.describing import describe
from popoto.models.reading.calls import Row as FoundRow
from popoto.models.reading.executing import Execution
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.pages import Pages
from popoto.models.reading.spec import QuerySpec
from popoto.models.record.record import Record
from popoto.models.writing.carrying import Company
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
    return iter(lambda: list(islice(source, size)), [])


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
        self.what = what
        self._on_error = on_error
        self._progress = progress
        #: leave out records that are gone, instead of reporting them
        self._skips_missing = skips_missing
        self._errors: list[RowError] = []
        #: positions of rows that `on_error` was told
        self.refused: set[int] = set()
        #: rows that the batches before this one have carried out, and rows they had
        self.done = 0
        self.seen = 0

    def refuse(self, operation: Operation, error: ModelException) -> None:
        if not (self._skips_missing and isinstance(error, NotStoredError)):
            self.refuse_row(operation.position, operation.instance, error)

    def refuse_row(self, position: int, instance: Any, error: ModelException) -> None:
        """Take note of a row that cannot be carried out."""
        self._errors.append(RowError(position, instance, error))

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
        error = BulkError(
            f"{self.what}: row {first.position}: {first.error}{more}; nothing of its batch was "
            f"written, {self.done} rows of earlier batches were",
            errors,
            self.done,
        )
        error.__cause__ = first.error
        return error

    def claimed_by(self, operation: Operation) -> str:
        return f"row {operation.position} of this batch"

    def end_batch(self, done: int, seen: int) -> None:
        """A batch is finished: `done` of its `seen` rows were carried out."""
        self.done += done
        self.seen += seen
        if self._progress is not None:
            self._progress(self.seen)

    def check_instances(self, model: type[Record], batch: Sequence[Any]) -> None:
        """Refuse what is no instance of the model, before anything of the batch is looked at."""
        for position, instance in enumerate(batch, self.seen):
            if getattr(instance, "_meta", None) is not model._meta or isinstance(instance, type):
                # A mistake of the caller's, not a bad row: on_error is not asked.
                raise ModelException(
                    f"{self.what}: row {position} is {describe(instance)}, no instance of "
                    f"{model.__name__}; nothing of its batch was written, {self.done} rows of "
                    "earlier batches were"
                )


def spec_of(given: Any) -> QuerySpec | None:
    """What a query asks for; None for something that is no query."""
    spec = getattr(given, "_spec", None)
    return spec if isinstance(spec, QuerySpec) else None


class Matches:
    """The instances that a caller means, batch by batch: a query's results, or those given."""

    def __init__(self, model: type[Record], given: Any, batch_size: int) -> None:
        self.model = model
        self.batch_size = batch_size
        self._spec = spec_of(given)
        self.is_query = self._spec is not None
        self._given: Iterator[list[Any]] = chunks(
            () if self.is_query or given is None else [given] if hasattr(given, "_meta") else given,
            batch_size,
        )
        self._execution: Execution | None = None
        self._fetch: Fetch | None = None
        self._pages: Pages | None = None
        self._left: list[Any] = []

    def next(self) -> Plan[list[Any] | None]:
        """The next batch, never empty, or None at the end."""
        if self._spec is None:
            return next(self._given, None)
        while len(self._left) < self.batch_size:
            page = yield from self._page(self._spec)
            if page is None:
                break
            self._left += page
        batch, self._left = self._left[: self.batch_size], self._left[self.batch_size :]
        return batch or None

    def _page(self, spec: QuerySpec) -> Plan[list[Any] | None]:
        """The next page of a query's instances. The first call finds all keys."""
        if self._execution is None:
            if spec.values is not None:
                raise QueryException(
                    f"{spec.options.model_name}: a query for values() gives no records to change"
                )
            if spec.model is not self.model:
                raise ModelException(
                    f"{self.model.__name__}: the query is one for {spec.options.model_name}"
                )
            execution = self._execution = Execution(spec.changed(tracked=False))
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
