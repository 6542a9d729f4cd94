"""How much each query may send, and how much it makes the server do (spec/2 §26)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

from popoto import (
    AutoKeyField,
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

#: What reading a record costs.
READS = ("hmget", "hgetall", "hget", "lrange")


class Maker(Model):
    name = KeyField()


class Thing(Model):
    cat = KeyField()
    name = KeyField(type=int)
    color = IndexedField()
    price = SortedField(type=float)
    rank = IntField()
    note = StringField()
    maker = Relationship(Maker)
    place = GeoField()


@pytest.fixture
def things(redis_client: redis.Redis) -> None:
    maker = Maker.create(name="m")
    for number in range(200):
        Thing.create(
            cat="ab"[number % 2],
            name=number,
            color=("red", "green", None)[number % 3],
            price=float(number),
            rank=number,
            note=str(number % 2),
            maker=maker if number < 10 else None,
        )
    for number in range(300):
        redis_client.set(f"Thing{number}", "foreign")


class Sliced:
    """The first ten of a query that is not evaluated yet."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder

    def first(self) -> Any:
        return self._builder[:10]

    async def async_first(self) -> Any:
        return self.first()


#: name, query, sends at most, records read at most (None = all that are returned)
BUDGETS: list[tuple[str, Callable[[], Any], int, int]] = [
    ("count", lambda: (Thing.query.filter().count,), 1, 0),
    ("count equality", lambda: (Thing.query.filter(cat="a").count,), 1, 0),
    ("count range", lambda: (Thing.query.filter(price__gt=20).count,), 1, 0),
    ("count both", lambda: (Thing.query.filter(cat="a", price__gt=20).count,), 1, 0),
    ("count or", lambda: (Thing.query.filter(Q(cat="a") | Q(color="red")).count,), 1, 0),
    ("count plain", lambda: (Thing.query.filter(rank=7).count,), 1, 200),
    ("count reference", lambda: (Thing.query.filter(maker="Maker:m").count,), 1, 0),
    ("count geo", lambda: (Thing.query.filter(place=(0, 0)).count,), 1, 0),
    ("exists", lambda: (Thing.query.filter(cat="a").exists,), 1, 0),
    ("equality", lambda: (Thing.query.filter(cat="a").all,), 2, 100),
    ("equality limit", lambda: (Thing.query.filter(cat="a").limit(10).all,), 2, 10),
    ("slice", lambda: (Sliced(Thing.query.filter(cat="a")).first,), 2, 10),
    ("by key", lambda: (Thing.query.filter(cat="a").order_by("name").limit(10).all,), 2, 10),
    ("by keys", lambda: (Thing.query.order_by("-cat", "name").limit(10).all,), 2, 10),
    ("by score", lambda: (Thing.query.filter(cat="a").order_by("-price").limit(10).all,), 2, 10),
    ("range limit", lambda: (Thing.query.filter(price__gt=20).limit(10).all,), 2, 10),
    ("both limit", lambda: (Thing.query.filter(price__gt=20, cat="a").limit(10).all,), 2, 10),
    ("plain", lambda: (Thing.query.filter(rank=7).all,), 2, 201),
    ("in", lambda: (Thing.query.filter(color__in=["red", "green"]).all,), 2, 134),
    ("prefix", lambda: (Thing.query.filter(cat__startswith="a").all,), 2, 101),
    ("indexed prefix", lambda: (Thing.query.filter(color__startswith="re").all,), 2, 68),
    ("not null", lambda: (Thing.query.filter(color__isnull=False).all,), 2, 200),
    ("all", lambda: (Thing.query.all,), 2, 200),
    ("all limit", lambda: (Thing.query.limit(10).all,), 2, 10),
    ("all by score", lambda: (Thing.query.order_by("price").limit(10).all,), 2, 10),
    ("first", lambda: (Thing.query.filter(cat="a").first,), 2, 1),
    ("last", lambda: (Thing.query.filter(cat="a").last,), 2, 1),
    ("values of keys", lambda: (Thing.query.values("cat", "name").all,), 1, 200),
    ("values", lambda: (Thing.query.filter(cat="a").values("note").all,), 2, 100),
    ("or", lambda: (Thing.query.filter(Q(cat="a") | Q(color="red")).all,), 2, 134),
    ("not", lambda: (Thing.query.filter(~Q(cat="a")).all,), 2, 100),
    ("reference", lambda: (Thing.query.filter(maker="Maker:m").all,), 2, 10),
    ("chained", lambda: (Thing.query.filter(maker__name="m").all,), 3, 10),
    ("get by key", lambda: (Thing.query.get, "Thing:b:199"), 1, 1),
    ("get miss", lambda: (Thing.query.get, "Thing:a:99999"), 1, 1),
]


