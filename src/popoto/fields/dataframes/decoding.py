"""Stored bytes to DataFrames, built from arrays alone."""

from __future__ import annotations

import datetime
import io
import json
import re
from typing import Any, cast

from popoto.engine.codec import NIL, DecodeError
from popoto.engine.tagging import PAYLOAD, Map, unpack, value_of
from popoto.fields.dataframes.forms import (
    EXACT,
    MOMENT,
    NOT_A_FRAME,
    NULLABLE,
    NUMBERS,
    TAG,
    ZONE_NAME,
)

_FREQUENCY = re.compile(r"[A-Za-z0-9.-]{1,64}")


class Decoder:
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
        except (*NOT_A_FRAME, RecursionError) as error:
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
        if name in NUMBERS:
            return self._numbers(NUMBERS[name], tree["bytes"])
        if name in NULLABLE:
            array = pandas.array(self._numbers(NULLABLE[name], tree["bytes"]), dtype=name)
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
        moment = MOMENT.fullmatch(name)
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


def _zone(tree: Map) -> datetime.tzinfo | str:
    if "zone" in tree:
        # As text, so that each release of pandas makes the kind of zone that it prefers.
        return _matching(ZONE_NAME, tree["zone"])
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
