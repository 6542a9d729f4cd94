"""pandas DataFrames to stored bytes and back, without pickle, files or URLs.

A frame is a tagged map, as popoto 1.6 writes it: ``__dataframe__``, and the JSON text of
``DataFrame.to_json()`` under ``as_encodable``. JSON loses most types, so this codec adds an
entry ``exact`` that 1.6 does not look at and that decides when it is there:

    exact    {"index": labels, "columns": labels, "data": [array, ...]}, one array per column
    labels   {"names": [...]} and one of "range" [start, stop, step], "values" array (with
             "freq" text), "levels" [labels, ...] with "codes" [array, ...]
    array    {"dtype": text} and "bytes" (little-endian), "missing" (one byte per element),
             "items", "na" and "nat" (positions), or the parts of a category or interval

Decoding checks what it reads and builds frames from arrays alone.
"""

# pandas and numpy are untyped in part, and the stubs of pandas differ from release to release.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportMissingTypeStubs=false

from __future__ import annotations

import datetime
import io
import json
import re
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from popoto.engine.codec import NIL, DecodeError, EncodeError
from popoto.engine.tagging import PAYLOAD, Map, pack, tree_of, unpack, value_of

if TYPE_CHECKING:
    from pandas import DataFrame

TAG = "__dataframe__"
EXACT = "exact"

