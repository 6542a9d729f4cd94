"""What an order of values can answer: equality, ranges, several values, and all but one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from popoto.engine.codec import NIL
from popoto.engine.tree import (
    EVERYTHING,
    NOTHING,
    AllOf,
    Node,
    ScoreRange,
    StoredBytes,
    all_of,
    any_of,
    negated,
)
from popoto.exceptions import QueryException
from popoto.fields.asking.lookups import conjunction, several, shown_equal, truth, unsupported
from popoto.fields.asking.operands import Askable, Conditions, Operand, View
from popoto.fields.coercion import is_list
from popoto.fields.describing import describe
from popoto.fields.keeping.scores import compare_key

#: The lookups that the order answers. "" is equality.
IN_ORDER = ("", "gt", "gte", "lt", "lte", "between", "in", "ne")


class Ordered(Askable, Protocol):
    """A field with an order, as far as its lookups need it."""

    @property
    def null(self) -> bool:
        """Whether records may have no value, and no entry then."""
        ...

    def score(self, value: Any) -> float:
        """The value's place in the order."""
        ...

    def is_exact(self, value: Any) -> bool:
        """Whether a double can tell this value from its neighbours."""
        ...


def in_order(field: Ordered, conditions: Conditions, partitions: Sequence[str]) -> Operand:
    """Conditions that an order answers, within these of the field's sorted sets."""
    operand = conjunction(
        [_condition(field, lookup, value, partitions) for lookup, value in conditions]
    )
    ranges = [child for child in _children(operand.node) if isinstance(child, ScoreRange)]
    if len(partitions) == 1 and len(ranges) > 1:
        tightest = _tightest(partitions[0], ranges)
        others = [child for child in _children(operand.node) if child not in ranges]
        operand.node = all_of([tightest, *others])
    if all(_has_values(lookup, value) for lookup, value in conditions):
        operand.order_field = field.name
    operand.order_key = partitions[0] if len(partitions) == 1 else None
    return operand


def _has_values(lookup: str, value: Any) -> bool:
    """Whether a condition leaves records with a value, so that there is an order of values."""
    return value is not True if lookup == "isnull" else lookup != "" or value is not None


def _condition(field: Ordered, lookup: str, value: Any, partitions: Sequence[str]) -> Operand:
    if lookup == "between":
        if not is_list(value) or len(value) != 2:
            raise QueryException(
                f"{field.label}: {field.name}__between takes a tuple or list of 2 elements "
                f"(low, high), got {describe(value)}"
            )
        low, high = (field.coerce_operand(lookup, bound) for bound in value)
        return conjunction(
            [_bound(field, "gte", low, partitions), _bound(field, "lte", high, partitions)]
        )
    if lookup == "in":
        members = several(field, lookup, value)
        operands = [_equal(field, member, partitions) for member in members]
        return Operand(
            any_of([operand.node for operand in operands]),
            lambda view: any(operand.test(view) for operand in operands),
            all(operand.exact for operand in operands),
            frozenset({field.name}),
        )
    if lookup == "isnull":
        return _is_null(field, value, partitions)
    if lookup not in IN_ORDER:
        raise unsupported(field, lookup)
    operand = field.coerce_operand(lookup, value)
    if lookup == "":
        return _equal(field, operand, partitions)
    if lookup == "ne":
        return _not_equal(field, operand, partitions)
    return _bound(field, lookup, operand, partitions)


def _is_null(field: Ordered, wanted: Any, partitions: Sequence[str]) -> Operand:
    if not field.null:
        raise unsupported(field, "isnull", " It is never null: declare it null=True.")
    is_wanted = truth(field, "isnull", wanted)
    return _null(field, partitions) if is_wanted else _not_null(field, partitions)


def _not_equal(field: Ordered, value: Any, partitions: Sequence[str]) -> Operand:
    if value is None:
        return _not_null(field, partitions)
    equal = _equal(field, value, partitions)
    return Operand(
        negated(equal.node) if equal.exact else EVERYTHING,
        lambda view: not equal.test(view),
        equal.exact,
        equal.needs,
    )


