"""Indexed fields: a set of records per value, outside the record key."""

from __future__ import annotations

from typing import Any, ClassVar

from popoto.fields.field import Field
from popoto.fields.key_field_mixin import VALID_KEYFIELD_TYPES
from popoto.fields.type_variables import MixedIn


class IndexedFieldMixin(Field[MixedIn]):
    """Keeps a set of record keys for every value.

    Lists, dicts, sets, tuples and bytes have no one text to stand under and are
    refused when the field is declared.
    """

    option_defaults: ClassVar[dict[str, Any]] = {"indexed": True}
    is_pointed_to: ClassVar[bool] = True
    valid_types: ClassVar[frozenset[type] | None] = VALID_KEYFIELD_TYPES

    @property
    def registries(self) -> frozenset[str]:
        return super().registries | {"indexed"}