#: Little-endian numpy types by the name of the dtype.
_NUMBERS: dict[str, str] = {
    "bool": "|b1",
    **{f"int{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"uint{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
    **{f"float{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    **{f"complex{8 * size}": f"<c{size}" for size in (8, 16)},
}
#: The nullable types of pandas, by the name of the dtype.
_NULLABLE: dict[str, str] = {
    "boolean": "|b1",
    **{f"Int{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"UInt{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
    **{f"Float{8 * size}": f"<f{size}" for size in (4, 8)},
}
_MOMENT = re.compile(r"(datetime64|timedelta64)\[(s|ms|us|ns)\]")
_MILLISECONDS = {"s": (1000, 1), "ms": (1, 1), "us": (1, 1000), "ns": (1, 1_000_000)}
_ZONE_NAME = re.compile(r"(?!dateutil/)(?=.{1,64}\Z)[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")
_FREQUENCY = re.compile(r"[A-Za-z0-9.-]{1,64}")
_NOT_A_FRAME = (ValueError, TypeError, KeyError, IndexError, OverflowError, AssertionError)


def require_pandas() -> ModuleType:
    """The pandas module. Raises ImportError that says how to install it."""
    try:
        import pandas  # optional
    except ImportError as error:
        raise ImportError(
            "DataFrameField needs pandas, which is not installed: pip install 'popoto[dataframe]'"
        ) from error
    return pandas


def frame_codec() -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    """The encoder and the decoder of frames. Raises ImportError without pandas.

    Encoding and decoding grow with the cells: some 0.2 us for a number, 1 us for an object.
    """
    pandas = require_pandas()
    import numpy  # optional: pandas brings it

    return _Encoder(pandas, numpy).encode, _Decoder(pandas, numpy).decode


class _Encoder:
    """Frames to bytes."""

    def __init__(self, pandas: Any, numpy: Any) -> None:
        self.pandas = pandas
        self.numpy = numpy

    def encode(self, frame: DataFrame | None) -> bytes:
        if frame is None:
            return NIL
        if not isinstance(frame, self.pandas.DataFrame):
            raise EncodeError(f"expected DataFrame, got {type(frame).__name__}")
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
        if name in _NULLABLE and isinstance(array, pandas.api.extensions.ExtensionArray):
            return self._nullable(array, name)
        plain = getattr(dtype, "numpy_dtype", dtype)
        if isinstance(plain, self.numpy.dtype):
            name = plain.name
            if name in _NUMBERS:
                return self._numbers(self.numpy.asarray(array))
            if _MOMENT.fullmatch(name):
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
        kind = _NUMBERS[name]
        return {"dtype": name, "bytes": self.numpy.ascontiguousarray(array, dtype=kind).tobytes()}

    def _integers(self, array: Any) -> bytes:
        return self.numpy.ascontiguousarray(array, dtype="<i8").tobytes()

    def _nullable(self, array: Any, name: str) -> Map:
        missing = self.numpy.asarray(array.isna(), dtype="|b1")
        values = array.to_numpy(dtype=_NULLABLE[name], na_value=False)
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
            return plain.to_json(orient="columns", date_format="iso")
        except _NOT_A_FRAME:
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


class _Decoder:
    """Bytes to frames."""

    def __init__(self, pandas: Any, numpy: Any) -> None:
        self.pandas = pandas
        self.numpy = numpy

    def decode(self, raw: bytes) -> Any:
        if raw == NIL:
            return None
        try:
            found = _map(unpack(raw))
            if found.get(TAG) is not True:
                raise DecodeError("not a DataFrame")  # noqa: TRY301  # gets its bytes below
            return self._frame(_map(found[EXACT])) if EXACT in found else self._from_json(found)
        except DecodeError as error:
            raise DecodeError(error.reason, raw) from error
        except (*_NOT_A_FRAME, RecursionError) as error:
            raise DecodeError(f"not a DataFrame: {error}", raw) from error

    def _from_json(self, tree: Map) -> Any:
        """What 1.6 wrote, read as it reads it; the text is never taken for a path."""
        text = _text(tree[PAYLOAD])
        columns: object = json.loads(text)
        if not isinstance(columns, dict) or not all(
            isinstance(cells, dict) for cells in cast("Map", columns).values()
        ):
            raise DecodeError("its JSON is no object of columns")
        return self.pandas.read_json(io.StringIO(text), orient="columns", precise_float=True)

    def _frame(self, exact: Map) -> Any:
        pandas = self.pandas
        index, columns = self._labels(exact["index"]), self._labels(exact["columns"])
        data = _list(exact["data"])
        arrays = [self._array(_map(each)) for each in data]
        if len(arrays) != len(columns) or any(len(array) != len(index) for array in arrays):
            raise DecodeError("a DataFrame whose columns and labels differ in length")
        if not arrays:
            return pandas.DataFrame(index=index, columns=columns)
        rows = pandas.RangeIndex(len(index))
        frame = pandas.DataFrame(
            {
                position: pandas.Series(array, index=rows, dtype=array.dtype)
                for position, array in enumerate(arrays)
            },
            index=rows,
        )
        frame.index = index
        frame.columns = columns
        return frame

    def _labels(self, tree: object, depth: int = 1) -> Any:
        pandas, labels = self.pandas, _map(tree)
        names = [_hashable(name) for name in cast("list[object]", value_of(_list(labels["names"])))]
        if "range" in labels:
            start, stop, step = (_integer(each) for each in _list(labels["range"]))
            index = pandas.RangeIndex(start, stop, step)
        elif "levels" in labels:
            if depth > 1:
                raise DecodeError("labels within labels")
            levels = [self._labels(level, depth + 1) for level in _list(labels["levels"])]
            codes = [self._array(_map(each)) for each in _list(labels["codes"])]
            return pandas.MultiIndex(levels=levels, codes=codes, names=names)
        else:
            array = self._array(_map(labels["values"]), depth)
            index = pandas.Index(array, dtype=array.dtype)
            frequency = labels.get("freq")
            if frequency is not None:
                index.freq = _matching(_FREQUENCY, frequency)
        index.names = names
        return index

    def _array(self, tree: Map, depth: int = 1) -> Any:  # noqa: PLR0911  # one for each kind
        pandas = self.pandas
        name = _text(tree["dtype"])
        if name in _NUMBERS:
            return self._numbers(_NUMBERS[name], tree["bytes"])
        if name in _NULLABLE:
            array = pandas.array(self._numbers(_NULLABLE[name], tree["bytes"]), dtype=name)
            missing = self._numbers("|b1", tree["missing"])
            if len(missing) != len(array):
                raise DecodeError("a mask of another length")
            array[missing] = pandas.NA
            return array
        if name in ("str", "string"):
            return self._texts(name, _list(tree["items"]))
        if name == "object":
            return self._objects(tree)
        if name == "category" and depth < 3:  # categories may be intervals
            codes = self._array(_map(tree["codes"]), depth + 1)
            categories = self._labels(tree["categories"], depth + 1)
            ordered = tree["ordered"] is True
            return pandas.Categorical.from_codes(codes, categories=categories, ordered=ordered)
        if name == "interval" and depth < 4:
            left, right = (self._labels(tree[side], depth + 1) for side in ("left", "right"))
            closed = _text(tree["closed"])
            return pandas.arrays.IntervalArray.from_arrays(left, right, closed=closed)
        if name == "period":
            ordinals = self._numbers("<i8", tree["bytes"])
            dtype = pandas.PeriodDtype(_matching(_FREQUENCY, tree["freq"]))
            return pandas.arrays.PeriodArray(ordinals, dtype=dtype)
        moment = _MOMENT.fullmatch(name)
        if moment is None:
            raise DecodeError(f"unknown dtype {name!r}")
        numbers = self._numbers("<i8", tree["bytes"])
        array = pandas.Index(numbers.view(f"{'M' if moment[1][0] == 'd' else 'm'}8[{moment[2]}]"))
        if "zone" in tree or "utc_offset" in tree:
            array = array.tz_localize("UTC").tz_convert(_zone(tree))
        return array.array

    def _numbers(self, kind: str, data: object) -> Any:
        if not isinstance(data, bytes):
            raise DecodeError("an array without its bytes")
        # A copy, because an array on bytes cannot be written to; in the machine's own order.
        numbers = self.numpy.frombuffer(data, dtype=kind)
        return numbers.astype(numbers.dtype.newbyteorder("="), copy=True)

    def _texts(self, name: str, items: list[object]) -> Any:
        pandas = self.pandas
        if not all(item is None or isinstance(item, str) for item in items):
            raise DecodeError("a text column that holds something else")
        if name == "string":
            return pandas.array(items, dtype="string")
        if int(pandas.__version__.partition(".")[0]) >= 3:
            return pandas.array(items, dtype="str")
        return self._as_objects([float("nan") if item is None else item for item in items])

    def _objects(self, tree: Map) -> Any:
        items = cast("list[object]", value_of(_list(tree["items"])))
        for name, special in (("na", self.pandas.NA), ("nat", self.pandas.NaT)):
            for position in _list(tree[name]):
                items[_integer(position)] = special
        return self._as_objects(items)

    def _as_objects(self, items: list[object]) -> Any:
        # One by one: given a list of lists, numpy would make an array of more dimensions.
        array = self.numpy.empty(len(items), dtype=object)
        for position, item in enumerate(items):
            array[position] = item
        return array


def _zone_tree(zone: datetime.tzinfo, where: str) -> Map:
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if isinstance(name, str) and _ZONE_NAME.fullmatch(name):
        return {"zone": name}
    offset = zone.utcoffset(None)
    if offset is None:
        raise EncodeError(f"{where} has a time zone without a name: use zoneinfo.ZoneInfo")
    return {"utc_offset": offset.total_seconds()}


def _zone(tree: Map) -> datetime.tzinfo | str:
    if "zone" in tree:
        # As text, so that each release of pandas makes the kind of zone that it prefers.
        return _matching(_ZONE_NAME, tree["zone"])
    seconds = tree["utc_offset"]
    if not isinstance(seconds, int | float) or not abs(seconds) < 86400:
        raise DecodeError("an offset from UTC is no number of seconds within a day")
    return datetime.timezone(datetime.timedelta(seconds=seconds))


def _map(tree: object) -> Map:
    if not isinstance(tree, dict):
        raise DecodeError("a part of a DataFrame is no map")
    return cast("Map", tree)


def _list(tree: object) -> list[object]:
    if not isinstance(tree, list):
        raise DecodeError("a part of a DataFrame is no list")
    return cast("list[object]", tree)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise DecodeError("a part of a DataFrame is no text")
    return value


def _matching(form: re.Pattern[str], value: object) -> str:
    if form.fullmatch(_text(value)) is None:
        raise DecodeError("a part of a DataFrame is malformed text")
    return _text(value)


def _integer(value: object) -> int:
    if type(value) is not int:
        raise DecodeError("a part of a DataFrame is no integer")
    return value


def _hashable(value: object) -> object:
    hash(value)
    return value
