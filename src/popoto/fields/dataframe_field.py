"""`DataFrameField`: a pandas DataFrame in a record."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from popoto.fields.dataframes.codec import frame_codec, require_pandas
from popoto.fields.field import Field
from popoto.fields.unindexed_field_mixin import UnindexedFieldMixin

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    # The class can be imported, and models with other fields made, without pandas.
    DataFrame = Any

__all__ = ["DataFrameField"]


class DataFrameField(UnindexedFieldMixin[DataFrame], Field[DataFrame]):
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
    values_are = "a DataFrame"
    has_no_lookups = "is a DataFrame and has no lookups"
    instead = ", or filter the frames of the results"

    def __init__(self, **options: Any) -> None:
        pandas: Any = require_pandas()
        options["type"] = pandas.DataFrame
        options.setdefault("default", pandas.DataFrame())
        super().__init__(**options)

    def in_json(self, value: Any) -> Any:
        if value is None:
            return None
        return json.loads(value.to_json(orient="split", date_format="iso"))

    def codec(self) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
        return frame_codec()
