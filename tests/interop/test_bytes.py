"""The wire format of the contract (spec/1 section 14), byte for byte.

The literals are the contract. Each is held against what this package writes; the
same test run on the published package (marker `interop`) shows that the literal
itself is right.
"""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal

import pytest
import redis

from .layout import dump, escape
from .schema import ANN_KEY, PET_KEY, WORKED_PET, Record
from .sides import Side


@pytest.fixture(params=["ours", pytest.param("published", marks=pytest.mark.interop)])
def side(request: pytest.FixtureRequest) -> Side:
    chosen: Side = request.getfixturevalue(request.param)
    return chosen


def _pet(side: Side, **changes: object) -> Record:
    side.call("create", model="Owner", values={"name": "Ann: B*"})
    values = {**WORKED_PET, **changes}
    assert side.call("create", model="Pet", values=values) == PET_KEY
    return values


def _member(text: str) -> bytes:
    return text.encode()


def tagged(sentinel: str, payload: str) -> bytes:
    """The two-entry map of a tagged value; `payload` as hex."""
    name = sentinel.encode()
    return (
        bytes([0x82, 0xA0 + len(name)]) + name
        + bytes.fromhex("c3 ac 61 73 5f 65 6e 63 6f 64 61 62 6c 65") + bytes.fromhex(payload)
    )  # fmt: skip


PET_HASH = {
    "kind": bytes.fromhex("a7 63 61 74 2f 64 6f 67"),
    "tag": b"\xf9",
    "chip": bytes.fromhex("a3 78 2d 31"),
    "mood": b"\xc0",
    "note": bytes.fromhex("a1 6e"),
    "_secret": bytes.fromhex("a1 73"),
    "weight": bytes.fromhex("cb 40 11 00 00 00 00 00 00"),
    "born": tagged("__datetime__", "b8") + b"20240102T03:04:05.000000",
    "legs": b"\x04",
    "speed": bytes.fromhex("cb 3f f8 00 00 00 00 00 00"),
    "neutered": b"\xc3",
    "photo": bytes.fromhex("c4 02 00 ff"),
    "toys": bytes.fromhex("92 a4 62 61 6c 6c 01"),
    "meta": bytes.fromhex("81 a1 61 01"),
    "owner": b"\xb4" + ANN_KEY.encode(),
    "price": bytes.fromhex(
        "82 ab 5f 5f 44 65 63 69 6d 61 6c 5f 5f c3"
        " ac 61 73 5f 65 6e 63 6f 64 61 62 6c 65 a4 39 2e 39 30"
    ),
    "colours": bytes.fromhex(
        "82 a7 5f 5f 73 65 74 5f 5f c3 ac 61 73 5f 65 6e 63 6f 64 61 62 6c 65 91 a1 72"
    ),
    "dims": bytes.fromhex(
        "82 a9 5f 5f 74 75 70 6c 65 5f 5f c3 ac 61 73 5f 65 6e 63 6f 64 61 62 6c 65"
        " 92 01 cb 40 04 00 00 00 00 00 00"
    ),
    "home": tagged("__tuple__", "92 cb 40 4a 40 00 00 00 00 00 cb 40 2a cc cc cc cc cc cd"),
    "bday": bytes.fromhex(
        "82 a8 5f 5f 64 61 74 65 5f 5f c3 ac 61 73 5f 65 6e 63 6f 64 61 62 6c 65"
        " a8 32 30 32 30 30 32 32 39"
    ),
    "feed": bytes.fromhex(
        "82 a8 5f 5f 74 69 6d 65 5f 5f c3 ac 61 73 5f 65 6e 63 6f 64 61 62 6c 65 af"
    )
    + b"07:30:00.000000",
    "seen": bytes.fromhex(
        "82 ac 5f 5f 64 61 74 65 74 69 6d 65 5f 5f c3 ac 61 73 5f 65 6e 63 6f 64 61 62 6c 65 b8"
    )
    + b"20240506T07:08:09.123456",
}

ANN, PET = _member(ANN_KEY), _member(PET_KEY)
RECENT = [
    bytes.fromhex("a1 61"),
    bytes.fromhex("82 a9 5f5f7475706c655f5f c3 ac 61735f656e636f6461626c65 92 01 02"),
]


