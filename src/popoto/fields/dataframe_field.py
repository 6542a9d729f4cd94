"""`DataFrameField`: a pandas DataFrame in a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from popoto.exceptions import ModelException, QueryException
from popoto.fields.asking.operands import Conditions, Operand, Scope
from popoto.fields.dataframe_codec import frame_codec, require_pandas
from popoto.fields.field import Field

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    # The class can be imported, and models with other fields made, without pandas.
    DataFrame = Any

__all__ = ["DataFrameField"]


class DataFrameField(Field[DataFrame]):
    """A pandas DataFrame, with its dtypes, index, labels and the order of its columns.

    Needs pandas 1.5 or later (``pip install 'popoto[dataframe]'``); constructing one without
    it raises ImportError. The default is an empty frame, a new one for each record.
    Numbers, text, dates with and without zone, durations, periods, intervals, categories,
    nullable types and objects that other fields can store are kept; a save of other dtypes
    (sparse, Arrow) raises ValidationError. The whole frame is written when any of it changed.

    There are no lookups: a condition on the field raises QueryException.
    """

    option_defaults: ClassVar[dict[str, Any]] = {"null": True}
    valid_types = None

    def __init__(self, **options: Any) -> None:
        pandas: Any = require_pandas()
        options["type"] = pandas.DataFrame
        options.setdefault("default", pandas.DataFrame())
        super().__init__(**options)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        for name in ("indexed", "unique", "key", "sorted"):
            if options.get(name):
                raise ModelException(
                    f"DataFrameField({name}=True): a DataFrame cannot be indexed; keep what you "
                    "look for in a field of its own"
                )

    def codec(self) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
        return frame_codec()

    @property
    def lookup_names(self) -> tuple[str, ...]:
        return ()

    def coerce_operand(self, lookup: str, value: Any) -> Any:
        raise self._no_lookups()

    def operand(self, conditions: Conditions, scope: Scope) -> Operand:
        raise self._no_lookups()

    def _no_lookups(self) -> QueryException:
        return QueryException(
            f"{self.label} is a DataFrame and has no lookups; keep what you look for in a field "
            "of its own, or filter the frames of the results"
        )
