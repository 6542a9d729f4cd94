"""Lookups that several kinds of fields share: equality and what value sets can answer.

A lookup turns an operand into an `Operand`: a node for the server and a test for
Python that says the same of one record.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from popoto.engine import keys
from popoto.engine.codec import NIL, equal_encodings
from popoto.engine.tree import (
    EVERYTHING,
    NOTHING,
    Members,
    Node,
    StoredBytes,
    TextMatch,
    all_of,
    any_of,
    negated,
)
from popoto.exceptions import QueryException
from popoto.fields.asking.operands import Conditions, Operand, View
from popoto.fields.coercion import describe

if TYPE_CHECKING:
    from popoto.fields.field import Field

Test = Callable[[View], bool]


# Operands ------------------------------------------------------------------------


def truth(field: Field[Any], lookup: str, operand: Any) -> bool:
    """The operand of ``__isnull``. Raises QueryException unless it is True or False."""
    if operand is True or operand is False:
        return operand
    raise QueryException(
        f"{field.label}: {field.name}__{lookup} takes True or False, got {describe(operand)}"
    )


def several(field: Field[Any], lookup: str, operand: Any) -> list[Any]:
    """The operand of ``__in`` as a list of coerced values. Raises QueryException."""
    if isinstance(operand, (str, bytes, Mapping)) or not isinstance(operand, Iterable):
        raise QueryException(
            f"{field.label}: {field.name}__{lookup} takes several values: pass a list, tuple or "
            f"set, not {describe(cast('object', operand))}"
        )
    members = cast("Iterable[Any]", operand)
    return [field.coerce_operand(lookup, member) for member in members]


def text(field: Field[Any], lookup: str, operand: Any) -> str:
    """The operand of a text lookup. Raises QueryException unless it is text."""
    if isinstance(operand, str):
        return storable(field, operand)
    raise QueryException(
        f"{field.label}: {field.name}__{lookup} takes a str, got "
        f"{type(operand).__name__} {describe(operand)}"
    )


def storable(field: Field[Any], operand: str) -> str:
    """The text, unless it holds lone surrogates. Raises QueryException."""
    if not operand.isascii():
        try:
            operand.encode("utf-8")
        except UnicodeEncodeError as error:
            raise QueryException(
                f"{field.label}: {describe(operand)} holds a lone surrogate, which no stored text "
                "can; clean the text first"
            ) from error
    return operand


def unsupported(field: Field[Any], lookup: str, hint: str = "") -> QueryException:
    """The error for a lookup that the field does not have."""
    known = sorted(field.get_filter_query_params(field.name) | {field.name})
    close = difflib.get_close_matches(f"{field.name}__{lookup}", known, n=1)
    nearest = f" Did you mean {close[0]!r}?" if close else ""
    return QueryException(
        f"{field.label} ({type(field).__name__}) does not support the lookup "
        f"{field.name}__{lookup}; it supports {', '.join(known)}.{nearest}{hint}"
    )


# Equality of values ----------------------------------------------------------------


def same_value(stored: Any, wanted: Any) -> bool:
    """Whether a decoded value equals an operand. NaN equals nothing."""
    if stored is None or wanted is None:
        return stored is None and wanted is None
    try:
        return bool(stored == wanted)
    except TypeError:
        # Naive against aware times compare as unequal, other mixtures not at all.
        return False


def equals(field: Field[Any], value: Any) -> Test:
    """The test for equality with a value."""
    name = field.name
    return lambda view: same_value(field.canonical(view.value(name)), value)


def _texts(field: Field[Any], value: Any) -> list[str] | None:
    """Every text that an equal value may stand under, or None if they cannot be listed."""
    if isinstance(value, float):
        if math.isnan(value):
            return []
        return ["0.0", "-0.0"] if value == 0.0 else [str(value)]
    if isinstance(value, Decimal):
        return None
    if field.type is int and value in (0, 1):
        # bool is an int: True is accepted by int fields as it is.
        return [str(int(value)), str(bool(value))]
    return [str(value)]


def _shares_its_set(field: Field[Any], value: Any) -> bool:
    """Whether the set of this value may also hold records of another value."""
    if field.type is not str:
        return False
    return value is None or value == "None" or ":" in value or keys.ESCAPED_SEPARATOR in value


def value_set(field: Field[Any], value: Any) -> tuple[Node, bool]:
    """The records with one value, from the field's value sets; and whether that is exact."""
    texts = _texts(field, value)
    if texts is None:
        return EVERYTHING, False
    node = any_of([Members(field.value_set_prefix + keys.escape(each)) for each in texts])
    if _shares_its_set(field, value):
        accepted = equal_encodings(field.type, value)
        if accepted is None:
            return node, False
        if value is None:
            # Another text may share the set of null, but never its bytes.
            accepted = (NIL, b"")
        node = all_of([node, StoredBytes(field.name, accepted)])
    return node, True


# Value sets --------------------------------------------------------------------------


def _exact(field: Field[Any], operand: Any) -> Operand:
    value = field.coerce_operand("", operand)
    node, exact = value_set(field, value)
    return Operand(node, equals(field, value), exact, frozenset({field.name}))


def _in(field: Field[Any], operand: Any) -> Operand:
    values = several(field, "in", operand)
    found = [value_set(field, value) for value in values]
    name = field.name

    def test(view: View) -> bool:
        stored = field.canonical(view.value(name))
        return any(same_value(stored, value) for value in values)

    return Operand(
        any_of([node for node, _ in found]),
        test,
        all(exact for _, exact in found),
        frozenset({name}),
    )


