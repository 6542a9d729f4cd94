"""Names of fields: which ones there can be, and which ones there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from popoto.exceptions import ModelException
from popoto.fields.describing import describe
from popoto.fields.field import Field
from popoto.fields.given import is_several, is_text

#: Keywords of our own in calls that take fields by keyword; tests hold this to all signatures.
RESERVED_NAMES = frozenset(
    {
        # asking
        "db_key",
        "limit",
        "order_by",
        "redis_key",
        "values",
        # creating
        "defaults",
        "overwrite",
        "pipeline",
        # many records at once
        "batch_size",
        "queryset_or_instances",
        "redis_keys",
        # what Python binds methods by
        "cls",
        "self",
    }
)


def check_field_name(model_name: str, name: str) -> None:
    """Raise ModelException for a name that no field can have."""
    if name in RESERVED_NAMES:
        raise ModelException(
            f"{model_name}.{name}: {name!r} is reserved: queries, or calls that take fields by "
            "keyword, have a keyword of that name; rename the field"
        )
    if not (name.startswith("_") or name[:1].islower()):
        raise ModelException(
            f"{model_name}.{name}: a field name must start with a lowercase letter or _"
        )
    # Python names a private attribute _Model__name, which asks for nothing in a query.
    if "__" in name and not name.startswith("_"):
        raise ModelException(
            f"{model_name}.{name}: a field name must not contain two underscores in a row; "
            "they separate a field from a lookup"
        )


def check_parameters(model_name: str, fields: Mapping[str, Field[Any]]) -> None:
    """Raise ModelException for a field that is named like a query keyword of another one."""
    for name, field in fields.items():
        for other in (field.get_filter_query_params(name) & fields.keys()) - {name}:
            raise ModelException(
                f"{model_name}.{other}: {other!r} is reserved: it is a query keyword of the field "
                f"{name!r} ({type(field).__name__}); rename one of them"
            )


def known_names(
    fields: Mapping[str, Field[Any]], names: Iterable[str], model_name: str, call: str, keyword: str
) -> list[str]:
    """Names of fields, each once. Raises ModelException for unknown ones, and for a single text."""
    if not is_several(names):
        raise ModelException(
            f"{model_name}.{call}({keyword}={describe(names)}): give a list of names"
        )
    given = list(names)
    for name in given:
        known_field(fields, name, f"{model_name}.{call}({keyword}=…)")
    return list(dict.fromkeys(given))


def known_field(fields: Mapping[str, Field[Any]], name: str, where: str) -> Field[Any]:
    """The field of that name. Raises ModelException, which says `where` it was asked for."""
    field = fields.get(name) if is_text(name) else None
    if field is None:
        expiry = ". An expiry is a record's own: save(ttl=…), save(expire_at=…), renew_ttl()"
        hint = expiry if name in ("ttl", "expire_at") else ""
        raise ModelException(
            f"{where}: Unknown field {describe(name)}; fields are {', '.join(fields)}{hint}"
        )
    return field
