"""Bulk creating and updating: many records in few round trips, each batch whole or not at all."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from popoto._stock import is_replaced
from popoto.engine.batch import Batch, GuardFailure
from popoto.engine.codec import EncodeError
from popoto.engine.request import Call, Plan, Request
from popoto.exceptions import (
    KeyMutationError,
    ModelException,
    QueryException,
    RowError,
    ValidationError,
)
from popoto.fields.coercion import CoercionError, describe
from popoto.fields.content.references import Unstored
from popoto.models.reading.calls import Row as FoundRow
from popoto.models.reading.executing import Execution
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.pages import Pages
from popoto.models.reading.spec import QuerySpec
from popoto.models.record.loading import indexed_of
from popoto.models.record.options import ModelOptions
from popoto.models.record.overridden import own_call
from popoto.models.record.record import Record
from popoto.models.record.record_keys import record_key
from popoto.models.writing.bulk_commits import Commits, Failures, Row, chunks
from popoto.models.writing.preparing import prepared
from popoto.models.writing.saving import SaveRequest

M = TypeVar("M", bound="Record")

#: Called after each batch with the number of rows that are done.
Progress = Callable[[int], object]
OnError = Callable[[RowError], object]


class Steps:
    """Where a bulk operation stands: rows done so far, and how to tell."""

    def __init__(self, failures: Failures, progress: Progress | None) -> None:
        self.failures = failures
        self.progress = progress
        self.seen = 0

    def done(self, stored: int, seen: int) -> None:
        """A batch is finished: `stored` of its `seen` rows were written."""
        self.failures.done += stored
        self.seen += seen
        if self.progress is not None:
            self.progress(self.seen)


# Creating ----------------------------------------------------------------------------------


def bulk_create(
    model: type[M],
    instances: Iterable[M] | None,
    batch_size: int,
    progress: Progress | None,
    on_error: OnError | None,
    keep: bool,
    request: SaveRequest | None = None,
) -> Plan[tuple[list[M], int]]:
    """The plan of `Model.bulk_create`; see there. Returns the kept instances and their number.

    Each is saved as `request` says; a plain save by default.
    """
    options = model._meta
    request = request or SaveRequest()
    failures = Failures(on_error, f"{options.model_name}.bulk_create")
    steps = Steps(failures, progress)
    kept: list[M] = []
    number = 0
    given = instances if isinstance(instances, Iterable) else instances or ()
    for batch in chunks(given, batch_size):
        _check_instances(model, batch, failures, steps.seen)
        rows = yield from _prepared_rows(model, batch, steps.seen, failures, request, None)
        commits = Commits(options, failures)
        yield from commits.carry_out(rows)
        refused = failures.refused
        stored = [each for place, each in enumerate(batch, steps.seen) if place not in refused]
        refused.clear()
        number += len(stored)
        if keep:
            kept += stored
        steps.done(len(stored), len(batch))
    return kept, number


def _check_instances(model: type[Record], batch: list[Any], failures: Failures, first: int) -> None:
    """Refuse what is no instance of the model, before anything of the batch is looked at."""
    for position, instance in enumerate(batch, first):
        if getattr(instance, "_meta", None) is not model._meta or isinstance(instance, type):
            # A mistake of the caller's, not a bad row: on_error is not asked.
            raise ModelException(
                f"{failures.what}: row {position} is {describe(instance)}, no instance of "
                f"{model.__name__}; nothing of its batch was written, {failures.done} rows of "
                "earlier batches were"
            )


def _prepared_rows(
    model: type[Record],
    batch: list[Any],
    first: int,
    failures: Failures,
    request: SaveRequest,
    names: list[str] | None,
) -> Plan[list[Row]]:
    """Check and format every instance; the rows of those that are to be written.

    Raises (or reports) all problems of the batch before anything is sent.
    """
    rows: list[Row] = []
    errors: list[RowError] = []
    saves_itself = is_replaced(model, "save")
    for position, instance in enumerate(batch, first):
        try:
            if saves_itself:
                yield _own_save(instance, names, request)
                continue
            commit = prepared(instance, request, names)
        except ModelException as error:
            errors.append(RowError(position, instance, error))
            continue
        if commit is not None:
            rows.append(Row(position, instance, commit))
    failures.report(errors)
    return rows


def _own_save(instance: Record, names: list[str] | None, request: SaveRequest) -> Call:
    """Save through the `save` that the model's class defines itself."""
    arguments: dict[str, Any] = {}
    if names is not None:
        arguments["update_fields"] = names
    if request.skip_auto_now:
        arguments["skip_auto_now"] = True
    return own_call(instance, "save", **arguments)


