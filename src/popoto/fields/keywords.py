"""Keywords of a field whose values say nothing: wrong ones are refused, idle ones told of."""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from inspect import Parameter
from typing import Any, Final

from popoto import clock
from popoto._unknown_names import closest, is_strict, tell
from popoto.engine.plain import real_type
from popoto.exceptions import ModelException
from popoto.fields.describing import describe

#: Options from which more follows when a model is made, so that they stay as they are.
FIXED: Final = frozenset(
    {
        *("type", "key", "unique", "auto", "indexed", "sorted", "max_length", "partition_by"),
        *("on_delete", "related_name", "initial_confidence", "strategy", "auto_uuid_length"),
    }
)
#: Seconds within which a default that was worked out for a class is that of its definition.
_JUST_NOW: Final = 5.0
#: Fewer seconds than from 1970 to 2001 are a number, also where a test has set the clock back.
_SECONDS_OF_A_MOMENT: Final = 1e9


def check_keywords(field: Any, options: Mapping[str, Any]) -> None:
    """Refuse values that a keyword cannot have, and tell of keywords that do nothing here.

    `options` are those given by the caller. Raises ModelException, or UnknownNameError where
    what does nothing is refused.
    """
    kind = type(field).__name__
    for name, value in options.items():
        if isinstance(field.field_defaults.get(name), bool) and not _is_flag(value):
            raise ModelException(f"{kind}({name}={value!r}): {name} is True or False")
    if _is_now(options.get("default")):
        tell(
            f"{kind}(default={describe(options['default'])}) is the moment at which the class is "
            "made, the same for every record; give the function itself, such as "
            "default=datetime.now, or auto_now_add=True",
            refuse=is_strict(),
        )
    if "max_length" in options:
        _check_max_length(kind, field.max_length)
    for name, remedy in _idle(field, options):
        tell(
            f"{kind}({name}={describe(options[name])}) has no effect; {remedy}", refuse=is_strict()
        )


def tell_of_nature(field: Any, given: Mapping[str, Any]) -> None:
    """Tell of keywords that say otherwise than what a field is by its class.

    `given` are those of the caller. Raises UnknownNameError where what does nothing is refused.
    """
    for name, remedy in _against_nature(field, given):
        tell(
            f"{type(field).__name__}({name}={describe(given[name])}) has no effect; {remedy}",
            refuse=is_strict(),
        )


def _against_nature(field: Any, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    said = given.get("type")
    if said is not None and not hasattr(field, "value_type"):
        if field.takes_no_type and said is not float:
            yield "type", "it has no values of a type of yours"
        elif not _is_a(real_type(said), field.type):
            yield "type", f"its values are of type {field.type.__name__}; Field(type=…) takes any"
    if given.get("null") is False and hasattr(field, "follows_from"):
        yield "null", "it has no value that could be missing"
    if "indexed" in given and _is_indexed_anyway(field, given["indexed"]):
        yield "indexed", "it keeps the index that it needs by itself"
    if given.get("sorted") is False and "sorted" in field.registries:
        yield "sorted", "a field without an order is an IndexedField, or a plain Field"
    for name in ("auto_now", "auto_now_add"):
        if given.get(name) is not None and not field.takes_auto_now:
            yield name, "every save sets it to the moment of the save (but skip_auto_now=True)"


def _is_a(said: Any, kind: type[Any]) -> bool:
    """Whether a field of this kind has values of the type that was said, or of one under it."""
    if said is kind or not isinstance(said, type):
        return said is kind
    # A bool is no number here, and a date keeps no time of day.
    return issubclass(said, kind) and said not in (bool, datetime.datetime)


def _is_indexed_anyway(field: Any, wanted: Any) -> bool:
    is_so_by_class = field.field_defaults.get("key") or field.field_defaults.get("unique")
    return field.keeps_own_index or (wanted is False and bool(is_so_by_class) and not field.auto)


def check_given(kind: type[Any], given: Sequence[Any]) -> None:
    """Refuse values without a keyword where the constructor takes none so. Raises TypeError."""
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    by_place = (
        Parameter.POSITIONAL_ONLY,
        Parameter.POSITIONAL_OR_KEYWORD,
        Parameter.VAR_POSITIONAL,
    )
    if any(each.kind in by_place for each in parameters):
        return
    value = given[0]
    if isinstance(value, type):
        keyword = f"type={value.__name__}"
    else:
        has_length = getattr(kind, "value_type", None) in (str, list)
        is_length = has_length and isinstance(value, int) and not isinstance(value, bool)
        keyword = f"{'max_length' if is_length else 'default'}={describe(value)}"
    raise TypeError(
        f"{kind.__name__} takes its options by keyword, as {kind.__name__}({keyword}), got "
        f"{describe(value)} without one"
    )


def unknown_source(label: str, source: str, model: Any) -> str:
    """What is to be said of a `source` that a model does not have."""
    hint = closest(source, model._meta.by_name, "fields")
    return f"{label}: its source {source!r} is no field of the model, so nothing is indexed; {hint}"


def _is_now(default: object) -> bool:
    """Whether a default is the present moment: a function that was called, not given."""
    moments: list[float] = []
    if isinstance(default, datetime.datetime):
        with suppress(OverflowError, OSError, ValueError):
            moments = [default.timestamp(), default.replace(tzinfo=datetime.UTC).timestamp()]
    elif isinstance(default, float) and default > _SECONDS_OF_A_MOMENT:
        moments = [default]
    return any(abs(moment - clock.now()) < _JUST_NOW for moment in moments)


def _is_flag(value: object) -> bool:
    return value is None or (isinstance(value, int) and value in (0, 1))


def _check_max_length(kind: str, given: object) -> None:
    if given is not None and (type(given) is not int or given < 1):
        raise ModelException(
            f"{kind}(max_length={given!r}): it is a number of characters, 1 or more; leave it out "
            "for no limit"
        )


def _idle(field: Any, options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The keywords that were given and do nothing in this field, each with a remedy."""
    if options.get("value") is not None:
        yield "value", "default=… is the value of a record that is given none"
    if options.get("auto") and not hasattr(field, "get_new_auto_key_value"):
        yield "auto", "AutoKeyField makes values of its own"
    if options.get("sorted") and "sorted" not in field.registries:
        yield "sorted", "SortedField keeps an order"
    if options.get("max_length") is not None and field.limits_nothing:
        yield "max_length", f"it limits texts, and values are of type {field.type.__name__}"
    if options.get("default") is not None and field.takes_no_default:
        yield "default", field.takes_no_default
