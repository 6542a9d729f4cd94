"""Optimistic locking: what a save expects of the stored record, where its caller asks for it.

The expectation is one more guard of the commit, on stored bytes. It is never corrected
by what other writers have stored: where it fails, the save is a conflict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeGuard, cast

from popoto.engine.batch import Batch, GuardFailure, Step
from popoto.engine.codec import NIL, DecodeError, EncodeError, Stored
from popoto.engine.request import Reply
from popoto.exceptions import (
    ConflictError,
    ModelException,
    NumberOverflowError,
    UnsavedError,
    ValidationError,
)
from popoto.fields.coercion import CoercionError
from popoto.fields.describing import describe
from popoto.fields.given import is_several
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record
from popoto.models.record.stored import stored_key
from popoto.models.writing.operation import Operation

#: True: everything as it was loaded. Names: these fields as they were loaded. A mapping:
#: these fields have these values.
Expected: TypeAlias = bool | Iterable[str] | Mapping[str, Any] | None


def _is_mapping(expected: Expected) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(expected, Mapping)


def expected_bytes(instance: Record, expected: Expected) -> dict[str, bytes]:
    """The bytes that the record has to hold, by field; b"" for a field that it lacks.

    The version of a model with `Meta.version_field` is among them for every instance that
    was saved or loaded. Raises ModelException for what cannot be compared.
    """
    options = instance._meta
    # Only fields of the hash are compared.
    stored = cast("dict[str, bytes]", instance._stored)
    found: dict[str, bytes] = {}
    if _is_mapping(expected):
        for name, value in expected.items():
            found[name] = _encoded(options, _checked(options, name), value)
    elif expected is not None and expected is not False:
        if not stored:
            raise UnsavedError(
                f"{options.model_name}.save(expected=…): this instance is unsaved and was not "
                "loaded, so there is nothing to compare with; give a dict of values"
            )
        loaded = [name for name in options.hash_names if name not in instance._deferred]
        names = loaded if expected is True else _checked_names(options, expected)
        found = {name: stored.get(name, b"") for name in names}
    version = options.version_field
    if version is not None and stored:
        found.setdefault(version, stored.get(version, b""))
    return found


def _checked_names(options: ModelOptions, names: bool | Iterable[str]) -> list[str]:
    if not is_several(names):
        raise ModelException(
            f"{options.model_name}.save(expected={describe(names)}): give True, a list of names, "
            "or a dict of values"
        )
    return [_checked(options, name) for name in names]


def _checked(options: ModelOptions, name: str) -> str:
    if name not in options.hash_names:
        known = f"fields are {', '.join(options.hash_names)}"
        reason = "a capped list is not compared" if name in options.by_name else "Unknown field"
        raise ModelException(f"{options.model_name}.save(expected=…): {reason} {name!r}; {known}")
    return name


def _encoded(options: ModelOptions, name: str, value: Any) -> bytes:
    field = options.by_name[name]
    try:
        coerced = field.coerce(value)
        encoded = NIL if coerced is None else cast("bytes", field.encode(coerced))
    except (CoercionError, EncodeError) as error:
        raise ValidationError(
            f"{field.label}: expected={describe(value)} is no value of this field: {error}",
            model_name=options.model_name,
            field_name=name,
            value=value,
        ) from error
    reason = field.unready(encoded)
    if reason is not None:
        raise ModelException(
            f"{field.label} {reason}: its value cannot be compared; expected=True or its name "
            "compares what was loaded"
        )
    return encoded


def said_otherwise(
    options: ModelOptions, expected: Mapping[str, bytes], stored: Mapping[str, bytes]
) -> dict[str, bytes] | None:
    """The stored bytes of the expected fields if they say the same in other bytes, else None.

    A number may be stored in several forms; popoto 1.6 writes other ones.
    """
    for name, wanted in expected.items():
        found = stored.get(name, b"")
        if found != wanted:
            field = options.by_name[name]
            try:
                if not found or not wanted or field.decode(found) != field.decode(wanted):
                    return None
            except DecodeError:
                return None
    return {name: stored.get(name, b"") for name in expected}


def met_otherwise(
    options: ModelOptions,
    key: str,
    expected: Mapping[str, bytes],
    failure: GuardFailure,
    mine: Mapping[str, Stored],
) -> dict[str, bytes]:
    """What was expected in the bytes that are stored and say the same. Raises ConflictError.

    `failure` is that of the guard that demands it; `mine` was to be written.
    """
    stored = failure.stored(options.hash_names) if failure.what == "holds" else None
    same = None if stored is None else said_otherwise(options, expected, stored)
    if same is None:
        raise _conflict(options, key, expected, stored, mine)
    return same


def _conflict(
    options: ModelOptions,
    key: str,
    expected: Mapping[str, bytes],
    stored: Mapping[str, bytes] | None,
    mine: Mapping[str, Stored],
) -> ConflictError:
    """The error for a record that is not as it was expected; it carries all sides."""
    wanted = _values(options, expected)
    if stored is None:
        return ConflictError(
            f"{key!r} is not stored any more; nothing was written. save() a new instance to "
            "store it again.",
            expected=wanted,
            stored=None,
            mine=_values(options, mine),
        )
    found = _values(options, {name: stored.get(name, b"") for name in options.hash_names})
    differing = [name for name in wanted if stored.get(name, b"") != expected[name]]
    told = ", ".join(
        f"{name} is {describe(found[name])} and not {describe(wanted[name])}" for name in differing
    )
    return ConflictError(
        f"{key!r} was changed by another writer: {told}; nothing was written. refresh() loads "
        "what is stored.",
        expected=wanted,
        stored=found,
        mine=_values(options, mine),
    )


def _values(options: ModelOptions, stored: Mapping[str, Stored]) -> dict[str, Any]:
    """Decoded values; bytes that cannot be decoded stay bytes, and what is missing is None."""
    values: dict[str, Any] = {}
    for name, raw in stored.items():
        try:
            values[name] = None if raw == b"" else options.by_name[name].decode(raw)
        except DecodeError:
            values[name] = raw
    return values


def next_version(options: ModelOptions, known: Mapping[str, Stored] | None) -> dict[str, Stored]:
    """The version that a write gives the record, by field; nothing for models without one."""
    name = options.version_field
    if name is None:
        return {}
    field = options.by_name[name]
    raw = (known or {}).get(name)
    try:
        current = 0 if raw is None else field.decode(raw) or 0
    except DecodeError:
        current = 0
    try:
        return {name: field.encode(current + 1)}
    except EncodeError as error:
        raise NumberOverflowError(
            f"{field.label}: the version {current} cannot be counted further ({error}); nothing "
            "was written",
            model_name=options.model_name,
            field_name=name,
            value=current,
        ) from error


class Expectation(Operation):
    """Demands that a record, which is not written, is as it is expected."""

    what = "expectation"

    def __init__(self, instance: Record, expected: Expected) -> None:
        what = f"{instance._meta.model_name} is not stored"
        super().__init__(instance, stored_key(instance, what))
        self.expected = expected_bytes(instance, expected)

    def batch(self) -> Batch | None:
        batch = Batch()
        batch.guard("holds", self.key, *(part for pair in self.expected.items() for part in pair))
        return batch

    def learn(self, failure: GuardFailure, step: Step | None) -> None:
        if step is None or failure.what == "type":
            raise failure.error()
        self.expected = met_otherwise(self.options, self.key, self.expected, failure, {})

    def finish(self, replies: Sequence[Reply]) -> Any:
        return True