# Updating ----------------------------------------------------------------------------------


def bulk_update(
    model: type[M],
    given: Any,
    batch_size: int,
    progress: Progress | None,
    on_error: OnError | None,
    updates: dict[str, Any],
) -> Plan[int]:
    """The plan of `Model.bulk_update`; see there."""
    options = model._meta
    _check_updates(options, updates)
    failures = Failures(on_error, f"{options.model_name}.bulk_update")
    steps = Steps(failures, progress)
    chunks((), batch_size)
    if not updates:
        return 0
    values = {name: _coerced(options, name, value) for name, value in updates.items()}
    names = _written_names(options, updates)
    written = 0
    batches = Matches(model, given, batch_size)
    batch = yield from batches.next()
    while batch is not None:
        _check_instances(model, batch, failures, steps.seen)
        for instance in batch:
            for name, value in values.items():
                setattr(instance, name, _own_copy(value))
        rows = yield from _prepared_rows(model, batch, steps.seen, failures, SaveRequest(), names)
        missing = yield from _learn_stored(options, rows, failures)
        commits = Commits(options, failures, skips_missing=batches.is_query)
        yield from commits.carry_out([row for row in rows if row not in missing])
        stored = len(commits.stored)
        if is_replaced(model, "save"):
            stored = len(batch)
        written += stored
        steps.done(stored, len(batch))
        batch = yield from batches.next()
    return written


def _check_updates(options: ModelOptions, updates: dict[str, Any]) -> None:
    for name, value in updates.items():
        if name not in options.by_name:
            raise ModelException(
                f"{options.model_name}.bulk_update: Unknown field {name!r}; "
                f"fields are {', '.join(options.fields)}"
            )
        if name in options.key_names:
            raise KeyMutationError(
                f"{options.by_name[name].label} is part of the record key: bulk_update cannot "
                f"change it to {describe(value)}; set it on each record and call "
                "save(migrate_key=True)"
            )


def _coerced(options: ModelOptions, name: str, value: Any) -> Any:
    """A new value in its field's type. Raises ValidationError before any instance is touched."""
    field = options.by_name[name]
    try:
        coerced = field.coerce(value)
        problem = field.problem(coerced)
    except CoercionError as error:
        coerced, problem = value, str(error)
    if problem is not None:
        raise ValidationError(
            f"{field.label}: invalid value {describe(value)}: {problem}; nothing was written",
            model_name=options.model_name,
            field_name=name,
            value=value,
        )
    return coerced


def _own_copy(value: Any) -> Any:
    """The value, or a copy where records would otherwise share one that can change."""
    return copy.copy(value) if type(value) in (list, dict, set) else value


def _written_names(options: ModelOptions, updates: Iterable[str]) -> list[str]:
    """The named fields, and those that show when a record was last written."""
    stamped = [name for name, field in options.by_name.items() if getattr(field, "auto_now", False)]
    return list(
        dict.fromkeys([*updates, *(name for name in stamped if name not in options.key_names)])
    )


