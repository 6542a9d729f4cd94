"""What references can answer: whom they refer to, and what holds of the related record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from popoto.engine.request import Plan
from popoto.engine.tree import EVERYTHING, Members, Not, StoredBytes, any_of
from popoto.exceptions import QueryException
from popoto.fields.asking.lookups import conjunction, several, truth
from popoto.fields.asking.operands import Askable, Conditions, Operand, View

#: The lookups of a reference itself; any other one is one of the related model's.
OWN_LOOKUPS = ("", "isnull", "in", "ne")


class Referring(Askable, Protocol):
    """A reference, as far as its lookups need it."""

    @property
    def target_model(self) -> Any:
        """The related model."""
        ...

    def target_key(self, value: Any) -> str | None:
        """The key of a value: of a record, or the key itself."""
        ...


def referring(field: Referring, conditions: Conditions) -> Operand:
    """The conditions on a reference: own lookups, and lookups of the related model."""
    operands: list[Operand] = []
    chained: dict[str, list[Any]] = {}
    for lookup, value in conditions:
        if lookup == "":
            operands.append(_refers_to(field, [field.coerce_operand(lookup, value)]))
        elif lookup == "isnull":
            operands.append(_negated_unless(_refers_to(field, [None]), truth(field, lookup, value)))
        elif lookup == "in":
            operands.append(_refers_to(field, several(field, lookup, value)))
        elif lookup == "ne":
            target = field.coerce_operand(lookup, value)
            operands.append(_negated_unless(_refers_to(field, [target]), False))
        else:
            chained.setdefault(lookup, []).append(value)
    if not chained:
        return conjunction(operands)

    def resolve() -> Plan[Operand]:
        conditions = [(name, value) for name, values in chained.items() for value in values]
        try:
            matching: Plan[list[str]] = field.target_model.query.keys_of(conditions)
            targets = yield from matching
        except QueryException as error:
            given = ", ".join(f"{field.name}__{lookup}" for lookup in chained)
            raise QueryException(f"{field.label}: {error} (asked for by {given})") from error
        return conjunction([*operands, _refers_to(field, targets)])

    return Operand(EVERYTHING, lambda view: True, False, frozenset({field.name}), resolve)


def _refers_to(field: Referring, targets: Sequence[str | None]) -> Operand:
    wanted = set(targets)
    name = field.name
    nodes = [
        StoredBytes(name, (b"\xc0", b""))
        if target is None
        else Members(field.value_set_prefix + target)
        for target in dict.fromkeys(targets)
    ]

    def test(view: View) -> bool:
        return field.target_key(view.value(name)) in wanted

    return Operand(any_of(nodes), test, True, frozenset({name}))


def _negated_unless(operand: Operand, wanted: bool) -> Operand:
    if wanted:
        return operand
    return Operand(
        Not(operand.node), lambda view: not operand.test(view), operand.exact, operand.needs
    )
