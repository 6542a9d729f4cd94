"""`DataFrameField`: what goes in comes out, on every release of pandas, and nothing is executed."""

from __future__ import annotations

import contextlib
import datetime
import sys
from decimal import Decimal
from io import StringIO
from typing import Any

import msgpack
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from popoto import KeyField, Model, ModelException, QueryException, StringField
from popoto.engine.codec import DecodeError
from popoto.exceptions import StoredDataError, ValidationError
from popoto.fields.dataframe_field import DataFrameField
from popoto.fields.dataframes.codec import frame_codec
from tests.driver import Api

pandas = pytest.importorskip("pandas")
numpy = pytest.importorskip("numpy")
from pandas.testing import assert_frame_equal  # noqa: E402

MAJOR = int(pandas.__version__.partition(".")[0])
# Older releases warn about things that they do themselves.
pytestmark = [pytest.mark.filterwarnings("default")] if MAJOR < 3 else []


class Table(Model):
    name = KeyField()
    frame = DataFrameField()
    note = StringField()


def frames() -> dict[str, Any]:
    zoned = pandas.date_range("2024-03-30", periods=3, freq="D", tz="Europe/Berlin")
    found: dict[str, Any] = {
        "empty": pandas.DataFrame(),
        "no columns": pandas.DataFrame(index=["a", "b"]),
        "no rows": pandas.DataFrame({"a": pandas.Series([], dtype="int16")}),
        "numbers": pandas.DataFrame(
            {
                "i8": numpy.array([-128, 127], "int8"),
                "u64": numpy.array([0, 2**64 - 1], "uint64"),
                "f32": numpy.array([0.1, numpy.nan], "float32"),
                "f64": [0.1 + 0.2, -numpy.inf],
                "c": numpy.array([1j, 2], "complex128"),
                "b": [True, False],
            }
        ),
        "columns keep their order": pandas.DataFrame({"z": [1], "a": [2], "m": [3]}),
        "labels that are no text": pandas.DataFrame({1: [1], 2.5: [2], None: [3]}),
        "twice the same labels": pandas.DataFrame([[1, 2], [3, 4]], [7, 7], ["a", "a"]),
        "named index": pandas.DataFrame({"a": [1, 2]}, pandas.Index(["x", "y"], name="id")),
        "a range that counts down": pandas.DataFrame({"a": [1, 2]}, pandas.RangeIndex(9, 5, -2)),
        "text": pandas.DataFrame({"a": ["x", "ü\0", ""]}),
        "nullable": pandas.DataFrame(
            {
                "i": pandas.array([1, None, 2**62 + 1], dtype="Int64"),
                "b": pandas.array([True, None, False], dtype="boolean"),
                "f": pandas.array([0.5, None, 1.5], dtype="Float32"),
                "s": pandas.array(["a", None, ""], dtype="string"),
            }
        ),
        "moments": pandas.DataFrame(
            {
                "naive": pandas.to_datetime([-(10**18), None, 10**18 + 1]),
                "zoned": zoned,
                "utc": zoned.tz_convert("UTC"),
                "offset": zoned.tz_convert(datetime.timezone(datetime.timedelta(hours=5.5))),
                "lasted": pandas.to_timedelta([1, None, 10**15 + 1], unit="ns"),
            },
            index=zoned,
        ),
        "periods": pandas.DataFrame(
            {"p": pandas.period_range("2024-01", periods=2, freq="M")},
            index=pandas.period_range("2024-01-01", periods=2, freq="D"),
        ),
        "categories": pandas.DataFrame(
            {
                "c": pandas.Categorical(["b", None], categories=["b", "a"], ordered=True),
                "cut": pandas.cut([1, 5], [0, 2, 6]),
            }
        ),
        "intervals": pandas.DataFrame(
            {"a": [1, 2]}, index=pandas.IntervalIndex.from_breaks([0.5, 1.5, 2.5], closed="left")
        ),
        "hierarchy": pandas.DataFrame(
            [[1, 2], [3, 4]],
            index=pandas.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["letter", None]),
            columns=pandas.MultiIndex.from_product([["x"], ["y", "z"]]),
        ),
        "objects": pandas.DataFrame(
            {
                "o": pandas.Series(
                    [
                        None,
                        pandas.NA,
                        pandas.NaT,
                        (1, [2, {"k": (3,)}]),
                        Decimal("1.10"),
                        b"\xff",
                        datetime.date(2024, 1, 2),
                        2**60,
                    ],
                    dtype=object,
                )
            }
        ),
        "lists": pandas.DataFrame({"l": [[1, 2], [3, 4]]}),
    }
    if MAJOR > 1:  # the first release with other units than nanoseconds
        found["seconds"] = pandas.DataFrame({"s": numpy.array(["2300-01-01"], "datetime64[s]")})
    return found


FRAMES = frames()


