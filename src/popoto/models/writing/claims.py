"""Claims: unique values, who holds them, who gives way.

A claim is a guard of the commit: no other live record holds the value (``claim``, a set of
one value) or the values together (``slot``, a unique composite index). The guards look at
what is stored before the first command of a call. What they cannot see is looked at here:
two writes of one call that claim the same, and a holder that gives a value up in that call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from popoto.engine.batch import Batch, GuardFailure, Step
from popoto.engine.codec import NIL
from popoto.exceptions import MatchExistsError, UniquenessError
from popoto.fields.describing import describe
from popoto.fields.keeping.entries import Entry, SlotEntry
from popoto.models.record.composites import other_slots
from popoto.models.record.options import ModelOptions

#: A claim as something that can be compared between records.
Claim = tuple[object, ...]

#: By guard: where the member stands whose claim is overlooked, beside the record's own.
_OLD_MEMBER = {"claim": 1, "slot": 3}


def put_claims(
    batch: Batch,
    options: ModelOptions,
    key: str,
    old_key: str,
    values: Mapping[str, bytes],
    names: Iterable[str] | None,
    entries: Sequence[Entry],
) -> None:
    """Demand that no other live record holds what this one is to hold.

    `values` are stored bytes by field, `names` the fields whose claims are new (None: all),
    `entries` those of the record in composite indexes, among others.
    """
    for field in options.unique_fields:
        value = values.get(field.name)
        if value is None or value == NIL or (names is not None and field.name not in names):
            continue
        claimed = field.value_entry(key, field.decode(value))
        for set_key in (*field.value_set_keys(field.decode(value)), claimed.named_later):
            if set_key:
                batch.guard("claim", set_key, key, old_key, field.name, value, *field.text_keys)
    for entry in entries:
        if isinstance(entry, SlotEntry) and entry.alternative:
            entry.guard(batch, old_key)
            for other in other_slots(entry, options.by_name):
                other.guard(batch, old_key)


def claim_of(step: Step) -> Claim | None:
    """What a guard claims; None for a guard that claims nothing."""
    name, key, arguments = step
    if name == "claim":
        # Equal numbers stand in one set; texts may share one although they differ.
        stored = arguments[3]
        return (name, key, stored if _is_text(stored) else b"")
    if name == "slot":
        return (name, key, arguments[1])
    return None


def _is_text(stored: object) -> bool:
    if not isinstance(stored, bytes) or not stored:
        return False
    head = stored[0]
    return 0xA0 <= head <= 0xBF or 0xD9 <= head <= 0xDB


def claimed_names(step: Step) -> list[str]:
    """The fields whose values a guard claims."""
    name, _, arguments = step
    return [str(arguments[2])] if name == "claim" else [str(each) for each in arguments[4::2]]


def overlooking(step: Step, holder: str) -> Step:
    """The guard, taking no notice of this holder."""
    name, key, arguments = step
    at = _OLD_MEMBER[name]
    return (name, key, (*arguments[:at], holder, *arguments[at + 1 :]))


def taken(options: ModelOptions, step: Step, failure: GuardFailure) -> UniquenessError:
    """The error for a value that a stored record holds."""
    subject = _subject(options, step)
    holder = failure.details[0].decode("utf-8", "replace")
    if step[0] == "claim":
        field, stored = options.by_name[claimed_names(step)[0]], step[2][3]
        value: Any = field.decode(stored) if isinstance(stored, bytes) else stored
        held = f"{describe(value)} already exists in {holder!r}"
    else:
        held = f"a record with these values already exists: {holder!r}"
    if failure.details[1:]:
        held += ", as far as the index tells, since this user may not read that record"
    return UniquenessError(f"{subject} must be unique: {held}; nothing was written")


def matched(options: ModelOptions, failure: GuardFailure) -> MatchExistsError:
    """The error for a stored record that matches the lookup for which one was to be created."""
    holder = failure.details[0].decode("utf-8", "replace")
    return MatchExistsError(
        f"{options.model_name}: {holder!r} already exists and matches the lookup; nothing was "
        "written"
    )


def claimed_twice(options: ModelOptions, step: Step, mine: str, other: str) -> UniquenessError:
    """The error for a value that two writes of one call claim."""
    subject = _subject(options, step)
    return UniquenessError(
        f"{subject} must be unique: the value of {mine} already exists in {other}; nothing was "
        "written"
    )


def _subject(options: ModelOptions, step: Step) -> str:
    names = ", ".join(claimed_names(step))
    if step[0] == "claim":
        return f"{options.model_name}.{names}"
    return f"Unique index violation: {options.model_name} ({names})"
