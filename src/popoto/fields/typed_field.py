"""Fields whose class decides the type of their values."""

from __future__ import annotations

from typing import Any, ClassVar

from popoto._unknown_names import warn_caller
from popoto.fields.describing import describe as described
from popoto.fields.field import Field
from popoto.fields.type_variables import Value


class TypedField(Field[Value]):
    """A field whose class decides the type of its values."""

    value_type: ClassVar[type] = str

    def __init__(self, **options: Any) -> None:
        given: object = options.get("type")
        if given is not None and given is not self.value_type:
            warn_caller(
                f"{type(self).__name__}(type={described(given)}) has no effect: its values are of "
                f"type {self.value_type.__name__}; Field(type=…) takes any"
            )
        options["type"] = self.value_type
        super().__init__(**options)

    def takes_type(self, wanted: type) -> bool:
        return wanted is self.value_type
