"""Creating records: `create`, `get_or_create`, `update_or_create`."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TypeVar, cast

from popoto._unknown_names import warn_caller
from popoto.engine.request import Call, Plan
from popoto.exceptions import (
    AlreadyExistsError,
    KeyMutationError,
    MatchExistsError,
    QueryException,
    RecordGoneError,
    UniquenessError,
)
from popoto.fields.describing import describe
from popoto.fields.given import flag_in
from popoto.models.reading.absence import Absence, absence
from popoto.models.reading.by_pk import PK, with_key_field
from popoto.models.reading.getting import get
from popoto.models.record.further import EXPIRY, check_further, set_further
from popoto.models.record.overridden import CREATE_ONLY, REACHED, UNMATCHED, is_own, own_call
from popoto.models.record.record import Record
from popoto.models.writing.save_request import SaveRequest
from popoto.models.writing.single import save

M = TypeVar("M", bound="Record")

#: How often one looks again, because what was found was deleted meanwhile.
_TRIES = 16

#: The lookup for which a `create` of the class's own is under way in this thread or task.
_looked_for: ContextVar[Absence | None] = ContextVar("popoto_looked_for", default=None)


def create(
    model: type[M],
    pipeline: Any,
    overwrite: bool,
    values: Mapping[str, Any],
    unmatched: Absence | None = None,
) -> Plan[Any]:
    """The plan of `Model.create`."""
    instance = model(**values)
    if unmatched is None:
        unmatched = _taken_over(model)
    if overwrite is not False:
        overwrite = flag_in(overwrite, f"{model._meta.model_name}.create(overwrite=…)")
    request = SaveRequest(pipeline, create_only=not overwrite, unmatched=unmatched)
    yield from save_as_defined(instance, request)
    return instance if pipeline is None else pipeline


@contextmanager
def _looking_for(unmatched: Absence | None) -> Generator[None]:
    token = _looked_for.set(unmatched)
    try:
        yield
    finally:
        _looked_for.reset(token)


def _taken_over(model: type[Record]) -> Absence | None:
    """The lookup for which a `create` of the model's own has called the stock one, once."""
    unmatched = _looked_for.get()
    if unmatched is None or unmatched.model is not model:
        return None
    _looked_for.set(None)
    return unmatched


def save_as_defined(
    instance: Record, request: SaveRequest, names: list[str] | None = None
) -> Plan[Any]:
    """Save through the `save` that the class of an instance defines, or the stock one.

    Its own is given no argument that it need not know; `names` are the fields to be written.
    """
    if not is_own(type(instance), "save"):
        return (yield from save(instance, request))
    arguments: dict[str, Any] = {}
    if request.pipeline is not None:
        arguments["pipeline"] = request.pipeline
    if names is not None:
        arguments["update_fields"] = names
    if request.skip_auto_now:
        arguments["skip_auto_now"] = True
    if request.recreate:
        arguments["recreate"] = True
    state = vars(instance)
    state[CREATE_ONLY] = request.create_only
    state[UNMATCHED] = request.unmatched
    try:
        result: Any = yield own_call(instance, "save", **arguments)
        if request.pipeline is None and result is not False:
            _tell_if_lost(instance)
        return result
    finally:
        state.pop(REACHED, None)
        state.pop(CREATE_ONLY, None)
        state.pop(UNMATCHED, None)


def _tell_if_lost(instance: Record) -> None:
    """Tell of a new record that the `save` of its class has not stored."""
    if not instance._is_persisted and REACHED not in vars(instance):
        name = instance._meta.model_name
        warn_caller(
            f"{name}: the save() of its class has not called super().save(), so nothing was "
            "stored; return False from it where that is meant"
        )


def _create_as_defined(
    model: type[M], values: Mapping[str, Any], unmatched: Absence | None
) -> Plan[M]:
    """Create through the `create` that the class defines, or the stock one."""
    if not is_own(model, "create"):
        created: M = yield from create(model, None, False, values, unmatched)
        return created

    def blocking() -> Any:
        with _looking_for(unmatched):
            return own.create(**values)

    async def waiting() -> Any:
        with _looking_for(unmatched):
            return await own.async_create(**values)

    own: Any = model
    created = yield Call(blocking, waiting, writes=True)
    return created


def _lookup(model: type[M], lookup: Mapping[str, Any]) -> dict[str, Any]:
    """The lookup; of one with the whole key that alone, and the partition where it is required."""
    options = model._meta
    if any(name not in lookup for name in options.key_names):
        return dict(lookup)
    decisive = (*options.key_names, *options.isolation.names)
    return {name: value for name, value in lookup.items() if name in decisive}


def _by_fields(model: type[M], lookup: Mapping[str, Any]) -> dict[str, Any]:
    """The lookup without `pk`: under the name of the one key field."""
    found = with_key_field(model._meta, lookup)
    if PK in found:
        names = ", ".join(f"{name}=…" for name in model._meta.key_names)
        raise QueryException(
            f"{model._meta.model_name}: a record is created from the values of its key fields, "
            f"not from pk={describe(found[PK])}: give {names}"
        )
    return found


