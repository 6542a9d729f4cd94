"""What lookups of all kinds share: their operands, their errors, and equality of values.

A lookup turns an operand into an `Operand`: a node for the server and a test for
Python that says the same of one record.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

from popoto.engine.codec import equal_encodings
from popoto.engine.tree import all_of
from popoto.exceptions import QueryException
from popoto.fields.asking.operands import Askable, Operand, Shows, View
from popoto.fields.describing import describe

Test = Callable[[View], bool]

#: Lookups that need an order.
RANGES = frozenset({"gt", "gte", "lt", "lte", "between"})


# Operands ------------------------------------------------------------------------


def truth(field: Askable, lookup: str, operand: Any) -> bool:
    """The operand of ``__isnull``. Raises QueryException unless it is True or False."""
    if operand is True or operand is False:
        return operand
    raise QueryException(
        f"{field.label}: {field.name}__{lookup} takes True or False, got {describe(operand)}"
    )


def several(field: Askable, lookup: str, operand: Any) -> list[Any]:
    """The operand of ``__in`` as a list of coerced values. Raises QueryException."""
    if isinstance(operand, (str, bytes, Mapping)) or not isinstance(operand, Iterable):
        raise QueryException(
            f"{field.label}: {field.name}__{lookup} takes several values: pass a list, tuple or "
            f"set, not {describe(cast('object', operand))}"
        )
    members = cast("Iterable[object]", operand)
    return [field.coerce_operand(lookup, member) for member in members]


def text(field: Askable, lookup: str, operand: Any) -> str:
    """The operand of a text lookup. Raises QueryException unless it is text."""
    if isinstance(operand, str):
        return storable(field, operand)
    raise QueryException(
        f"{field.label}: {field.name}__{lookup} takes a str, got "
        f"{type(operand).__name__} {describe(operand)}"
    )


def storable(field: Askable, operand: str) -> str:
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


def unsupported(field: Askable, lookup: str, hint: str = "") -> QueryException:
    """The error for a lookup that the field does not have."""
    known = sorted(field.get_filter_query_params(field.name) | {field.name})
    asked = f"{field.name}__{lookup}"
    if asked in known:
        return QueryException(
            f"{field.label} ({type(field).__name__}) announces the lookup {asked} and has no "
            "filter_query that answers it: that is not allowed on base Field"
        )
    close = difflib.get_close_matches(asked, known, n=1)
    nearest = f" Did you mean {close[0]!r}?" if close else ""
    return QueryException(
        f"{field.label} ({type(field).__name__}) does not support the lookup {asked}; "
        f"it supports {', '.join(known)}.{nearest}{hint}"
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


def equals(field: Askable, value: Any) -> Test:
    """The test for equality with a value."""
    name = field.name
    wanted = field.canonical(value)
    return lambda view: same_value(field.canonical(view.value(name)), wanted)


def shown_equal(
    field: Askable, values: Iterable[Any], test: Test
) -> tuple[tuple[str, Shows, Test], ...]:
    """How stored bytes show one of these values, for types whose forms are few."""
    if field.type not in _SHOWN:
        return ()
    forms: set[bytes] = set()
    for value in values:
        equal = equal_encodings(field.type, value)
        if equal is None:
            return ()
        forms.update(equal)
    return ((field.name, frozenset(forms).__contains__, test),)


_SHOWN: Final = (str, int, float, bool)


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
        shown=tuple(look for operand in operands for look in operand.shown),
    )
