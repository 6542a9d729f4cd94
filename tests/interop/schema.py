"""Models and records that both packages are given, described as data.

A model is `{"name", "fields": {name: (field class, options)}, "meta"}`; a record is
the keyword arguments of its constructor. Together they hold every general field
kind of the contract, each type it may have, and text that escaping must survive.

The records hold only what the published package stores without loss: sets have one
element (their order is free), sorted Decimals fit a double, years have four digits.
What it loses is the business of other tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from .tagged import ModelNamed, Reference

Model = dict[str, Any]
Record = dict[str, Any]
Option = object


def model(name: str, /, *, options: Mapping[str, object] | None = None, **fields: object) -> Model:
    """A model description; `options` is its inner class Meta."""
    return {"name": name, "fields": fields, "meta": dict(options or {})}


def field(kind: str, **options: Option) -> tuple[str, dict[str, Option]]:
    return kind, options


OWNER = model("Owner", name=field("KeyField"))

# The worked example of the wire format.
PET = model(
    "Pet",
    kind=field("KeyField"),
    tag=field("KeyField", type=int),
    chip=field("UniqueField"),
    mood=field("IndexedField"),
    note=field("StringField"),
    weight=field("SortedField"),
    born=field("SortedField", type=datetime, partition_by="kind"),
    home=field("GeoField"),
    owner=field("Relationship", model=ModelNamed("Owner")),
    toys=field("ListField"),
    recent=field("ListField", max_length=2),
    _secret=field("Field"),
    legs=field("IntField"),
    speed=field("FloatField"),
    neutered=field("BooleanField"),
    photo=field("BytesField"),
    meta=field("DictField"),
    price=field("DecimalField"),
    colours=field("SetField"),
    dims=field("TupleField"),
    bday=field("DateField"),
    feed=field("TimeField"),
    seen=field("DatetimeField"),
    options={"indexes": ((("mood", "note"), True),)},
)

KEYED = model(
    "Keyed",
    code=field("UniqueKeyField"),
    text=field("KeyField"),
    number=field("KeyField", type=int),
    ratio=field("KeyField", type=float),
    amount=field("KeyField", type=Decimal),
    flag=field("KeyField", type=bool),
    day=field("KeyField", type=date),
    moment=field("KeyField", type=datetime),
    hour=field("KeyField", type=time),
    content=field("Field"),
)

LABELLED = model(
    "Labelled",
    name=field("KeyField"),
    text=field("IndexedField"),
    number=field("IndexedField", type=int),
    ratio=field("IndexedField", type=float),
    amount=field("IndexedField", type=Decimal),
    flag=field("IndexedField", type=bool),
    day=field("IndexedField", type=date),
    moment=field("IndexedField", type=datetime),
    hour=field("IndexedField", type=time),
    serial=field("UniqueField", type=int),
)

RANKED = model(
    "Ranked",
    name=field("KeyField"),
    region=field("KeyField"),
    shelf=field("IntField"),
    plain=field("Field"),
    score=field("SortedField"),
    place=field("SortedField", type=int),
    price=field("SortedField", type=Decimal),
    day=field("SortedField", type=date),
    moment=field("SortedField", type=datetime),
    regional=field("SortedField", partition_by="region"),
    shelved=field("SortedField", type=int, partition_by=("region", "shelf")),
)

READING = model(
    "Reading",
    sensor=field("KeyField"),
    at=field("SortedKeyField", type=int, partition_by="sensor"),
    level=field("FloatField"),
)

# No key field: a hidden automatic key.
MEMO = model("Memo", text=field("Field"), stars=field("SortedField", type=int))

TICKET = model(
    "Ticket", ticket=field("AutoKeyField", auto_uuid_length=12), title=field("IndexedField")
)

BOOKING = model(
    "Booking",
    code=field("KeyField"),
    room=field("IndexedField"),
    slot=field("IntField"),
    guest=field("Field"),
    _token=field("IndexedField"),
    log=field("ListField", max_length=3),
    options={"indexes": ((("room", "slot"), True), (("guest",), False)), "order_by": "code"},
)

LEASE = model(
    "Lease",
    name=field("KeyField"),
    state=field("IndexedField"),
    rank=field("SortedField"),
    options={"ttl": 3600},
)

CASE = model("Case", text=field("KeyField"), label=field("IndexedField"), target=field("Field"))

MODELS: list[Model] = [
    OWNER, PET, KEYED, LABELLED, RANKED, READING, MEMO, TICKET, BOOKING, LEASE, CASE,
]  # fmt: skip
MODEL: dict[str, Model] = {described["name"]: described for described in MODELS}

# Text that acts as a pattern, a separator or an escape when it is not escaped.
# Left out: "None" and text with "{&#58;}", which the published layout cannot tell
# from None and from ":".
HOSTILE_TEXT = (
    "a:b", "a/b", "2024-01-02", "a*?[x]^'", "/*", "/-", 'a"b\\{}', "", "*", "?", "[a-z]",
    "a//:b", ":", "::", "{user}", " ", "tab\tnew\nline", "nul\x00byte", "żółw 🐢", "none",
    "x" * 300,
)  # fmt: skip

ANN_KEY = "Owner:Ann{&#58;} B/*"
PET_KEY = "Pet:cat//dog:/-7"

WORKED_PET: Record = {
    "kind": "cat/dog", "tag": -7, "chip": "x-1", "mood": None, "note": "n", "weight": 4.25,
    "born": datetime(2024, 1, 2, 3, 4, 5), "home": (52.5, 13.4),
    "owner": Reference("Owner", ANN_KEY), "toys": ["ball", 1], "recent": ["a", (1, 2)],
    "_secret": "s", "legs": 4, "speed": 1.5, "neutered": True, "photo": b"\x00\xff",
    "meta": {"a": 1}, "price": Decimal("9.90"), "colours": {"r"}, "dims": (1, 2.5),
    "bday": date(2020, 2, 29), "feed": time(7, 30),
    "seen": datetime(2024, 5, 6, 7, 8, 9, 123456),
}  # fmt: skip

HAPPY_PET: Record = {
    **WORKED_PET, "kind": "dog", "tag": 2**40, "chip": "a*b", "mood": "happy",
    "weight": -0.5, "born": datetime(2024, 1, 2, 3, 4, 6, 500000), "home": (-33.9, 151.2),
    "owner": None, "toys": [], "recent": [], "_secret": None, "legs": None,
}  # fmt: skip

EMPTY_PET: Record = {
    "kind": None, "tag": 0, "chip": "", "weight": 0.0, "born": datetime(1969, 12, 31),
}  # fmt: skip

FULL_KEY: Record = {
    "code": "k-1", "text": "a:b/c", "number": -7, "ratio": 1e20, "amount": Decimal("1.50"),
    "flag": True, "day": date(2020, 1, 2), "moment": datetime(2020, 1, 2, 3, 4, 5),
    "hour": time(1, 2, 3), "content": "first",
}  # fmt: skip
SECOND_KEY: Record = {
    "code": "k-2", "text": "", "number": 0, "ratio": 1.0, "amount": Decimal("-0.1"),
    "flag": False, "day": date(1999, 12, 31), "moment": datetime(2020, 1, 2, 3, 4, 5, 60),
    "hour": time(1, 2, 3, 40), "content": None,
}  # fmt: skip

LABELS: Record = {
    "text": "red-ish", "number": 5, "ratio": 0.5, "amount": Decimal("1.50"), "flag": True,
    "day": date(2020, 1, 2), "moment": datetime(2020, 1, 2, 3, 4, 5), "hour": time(1, 2, 3),
}  # fmt: skip

RANKS: Record = {
    "region": "north/west", "shelf": 1, "plain": "p", "score": 1.5, "place": 3,
    "price": Decimal("2.5"), "day": date(2024, 1, 2), "moment": datetime(2024, 1, 2, 3, 4, 5),
    "regional": 7.0, "shelved": 70,
}  # fmt: skip

SAMPLES: dict[str, list[Record]] = {
    "Owner": [{"name": "Ann: B*"}, {"name": "Bo"}],
    "Pet": [WORKED_PET, HAPPY_PET, EMPTY_PET],
    "Keyed": [FULL_KEY, SECOND_KEY, {"code": "none"}],
    "Labelled": [
        {"name": "one", "serial": 1, **LABELS},
        {"name": "two", "serial": 2, **LABELS, "text": "red", "number": -5, "flag": False},
        {"name": "three", "serial": 3},
    ],
    "Ranked": [
        {"name": "one", **RANKS},
        {"name": "two", **RANKS, "score": -2.0, "place": -3, "price": Decimal("-0.25")},
        {
            "name": "three", **RANKS, "region": "a:b*", "shelf": None, "score": 9.75,
            "place": 2**40, "day": date(1900, 1, 1),
            "moment": datetime(2024, 1, 2, 3, 4, 5, 250000),
            "regional": 8.5, "shelved": 71,
        },
        {"name": "four", **RANKS, "score": float("inf"), "place": 4, "regional": 9, "shelved": 72},
    ],
    "Reading": [
        {"sensor": "s-1", "at": 10, "level": 0.25}, {"sensor": "s-1", "at": 9, "level": None},
        {"sensor": "s:2", "at": -1, "level": -3.0},
    ],
    "Memo": [
        {"_auto_key": "0123456789abcdef0123456789abcdef", "text": "first", "stars": 5},
        {"_auto_key": "fedcba9876543210fedcba9876543210", "text": None, "stars": 1},
    ],
    "Ticket": [
        {"ticket": "0123456789ab", "title": "first"}, {"ticket": "ba9876543210", "title": None},
    ],
    "Booking": [
        {
            "code": "b-1", "room": "blue: 1", "slot": 1, "guest": "Ann", "_token": "t/1",
            "log": ["made", None, {"by": "Bo"}],
        },
        {"code": "b-2", "room": "blue: 1", "slot": 2, "guest": "Bo", "_token": None, "log": []},
        {"code": "b-3", "room": None, "slot": 1, "guest": None, "_token": None, "log": [1.5]},
    ],
    "Lease": [{"name": "l:1", "state": "open", "rank": 1.0}],
    "Case": [
        {"text": text, "label": text, "target": text} for text in HOSTILE_TEXT
    ],
}  # fmt: skip

# Assigned to the first sample: every kind of entry moves, some to and from None.
CHANGES: dict[str, Record] = {
    "Pet": {
        "chip": "x-2", "mood": "a:b", "note": "m", "weight": 5.0, "born": datetime(2024, 2, 3),
        "home": (1.5, -2.5), "owner": None, "toys": [[1], {"k": None}], "recent": ["b"],
        "_secret": None, "legs": 300, "speed": -1e300, "neutered": False, "photo": b"",
        "meta": {}, "price": None, "colours": {5}, "dims": (), "bday": None,
        "feed": time(0, 0, 0, 1), "seen": datetime(1970, 1, 1),
    },
    "Keyed": {"content": "second"},
    "Labelled": {
        "text": "*", "number": None, "ratio": 0.25, "amount": Decimal("1.500"), "flag": False,
        "day": None, "moment": datetime(2021, 1, 1), "hour": time(4), "serial": 9,
    },
    "Ranked": {
        "shelf": 2, "plain": None, "score": 2.5, "place": -9, "price": Decimal("-4.0"),
        "day": date(2030, 1, 1), "moment": datetime(1999, 1, 1), "regional": -7.0, "shelved": 1,
    },
    "Reading": {"level": 9.5},
    "Memo": {"text": "changed", "stars": -5},
    "Ticket": {"title": "a:b"},
    "Booking": {"room": "red", "slot": 7, "guest": "Cy", "_token": "t*", "log": ["x", "y"]},
    "Lease": {"state": "closed", "rank": 2.0},
    "Case": {"label": "b:a*", "target": None},
}  # fmt: skip

# Assigned to the first sample and saved with `migrate_key=True`.
KEY_CHANGES: dict[str, Record] = {
    "Owner": {"name": "Ann/*"},
    "Pet": {"kind": "cow", "tag": 8},
    "Keyed": {"text": "b:a", "number": 3, "day": date(2021, 1, 1), "flag": False},
    "Labelled": {"name": "uno"},
    "Ranked": {"region": "south", "name": "uno"},
    "Reading": {"sensor": "s:3", "at": 77},
    "Booking": {"code": "b:9"},
    "Lease": {"name": "l/2"},
    "Case": {"text": "moved*"},
}


@dataclass(frozen=True)
class Lookup:
    """A filter on the samples of a model, and which of them it has to find."""

    model: str
    conditions: Record
    keeps: Callable[[Record], bool]
    # False: the published package answers otherwise, so only ours is asked.
    published: bool = True

    def __str__(self) -> str:
        return f"{self.model}({', '.join(f'{k}={v!r}' for k, v in self.conditions.items())})"


def _equal(model_name: str, name: str, *values: object) -> list[Lookup]:
    """Equality, also in type: 0 is neither False nor 0.0."""

    def holds(value: object) -> Callable[[Record], bool]:
        return lambda record: type(record.get(name)) is type(value) and record.get(name) == value

    return [Lookup(model_name, {name: value}, holds(value)) for value in values]


def _text(model_name: str, name: str, *texts: str, published: bool) -> list[Lookup]:
    """Prefix, suffix and substring; the last never finds anything in the published package."""

    def holds(test: str, text: str) -> Callable[[Record], bool]:
        return lambda record: (
            record.get(name) is not None and bool(getattr(str(record[name]), test)(text))
        )

    return [
        Lookup(model_name, {f"{name}__{lookup}": text}, holds(test, text), published=asked)
        for text in texts
        for lookup, test, asked in (
            ("startswith", "startswith", published),
            ("endswith", "endswith", published),
            ("contains", "__contains__", False),
        )
    ]


LOOKUPS: list[Lookup] = [
    # key fields
    *_equal("Keyed", "text", "a:b/c", "", None),
    *_equal("Keyed", "number", -7, 0, None),
    *_equal("Keyed", "ratio", 1e20, 1.0),
    *_equal("Keyed", "amount", Decimal("1.50"), Decimal("-0.1")),
    *_equal("Keyed", "flag", True, False, None),
    *_equal("Keyed", "day", date(2020, 1, 2), None),
    *_equal("Keyed", "moment", datetime(2020, 1, 2, 3, 4, 5), datetime(2020, 1, 2, 3, 4, 5, 60)),
    *_equal("Keyed", "hour", time(1, 2, 3), time(1, 2, 3, 40)),
    *_equal("Keyed", "code", "k-1", "K-1"),
    *_text("Keyed", "code", "k-", "1", "k", published=True),
    Lookup("Keyed", {"number__in": [0, -7, 99]}, lambda record: record.get("number") in (0, -7)),
    Lookup("Keyed", {"text__in": [None, ""]}, lambda record: record.get("text") in (None, "")),
    Lookup("Keyed", {"text__isnull": True}, lambda record: record.get("text") is None),
    Lookup(
        "Keyed", {"text__isnull": False}, lambda record: record.get("text") is not None,
        published=False,
    ),
    Lookup(
        "Keyed", {"number": -7, "flag": True, "content": "first"},
        lambda record: record["code"] == "k-1",
    ),
    *[
        lookup
        for text in HOSTILE_TEXT
        for name in ("text", "label", "target")
        for lookup in _equal("Case", name, text)
    ],
    *_text("Case", "text", "a", "b", "/", "*", "[", "{", "a*", "-02", "żó", published=False),
    *_text("Case", "label", "a", "b", "/", "*", "[", ":", "?", "\n", published=False),
    # indexed and unique fields
    *_equal("Labelled", "text", "red", "red-ish", "re", None),
    *_equal("Labelled", "number", 5, -5, None),
    *_equal("Labelled", "ratio", 0.5, None),
    *_equal("Labelled", "amount", Decimal("1.50")),
    *_equal("Labelled", "flag", True, False),
    *_equal("Labelled", "day", date(2020, 1, 2)),
    *_equal("Labelled", "moment", datetime(2020, 1, 2, 3, 4, 5)),
    *_equal("Labelled", "hour", time(1, 2, 3)),
    *_equal("Labelled", "serial", 2, 4),
    *_text("Labelled", "text", "red", "ish", published=True),
    Lookup("Labelled", {"text__in": ["red", "blue"]}, lambda record: record.get("text") == "red"),
    Lookup("Labelled", {"text__isnull": True}, lambda record: record.get("text") is None),
    Lookup("Labelled", {"text__isnull": False}, lambda record: record.get("text") is not None),
    *_equal("Booking", "_token", "t/1", None),
    *_equal("Booking", "guest", "Bo", None),
    *_equal("Pet", "mood", "happy", None),
    *_equal("Pet", "chip", "x-1", ""),
    # sorted fields
    *_equal("Ranked", "score", 1.5, -2.0, float("inf")),
    *_equal("Ranked", "place", 2**40, 3),
    *_equal("Ranked", "price", Decimal("-0.25")),
    *_equal("Ranked", "day", date(2024, 1, 2), date(1900, 1, 1)),
    *_equal("Ranked", "moment", datetime(2024, 1, 2, 3, 4, 5, 250000)),
    Lookup("Ranked", {"score__gt": 1.5}, lambda record: record["score"] > 1.5),
    Lookup("Ranked", {"score__gte": 1.5}, lambda record: record["score"] >= 1.5),
    Lookup("Ranked", {"place__lt": 3}, lambda record: record["place"] < 3),
    Lookup("Ranked", {"place__lte": 3}, lambda record: record["place"] <= 3),
    Lookup("Ranked", {"place__between": (-3, 3)}, lambda record: -3 <= record["place"] <= 3),
    Lookup("Ranked", {"price__gt": Decimal(0)}, lambda record: record["price"] > 0),
    Lookup(
        "Ranked", {"day__lt": date(2024, 1, 2)}, lambda record: record["day"] < date(2024, 1, 2)
    ),
    Lookup(
        "Ranked", {"moment__gt": datetime(2024, 1, 2, 3, 4, 5)},
        lambda record: record["moment"] > datetime(2024, 1, 2, 3, 4, 5),
    ),
    Lookup(
        "Ranked", {"region": "north/west", "regional__gte": 8},
        lambda record: record["region"] == "north/west" and record["regional"] >= 8,
    ),
    Lookup(
        "Ranked", {"region": "a:b*", "shelf": None, "shelved__lt": 99},
        lambda record: record["region"] == "a:b*",
    ),
    Lookup(
        "Ranked", {"region": "north/west", "shelf": 1, "shelved": 72},
        lambda record: record["name"] == "four",
    ),
    Lookup("Ranked", {"plain": "p", "score__lt": 0}, lambda record: record["score"] < 0),
    Lookup(
        "Reading", {"sensor": "s-1", "at__gt": 9},
        lambda record: record["sensor"] == "s-1" and record["at"] > 9,
    ),
    Lookup("Reading", {"sensor": "s:2"}, lambda record: record["sensor"] == "s:2"),
    Lookup("Memo", {"stars__gte": 2}, lambda record: record["stars"] >= 2),
    Lookup(
        "Memo", {"_auto_key": "0123456789abcdef0123456789abcdef"},
        lambda record: record["stars"] == 5,
    ),
    *_equal("Ticket", "ticket", "0123456789ab"),
    *_text("Ticket", "ticket", "0123", "210", published=True),
    # places and relationships
    Lookup(
        "Pet", {"home": (52.5, 13.41), "home_radius": 5, "home_radius_unit": "km"},
        lambda record: record.get("home") == (52.5, 13.4),
    ),
    Lookup(
        "Pet", {"home_latitude": -33.0, "home_longitude": 151.0, "home_radius": 200_000},
        lambda record: record.get("home") == (-33.9, 151.2),
    ),
    Lookup(
        "Pet", {"owner": Reference("Owner", ANN_KEY)},
        lambda record: record.get("owner") is not None,
    ),
    Lookup(
        "Pet", {"owner__name": "Ann: B*"}, lambda record: record.get("owner") is not None,
        published=False,
    ),
    # fields without an index
    *_equal("Pet", "legs", 4, None),
    *_equal("Pet", "colours", {"r"}),
    *_equal("Pet", "price", Decimal("9.90")),
    *_equal("Pet", "seen", datetime(2024, 5, 6, 7, 8, 9, 123456)),
    *_equal("Pet", "_secret", "s", None),
]  # fmt: skip
