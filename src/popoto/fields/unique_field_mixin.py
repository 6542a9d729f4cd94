"""Unique fields: no two live records share a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from popoto.exceptions import ModelException
from popoto.fields.field import Field
from popoto.fields.type_variables import MixedIn


class UniqueFieldMixin(Field[MixedIn]):
    """Forces ``unique=True``. The server decides, in the same step as the write."""

    option_defaults: ClassVar[dict[str, Any]] = {"unique": True}

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        if not self.unique:
            raise ModelException(
                f"{type(self).__name__} is unique by definition: leave out unique=False, or use "
                "an IndexedField or KeyField"
            )


class NeverNullMixin(Field[MixedIn]):
    """Forces ``null=False``."""

    option_defaults: ClassVar[dict[str, Any]] = {"null": False}

    @property
    def never_null(self) -> str:
        if self.key:
            return "its value tells its record from all others"
        return (
            "several records could be null, and then would not be unique. "
            "StringField(unique=True), or a typed field of another type, lets any number be null"
        )