def _not_equal(field: Field[Any], operand: Any) -> Operand:
    equal = _exact(field, operand)
    return Operand(
        negated(equal.node) if equal.exact else EVERYTHING,
        lambda view: not equal.test(view),
        equal.exact,
        equal.needs,
    )


def _is_null(field: Field[Any], operand: Any) -> Operand:
    wanted = truth(field, "isnull", operand)
    node, _ = value_set(field, None)
    name = field.name
    return Operand(
        node if wanted else negated(node),
        lambda view: (view.value(name) is None) is wanted,
        True,
        frozenset({name}),
    )


def _text_lookup(kind: str, lookup: str, matches: Callable[[str, str], bool]):
    def compile_lookup(field: Field[Any], operand: Any) -> Operand:
        wanted = text(field, lookup, operand)
        name = field.name

        def test(view: View) -> bool:
            value = field.canonical(view.value(name))
            return value is not None and matches(str(value), wanted)

        if field.type is not str:
            # The texts of other types are kept nowhere: read the field of each candidate.
            return Operand(EVERYTHING, test, False, frozenset({name}))
        node = TextMatch(
            kind,
            keys.values_key(field.model_name, name),
            keys.values_coverage_key(field.model_name),
            name,
            field.value_set_prefix,
            wanted,
        )
        return Operand(node, test, True, frozenset({name}))

    return compile_lookup


#: The lookups of key and indexed fields. "" is equality.
VALUE_SET_LOOKUPS: dict[str, Callable[[Any, Any], Operand]] = {
    "": _exact,
    "in": _in,
    "ne": _not_equal,
    "isnull": _is_null,
    "startswith": _text_lookup("prefix", "startswith", str.startswith),
    "endswith": _text_lookup("suffix", "endswith", str.endswith),
    "contains": _text_lookup("infix", "contains", str.__contains__),
}

_RANGES = frozenset({"gt", "gte", "lt", "lte", "between"})


def conjunction(operands: list[Operand]) -> Operand:
    """Several operands that must all hold."""
    if len(operands) == 1:
        return operands[0]
    tests = [operand.test for operand in operands]
    return Operand(
        all_of([operand.node for operand in operands]),
        lambda view: all(test(view) for test in tests),
        all(operand.exact for operand in operands),
        frozenset[str]().union(*(operand.needs for operand in operands)),
    )


def value_sets(field: Field[Any], conditions: Conditions) -> Operand:
    """The conditions on a field that keeps value sets."""
    operands: list[Operand] = []
    for lookup, operand in conditions:
        compile_lookup = VALUE_SET_LOOKUPS.get(lookup)
        if compile_lookup is None:
            hint = " Use a SortedField for ranges." if lookup in _RANGES else ""
            raise unsupported(field, lookup, hint)
        operands.append(compile_lookup(field, operand))
    return conjunction(operands)


def by_record(field: Field[Any], conditions: Conditions) -> Operand:
    """The same conditions on a field that keeps no value sets: each candidate is looked at."""
    operands: list[Operand] = []
    for lookup, operand in conditions:
        compile_lookup = VALUE_SET_LOOKUPS.get(lookup)
        if compile_lookup is None:
            raise unsupported(field, lookup)
        test = compile_lookup(field, operand).test
        compiled = Operand(EVERYTHING, test, False, frozenset({field.name}))
        if lookup in ("", "in"):
            values = (
                several(field, lookup, operand)
                if lookup
                else [field.coerce_operand(lookup, operand)]
            )
            accepted = [equal_encodings(field.type, value) for value in values]
            if None not in accepted:
                every = tuple(each for some in accepted if some for each in some)
                compiled.node = StoredBytes(field.name, every) if every else NOTHING
                compiled.exact = True
        operands.append(compiled)
    return conjunction(operands)


# Plain fields ------------------------------------------------------------------------


def stored_values(field: Field[Any], conditions: Conditions) -> Operand:
    """Equality on a field without an index: the server compares the stored bytes."""
    operands: list[Operand] = []
    for lookup, operand in conditions:
        if lookup not in ("", "ne"):
            hint = (
                " Use a SortedField for ranges."
                if lookup in _RANGES
                else " Use an IndexedField for it."
                if lookup in VALUE_SET_LOOKUPS
                else ""
            )
            raise unsupported(field, lookup, hint)
        value = field.coerce_operand(lookup, operand)
        equal = _stored_equality(field, value)
        if lookup == "ne":
            inner = equal.test
            equal = Operand(
                negated(equal.node) if equal.exact else EVERYTHING,
                lambda view, inner=inner: not inner(view),
                equal.exact,
                equal.needs,
            )
        operands.append(equal)
    return conjunction(operands)


def _stored_equality(field: Field[Any], value: Any) -> Operand:
    needs = frozenset({field.name})
    test = equals(field, value)
    accepted = equal_encodings(field.type, value)
    if accepted is None:
        return Operand(EVERYTHING, test, False, needs)
    if same_value(field.make_default(), value):
        accepted = (*accepted, b"")
    if not accepted:
        return Operand(NOTHING, test, True, needs)
    return Operand(StoredBytes(field.name, accepted), test, True, needs)