@pytest.mark.traced(200)
@pytest.mark.parametrize("case", FRAMES)
def test_a_frame_comes_back_as_it_was(case: str, api: Api) -> None:
    frame = FRAMES[case]
    api(Table.create, name="t", frame=frame)
    loaded = api(Table.query.get, name="t")
    assert_frame_equal(loaded.frame, frame, check_column_type="exact")
    (found,) = api(Table.query.all)
    assert_frame_equal(found.frame, frame)
    assert list(found.frame.dtypes) == list(frame.dtypes)


@pytest.mark.parametrize("case", FRAMES)
def test_a_loaded_frame_can_be_changed(case: str) -> None:
    encode, decode = frame_codec()
    again = decode(encode(FRAMES[case]))
    if again.columns.nlevels == 1:
        again["added"] = range(len(again))
    for position in range(again.shape[1]):
        again.iloc[:, position] = again.iloc[:, position]


cells = {
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float64": st.floats(),
    "bool": st.booleans(),
    "object": st.none() | st.text(max_size=5) | st.integers(-9, 9) | st.binary(max_size=3),
}


@st.composite
def random_frames(draw: st.DrawFn) -> Any:
    rows = draw(st.integers(0, 4))
    columns = draw(st.lists(st.tuples(st.text(max_size=4), st.sampled_from(sorted(cells)))))
    series = [
        pandas.Series(draw(st.lists(cells[kind], min_size=rows, max_size=rows)), dtype=kind)
        for _, kind in columns
    ]
    frame = pandas.DataFrame(dict(enumerate(series)), index=range(rows))
    frame.columns = pandas.Index([name for name, _ in columns], dtype=object)
    return frame


@settings(max_examples=60, deadline=None)
@given(random_frames())
def test_random_frames_come_back(frame: Any) -> None:
    encode, decode = frame_codec()
    stored = encode(frame)
    assert_frame_equal(decode(stored), frame)
    assert encode(decode(stored)) == stored


@pytest.mark.parametrize("value", [None, pandas.DataFrame({"a": [1]})])
def test_none_is_no_frame(value: Any, api: Api) -> None:
    api(Table.create, name="t", frame=value)
    loaded = api(Table.query.get, name="t").frame
    assert loaded is None if value is None else loaded.equals(value)


def test_every_record_has_an_empty_frame_of_its_own() -> None:
    first, second = Table(name="a"), Table(name="b")
    first.frame["x"] = [1]
    assert second.frame.empty
    assert Table(name="c").frame.empty
    assert isinstance(Table.frame.default, pandas.DataFrame)
    assert Table.frame.null is True


def test_a_default_frame_is_copied() -> None:
    class Prefilled(Model):
        name = KeyField()
        frame = DataFrameField(default=pandas.DataFrame({"a": [1]}))

    first = Prefilled(name="a")
    first.frame.loc[0, "a"] = 9
    assert Prefilled(name="b").frame.loc[0, "a"] == 1


def test_a_change_inside_the_frame_is_saved_and_nothing_else(redis_client: redis.Redis) -> None:
    Table.create(name="t", frame=pandas.DataFrame({"a": [1]}), note="n")
    loaded = Table.query.get(name="t")
    redis_client.hset("Table:t", "note", msgpack.packb("other"))
    assert loaded.frame.loc[0, "a"] == 1
    assert loaded.save() == 0
    loaded.frame.loc[0, "a"] = 2
    loaded.save()
    again = Table.query.get(name="t")
    assert again.frame.loc[0, "a"] == 2
    assert again.note == "other"


@pytest.mark.parametrize("value", [[1], {"a": [1]}, "text", 5])
def test_something_that_is_no_frame_is_refused(value: object) -> None:
    with pytest.raises(ModelException, match="DataFrame"):
        Table(name="t", frame=value)
    record = Table(name="t")
    record.frame = value
    assert not record.is_valid()
    with pytest.raises(ModelException):
        record.save()


def test_a_dtype_without_stored_form_is_refused_by_name(redis_client: redis.Redis) -> None:
    sparse = pandas.DataFrame({"thin": pandas.arrays.SparseArray([0, 1])})
    with pytest.raises(ValidationError, match=r"column 'thin' has the dtype Sparse.*astype"):
        Table.create(name="t", frame=sparse)
    with pytest.raises(ValidationError, match="column 'o': a value of type object"):
        Table.create(name="t", frame=pandas.DataFrame({"o": [object()]}))
    assert redis_client.keys() == []


def test_there_are_no_lookups(api: Api) -> None:
    for lookup in ("frame", "frame__isnull", "frame__in"):
        with pytest.raises(QueryException, match=r"Table\.frame is a DataFrame"):
            api(Table.query.filter(**{lookup: None}).all)
    with pytest.raises(QueryException, match="has no lookups"):
        api(Table.query.filter(Table.frame == pandas.DataFrame()).all)
    assert Table._meta.filter_query_params_by_field["frame"] == set()


@pytest.mark.parametrize("option", ["indexed", "unique"])
def test_a_frame_cannot_be_indexed(option: str) -> None:
    with pytest.raises(ModelException, match="cannot be indexed"):
        DataFrameField(**{option: True})


