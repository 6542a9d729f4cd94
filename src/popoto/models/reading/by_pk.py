"""`pk` in conditions: a record by its key, or by the value of a model's one key field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from popoto.engine import keys
from popoto.engine.db_key import DB_key
from popoto.engine.tree import NOTHING, RecordKeys, negated
from popoto.exceptions import QueryException
from popoto.fields.asking.operands import Operand
from popoto.fields.describing import describe
from popoto.models.record.options import ModelOptions
from popoto.models.record.record_keys import record_key

#: What stands for the identity of a record, in conditions, orders and projections.
PK: Final = "pk"
_OF_KEYS: Final = ("", "in", "ne")


def is_pk(parameter: str) -> bool:
    """Whether a condition is one on the identity of records."""
    return parameter == PK or parameter.startswith("pk__")


def key_of(options: ModelOptions, value: Any) -> str | None:
    """The record key that a pk is; None for the value of a model's one key field.

    A record key is text that begins with the model's name and a colon, as `record.pk` does, and
    a record or a `DB_key` stands for its own. Raises QueryException for what is neither.
    """
    is_key = isinstance(value, DB_key) or hasattr(value, "_meta")
    begins = options.model_name + keys.SEPARATOR
    if isinstance(value, str):
        is_key = value.startswith(begins)
    elif isinstance(value, bytes):
        is_key = value.startswith(begins.encode())
    if is_key:
        return record_key(options, value)
    if len(options.key_names) > 1:
        names = " and ".join(options.key_names)
        raise QueryException(
            f"{options.model_name}: pk={describe(value)} is no record key, and the key is made of "
            f"{names}: give a record's pk, or conditions on these fields"
        )
    return None


def with_key_field(options: ModelOptions, lookup: Mapping[str, Any]) -> dict[str, Any]:
    """A lookup in which the value of the one key field stands under that field's name."""
    if PK not in lookup or key_of(options, lookup[PK]) is not None:
        return dict(lookup)
    (name,) = options.key_names
    rest = {parameter: value for parameter, value in lookup.items() if parameter != PK}
    if name in rest:
        return dict(lookup)
    return {name: lookup[PK], **rest}


class Pk(NamedTuple):
    """A condition on `pk`: any of these records, or of those with these values of the key field."""

    keys: Operand
    values: tuple[str, list[tuple[str, Any]]] | None = None


def told_apart(
    options: ModelOptions, pairs: Sequence[tuple[str, Any]]
) -> tuple[list[tuple[str, Any]], list[Pk]]:
    """Conditions on fields, with those on the value of the one key field; and those on keys."""
    of_fields: list[tuple[str, Any]] = []
    of_keys: list[Pk] = []
    for parameter, value in pairs:
        if not is_pk(parameter):
            of_fields.append((parameter, value))
            continue
        lookup = parameter[len("pk__") :]
        if lookup not in _OF_KEYS:
            of_fields.append((f"{_only_key(options, lookup)}__{lookup}", value))
            continue
        wanted, values = _sorted_out(options, lookup, value)
        if not values:
            of_keys.append(Pk(_by_keys(wanted, wants=lookup != "ne")))
            continue
        name = _only_key(options, lookup)
        if wanted:
            of_keys.append(Pk(_by_keys(wanted, wants=True), (name, [("in", values)])))
        else:
            of_fields.append((f"{name}__{lookup}" if lookup else name, value))
    return of_fields, of_keys


def _only_key(options: ModelOptions, lookup: str) -> str:
    if len(options.key_names) > 1:
        raise QueryException(
            f"{options.model_name}: pk__{lookup} needs a single key field, and the key is made of "
            f"{' and '.join(options.key_names)}: use the lookups of these fields"
        )
    return options.key_names[0]


def _sorted_out(options: ModelOptions, lookup: str, value: Any) -> tuple[list[str], list[Any]]:
    """The record keys among what was given, and the values of the one key field."""
    given: Iterable[Any] = (value,)
    if lookup == "in":
        told: object = value
        is_one = isinstance(told, (str, bytes, Mapping, DB_key)) or hasattr(told, "_meta")
        if is_one or not isinstance(told, Iterable):
            raise QueryException(
                f"{options.model_name}: pk__in takes several: pass a list, tuple or set, not "
                f"{describe(value)}"
            )
        given = value
    wanted: list[str] = []
    values: list[Any] = []
    for each in given:
        key = key_of(options, each)
        if key is None:
            values.append(each)
        else:
            wanted.append(key)
    return wanted, values


def _by_keys(wanted: Sequence[str], *, wants: bool) -> Operand:
    found = frozenset(wanted)
    node = RecordKeys(tuple(dict.fromkeys(wanted))) if wanted else NOTHING
    if wants:
        return Operand(node, lambda view: view.key in found)
    return Operand(negated(node), lambda view: view.key not in found)
