"""What a condition becomes: a node for the server, and a test for Python.

The node never misses a record that matches. Where it may find more (`exact` is
False), the planner reads the fields named in `needs` and applies `test`.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from popoto.engine.request import Plan
from popoto.engine.tree import Node

#: Conditions of one field within one conjunction: (lookup, operand), lookup "" = equality.
Conditions: TypeAlias = Sequence[tuple[str, Any]]
#: A look at stored bytes; it may say no of bytes that match in another form.
Shows: TypeAlias = Callable[[Any], bool]


class Askable(Protocol):
    """A field as far as lookups need it."""

    name: str
    model_name: str
    type: builtins.type[Any]
    value_set_prefix: str

    @property
    def label(self) -> str:
        """Model and field, for messages."""
        ...

    @property
    def compared_type(self) -> builtins.type[Any]:
        """The type by which stored bytes tell equal values."""
        ...

    def canonical(self, value: Any) -> Any:
        """The value as it is stored and compared."""
        ...

    def spellings(self, value: Any) -> Sequence[str]:
        """Every text by which an equal value may stand in keys."""
        ...

    def make_default(self) -> Any:
        """The value of a record that lacks the field."""
        ...

    def coerce_operand(self, lookup: str, value: Any) -> Any:
        """An operand in the field's type. Raises QueryException."""
        ...

    def get_filter_query_params(self, field_name: str) -> set[str]:
        """The filter keywords that the field announces."""
        ...


class View(Protocol):
    """A stored record as far as a test needs it."""

    @property
    def key(self) -> str:
        """The record key."""
        ...

    def value(self, field_name: str) -> Any:
        """The decoded value of a field (its default where the record lacks it)."""
        ...


@dataclass(slots=True, frozen=True)
class Scope:
    """What is known throughout the conjunction that a condition stands in.

    `fixed` maps a field to the values that equality and ``in`` conditions leave it.
    """

    fixed: Mapping[str, Sequence[Any]] = field(default_factory=dict[str, Sequence[Any]])


@dataclass(slots=True)
class Operand:
    """One condition, compiled.

    `resolve`, where given, is a plan that asks the server first (related records,
    a user's own `filter_query`) and returns the operand to use.
    """

    node: Node
    test: Callable[[View], bool]
    exact: bool = True
    needs: frozenset[str] = frozenset()
    resolve: Callable[[], Plan[Operand]] | None = None
    #: sorted set whose order the results have by default, if this condition sets one
    order_key: str | None = None
    order_field: str | None = None
    #: the operand's own words for explain()
    reason: str = ""
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    #: for each of some fields that have to match: whether its stored bytes show at once that they
    #: do, as they nearly always will; where they do not, a test of this field decides
    shown: tuple[tuple[str, Shows, Callable[[View], bool]], ...] = ()
