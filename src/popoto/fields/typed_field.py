"""Fields whose class decides the type of their values."""

from __future__ import annotations

from typing import Any, ClassVar

from popoto.fields.field import Field
from popoto.fields.type_variables import Value


class TypedField(Field[Value]):
    """A field whose class decides the type of its values."""

    value_type: ClassVar[type] = str

    def __init__(self, **options: Any) -> None:
        options["type"] = self.value_type
        super().__init__(**options)

    def takes_type(self, wanted: type) -> bool:
        return wanted is self.value_type
