"""Many saves in few calls: their commits joined, so that a batch is written whole or not at all.

Each record keeps the guards and commands of its own save. A call that meets a failed
guard changes nothing and reports all guards that failed; the saves concerned learn from
it, as a single save does, and the call is made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from popoto.engine.batch import Batch, GuardFailure
from popoto.engine.request import Plan, Request
from popoto.exceptions import BulkError, ConflictError, ModelException, RowError, UniquenessError
from popoto.models import queueing
from popoto.models.contents import store_contents
from popoto.models.hooks import follow_up
from popoto.models.options import ModelOptions
from popoto.models.save_commit import MAX_ATTEMPTS, SaveCommit

if TYPE_CHECKING:
    from popoto.models.base import Model

Item = TypeVar("Item")

#: A joined call stops growing here, so that it does not hold the server for long: some 3,000
#: records of the usual kind, 60 ms.
MOST_ARGUMENTS = 200_000


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of this size; reads no further than the list it gives."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"batch_size must be an int of 1 or more, got {size!r}")
    source = iter(items)
    return iter(lambda: list(islice(source, size)), [])


class Failures:
    """What becomes of rows that cannot be carried out: told one by one, or raised at once."""

    def __init__(self, on_error: Callable[[RowError], object] | None, what: str) -> None:
        self.on_error = on_error
        self.what = what
        #: positions of rows that `on_error` was told
        self.refused: set[int] = set()
        #: rows that earlier batches have carried out
        self.done = 0

    def report(self, errors: Sequence[RowError]) -> None:
        """Raise BulkError, or hand each error to the caller's `on_error`."""
        if not errors:
            return
        if self.on_error is not None:
            for error in errors:
                self.refused.add(error.position)
                self.on_error(error)
            return
        first = errors[0]
        more = f" (and {len(errors) - 1} more rows)" if len(errors) > 1 else ""
        raise BulkError(
            f"{self.what}: row {first.position}: {first.error}{more}; nothing of its batch was "
            f"written, {self.done} rows of earlier batches were",
            errors,
            self.done,
        ) from first.error


@dataclass(slots=True)
class Row:
    """One record of a bulk operation."""

    position: int
    instance: Model
    commit: SaveCommit

    def failed(self, error: ModelException) -> RowError:
        return RowError(self.position, self.instance, error)