@pytest.mark.usefixtures("things")
def test_queries_stay_within_their_budgets(api: Api, round_trips: Counter) -> None:
    api(Thing.query.filter(price=1).all)
    for name, make, sends, reads in BUDGETS:
        method, *arguments = make()
        with round_trips() as seen:
            api(method, *arguments)
        done = sum(seen.commands[each] for each in READS)
        assert (name, seen.sends <= sends) == (name, True), seen
        assert (name, done <= reads) == (name, True), seen
        assert seen.commands["scan"] == seen.commands["keys"] == seen.commands["multi"] == 0
        others = seen.commands.total() - done
        # Looking up, ordering, checking expiry: never one command per record of the model.
        assert (name, others <= 40) == (name, True), seen


@pytest.mark.usefixtures("things")
def test_counts_answer_with_one_integer(api: Api, redis_client: redis.Redis) -> None:
    api(Thing.query.count)
    for conditions in ({"cat": "a"}, {"price__gt": 5}, {"cat": "a", "price__gt": 5}, {"rank": 3}):
        before = redis_client.info("stats")["total_net_output_bytes"]
        api(Thing.query.count, **conditions)
        after = redis_client.info("stats")["total_net_output_bytes"]
        overhead = redis_client.info("stats")["total_net_output_bytes"] - after
        assert after - before - overhead < 400


@pytest.mark.usefixtures("things")
def test_foreign_keys_change_nothing(
    api: Api, redis_client: redis.Redis, round_trips: Counter
) -> None:
    builder = Thing.query.filter(color__startswith="r", cat__endswith="a")
    with round_trips() as before:
        api(builder.all)
    with redis_client.pipeline(transaction=False) as pipeline:
        for number in range(20_000):
            pipeline.set(f"foreign:{number}", 1)
        pipeline.execute()
    with round_trips() as after:
        api(builder.all)
    assert (after.sends, after.commands) == (before.sends, before.commands)


@pytest.mark.slow
def test_large_results_are_read_in_pages(api: Api, round_trips: Counter) -> None:
    Thing.bulk_create([Thing(cat="a", name=number, price=float(number)) for number in range(4500)])
    with round_trips() as seen:
        found = api(Thing.query.filter(price__gte=0).all)
    assert [thing.name for thing in found] == list(range(4500))
    assert seen.sends == 3


def test_results_are_changed_and_deleted_in_bulk(
    api: Api, round_trips: Counter, redis_client: redis.Redis
) -> None:
    Thing.bulk_create(
        [
            Thing(cat="ab"[number % 2], name=number, price=float(number), color="red")
            for number in range(50)
        ]
    )
    builder = Thing.query.filter(cat="a")
    with round_trips() as seen:
        assert api(builder.update, color="blue") == 25
    assert seen.sends <= 3
    assert api(Thing.query.count, color="blue") == 25
    assert api(Thing.query.count, color="red") == 25
    assert api(builder.order_by("-price").limit(5).delete) == 5
    assert api(Thing.query.count, cat="a") == 20
    with round_trips() as seen:
        assert api(builder.delete) == 20
    assert seen.sends <= 3
    assert api(Thing.query.delete) == 25
    assert redis_client.dbsize() == 0


@pytest.mark.usefixtures("things")
def test_stored_bytes_are_looked_at_last(api: Api, round_trips: Counter) -> None:
    # Two ranges that overlap seem to find more than there are records.
    wide = Q(price__lt=110) | Q(price__lt=120)
    with round_trips() as seen:
        assert api(Thing.query.filter(wide, note="1").count) == 60
    assert seen.commands["hget"] <= 120
    # Beside a condition that looks at bytes, an index is of no use to know all that match.
    either = Q(note="1") | Q(price__gte=500)
    with round_trips() as seen:
        assert api(Thing.query.filter(either, price__lt=150).count) == 75
    assert seen.commands["hget"] <= 150


class Shelf(Model):
    number = AutoKeyField()
    room = KeyField()


def test_combinations_of_key_fields_are_not_all_sent(api: Api, redis_client: redis.Redis) -> None:
    shelves = Shelf.bulk_create([Shelf(room=f"room {number}") for number in range(30)])
    numbers = [shelf.number for shelf in shelves]

    def sent(count: int) -> int:
        query = Shelf.query.filter(
            number__in=[*numbers, *(f"{number:032}" for number in range(count))],
            room__in=[shelf.room for shelf in shelves],
        )
        before = redis_client.info("stats")["total_net_input_bytes"]
        assert {shelf.number for shelf in api(query.all)} == set(numbers)
        return redis_client.info("stats")["total_net_input_bytes"] - before

    sent(1)
    # 900 records may be meant, and their keys are sent; of 15,000 only the sets of one field are.
    assert sent(0) > 900 * 40
    assert sent(470) < 40_000
