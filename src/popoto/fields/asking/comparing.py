"""What a field on the class does with operators: ``Restaurant.rating > 4`` is an expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, cast

from popoto._unknown_names import missing_attribute
from popoto.exceptions import QueryException
from popoto.fields.asking.conditions import Expression
from popoto.fields.type_variables import FitsAnyAnnotation, Value

#: What columns of SQLAlchemy, peewee and redis-om have, and what is written here.
_ELSEWHERE: Final = {
    **dict.fromkeys(("in_", "any_of"), "filter({}__in=[…])"),
    **dict.fromkeys(("not_in", "notin_"), "exclude({}__in=[…])"),
    **dict.fromkeys(("is_", "is_null", "isnull", "is_none"), "filter({}__isnull=True)"),
    **dict.fromkeys(("is_not", "isnot", "is_not_null"), "filter({}__isnull=False)"),
    **dict.fromkeys(("like", "ilike", "contains", "icontains"), "filter({}__contains='…')"),
    **dict.fromkeys(("startswith", "istartswith"), "filter({}__startswith='…')"),
    **dict.fromkeys(("endswith", "iendswith"), "filter({}__endswith='…')"),
    "asc": "order_by('{}')",
    "desc": "order_by('-{}')",
}


class Comparable(FitsAnyAnnotation, Generic[Value]):  # type: ignore[misc]  # Any, on purpose
    """Comparisons with a value are expressions.

    Two fields are compared as objects, which is what lists and dicts of fields need.
    """

    name: str
    model_name: str

    def _compare(self, operator: str, value: object) -> Expression:
        if not self.name:
            raise QueryException(
                f"this {type(self).__name__} belongs to no model yet, so it cannot be compared"
            )
        expression = Expression(self.name, operator, value)
        expression.of_model = self.model_name
        return expression

    # Unlike object's, these two are conditions.
    def __eq__(self, other: object) -> Expression:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        if isinstance(other, Comparable):
            return cast("Expression", self is other)
        return self._compare("__eq", other)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        if isinstance(other, Comparable):
            return cast("Expression", self is not other)
        return self._compare("__ne", other)

    def __gt__(self, other: Value) -> Expression:
        return NotImplemented if isinstance(other, Comparable) else self._compare("__gt", other)

    def __lt__(self, other: Value) -> Expression:
        return NotImplemented if isinstance(other, Comparable) else self._compare("__lt", other)

    def __ge__(self, other: Value) -> Expression:
        return NotImplemented if isinstance(other, Comparable) else self._compare("__gte", other)

    def __le__(self, other: Value) -> Expression:
        return NotImplemented if isinstance(other, Comparable) else self._compare("__lte", other)

    __hash__ = object.__hash__

    if not TYPE_CHECKING:
        # Type checkers go on to refuse what is not there.

        def __getattr__(self, name):
            """Methods that columns have elsewhere are told what to write here."""
            written = _ELSEWHERE.get(name)
            remedy = f"here it is {written.format(self.name or 'field')}" if written else ""
            raise missing_attribute(self, name, remedy)

        def __neg__(self):
            raise TypeError(f"an order is told by name: order_by('-{self.name}')")

    def between(self, low: Value, high: Value) -> Expression:
        """Values from `low` to `high`, both included."""
        return self._compare("__between", (low, high))