class Commits:
    """The saves of one batch. `stored` are the rows that were written."""

    def __init__(
        self, options: ModelOptions, failures: Failures, *, skips_missing: bool = False
    ) -> None:
        self.options = options
        self.failures = failures
        #: leave out records that are gone, instead of reporting them
        self.skips_missing = skips_missing
        self.stored: list[Row] = []
        self._has_unique_key = any(field.unique for field in options.key_fields)

    def carry_out(self, rows: list[Row]) -> Plan[None]:
        """Write all rows. A key that occurs again is written in a further call, in order."""
        for row in rows:
            if row.instance._unconfirmed:
                yield from queueing.confirm(row.commit)
        while rows:
            together, rows = self._apart(rows)
            waiting = yield from self._commit(together)
            rows = waiting + rows

    def _apart(self, rows: list[Row]) -> tuple[list[Row], list[Row]]:
        """The rows that can go together, and those whose key an earlier row touches."""
        first: dict[str, Row] = {}
        together: list[Row] = []
        later: list[Row] = []
        errors: list[RowError] = []
        for row in rows:
            commit = row.commit
            other = first.get(commit.key) or first.get(commit.old_key)
            if other is None:
                first[commit.key] = first[commit.old_key] = row
                together.append(row)
            elif self._repeats_unique_key(row, other):
                errors.append(
                    row.failed(
                        UniquenessError(
                            f"{self.options.model_name}: the key {commit.key!r} must be unique, "
                            f"but row {other.position} already exists with it in this batch"
                        )
                    )
                )
            else:
                later.append(row)
        self.failures.report(errors)
        return together, later

    def _repeats_unique_key(self, row: Row, other: Row) -> bool:
        return (
            self._has_unique_key
            and row.commit.known is None
            and other.commit.known is None
            and row.instance is not other.instance
        )

    # One round -------------------------------------------------------------------------

    def _commit(self, rows: list[Row]) -> Plan[list[Row]]:
        """Write these rows, whose keys all differ. Returns those that have to wait for others."""
        waiting: list[Row] = []
        for _ in range(MAX_ATTEMPTS):
            if not rows:
                return waiting
            if self.options.content_fields:
                for row in rows:
                    yield from store_contents(row.commit)
            batches = self._build(rows)
            rows = [row for row, _ in batches]
            joined = list(_joined(batches))
            replies = yield Request(
                [call.batch.call(every=True) for call in joined],
                self.options.shard,
                repeatable=all(row.commit._is_repeatable() for row in rows),
            )
            rows = []
            for call, reply in zip(joined, replies, strict=True):
                failures = Batch.failures(reply)
                if failures:
                    rows += self._learn(call, failures, waiting)
                else:
                    for row in call.rows:
                        row.commit.remember(persisted=True)
                    self.stored += call.rows
                    yield from follow_up(call.batch, self.options)
        if rows:
            raise ConflictError(
                f"{len(rows)} records of {self.options.model_name} were changed by other writers "
                f"{MAX_ATTEMPTS} times while they were being saved; save them again"
            )
        return waiting

    def _build(self, rows: list[Row]) -> list[tuple[Row, Batch]]:
        """The rows' batches, without those that claim what an earlier row claims."""
        built = [(row, row.commit.batch()) for row in rows]
        if not self.options.unique_fields and not any(
            composite.unique for composite in self.options.composites
        ):
            return built
        claims: dict[tuple[object, ...], Row] = {}
        kept: list[tuple[Row, Batch]] = []
        errors: list[RowError] = []
        for row, batch in built:
            wanted = [claim for guard in batch.guards if (claim := _claim_of(guard))]
            other = next((claims[claim] for claim in wanted if claim in claims), None)
            if other is None:
                claims.update(dict.fromkeys(wanted, row))
                kept.append((row, batch))
                continue
            claim = next(claim for claim in wanted if claim in claims)
            errors.append(row.failed(self._repeated(claim, row, other)))
        self.failures.report(errors)
        return kept

    def _repeated(self, claim: tuple[object, ...], row: Row, other: Row) -> UniquenessError:
        if claim[0] == "claim":
            name = str(claim[1])
            return UniquenessError(
                f"{self.options.model_name}.{name} must be unique: the value of row "
                f"{row.position} already exists in row {other.position} of this batch"
            )
        return UniquenessError(
            f"Unique index violation: {claim[1]}: the values of row {row.position} already "
            f"exists in row {other.position} of this batch"
        )

    # Failed guards ---------------------------------------------------------------------

    def _learn(
        self, call: _Call, failures: Sequence[GuardFailure], waiting: list[Row]
    ) -> list[Row]:
        """Teach the rows what the server said; returns those to try again."""
        by_key = {key: row for row in call.rows for key in (row.commit.key, row.commit.old_key)}
        errors: list[RowError] = []
        taught: set[int] = set()
        dropped: set[int] = set()
        waits: dict[int, _Wait] = {}
        for failure in failures:
            row, guard = call.owner_of(failure)
            if id(row) in taught:
                # What else failed may have followed from that; the next try shows.
                continue
            taught.add(id(row))
            if failure.what in ("claim", "slot"):
                holder = by_key.get(_text(failure.details[0]))
                if holder is not None and holder is not row and _gives_up(holder, row, guard):
                    # The holder takes another value in this very call: after it.
                    found = GuardFailure(guard, failure.what, failure.details)
                    waits[id(row)] = _Wait(row, holder, found)
                    continue
            missing = failure.what == "exists" and row.commit.partial
            try:
                row.commit.learn(GuardFailure(guard, failure.what, failure.details))
            except ModelException as error:
                dropped.add(id(row))
                if not (missing and self.skips_missing):
                    errors.append(row.failed(error))
        for wait in waits.values():
            dropped.add(id(wait.row))
            if wait.is_circular(waits):
                errors.append(wait.refused())
            else:
                waiting.append(wait.row)
        self.failures.report(errors)
        return [row for row in call.rows if id(row) not in dropped]


