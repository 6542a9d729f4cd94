"""What callers hand over: numbers of results, lists of records, and pairs. Told of before use."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, Final, TypeGuard, cast

from popoto.engine.plain import unwrapped
from popoto.fields.describing import describe

__all__ = [
    "MOST_RESULTS",
    "dict_in",
    "field_named",
    "flag_in",
    "is_mapping",
    "is_several",
    "model_in",
    "number_in",
    "pairs_in",
    "parts_of",
    "record_in",
    "records_in",
    "results_wanted",
    "texts_in",
]

#: More results than any server holds; beyond it numbers are no places of an index any more.
MOST_RESULTS: Final = 2**53


def results_wanted(limit: Any) -> int:
    """How many results are asked for. Raises TypeError for what is no int."""
    if isinstance(limit, bool) or not isinstance(limit, Integral):
        raise TypeError(f"limit must be an int, got {describe(limit)}")
    return min(int(limit), MOST_RESULTS)


def flag_in(given: Any, what: str) -> bool:
    """True or False; 1, 0 and None will do. Raises TypeError for anything else, such as "no"."""
    found = unwrapped(given)
    if found is not None and not (isinstance(found, int) and found in (0, 1)):
        raise TypeError(f"{what} is True or False, got {describe(given)}")
    return bool(found)


def number_in(given: Any, name: str, *, infinite: bool = False) -> float:
    """A number that is called so. Raises TypeError for what is none, ValueError unless finite."""
    if isinstance(given, bool) or not isinstance(given, (Real, Decimal)):
        raise TypeError(f"{name} must be a number, got {describe(given)}")
    number = float(given)
    if math.isnan(number) or (math.isinf(number) and not infinite):
        raise ValueError(f"{name} must be finite, got {describe(given)}")
    return number


def record_in(given: Any, what: str) -> Any:
    """A record. Raises TypeError for anything else, such as its key or its model."""
    if not _is_record(given):
        raise TypeError(f"{what} takes a record, got {describe(given)}: load it first")
    return given


def model_in(given: Any, what: str) -> Any:
    """A model, or a record of it. Raises TypeError for anything else."""
    if not hasattr(given, "_meta"):
        raise TypeError(f"{what} takes a model, got {describe(given)}")
    return given


def records_in(given: Any, what: str) -> list[Any]:
    """The records of a list or another iterable.

    Raises TypeError for what cannot be gone through, for a record by itself (which gives its
    fields) and for items that are no records.
    """
    if not is_several(given) or _is_record(given):
        raise TypeError(f"{what} takes a list of records, got {describe(given)}")
    records = list(given)
    for place, each in enumerate(records):
        if not _is_record(each):
            raise TypeError(
                f"{what} takes a list of records, and item {place} is none: {describe(each)}"
            )
    return records


def field_named(options: Any, name: object) -> Any:
    """The field of a model that a caller names; None where it has none, whatever the name is."""
    return options.by_name.get(name) if isinstance(name, str) else None


def pairs_in(given: Any, what: str, pair: str) -> list[tuple[Any, Any]]:
    """The pairs of a list or another iterable. Raises TypeError for what is none of such."""
    if not is_several(given) or _is_record(given) or is_mapping(given):
        raise TypeError(f"{what} takes a list of pairs ({pair}), got {describe(given)}")
    pairs: list[tuple[Any, Any]] = []
    for place, each in enumerate(given):
        parts = parts_of(each)
        if len(parts) != 2:
            raise TypeError(
                f"{what} takes a list of pairs ({pair}), and item {place} is none: {describe(each)}"
            )
        pairs.append((parts[0], parts[1]))
    return pairs


def texts_in(given: Any, what: str) -> list[str]:
    """The texts of a list or another iterable; one by itself is one. None holds none.

    Raises TypeError for what cannot be gone through, and for items that are no texts.
    """
    if given is None:
        return []
    if isinstance(given, str):
        return [given]
    if not is_several(given) or is_mapping(given):
        raise TypeError(f"{what} must be a list of texts, got {describe(given)}")
    texts: list[str] = list(given)
    for place, each in enumerate(texts):
        if not isinstance(each, str):
            raise TypeError(
                f"{what} must be a list of texts, and item {place} is none: {describe(each)}"
            )
    return texts


def dict_in(given: Any, what: str) -> dict[str, Any]:
    """What is given by name; nothing for None. Raises TypeError for anything but a mapping."""
    if given is not None and not is_mapping(given):
        raise TypeError(f"{what} must be a dict, got {describe(given)}")
    return dict(given or {})


def is_text(given: object) -> bool:
    """Whether something is text, as names are, whatever its annotation says."""
    return isinstance(given, str)


def is_several(given: object) -> TypeGuard[Iterable[Any]]:
    """Whether something can be gone through, and is no text."""
    return isinstance(given, Iterable) and not isinstance(given, (str, bytes))


def is_mapping(given: object) -> bool:
    """Whether something has values by name; of which types, nobody knows."""
    return isinstance(given, Mapping)


def _is_record(given: object) -> bool:
    return hasattr(given, "_meta") and not isinstance(given, type)


def parts_of(given: object) -> Sequence[Any]:
    """What a tuple or list holds; nothing, if it is none."""
    return cast("Sequence[Any]", given) if isinstance(given, (tuple, list)) else ()
