"""What sets of records per value can answer: equality, several values, null, and texts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from popoto.engine import keys
from popoto.engine.codec import NIL, equal_encodings
from popoto.engine.moments import in_utc, later_text
from popoto.engine.tree import (
    EVERYTHING,
    Members,
    Node,
    StoredBytes,
    TextMatch,
    all_of,
    any_of,
    negated,
)
from popoto.fields.asking.lookups import (
    RANGES,
    conjunction,
    equals,
    same_value,
    several,
    shown_equal,
    text,
    truth,
    unsupported,
)
from popoto.fields.asking.operands import Askable, Conditions, Operand, View


def _shares_its_set(field: Askable, value: Any) -> bool:
    """Whether the set of this value may also hold records of another value."""
    if field.type is not str:
        return False
    return value is None or value == "None" or ":" in value or keys.ESCAPED_SEPARATOR in value


def value_set(field: Askable, value: Any) -> tuple[Node, bool]:
    """The records with one value, from the field's value sets; and whether that is exact."""
    texts = field.spellings(value)
    node = any_of([Members(field.value_set_prefix + keys.escape(each)) for each in texts])
    if _shares_its_set(field, value):
        accepted = equal_encodings(field.compared_type, value)
        if accepted is None:
            return node, False
        if value is None:
            # Another text may share the set of null, but never its bytes.
            accepted = (NIL, b"")
        node = all_of([node, StoredBytes(field.name, accepted)])
    named_later = later_text(value)
    if named_later is not None:
        node = any_of([node, _moment_set(field, value, named_later)])
    return node, True


def _moment_set(field: Askable, value: Any, named_later: str) -> Node:
    """The records that popoto 1.9 or later has put under a moment, and that hold it.

    There stand those without a zone as well as those that mean the same moment in any.
    """
    members = Members(field.value_set_prefix + keys.escape(named_later))
    without_zone = StoredBytes(field.name, equal_encodings(field.type, in_utc(value)) or ())
    is_of_a_zone = value.utcoffset() is not None
    return all_of([members, negated(without_zone) if is_of_a_zone else without_zone])


def _exact(field: Askable, operand: Any) -> Operand:
    value = field.coerce_operand("", operand)
    node, exact = value_set(field, value)
    test = equals(field, value)
    shown = shown_equal(field, (value,), test) if exact else ()
    return Operand(node, test, exact, frozenset({field.name}), shown=shown)


def _in(field: Askable, operand: Any) -> Operand:
    values = several(field, "in", operand)
    found = [value_set(field, value) for value in values]
    wanted = [field.canonical(value) for value in values]
    name = field.name

    def test(view: View) -> bool:
        stored = field.canonical(view.value(name))
        return any(same_value(stored, value) for value in wanted)

    return Operand(
        any_of([node for node, _ in found]),
        test,
        all(exact for _, exact in found),
        frozenset({name}),
        shown=shown_equal(field, values, test),
    )


def _not_equal(field: Askable, operand: Any) -> Operand:
    equal = _exact(field, operand)
    return Operand(
        negated(equal.node) if equal.exact else EVERYTHING,
        lambda view: not equal.test(view),
        equal.exact,
        equal.needs,
    )


def _is_null(field: Askable, operand: Any) -> Operand:
    wanted = truth(field, "isnull", operand)
    node, _ = value_set(field, None)
    name = field.name
    return Operand(
        node if wanted else negated(node),
        lambda view: (view.value(name) is None) is wanted,
        True,
        frozenset({name}),
    )


def _text_lookup(
    kind: str, lookup: str, matches: Callable[[str, str], bool], *, folds: bool = False
) -> Callable[[Askable, Any], Operand]:
    def compile_lookup(field: Askable, operand: Any) -> Operand:
        wanted = text(field, lookup, operand)
        if folds:
            wanted = wanted.casefold()
        name = field.name

        def test(view: View) -> bool:
            value = field.canonical(view.value(name))
            if value is None:
                return False
            return matches(str(value).casefold() if folds else str(value), wanted)

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
        if folds:
            # The server folds ASCII alone, and finds all that goes beyond it: Python decides.
            return Operand(node, test, False, frozenset({name}))
        look = partial(_SHOWS[kind], wanted.encode("utf-8"))
        return Operand(node, test, True, frozenset({name}), shown=((name, look, test),))

    return compile_lookup


def _shows_prefix(wanted: bytes, raw: bytes | None) -> bool:
    # Behind the head, which tells how long the text is.
    return raw is not None and raw.startswith(wanted, _LONG_HEADS.get(raw[:1], 1))


def _shows_suffix(wanted: bytes, raw: bytes | None) -> bool:
    return raw is not None and raw.endswith(wanted)


def _shows_infix(wanted: bytes, raw: bytes | None) -> bool:
    return raw is not None and wanted in raw


_LONG_HEADS: Final = {b"\xd9": 2, b"\xda": 3, b"\xdb": 5}
_SHOWS: Final = {"prefix": _shows_prefix, "suffix": _shows_suffix, "infix": _shows_infix}


#: The lookups of key and indexed fields. "" is equality.
VALUE_SET_LOOKUPS: dict[str, Callable[[Any, Any], Operand]] = {
    "": _exact,
    "in": _in,
    "ne": _not_equal,
    "isnull": _is_null,
    "startswith": _text_lookup("prefix", "startswith", str.startswith),
    "endswith": _text_lookup("suffix", "endswith", str.endswith),
    "contains": _text_lookup("infix", "contains", str.__contains__),
    "iexact": _text_lookup("iwhole", "iexact", str.__eq__, folds=True),
    "istartswith": _text_lookup("iprefix", "istartswith", str.startswith, folds=True),
    "iendswith": _text_lookup("isuffix", "iendswith", str.endswith, folds=True),
    "icontains": _text_lookup("iinfix", "icontains", str.__contains__, folds=True),
}


def value_sets(field: Askable, conditions: Conditions) -> Operand:
    """The conditions on a field that keeps value sets."""
    operands: list[Operand] = []
    for lookup, operand in conditions:
        compile_lookup = VALUE_SET_LOOKUPS.get(lookup)
        if compile_lookup is None:
            hint = " Use a SortedField for ranges." if lookup in RANGES else ""
            raise unsupported(field, lookup, hint)
        operands.append(compile_lookup(field, operand))
    return conjunction(operands)