#: Stored bytes that null has; None: there are none.
_OF_NULL = frozenset({None, NIL})


def _null(field: Ordered, partitions: Sequence[str]) -> Operand:
    name = field.name

    def test(view: View) -> bool:
        return view.value(name) is None

    node = negated(any_of([ScoreRange(key) for key in partitions]))
    if field.make_default() is not None:
        # Without an entry are those, too, that were stored before there was the field.
        node = all_of([node, StoredBytes(name, (NIL,))])
    shown = ((name, _OF_NULL.__contains__, test),)
    return Operand(node, test, True, frozenset({name}), shown=shown)


def _not_null(field: Ordered, partitions: Sequence[str]) -> Operand:
    null = _null(field, partitions)

    def test(view: View) -> bool:
        return not null.test(view)

    def shows(raw: Any) -> bool:
        return raw not in _OF_NULL

    shown = ((field.name, shows, test),)
    return Operand(negated(null.node), test, True, null.needs, shown=shown)


def _equal(field: Ordered, value: Any, partitions: Sequence[str]) -> Operand:
    if value is None:
        return _null(field, partitions)
    name = field.name
    if field.type is int and not isinstance(value, int):
        # A fraction, which is a bound of integers, and equals none.
        return Operand(NOTHING, lambda view: False, needs=frozenset({name}))
    score = _score_text(field.score(value))
    wanted = compare_key(value)

    def test(view: View) -> bool:
        stored = view.value(name)
        return stored is not None and compare_key(field.canonical(stored)) == wanted

    node = any_of([ScoreRange(key, score, score) for key in partitions])
    exact = field.is_exact(value)
    shown = shown_equal(field, (value,), test) if exact else ()
    return Operand(node, test, exact, frozenset({name}), shown=shown)


def _bound(field: Ordered, lookup: str, value: Any, partitions: Sequence[str]) -> Operand:
    exact = field.is_exact(value)
    score = _score_text(field.score(value))
    # Where doubles are too coarse, take the neighbours too and compare again.
    edge = f"({score}" if exact and lookup in ("gt", "lt") else score
    low, high = (edge, "+inf") if lookup in ("gt", "gte") else ("-inf", edge)
    wanted = compare_key(value)
    compare = _COMPARISONS[lookup]
    name = field.name

    def test(view: View) -> bool:
        stored = view.value(name)
        return stored is not None and compare(compare_key(field.canonical(stored)), wanted)

    node = any_of([ScoreRange(key, low, high) for key in partitions])
    return Operand(node, test, exact, frozenset({name}))


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda stored, wanted: stored > wanted,
    "gte": lambda stored, wanted: stored >= wanted,
    "lt": lambda stored, wanted: stored < wanted,
    "lte": lambda stored, wanted: stored <= wanted,
}


def _score_text(score: float) -> str:
    if isinstance(score, float):
        if math.isinf(score):
            return "+inf" if score > 0 else "-inf"
        return repr(score)
    return str(score)


def _children(node: Node) -> Sequence[Node]:
    return node.children if isinstance(node, AllOf) else (node,)


def _tightest(key: str, ranges: Sequence[ScoreRange]) -> Node:
    """The one range that all of these ranges of one sorted set amount to."""

    def edge(text: str) -> tuple[float, bool]:
        exclusive = text.startswith("(")
        number = text.removeprefix("(")
        return float(number), exclusive

    low = max((edge(each.low) for each in ranges), key=lambda pair: (pair[0], pair[1]))
    high = min((edge(each.high) for each in ranges), key=lambda pair: (pair[0], not pair[1]))
    lows = {edge(each.low): each.low for each in ranges}
    highs = {edge(each.high): each.high for each in ranges}
    if low[0] > high[0]:
        return NOTHING
    return ScoreRange(key, lows[low], highs[high])
