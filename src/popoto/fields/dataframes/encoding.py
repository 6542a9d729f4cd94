"""DataFrames to stored bytes."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, cast

from popoto._unknown_names import warn_caller
from popoto.engine.codec import NIL, EncodeError
from popoto.engine.tagging import PAYLOAD, Map, pack, tree_of
from popoto.fields.dataframes.forms import (
    EXACT,
    MOMENT,
    NOT_A_FRAME,
    NULLABLE,
    NUMBERS,
    TAG,
    ZONE_NAME,
)
from popoto.fields.describing import describe

if TYPE_CHECKING:
    from pandas import DataFrame

_MILLISECONDS = {"s": (1000, 1), "ms": (1, 1), "us": (1, 1000), "ns": (1, 1_000_000)}


class Encoder:
    """Frames to bytes."""

    def __init__(self, pandas: Any, numpy: Any) -> None:
        self.pandas = pandas
        self.numpy = numpy

    def encode(self, frame: DataFrame | None) -> bytes:
        if frame is None:
            return NIL
        if not isinstance(frame, self.pandas.DataFrame):
            raise EncodeError(f"expected DataFrame, got {type(frame).__name__}")
        if frame.attrs:
            warn_caller(
                f"the attrs of a DataFrame are not stored, {describe(frame.attrs)} neither; keep "
                "them in a field of their own"
            )
        exact = {
            "index": self._labels(frame.index, "the index"),
            "columns": self._labels(frame.columns, "the columns' labels"),
            "data": [
                self._array(frame.iloc[:, position].array, f"column {label!r}")
                for position, label in enumerate(frame.columns)
            ],
        }
        return pack({TAG: True, PAYLOAD: self._json(frame), EXACT: exact})

    # What is exact -------------------------------------------------------------------

    def _labels(self, index: Any, where: str) -> Map:
        pandas = self.pandas
        tree: Map = {"names": tree_of(list(index.names))}
        if isinstance(index, pandas.RangeIndex):
            tree["range"] = [int(index.start), int(index.stop), int(index.step)]
        elif isinstance(index, pandas.MultiIndex):
            tree["levels"] = [self._labels(level, where) for level in index.levels]
            tree["codes"] = [self._numbers(self.numpy.asarray(codes)) for codes in index.codes]
        else:
            tree["values"] = self._array(index.array, where)
            if isinstance(index, pandas.DatetimeIndex | pandas.TimedeltaIndex):
                tree["freq"] = index.freqstr
        return tree

    def _array(self, array: Any, where: str) -> Map:  # noqa: PLR0911  # one for each kind of array
        pandas, dtype = self.pandas, array.dtype
        name = str(getattr(dtype, "name", dtype))
        if name in NULLABLE and isinstance(array, pandas.api.extensions.ExtensionArray):
            return self._nullable(array, name)
        plain = getattr(dtype, "numpy_dtype", dtype)
        if isinstance(plain, self.numpy.dtype):
            name = plain.name
            if name in NUMBERS:
                return self._numbers(self.numpy.asarray(array))
            if MOMENT.fullmatch(name):
                return {"dtype": name, "bytes": self._integers(array.asi8)}
            if name == "object":
                return self._objects(array, where)
        elif isinstance(dtype, pandas.StringDtype):
            missing = pandas.isna(array)
            items = [None if gone else str(each) for each, gone in zip(array, missing, strict=True)]
            # The text type of pandas 3 knows NaN, the older one knows NA.
            return {"dtype": "string" if dtype.na_value is pandas.NA else "str", "items": items}
        elif isinstance(dtype, pandas.DatetimeTZDtype):
            zone = _zone_tree(dtype.tz, where)
            return {
                "dtype": f"datetime64[{dtype.unit}]",
                "bytes": self._integers(array.asi8),
            } | zone
        elif isinstance(dtype, pandas.PeriodDtype):
            frequency = name.removeprefix("period[").removesuffix("]")
            return {"dtype": "period", "freq": frequency, "bytes": self._integers(array.asi8)}
        elif isinstance(dtype, pandas.CategoricalDtype):
            return {
                "dtype": "category",
                "codes": self._numbers(self.numpy.asarray(array.codes)),
                "categories": self._labels(array.categories, where),
                "ordered": bool(array.ordered),
            }
        elif isinstance(dtype, pandas.IntervalDtype):
            left, right = (self._labels(side, where) for side in (array.left, array.right))
            return {"dtype": "interval", "left": left, "right": right, "closed": array.closed}
        raise EncodeError(
            f"{where} has the dtype {dtype}, which has no stored form; convert it with astype()"
        )

    def _numbers(self, array: Any) -> Map:
        name = array.dtype.name
        kind = NUMBERS[name]
        return {"dtype": name, "bytes": self.numpy.ascontiguousarray(array, dtype=kind).tobytes()}

    def _integers(self, array: Any) -> bytes:
        found: bytes = self.numpy.ascontiguousarray(array, dtype="<i8").tobytes()
        return found

    def _nullable(self, array: Any, name: str) -> Map:
        missing = self.numpy.asarray(array.isna(), dtype="|b1")
        values = array.to_numpy(dtype=NULLABLE[name], na_value=False)
        return {"dtype": name, "bytes": values.tobytes(), "missing": missing.tobytes()}

    def _objects(self, array: Any, where: str) -> Map:
        pandas, numpy = self.pandas, self.numpy
        items: list[object] = []
        na: list[int] = []
        nat: list[int] = []
        for position, item in enumerate(array):
            kept: object = item
            if item is pandas.NA:
                na.append(position)
                kept = None
            elif item is pandas.NaT:
                nat.append(position)
                kept = None
            elif isinstance(item, numpy.number | numpy.bool_):
                kept = item.item()
            elif isinstance(item, pandas.Timestamp) and item.nanosecond:
                raise EncodeError(
                    f"{where} holds a Timestamp with nanoseconds among other objects; convert the "
                    "whole of it with pandas.to_datetime()"
                )
            try:
                items.append(tree_of(kept, 2))
            except EncodeError as error:
                raise EncodeError(f"{where}: {error}") from error
        return {"dtype": "object", "items": items, "na": na, "nat": nat}

    # What popoto 1.6 reads -------------------------------------------------------------

    def _json(self, frame: DataFrame) -> str:
        """The JSON text of 1.6; where JSON cannot say it, by position or empty."""
        try:
            arrays = [self._plain(frame.iloc[:, each].array) for each in range(frame.shape[1])]
            plain: Any = self.pandas.DataFrame(dict(enumerate(arrays)))
            plain.columns = self._plain_labels(frame.columns)
            plain.index = self._plain_labels(frame.index)
            text: str = plain.to_json(orient="columns", date_format="iso")
            return text
        except NOT_A_FRAME:
            return "{}"

    def _plain_labels(self, index: Any) -> Any:
        if isinstance(index, self.pandas.MultiIndex):
            return index
        if not index.is_unique:
            return self.pandas.RangeIndex(len(index))
        return self.pandas.Index(self._plain(index.array))

    def _plain(self, array: Any) -> Any:
        """Moments and durations as milliseconds, which is how 1.6 writes them."""
        dtype = array.dtype
        if isinstance(dtype, self.pandas.DatetimeTZDtype):
            unit = dtype.unit
        elif isinstance(dtype, self.numpy.dtype) and dtype.kind in "mM":
            unit = self.numpy.datetime_data(dtype)[0]
        elif getattr(dtype, "name", "") == "object":
            values = self.numpy.empty(len(array), dtype=object)
            for position, item in enumerate(array):
                values[position] = self._json_value(item)
            return values
        else:
            return array
        factor, divisor = _MILLISECONDS[unit]
        milliseconds = self.pandas.array(array.asi8 * factor // divisor, dtype="Int64")
        milliseconds[self.pandas.isna(array)] = self.pandas.NA
        return milliseconds

    def _json_value(self, item: object) -> object:
        """An object as the JSON writer of pandas takes it without surprises."""
        if item is None or isinstance(item, str | int | float):
            return item
        if item is self.pandas.NA or item is self.pandas.NaT:
            return None
        if isinstance(item, bytes):
            return item.decode("utf-8", "replace")
        if isinstance(item, list | tuple | set):
            return [self._json_value(each) for each in cast("list[object]", item)]
        if isinstance(item, dict):
            return {str(key): self._json_value(each) for key, each in cast("Map", item).items()}
        return str(item)


def _zone_tree(zone: datetime.tzinfo, where: str) -> Map:
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if isinstance(name, str) and ZONE_NAME.fullmatch(name):
        return {"zone": name}
    offset = zone.utcoffset(None)
    if offset is None:
        raise EncodeError(f"{where} has a time zone without a name: use zoneinfo.ZoneInfo")
    return {"utc_offset": offset.total_seconds()}