def _new_values(
    model: type[M], lookup: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of a new record: the defaults, and what the lookup says of fields as such."""
    options = model._meta
    plain = {
        name: value
        for name, value in lookup.items()
        if name in options.by_name or name not in options.field_of_parameter
    }
    return {**plain, **defaults}


def _is_decided(model: type[Record], conditions: Mapping[str, Any]) -> bool:
    """Whether the key, or a claim of one value, lets one record alone match."""
    options = model._meta
    return all(name in conditions for name in options.key_names) or any(
        conditions.get(field.name) is not None for field in options.unique_fields
    )


def _find_or_create(
    model: type[M],
    lookup: Mapping[str, Any],
    values: Mapping[str, Any],
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> Plan[tuple[M, bool]]:
    conditions = _lookup(model, lookup)
    unknown = [name for name in values if name not in model._meta.field_of_parameter]
    check_further(model, unknown, refuse_only=True, through=("create",))
    found: M | None = yield from get(model, None, (), conditions)
    if found is not None:
        # The constructor would have told of it, and for what is set now it is told then.
        untold = [name for name in unknown if name not in changes]
        check_further(model, untold, refuse_only=False, through=("create",))
        return found, False
    if _is_decided(model, conditions):
        return (yield from _create_or_find(model, conditions, values, None))
    return (yield from _create_for(model, conditions, values))


def _create_for(
    model: type[M], conditions: Mapping[str, Any], values: Mapping[str, Any]
) -> Plan[tuple[M, bool]]:
    """Create a record unless one matches by then; the commit that creates it looks."""
    tries = 0
    while True:
        tries += 1
        unmatched = yield from absence(model, conditions)
        # What has stood in the way and was not found need not match what an index says of it.
        if tries > 1 or not unmatched.is_exact:
            yield from unmatched.look()
        try:
            return (yield from _create_or_find(model, conditions, values, unmatched))
        except MatchExistsError:
            if tries == _TRIES:
                raise


def _create_or_find(
    model: type[M],
    conditions: Mapping[str, Any],
    values: Mapping[str, Any],
    unmatched: Absence | None,
) -> Plan[tuple[M, bool]]:
    try:
        created = yield from _create_as_defined(model, values, unmatched)
    except (AlreadyExistsError, UniquenessError):
        # Somebody else was faster: then theirs is the one.
        found: M | None = yield from get(model, None, (), conditions)
        if found is None:
            raise
        return found, False
    return created, True


def get_or_create(
    model: type[M], defaults: Mapping[str, Any] | None, lookup: Mapping[str, Any]
) -> Plan[tuple[M, bool]]:
    """The plan of `Model.get_or_create`."""
    _check_defaults(model, "get_or_create", defaults)
    lookup = _by_fields(model, lookup)
    return (yield from _find_or_create(model, lookup, _new_values(model, lookup, defaults or {})))


def update_or_create(
    model: type[M], defaults: Mapping[str, Any] | None, lookup: Mapping[str, Any]
) -> Plan[tuple[M, bool]]:
    """The plan of `Model.update_or_create`."""
    _check_defaults(model, "update_or_create", defaults)
    by_name = model._meta.by_name
    expiry = {name: lookup[name] for name in EXPIRY if name in lookup and name not in by_name}
    # No record is found by its end: that is set on the one that is found, too.
    changes = {**expiry, **(defaults or {})}
    lookup = _by_fields(model, lookup)
    values = _new_values(model, lookup, changes)
    tries = 0
    while True:
        tries += 1
        instance, created = yield from _find_or_create(model, lookup, values, changes)
        if created:
            return instance, True
        _refuse_key_changes(instance, changes)
        for name, value in changes.items():
            if name in model._meta.by_name:
                setattr(instance, name, value)
        set_further(instance, changes)
        try:
            yield from save_as_defined(instance, SaveRequest())
        except RecordGoneError:
            # Deleted since it was found: there is none, so one is created.
            if tries == _TRIES:
                raise
        else:
            return instance, False


def _check_defaults(model: type[Record], call: str, defaults: object) -> None:
    if defaults is not None and not isinstance(defaults, Mapping):
        raise TypeError(
            f"{model._meta.model_name}.{call}: defaults must be a dict of values by field, got "
            f"{describe(defaults)}; what is looked for is given by keyword, field=value"
        )
    for name in cast("Mapping[object, object]", defaults or {}):
        if not isinstance(name, str):
            raise TypeError(
                f"{model._meta.model_name}.{call}: defaults are values by the names of fields, "
                f"and {describe(name)} is no name"
            )


def _refuse_key_changes(instance: Record, changes: Mapping[str, Any]) -> None:
    for key_field in instance._meta.key_fields:
        name = key_field.name
        if name in changes:
            old = getattr(instance, name)
            if not key_field.is_same(changes[name], old):
                raise KeyMutationError(
                    f"{key_field.label} is part of the record key: update_or_create cannot "
                    f"change it from {old!r} to {changes[name]!r}"
                )
