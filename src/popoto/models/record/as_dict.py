"""Records as plain dicts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from popoto._unknown_names import is_strict, slip_of, tell
from popoto.exceptions import ModelException
from popoto.fields.capped_list import is_capped
from popoto.fields.field import Field
from popoto.fields.given import is_several
from popoto.fields.in_json import NotInJSON
from popoto.models.record.record import Record


def to_dict(
    instance: Record,
    include: Iterable[str] | None,
    exclude: Iterable[str] | None,
    relationships: bool,
    max_depth: int | None,
    path: frozenset[str] = frozenset(),
    *,
    in_json: bool = False,
) -> dict[str, Any]:
    """See `Model.to_dict`; `path` holds the keys of the records above this one."""
    options = instance._meta
    wanted = None if include is None else _names(instance, "include", include)
    unwanted = _names(instance, "exclude", exclude or ())
    path = path | {instance.pk}
    found: dict[str, Any] = {}
    for name, field in options.explicit_fields.items():
        if name in unwanted or (wanted is not None and name not in wanted):
            continue
        if field.is_reference:
            found[name] = _reference(instance, field, relationships, max_depth, path, in_json)
        else:
            value = getattr(instance, name)
            if in_json:
                value = _in_json(field, value)
            found[name] = list(value) if is_capped(value) else value
    return found


def _names(instance: Record, keyword: str, given: Iterable[str]) -> frozenset[str]:
    """The names that were given. What is none is left out, and told of if a field is meant."""
    options = instance._meta
    if not is_several(given):
        raise ModelException(
            f"{options.model_name}.to_dict({keyword}={given!r}): give a list of names"
        )
    # What is no text names no field, whether or not a set could hold it.
    names = frozenset(
        each.name if isinstance(each, Field) else each if isinstance(each, str) else str(each)
        for each in given
    )
    for name in sorted(names - options.by_name.keys(), key=str):
        meant = slip_of(str(name), options.by_name)
        if meant is not None:
            tell(
                f"{options.model_name}.to_dict({keyword}=…): there is no field {name!r}; did you "
                f"mean {meant!r}?",
                refuse=is_strict(options.strict),
            )
    return names


def _in_json(field: Field[Any], value: Any) -> Any:
    try:
        return field.in_json(value)
    except NotInJSON as error:
        raise ModelException(
            f"{field.label}: {error}; leave the field out, by to_dict(exclude=[{field.name!r}])"
        ) from error


def _reference(
    instance: Record,
    field: Field[Any],
    relationships: bool,
    max_depth: int | None,
    path: frozenset[str],
    in_json: bool,
) -> Any:
    key = field.referred_key(instance)
    if key is None or not relationships or key in path or max_depth == 0:
        return key
    target = field.referred_record(instance)
    if target is None:
        return key
    deeper = None if max_depth is None else max_depth - 1
    return to_dict(target, None, None, relationships, deeper, path, in_json=in_json)
