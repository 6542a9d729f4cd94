"""Conditions as users write them: `Q` trees and expressions on fields.

They are plain data; the query planner gives them their meaning. A `Q` may hold
keyword conditions, other `Q`s and expressions in any mixture.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, MappingView
from typing import Any, ClassVar, NoReturn, Self, TypeAlias, cast

AND = "AND"
OR = "OR"

Condition: TypeAlias = "Q | Expression | CombinedExpression"
#: What methods take as conditions. In the annotated style (``rating: float = SortedField()``)
#: checkers see ``Restaurant.rating > 4`` as bool; at run time a bool is refused.
Filter: TypeAlias = "Condition | bool"


def _cannot_be_tested(condition: object) -> NoReturn:
    raise TypeError(
        f"the truth of {condition!r} is unknown until a query runs: combine conditions with "
        "& and | and negate them with ~ instead of and, or, not"
    )


def _as_given(value: Any) -> Any:
    """An operand as it is now, since the query runs later, and perhaps twice.

    An iterator could be read once only, and what holds several values may hold others by then.
    """
    if isinstance(value, (Iterator, MappingView, deque, range)):
        return list(cast("Iterable[object]", value))
    return value.copy() if type(value) in _CHANGING else value


#: Types of operands that their owners change in place.
_CHANGING = frozenset({list, set, dict, bytearray})


def as_q(condition: object) -> Q:
    """Any condition as a `Q`. Raises TypeError for anything else."""
    if isinstance(condition, Q):
        return condition
    if isinstance(condition, (Expression, CombinedExpression)):
        return condition.to_q()
    raise TypeError(
        f"expected a Q object or an expression such as Model.field > 3, got {condition!r}"
    )


class Q:
    """Keyword conditions that can be combined with ``&``, ``|`` and ``~``.

    Keywords of one Q must all hold. `filters`, `connector` (``AND``/``OR``),
    `children` and `negated` describe the tree. One without any condition is neutral:
    ``Q() | a``, ``Q() & a`` and ``~Q() | a`` are ``a``, and alone it leaves out nothing.
    """

    AND: ClassVar[str] = AND
    OR: ClassVar[str] = OR

    #: the models on whose fields its expressions were written
    of_models: frozenset[str] = frozenset()

    def __init__(self, **filters: Any) -> None:
        self.filters: dict[str, Any] = {name: _as_given(value) for name, value in filters.items()}
        self.connector = AND
        self.children: list[Q] = []
        self.negated = False

    @classmethod
    def _join(cls, connector: str, left: Q, right: Q) -> Q:
        for side, other in ((left, right), (right, left)):
            if side.is_empty:
                return other._copy()
        joined = Q()
        joined.connector = connector
        joined.children = [left, right]
        if left.of_models or right.of_models:
            joined.of_models = left.of_models | right.of_models
        return joined

    @property
    def is_empty(self) -> bool:
        """Whether it holds no condition, so that it says nothing about any record."""
        return not self.filters and not self.children

    def _copy(self) -> Q:
        twin = Q(**self.filters)
        twin.connector = self.connector
        twin.children = list(self.children)
        twin.negated = self.negated
        if self.of_models:
            twin.of_models = self.of_models
        return twin

    def __and__(self, other: Filter) -> Q:
        return Q._join(AND, self, as_q(other))

    # On the left of these stands what is no condition of ours: for checkers, a bool.
    def __rand__(self, other: bool) -> Q:
        return Q._join(AND, as_q(other), self)

    def __or__(self, other: Filter) -> Q:
        return Q._join(OR, self, as_q(other))

    def __ror__(self, other: bool) -> Q:
        return Q._join(OR, as_q(other), self)

    def __bool__(self) -> bool:
        """False for one without conditions, as in Django: ``if q: query = query.filter(q)``.

        So ``Q(…) and Q(…)`` is the second one alone, as in Django: join them by ``&``.
        """
        return not self.is_empty

    def __invert__(self) -> Q:
        inverted = self._copy()
        inverted.negated = not self.negated
        return inverted

    def __repr__(self) -> str:
        if self.children:
            text = f"({f' {self.connector} '.join(repr(child) for child in self.children)})"
        else:
            text = f"Q({', '.join(f'{name}={value!r}' for name, value in self.filters.items())})"
        return f"~{text}" if self.negated else text


class Expression:
    """A comparison written on a field: ``Restaurant.rating > 4``."""

    #: the model whose field that was; nothing where it was made by hand
    of_model: str = ""

    def __init__(self, field_name: str, operator: str, value: Any) -> None:
        self.field_name = field_name
        self.operator = operator
        self.value = value

    def to_kwargs(self) -> dict[str, Any]:
        """The same condition as a filter keyword."""
        suffix = "" if self.operator == "__eq" else self.operator
        return {f"{self.field_name}{suffix}": self.value}

    def to_q(self) -> Q:
        """The same condition as a `Q`."""
        q = Q(**self.to_kwargs())
        if self.of_model:
            q.of_models = frozenset((self.of_model,))
        return q

    def __and__(self, other: Filter) -> CombinedExpression:
        return CombinedExpression(self, _operand(other), AND)

    def __rand__(self, other: bool) -> CombinedExpression:
        return CombinedExpression(_operand(other), self, AND)

    def __or__(self, other: Filter) -> CombinedExpression:
        return CombinedExpression(self, _operand(other), OR)

    def __ror__(self, other: bool) -> CombinedExpression:
        return CombinedExpression(_operand(other), self, OR)

    def __invert__(self) -> Q:
        return ~self.to_q()

    def __bool__(self) -> NoReturn:  # noqa: PLE0304 - always raises
        _cannot_be_tested(self)

    def __repr__(self) -> str:
        return f"Expression({self.field_name}{self.operator}={self.value!r})"


class CombinedExpression:
    """Two conditions joined by ``&`` or ``|``."""

    def __init__(self, left: Condition, right: Condition, connector: str = AND) -> None:
        self.left = left
        self.right = right
        self.connector = connector

    def get_all_expressions(self) -> list[Expression]:
        """The expressions of both sides, from left to right."""
        found: list[Expression] = []
        for side in (self.left, self.right):
            if isinstance(side, Expression):
                found.append(side)
            elif isinstance(side, CombinedExpression):
                found.extend(side.get_all_expressions())
        return found

    def to_q(self) -> Q:
        """The same condition as a `Q`."""
        left, right = as_q(self.left), as_q(self.right)
        return left & right if self.connector == AND else left | right

    def __and__(self, other: Filter) -> Self:
        return type(self)(self, _operand(other), AND)

    def __rand__(self, other: bool) -> Self:
        return type(self)(_operand(other), self, AND)

    def __or__(self, other: Filter) -> Self:
        return type(self)(self, _operand(other), OR)

    def __ror__(self, other: bool) -> Self:
        return type(self)(_operand(other), self, OR)

    def __invert__(self) -> Q:
        return ~self.to_q()

    def __bool__(self) -> NoReturn:  # noqa: PLE0304 - always raises
        _cannot_be_tested(self)

    def __repr__(self) -> str:
        return f"({self.left!r} {self.connector} {self.right!r})"


def _operand(other: object) -> Condition:
    if isinstance(other, (Q, Expression, CombinedExpression)):
        return other
    as_q(other)
    raise AssertionError("as_q raises for anything that is not a condition")
