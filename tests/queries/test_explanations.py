"""What explain() says, word for word, and that it takes the round trips that it tells."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from popoto import (
    AutoKeyField,
    DecimalField,
    GeoField,
    IndexedField,
    IntField,
    KeyField,
    Model,
    Q,
    Relationship,
    SortedField,
    StringField,
)
from tests.driver import Api, RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Town(Model):
    name = KeyField()


class Maker(Model):
    name = KeyField()
    town = Relationship(Town)


class Part(Model):
    number = AutoKeyField()
    name = KeyField()
    kind = IndexedField()
    price = SortedField(type=float, default=0.0)
    rank = IntField(default=0)
    cost = DecimalField()
    note = StringField()
    place = GeoField()
    maker = Relationship(Maker)


BY_KEY = "  order: record key, along the sorted set $Values:Part:$keys"
FIRST, SECOND = "a" * 32, "b" * 32
NEAR: dict[str, Any] = {"place": (1.5, 2.0), "place_radius": 5, "place_radius_unit": "km"}

EXPLANATIONS: list[tuple[Callable[[], Any], list[str], int]] = [
    (Part.query.filter, ["  all records", BY_KEY], 1),
    (
        lambda: Part.query.filter(kind__in=["a", "b"]),
        [
            "  any of",
            "    members of $IndexF:Part:kind:a",
            "    members of $IndexF:Part:kind:b",
            BY_KEY,
        ],
        1,
    ),
    (
        lambda: Part.query.filter(~Q(kind="a") | Q(price__between=(1, 3)) & ~Q(note="x")),
        [
            "  any of",
            "    not",
            "      members of $IndexF:Part:kind:a",
            "    all of",
            "      range 1.0 to 3.0 of $SortF:Part:price",
            "      not",
            "        records whose stored note is one of 1 value(s), each looked at",
            BY_KEY,
        ],
        1,
    ),
    (
        lambda: Part.query.filter(number__in=[FIRST, SECOND], name="x"),
        [
            "  all of",
            "    records whose stored number is one of 2 value(s), each looked at",
            "    members of $KeyF:Part:name:x",
            "    2 record(s) by key",
            BY_KEY,
        ],
        1,
    ),
    (
        lambda: Part.query.filter(kind__endswith="z"),
        ["  suffix 'z' among the texts of $Values:Part:kind", BY_KEY],
        1,
    ),
    (
        lambda: Part.query.filter(kind="a").order_by("-price").limit(3),
        [
            "  members of $IndexF:Part:kind:a",
            "  order: -price, along the sorted set $SortF:Part:price",
        ],
        1,
    ),
    (
        lambda: Part.query.filter(cost=3).order_by("-rank", "name"),
        [
            "  all records",
            "  order: -rank, name, in Python",
            "  in Python: each match is tested by its cost: the index finds candidates only",
            "  in Python: all matches are ordered by -rank, name, whose values are read",
        ],
        1,
    ),
    (
        lambda: Part.query.filter(cost=3, kind="a").order_by("rank").limit(1),
        [
            "  members of $IndexF:Part:kind:a",
            "  order: rank, in Python",
            "  in Python: each match is tested by its cost, kind: the index finds candidates only",
            "  in Python: all matches are ordered by rank, whose values are read",
        ],
        2,
    ),
    (
        lambda: Part.query.filter(**NEAR),
        [
            "  within 5 km of (1.5, 2.0) in $GeoF:Part:place",
            "  order: distance, nearest first, on the server",
        ],
        1,
    ),
    (
        lambda: Part.query.filter(kind="a").computed_sort(lambda part: part.rank).limit(1),
        [
            "  members of $IndexF:Part:kind:a",
            "  order: computed_sort, in Python",
            "  in Python: all matches are read and ordered by computed_sort",
        ],
        1,
    ),
    (
        lambda: Part.query.filter(kind="a").select_related("maker"),
        [
            "  members of $IndexF:Part:kind:a",
            BY_KEY,
            "  in Python: related records are attached: maker",
        ],
        2,
    ),
    (
        lambda: Part.query.filter(kind__in=[]),
        ["  nothing: no record can match, and nothing is sent", BY_KEY],
        0,
    ),
    (
        lambda: Part.query.filter(kind="a").limit(0),
        ["  members of $IndexF:Part:kind:a", BY_KEY],
        0,
    ),
]


@pytest.mark.parametrize(
    ("make", "lines", "sends"), EXPLANATIONS, ids=[str(n) for n in range(len(EXPLANATIONS))]
)
def test_the_text_of_an_explanation(
    api: Api, make: Callable[[], Any], lines: list[str], sends: int
) -> None:
    plan = api(make().explain)
    last = (
        f"  sends {sends} command(s) in {sends} round trip(s), and one more for every further "
        "2000 records"
    )
    assert str(plan).split("\n") == ["Query on Part", *lines, last]
    assert (plan.model_name, plan.commands, plan.round_trips) == ("Part", sends, sends)


@pytest.fixture
def part() -> Part:
    maker = Maker.create(name="m", town=Town.create(name="t"))
    return Part.create(name="p", kind="a", maker=maker, cost=3, place=(1.5, 2.0))


@pytest.mark.usefixtures("part")
@pytest.mark.parametrize("number", [n for n, each in enumerate(EXPLANATIONS) if each[2]])
def test_a_query_takes_the_round_trips_that_are_told(
    api: Api, round_trips: Counter, number: int
) -> None:
    query = EXPLANATIONS[number][0]()
    plan = api(query.explain)
    with round_trips() as seen:
        api(query.all)
    assert seen.sends <= plan.round_trips


@pytest.mark.usefixtures("part")
@pytest.mark.parametrize(
    "names", [("maker",), ("maker__town",), ("maker", "maker__town"), ("maker__town", "maker")]
)
def test_each_level_of_related_records_is_told(
    api: Api, round_trips: Counter, names: tuple[str, ...]
) -> None:
    query = Part.query.filter(kind="a").select_related(*names)
    with round_trips() as seen:
        (found,) = api(query.all)
    assert found.maker.name == "m"
    assert api(query.explain).round_trips == seen.sends