def test_the_worked_example_is_exactly_these_keys(side: Side, redis_client: redis.Redis) -> None:
    _pet(side)
    expected: dict[str, tuple[str, object]] = {
        "$Class:Owner": ("set", [ANN]),
        "$KeyF:Owner:name:Ann{&#58;} B/*": ("set", [ANN]),
        ANN_KEY: ("hash", {b"name": bytes.fromhex("a7 41 6e 6e 3a 20 42 2a")}),
        "$Class:Pet": ("set", [PET]),
        "$KeyF:Pet:kind:cat//dog": ("set", [PET]),
        "$KeyF:Pet:tag:/-7": ("set", [PET]),
        "$UniquF:Pet:chip:x/-1": ("set", [PET]),
        "$IndexF:Pet:mood:None": ("set", [PET]),
        "$SortF:Pet:weight": ("zset", [(PET, 4.25)]),
        "$SortF:Pet:born:cat//dog": ("zset", [(PET, 1704164645.0)]),
        "$GeoF:Pet:home": ("zset", [(PET, 3673983793218339.0)]),
        "$RelationshipF:Pet:owner:Owner:Ann{&#58;} B/*": ("set", [PET]),
        "Pet:cat//dog:/-7::recent": ("list", RECENT),
        PET_KEY: ("hash", {name.encode(): PET_HASH[name] for name in sorted(PET_HASH)}),
    }
    assert dump(redis_client) == {
        key.encode(): (kind, content, False) for key, (kind, content) in expected.items()
    }


def test_a_capped_list_is_never_in_the_hash(side: Side, redis_client: redis.Redis) -> None:
    _pet(side)
    assert not redis_client.hexists(PET_KEY, "recent")


def test_a_composite_index_names_the_record_under_its_hash(
    side: Side, redis_client: redis.Redis
) -> None:
    _pet(side, mood="happy", note="n")
    assert redis_client.hgetall("$Index:Pet:mood:note") == {b"f268df2051173cb8": PET}


def test_a_composite_hash_joins_values_with_colons(side: Side, redis_client: redis.Redis) -> None:
    _pet(side, mood="x", note="y:z")
    assert redis_client.hgetall("$Index:Pet:mood:note") == {b"b7785c7f0d8b99ca": PET}


@pytest.mark.parametrize(
    ("field", "value", "stored"),
    [
        ("legs", 0, "00"),
        ("legs", 127, "7f"),
        ("legs", 128, "cc 80"),
        ("legs", -1, "ff"),
        ("legs", -32, "e0"),
        ("legs", -33, "d0 df"),
        ("legs", 256, "cd 01 00"),
        ("legs", 65536, "ce 00 01 00 00"),
        ("legs", 2**32, "cf 00 00 00 01 00 00 00 00"),
        ("legs", 2**64 - 1, "cf ff ff ff ff ff ff ff ff"),
        ("legs", -(2**63), "d3 80 00 00 00 00 00 00 00"),
        ("speed", 0.1, "cb 3f b9 99 99 99 99 99 9a"),
        ("speed", float("-inf"), "cb ff f0 00 00 00 00 00 00"),
        ("neutered", False, "c2"),
        ("note", "", "a0"),
        ("note", "x" * 31, "bf" + "78" * 31),
        ("note", "x" * 40, "d9 28" + "78" * 40),
        ("note", "x" * 300, "da 01 2c" + "78" * 300),
        ("note", "ż", "a2 c5 bc"),
        ("photo", b"", "c4 00"),
        ("photo", b"x" * 300, "c5 01 2c" + "78" * 300),
        ("toys", [], "90"),
        ("toys", [None, 1.0, b"x"], "93 c0 cb 3f f0 00 00 00 00 00 00 c4 01 78"),
        ("meta", {}, "80"),
        ("meta", {1: {"b": [True]}}, "81 01 81 a1 62 91 c3"),
        ("price", None, "c0"),
    ],
)
def test_plain_values_take_the_smallest_msgpack_form(
    side: Side, redis_client: redis.Redis, field: str, value: object, stored: str
) -> None:
    _pet(side, **{field: value})
    assert redis_client.hget(PET_KEY, field) == bytes.fromhex(stored)


@pytest.mark.parametrize(
    ("field", "value", "stored"),
    [
        ("price", Decimal("1E+3"), tagged("__Decimal__", "a4 31 45 2b 33")),
        ("dims", (), tagged("__tuple__", "90")),
        ("colours", set[str](), tagged("__set__", "90")),
        ("feed", time(1, 2, 3, 4), tagged("__time__", "af") + b"01:02:03.000004"),
        ("bday", date(9999, 12, 31), tagged("__date__", "a8") + b"99991231"),
        # the tag follows the type of the field
        ("bday", datetime(2020, 2, 29), tagged("__date__", "a8") + b"20200229"),
    ],
)
def test_tagged_values_put_the_sentinel_first(
    side: Side, redis_client: redis.Redis, field: str, value: object, stored: bytes
) -> None:
    _pet(side, **{field: value})
    assert redis_client.hget(PET_KEY, field) == stored