def _learn_stored(options: ModelOptions, rows: list[Row], failures: Failures) -> Plan[list[Row]]:
    """Read what is stored of instances that were never loaded; the rows that have no record."""
    unknown = [row for row in rows if row.commit.known is None]
    if not unknown:
        return []
    replies = yield Request(
        [("HMGET", row.commit.old_key, *options.index_names) for row in unknown],
        options.shard,
        repeatable=True,
    )
    missing: list[Row] = []
    errors: list[RowError] = []
    for row, values in zip(unknown, replies, strict=True):
        if any(value is not None for value in values):
            row.commit.known = indexed_of(row.commit.options, values)
        else:
            missing.append(row)
            errors.append(row.failed(row.commit._not_stored()))
    failures.report(errors)
    return missing


def _spec_of(given: Any) -> QuerySpec | None:
    """What a query asks for; None for something that is no query."""
    spec = getattr(given, "_spec", None)
    return spec if isinstance(spec, QuerySpec) else None


class Matches:
    """The instances that a caller means, batch by batch: a query's results, or those given."""

    def __init__(self, model: type[Record], given: Any, batch_size: int) -> None:
        self.model = model
        self.batch_size = batch_size
        self._spec = _spec_of(given)
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
        if not self.is_query:
            return next(self._given, None)
        while len(self._left) < self.batch_size:
            page = yield from self._page()
            if page is None:
                break
            self._left += page
        batch, self._left = self._left[: self.batch_size], self._left[self.batch_size :]
        return batch or None

    def _page(self) -> Plan[list[Any] | None]:
        """The next page of a query's instances. The first call finds all keys."""
        if self._execution is None:
            spec = self._spec
            if spec is None:
                return None
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


# Raw updates -------------------------------------------------------------------------------


def raw_update(
    model: type[Record], redis_keys: Iterable[Any], batch_size: int, values: dict[str, Any]
) -> Plan[int]:
    """The plan of `Model.raw_update`; see there."""
    options = model._meta
    batches = chunks(redis_keys, batch_size)
    pairs = [part for name, value in values.items() for part in (name, _raw(options, name, value))]
    if not pairs:
        return 0
    number = 0
    for given in batches:
        calls: list[Any] = []
        keys = [_checked_key(options, key) for key in given]
        for key in keys:
            batch = Batch()
            batch.guard("exists", key)
            batch.put("HSET", key, *pairs)
            calls.append(batch.call())
        replies = yield Request(calls, options.shard, repeatable=True)
        for key, reply in zip(keys, replies, strict=True):
            outcome = Batch.outcome(reply)
            if isinstance(outcome, GuardFailure) and outcome.what != "exists":
                raise ModelException(f"{key!r} is no record: {outcome.what} {outcome.details!r}")
        number += len(given)
    return number


def _checked_key(options: ModelOptions, key: Any) -> str:
    found = record_key(options, key)
    if found is None:
        raise ModelException(
            f"{options.model_name}.raw_update: {describe(key)} is no record key; keys of "
            f"{options.model_name} start with {options.model_name + ':'!r}"
        )
    return found


def _raw(options: ModelOptions, name: str, value: Any) -> Any:
    """The bytes of a value. Raises ModelException for what its field cannot store."""
    field = options.by_name.get(name)
    if field is None:
        raise ModelException(
            f"{options.model_name}.raw_update: Unknown field {name!r}; "
            f"fields are {', '.join(options.fields)}"
        )
    if field.key:
        raise KeyMutationError(
            f"{field.label} is part of the record key and cannot be changed by raw_update; "
            "save(migrate_key=True) moves a record to a new key"
        )
    if not field.in_hash:
        raise ModelException(
            f"{field.label} is kept in a list of its own: raw_update cannot set it"
        )
    try:
        encoded = field.encode(field.coerce(value))
    except (CoercionError, EncodeError) as error:
        raise ValidationError(
            f"{field.label}: invalid value {describe(value)}: {error}; nothing was written",
            model_name=options.model_name,
            field_name=name,
            value=value,
        ) from error
    if isinstance(encoded, Unstored):
        raise ModelException(
            f"{field.label} is kept in a content store: raw_update cannot set it; use bulk_update"
        )
    return encoded
