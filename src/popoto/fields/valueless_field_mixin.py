"""Fields that have no value: what they keep follows from something else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from popoto.engine.codec import NIL, EncodeError, Stored
from popoto.fields.type_variables import MixedIn
from popoto.fields.unindexed_field_mixin import UnindexedFieldMixin


class ValuelessFieldMixin(UnindexedFieldMixin[MixedIn]):
    """The value is always None, and stored as such."""

    has_no_lookups = "keeps no values and has no lookups"
    #: From what follows what it keeps, for messages.
    follows_from: ClassVar[str]
    takes_no_type: ClassVar[bool] = True
    takes_no_default: ClassVar[str] = "it keeps no values"

    @property
    def is_orderable(self) -> bool:
        return False

    @property
    def _takes_no_value(self) -> str:
        return f"it takes no value: what it keeps follows from {self.follows_from}"

    def codec(self) -> tuple[Callable[[Any], Stored], Callable[[Any], Any]]:
        return self._encoded, lambda _: None

    def _encoded(self, value: Any) -> bytes:
        if value is not None:
            raise EncodeError(self._takes_no_value)
        return NIL

    def problem(self, value: Any, *, null_check: bool = True) -> str | None:
        return None if value is None else self._takes_no_value
