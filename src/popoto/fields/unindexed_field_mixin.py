"""Fields that nothing is looked up by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from popoto.exceptions import ModelException, QueryException
from popoto.fields.asking.operands import Conditions, Operand, Scope
from popoto.fields.field import Field
from popoto.fields.type_variables import MixedIn

_ADVICE = "keep what you look for in a field of its own"


class UnindexedFieldMixin(Field[MixedIn]):
    """Refuses every index and every condition."""

    #: What a value is, for messages.
    values_are: ClassVar[str]
    #: Why there are no lookups, and what else helps.
    has_no_lookups: ClassVar[str] = "has no lookups"
    instead: ClassVar[str] = ""

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        for name in ("indexed", "unique", "key", "sorted"):
            if options.get(name):
                raise ModelException(
                    f"{type(self).__name__}({name}=True): {self.values_are} cannot be indexed; "
                    f"{_ADVICE}"
                )

    def check_model(
        self, fields: Mapping[str, Any], indexes: Sequence[tuple[tuple[str, ...], bool]]
    ) -> None:
        if any(self.name in names for names, _ in indexes):
            raise ModelException(
                f"{self.model_name}.Meta.indexes: {self.name!r} is {self.values_are}, which "
                f"cannot be indexed; {_ADVICE}"
            )

    @property
    def lookup_names(self) -> tuple[str, ...]:
        return ()

    def coerce_operand(self, lookup: str, value: Any) -> Any:
        raise self._no_lookups()

    def operand(self, conditions: Conditions, scope: Scope) -> Operand:
        raise self._no_lookups()

    def _no_lookups(self) -> QueryException:
        return QueryException(f"{self.label} {self.has_no_lookups}; {_ADVICE}{self.instead}")
