"""Key fields: together they are the identity of a record."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any, ClassVar

from popoto.fields.adapting import ADAPTED_TYPES
from popoto.fields.field import Field
from popoto.fields.type_variables import MixedIn

VALID_KEYFIELD_TYPES: frozenset[type] = frozenset(
    {int, float, Decimal, str, bool, datetime.date, datetime.datetime, datetime.time}
    | ADAPTED_TYPES
)


class KeyFieldMixin(Field[MixedIn]):
    """Makes a field part of the record key, with a set of records per value.

    Key values are joined in alphabetical order of their field names.
    """

    option_defaults: ClassVar[dict[str, Any]] = {"key": True}
    valid_types: ClassVar[frozenset[type] | None] = VALID_KEYFIELD_TYPES

    @property
    def keeps_value_sets(self) -> bool:
        return True