@pytest.mark.parametrize(
    ("field", "value", "index", "score"),
    [
        ("weight", float("inf"), "$SortF:Pet:weight", float("inf")),
        ("weight", -0.5, "$SortF:Pet:weight", -0.5),
        ("born", datetime(1969, 12, 31, 23, 59, 59, 500000), "$SortF:Pet:born:cat//dog", -0.5),
    ],
)
def test_scores_are_doubles(
    side: Side, redis_client: redis.Redis, field: str, value: object, index: str, score: float
) -> None:
    _pet(side, **{field: value})
    assert redis_client.zscore(index, PET_KEY) == score


def test_dates_decimals_and_partitions_in_sorted_sets(
    side: Side, redis_client: redis.Redis
) -> None:
    values = {
        "name": "r", "region": None, "shelf": -1, "score": 1.0, "place": 2, "price": Decimal("2.5"),
        "day": date(2024, 1, 2), "moment": datetime(2024, 1, 2), "regional": 3.0, "shelved": 4,
    }  # fmt: skip
    side.call("create", model="Ranked", values=values)
    key = b"Ranked:r:None"
    scores = {
        name: redis_client.zrange(name, 0, -1, withscores=True)
        for name in (
            "$SortF:Ranked:day", "$SortF:Ranked:price", "$SortF:Ranked:moment",
            "$SortF:Ranked:regional:None", "$SortF:Ranked:shelved:None:/-1",
        )
    }  # fmt: skip
    assert scores == {
        "$SortF:Ranked:day": [(key, 738887.0)],
        "$SortF:Ranked:price": [(key, 2.5)],
        "$SortF:Ranked:moment": [(key, 1704153600.0)],
        "$SortF:Ranked:regional:None": [(key, 3.0)],
        "$SortF:Ranked:shelved:None:/-1": [(key, 4.0)],
    }


def test_key_fields_stand_in_alphabetical_order_and_as_text(
    side: Side, redis_client: redis.Redis
) -> None:
    values = {
        "text": "t", "ratio": 1e20, "amount": Decimal("1.50"), "flag": True, "number": 5,
        "day": date(2024, 1, 2), "moment": datetime(2024, 1, 2, 3, 4, 5), "hour": time(1, 2, 3),
        "code": "c",
    }  # fmt: skip
    key = side.call("create", model="Keyed", values=values)
    assert key == (
        "Keyed:1.50:c:2024/-01/-02:True:01{&#58;}02{&#58;}03:"
        "2024/-01/-02 03{&#58;}04{&#58;}05:5:1e+20:t"
    )
    assert redis_client.smembers("$UniqueKeyF:Keyed:code:c") == {key.encode()}


def test_a_sorted_key_field_has_a_sorted_set_only(side: Side, redis_client: redis.Redis) -> None:
    side.call("create", model="Reading", values={"sensor": "s-1", "at": 10, "level": 0.25})
    key = b"Reading:10:s/-1"
    assert dump(redis_client) == {
        b"$Class:Reading": ("set", [key], False),
        b"$KeyF:Reading:sensor:s/-1": ("set", [key], False),
        b"$SortedKeyF:Reading:at:s/-1": ("zset", [(key, 10.0)], False),
        key: (
            "hash",
            {
                b"at": b"\x0a",
                b"level": bytes.fromhex("cb 3f d0 00 00 00 00 00 00"),
                b"sensor": bytes.fromhex("a3 73 2d 31"),
            },
            False,
        ),
    }


def test_an_automatic_key_has_no_index(side: Side, redis_client: redis.Redis) -> None:
    side.call("create", model="Memo", values={"_auto_key": "0" * 32, "text": "t", "stars": 1})
    assert dump(redis_client).keys() == {
        b"$Class:Memo", b"$SortF:Memo:stars", b"Memo:" + b"0" * 32,
    }  # fmt: skip
    assert redis_client.hget(b"Memo:" + b"0" * 32, "_auto_key") == b"\xd9\x20" + b"0" * 32