@dataclass(slots=True)
class _Wait:
    """A row that wants a value which another row of its call is to give up."""

    row: Row
    holder: Row
    failure: GuardFailure

    def is_circular(self, waits: Mapping[int, _Wait]) -> bool:
        """Whether the holder waits, perhaps by way of others, for this row."""
        passed: set[int] = set()
        holder = self.holder
        while holder is not self.row:
            if id(holder) in passed or id(holder) not in waits:
                return False
            passed.add(id(holder))
            holder = waits[id(holder)].holder
        return True

    def refused(self) -> RowError:
        """The error for what the row wants and cannot have."""
        try:
            self.row.commit.learn(self.failure)
        except ModelException as error:
            return self.row.failed(error)
        raise AssertionError(f"a failed {self.failure.what} guard is an error")


@dataclass(slots=True)
class _Call:
    """The rows that go into one call, and where the guards of each begin."""

    batch: Batch
    rows: list[Row]
    batches: list[Batch]
    starts: list[int]

    def owner_of(self, failure: GuardFailure) -> tuple[Row, int]:
        """The row that a failed guard belongs to, and the guard's position among its own."""
        if failure.guard < 0:
            # A key of a wrong type: whose commands name it first?
            return self._naming(_text(failure.details[0])), failure.guard
        index = max(
            position for position, start in enumerate(self.starts) if start <= failure.guard
        )
        return self.rows[index], failure.guard - self.starts[index]

    def _naming(self, key: str) -> Row:
        for row, batch in zip(self.rows, self.batches, strict=True):
            if any(step[1] is not None and key.endswith(step[1]) for step in batch.commands):
                return row
        return self.rows[0]


def _joined(batches: Sequence[tuple[Row, Batch]]) -> Iterator[_Call]:
    """Batches joined into as few calls as may be."""
    call = _Call(Batch(), [], [], [])
    size = 0
    for row, batch in batches:
        length = sum(len(step[2]) + 3 for steps in (batch.guards, batch.commands) for step in steps)
        if call.rows and size + length > MOST_ARGUMENTS:
            yield call
            call, size = _Call(Batch(), [], [], []), 0
        call.starts.append(len(call.batch.guards))
        call.rows.append(row)
        call.batches.append(batch)
        call.batch.extend(batch)
        size += length
    if call.rows:
        yield call


def _claim_of(guard: tuple[str, str | None, tuple[Any, ...]]) -> tuple[object, ...] | None:
    """What a guard claims, comparable between records; None for guards that claim nothing."""
    name, key, rest = guard
    if name == "claim":
        field_name, stored = rest[2], rest[3]
        # Equal numbers stand in one set; texts may share one although they differ.
        return ("claim", field_name, key, stored if _is_text(stored) else b"")
    if name == "slot":
        return ("slot", key, rest[1])
    return None


def _is_text(stored: bytes) -> bool:
    head = stored[0]
    return 0xA0 <= head <= 0xBF or 0xD9 <= head <= 0xDB


def _gives_up(holder: Row, row: Row, guard: int) -> bool:
    """Whether the save of `holder` changes what `row` claims."""
    kind, what = row.commit.guards[guard - (2 if row.commit.moves else 1)]
    names: Iterable[Any] = (what.name,) if kind == "field" else what.values[::2]
    return any(name in holder.commit.changed for name in names)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