def test_without_pandas_the_field_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"popoto\[dataframe\]"):
        DataFrameField()


# What popoto 1.6 writes and reads


def stored(text: str) -> bytes:
    return msgpack.packb({"__dataframe__": True, "as_encodable": text})


@pytest.fixture
def written_by_16(redis_client: redis.Redis) -> Any:
    def write(text: str) -> None:
        redis_client.hset("Table:t", mapping={"name": msgpack.packb("t"), "frame": stored(text)})
        redis_client.sadd("$Class:Table", "Table:t")

    return write


def test_json_of_16_is_read(written_by_16: Any, api: Api) -> None:
    written_by_16('{"b":{"0":1.5,"1":null},"a":{"0":"x","1":"y"}}')
    frame = api(Table.query.get, name="t").frame
    assert list(frame.columns) == ["b", "a"]
    assert frame.index.tolist() == [0, 1]
    assert frame.loc[0].tolist() == [1.5, "x"]
    written_by_16("{}")
    assert api(Table.query.get, name="t").frame.empty


def test_16_finds_its_json_beside_the_exact_form() -> None:
    encode, _ = frame_codec()
    frame = pandas.DataFrame(
        {"n": [1, 2], "t": ["x", None], "d": pandas.to_datetime(["2024-01-01", None])}
    )
    tree = msgpack.unpackb(encode(frame))
    assert list(tree)[:2] == ["__dataframe__", "as_encodable"]
    assert tree["as_encodable"] == (
        '{"n":{"0":1,"1":2},"t":{"0":"x","1":null},"d":{"0":1704067200000,"1":null}}'
    )


@pytest.mark.parametrize("case", FRAMES)
def test_the_text_for_16_is_always_json(case: str) -> None:
    encode, _ = frame_codec()
    text = msgpack.unpackb(encode(FRAMES[case]))["as_encodable"]
    assert pandas.read_json(StringIO(text)) is not None


# Hostile bytes

HOSTILE_JSON = [
    "/etc/passwd",
    "file:///etc/passwd",
    "http://localhost:1/x.json",
    '{"a": 1}',
    "[1, 2]",
    '"x"',
    "",
    "[" * 100_000,
    '{"a":' * 100_000,
    '{"a": {"0": ' + "9" * 5000 + "}}",
]


@pytest.mark.parametrize("text", HOSTILE_JSON, ids=range(len(HOSTILE_JSON)))
def test_text_that_is_no_frame_is_an_error_that_names_the_field(
    text: str, written_by_16: Any, api: Api
) -> None:
    written_by_16(text)
    loaded = api(Table.query.get, name="t")
    with pytest.raises(StoredDataError, match=r"Table\.frame"):
        loaded.frame


def damaged() -> list[Any]:
    number = {"dtype": "int64", "bytes": b"\0" * 8}
    one = {"names": [None], "range": [0, 1, 1]}
    good = {"index": one, "columns": one, "data": [number]}
    array: list[Any] = [
        {"dtype": "int64", "bytes": b"\0" * 7},
        {"dtype": "int64", "bytes": "text"},
        {"dtype": "int64", "bytes": b"\0" * 16},
        {"dtype": "object", "items": [1], "na": [5], "nat": []},
        {"dtype": "object", "items": [{"__class__": "os.system"}, 2], "na": [], "nat": []},
        {"dtype": "Int64", "bytes": b"\0" * 8, "missing": b""},
        {"dtype": "category", "codes": {}, "categories": one, "ordered": True},
        {"dtype": "datetime64[ns]", "bytes": b"\0" * 8, "zone": "../../etc/passwd"},
        {"dtype": "datetime64[ns]", "bytes": b"\0" * 8, "zone": "dateutil/etc/passwd"},
        {"dtype": "datetime64[ns]", "bytes": b"\0" * 8, "utc_offset": 1e300},
        {"dtype": "period", "freq": "__import__('os')", "bytes": b"\0" * 8},
        {"dtype": "os.system", "bytes": b""},
        {"dtype": "str", "items": [1]},
        5,
    ]
    return [
        *({**good, "data": [each]} for each in array),
        {**good, "data": []},
        {**good, "index": {"names": [None], "range": [0, 10**15, 1]}},
        {**good, "index": {"names": [[]], "range": [0, 1, 0]}},
        {**good, "index": {"names": [None], "levels": [{"levels": []}], "codes": []}},
        {**good, "columns": {}},
        {},
        None,
    ]


@pytest.mark.parametrize("exact", damaged())
def test_damaged_arrays_are_refused(exact: Any) -> None:
    _, decode = frame_codec()
    raw = msgpack.packb({"__dataframe__": True, "as_encodable": "{}", "exact": exact})
    with pytest.raises(DecodeError):
        decode(raw)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_changed_bytes_never_do_more_than_fail(data: st.DataObject) -> None:
    encode, decode = frame_codec()
    raw = bytearray(encode(FRAMES[data.draw(st.sampled_from(sorted(FRAMES)))]))
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DecodeError):
        decode(bytes(raw))
