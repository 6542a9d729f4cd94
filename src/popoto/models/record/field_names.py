"""Names of fields: which ones there can be, and which ones there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from popoto.exceptions import ModelException
from popoto.fields.field import Field

RESERVED_NAMES = frozenset({"limit", "order_by", "values"})


def check_field_name(model_name: str, name: str) -> None:
    """Raise ModelException for a name that no field can have."""
    if name in RESERVED_NAMES:
        raise ModelException(f"{model_name}.{name}: {name!r} is reserved for queries; rename it")
    if not (name.startswith("_") or name[:1].islower()):
        raise ModelException(
            f"{model_name}.{name}: a field name must start with a lowercase letter or _"
        )
    if "__" in name:
        raise ModelException(
            f"{model_name}.{name}: a field name must not contain two underscores in a row; "
            "they separate a field from a lookup"
        )


def known_field(fields: Mapping[str, Field[Any]], name: str, where: str) -> Field[Any]:
    """The field of that name. Raises ModelException, which says `where` it was asked for."""
    field = fields.get(name)
    if field is None:
        raise ModelException(f"{where}: Unknown field {name!r}; fields are {', '.join(fields)}")
    return field
