"""Lookups without an index: the server compares the stored bytes of each candidate."""

from __future__ import annotations

from typing import Any

from popoto.engine.codec import equal_encodings
from popoto.engine.tree import EVERYTHING, NOTHING, StoredBytes, negated
from popoto.fields.asking.lookups import (
    RANGES,
    conjunction,
    equals,
    same_value,
    several,
    unsupported,
)
from popoto.fields.asking.operands import Askable, Conditions, Operand
from popoto.fields.asking.value_sets import VALUE_SET_LOOKUPS


def by_record(field: Askable, conditions: Conditions) -> Operand:
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
            accepted = [equal_encodings(field.compared_type, value) for value in values]
            if None not in accepted:
                every = tuple(each for some in accepted if some for each in some)
                compiled.node = StoredBytes(field.name, every) if every else NOTHING
                compiled.exact = True
        operands.append(compiled)
    return conjunction(operands)


def stored_values(field: Askable, conditions: Conditions) -> Operand:
    """Equality on a field without an index: the server compares the stored bytes."""
    operands: list[Operand] = []
    for lookup, operand in conditions:
        if lookup not in ("", "ne"):
            hint = (
                " Use a SortedField for ranges."
                if lookup in RANGES
                else " Use an IndexedField for it."
                if lookup in VALUE_SET_LOOKUPS
                else ""
            )
            raise unsupported(field, lookup, hint)
        value = field.coerce_operand(lookup, operand)
        equal = _stored_equality(field, value)
        if lookup == "ne":
            equal = _not(equal)
        operands.append(equal)
    return conjunction(operands)


def _not(equal: Operand) -> Operand:
    node, test = negated(equal.node) if equal.exact else EVERYTHING, equal.test
    return Operand(node, lambda view: not test(view), equal.exact, equal.needs)


def _stored_equality(field: Askable, value: Any) -> Operand:
    needs = frozenset({field.name})
    test = equals(field, value)
    accepted = equal_encodings(field.compared_type, value)
    if accepted is None:
        return Operand(EVERYTHING, test, False, needs)
    if same_value(field.make_default(), value):
        accepted = (*accepted, b"")
    if not accepted:
        return Operand(NOTHING, test, True, needs)
    return Operand(StoredBytes(field.name, accepted), test, True, needs)