ESCAPED = [
    ("a:b", "a{&#58;}b"),
    ("a/b", "a//b"),
    ("2024-01-02", "2024/-01/-02"),
    ("a*?[x]^'", "a/*/?/[x/]/^/'"),
    ("/*", "///*"),
    ("/-", "///-"),
    ('a"b\\{}', 'a"b\\{}'),
    ("", ""),
]


@pytest.mark.parametrize(("text", "part"), ESCAPED)
def test_escaping_of_a_key_part(side: Side, text: str, part: str) -> None:
    assert side.call("escape", text=text) == part == escape(text)
    assert side.call("unescape", text=part) == text


@pytest.mark.parametrize(("text", "part"), ESCAPED)
def test_escaped_parts_in_the_keys_of_a_record(
    side: Side, redis_client: redis.Redis, text: str, part: str
) -> None:
    key = side.call("create", model="Case", values={"text": text, "label": text})
    assert key == f"Case:{part}"
    assert dump(redis_client).keys() == {
        name.encode()
        for name in ("$Class:Case", key, f"$KeyF:Case:text:{part}", f"$IndexF:Case:label:{part}")
    }


PREFIXES = {
    "KeyField": "$KeyF", "UniqueKeyField": "$UniqueKeyF", "AutoKeyField": "$AutoKeyF",
    "IndexedField": "$IndexF", "UniqueField": "$UniquF", "Relationship": "$RelationshipF",
    "CoOccurrenceField": "$CoOccurrencF", "SortedField": "$SortF",
    "SortedKeyField": "$SortedKeyF", "DecayingSortedField": "$DecayingSortF",
    "CyclicDecayField": "$CyclicDecayF", "GeoField": "$GeoF", "ConfidenceField": "$ConfidencF",
    "BM25Field": "$BM25F", "IntField": "$IntF", "FloatField": "$oatF",
    "DecimalField": "$DecimaF", "StringField": "$StringF", "BooleanField": "$BooleanF",
    "BytesField": "$BytesF", "ListField": "$ListF", "DictField": "$DictF", "SetField": "$SetF",
    "TupleField": "$TupF", "DateField": "$DatF", "TimeField": "$TimF",
    "DatetimeField": "$DatetimF", "DataFrameField": "$DataFramF", "ContentField": "$ContentF",
    "EmbeddingField": "$EmbeddingF", "ExistenceFilter": "$ExistenceFilterF",
    "FrequencySketch": "$requencySketchF", "MyDeedField": "$MyDF", "Foo": "$ooF",
    "EmailField": "$EmaF",
}  # fmt: skip


@pytest.mark.parametrize("class_name", PREFIXES)
def test_prefix_of_a_field_class(side: Side, class_name: str) -> None:
    assert side.call("prefix", class_name=class_name) == PREFIXES[class_name]


@pytest.mark.parametrize(
    ("field", "stored", "value"),
    [
        ("legs", "0f", 15),
        ("speed", "04", 4.0),
        ("speed", "ca 41 28 00 00", 10.5),
        ("speed", "cb 40 24 00 00 00 00 00 00", 10.0),
        (
            "price",
            # the map's entries in the other order
            "82 ac 61735f656e636f6461626c65 a5 31 31 2e 37 35 ab 5f5f446563696d616c5f5f c3",
            Decimal("11.75"),
        ),
        ("weight", "04", 4.0),
    ],
)
def test_what_an_increment_of_1_6_leaves_is_read(
    side: Side, redis_client: redis.Redis, field: str, stored: str, value: object
) -> None:
    _pet(side)
    redis_client.hset(PET_KEY, field, bytes.fromhex(stored))
    found = side.call("get", model="Pet", key=PET_KEY)[field]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("field", "stored", "value"),
    [
        ("legs", "cb 40 2e 00 00 00 00 00 00", 15),  # integral float
        ("legs", "a2 31 35", 15),  # text of a number
        ("speed", "a3 31 2e 35", 1.5),
        ("legs", "d3 00 00 00 00 00 00 00 0f", 15),  # not the smallest form
    ],
)
def test_numbers_in_other_forms_are_read(
    side: Side, redis_client: redis.Redis, field: str, stored: str, value: object
) -> None:
    _pet(side)
    redis_client.hset(PET_KEY, field, bytes.fromhex(stored))
    assert side.call("get", model="Pet", key=PET_KEY)[field] == value


def test_a_field_absent_from_the_hash_is_its_default(side: Side, redis_client: redis.Redis) -> None:
    _pet(side)
    redis_client.hdel(PET_KEY, "legs")
    assert side.call("get", model="Pet", key=PET_KEY)["legs"] is None
