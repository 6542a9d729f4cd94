"""Sorted fields: ranges, partitions, exactness, timestamps."""

from __future__ import annotations

import datetime
import time
import warnings
from decimal import Decimal
from typing import Any

import pytest
import redis

from popoto import (
    IndexedField,
    KeyField,
    Model,
    ModelException,
    Q,
    QueryException,
    SortedField,
    StringField,
)
from tests.driver import Api
from tests.queries.shop import Product, Reading, codes, stock


class Person(Model):
    name = KeyField()
    age = SortedField(type=int)
    page = SortedField(type=int)


class Exact(Model):
    name = KeyField()
    number = SortedField(type=int, default=0)
    amount = SortedField(type=Decimal, default=Decimal(0))
    moment = SortedField(type=datetime.datetime, default=datetime.datetime(2000, 1, 1))


@pytest.mark.parametrize(
    ("lookups", "expected"),
    [
        ({"price": 3}, [3]),
        ({"price": "3"}, [3]),
        ({"price": Decimal(3)}, [3]),
        ({"price__gt": 7}, [8, 9]),
        ({"price__gte": 8.0}, [8, 9]),
        ({"price__lt": 1}, [0]),
        ({"price__lte": 1}, [0, 1]),
        ({"price__between": (2, 4)}, [2, 3, 4]),
        ({"price__between": [4, 2]}, []),
        ({"price__gt": 2, "price__lt": 5}, [3, 4]),
        ({"price__gt": 5, "price__gte": 0}, [6, 7, 8, 9]),
        ({"price__gte": 0, "price__gt": 5}, [6, 7, 8, 9]),
        ({"price__lt": 5, "price__lte": 9}, [0, 1, 2, 3, 4]),
        ({"price__between": (2, 6), "price__gt": 3}, [4, 5, 6]),
        ({"price": 3, "price__gt": 3}, []),
        ({"price__in": [9, 1, 1, 77]}, [1, 9]),
        ({"price__in": []}, []),
        ({"price__ne": 4, "price__lt": 6}, [0, 1, 2, 3, 5]),
        ({"price__gt": float("-inf"), "price__lt": 1}, [0]),
        ({"price__lt": float("inf"), "price__gte": 9}, [9]),
        ({"made": datetime.date(2026, 1, 3)}, [2]),
        ({"made__gt": datetime.datetime(2026, 1, 8)}, [8, 9]),
        ({"made__between": (datetime.date(2026, 1, 1), datetime.date(2026, 1, 2))}, [0, 1]),
        ({"price__gte": 2, "kind": "even"}, [2, 4, 6, 8]),
        ({"price__gte": 2, "brand__isnull": True}, [2, 5, 8]),
        ({"price__gte": 2, "note": "note 1", "rank": 3}, [3, 7]),
    ],
    ids=repr,
)
def test_ranges(api: Api, lookups: dict[str, Any], expected: list[int]) -> None:
    stock(10)
    assert codes(api(Product.query.filter(**lookups).all)) == expected
    assert api(Product.query.count, **lookups) == len(expected)
    assert codes(api(Product.query.filter(**lookups).limit(2).all)) == expected[:2]


def test_names_that_contain_each_other(api: Api) -> None:
    api(Person.create, name="a", age=3, page=1)
    api(Person.create, name="b", age=30, page=2)
    found = api(Person.query.filter(age__gt=1, page__lt=5).all)
    assert [person.name for person in found] == ["a", "b"]


def test_partitions_take_their_values_from_the_whole_conjunction(api: Api) -> None:
    stock(12)
    query = Product.query
    expected = [6, 0]  # even and brand a, by ascending stock
    for builder in (
        query.filter(stock__gt=0, kind="even", brand="a"),
        query.filter(Q(stock__gt=0), kind="even", brand="a"),
        query.filter(Q(stock__gt=0) & Q(kind="even"), brand="a"),
        query.filter(Product.stock > 0, Product.kind == "even", brand="a"),
        query.filter((Product.stock > 0) & (Product.kind == "even") & Q(brand="a")),
        query.filter(kind="even").filter(stock__gt=0).filter(brand="a"),
        query.filter(Q(stock__gt=0) | Q(stock=-5), kind="even", brand="a").order_by("stock"),
        query.filter(kind="even", brand="a").exclude(stock__lte=0).order_by("stock"),
        query.filter(kind="even", brand__in=["a"], stock__gt=0),
    ):
        assert codes(api(builder.all)) == expected
        assert api(builder.count) == 2
    with pytest.raises(QueryException, match="brand"):
        api(query.filter(Q(stock__gt=0) | Q(brand="a"), kind="even").all)
    found = api(query.filter(stock__gt=0, kind="even", brand=None).all)
    assert codes(found) == [8, 2]


def test_partitions_of_several_values_are_merged_in_order(api: Api) -> None:
    stock(12)
    builder = Product.query.filter(stock__gte=90, kind="even", brand__in=["a", "b", None])
    assert codes(api(builder.all)) == [10, 8, 6, 4, 2, 0]
    assert codes(api(builder.limit(2).all)) == [10, 8]
    assert api(builder.count) == 6
    assert codes(api(builder.order_by("-stock").limit(3).all)) == [0, 2, 4]


def test_a_record_moves_between_partitions(api: Api, redis_client: redis.Redis) -> None:
    stock(1)
    loaded = api(Product.query.filter(code=0).all)[0]
    loaded.brand = "z"
    api(loaded.save)
    assert codes(api(Product.query.filter(stock__gt=0, kind="even", brand="a").all)) == []
    assert codes(api(Product.query.filter(stock__gt=0, kind="even", brand="z").all)) == [0]
    loaded.brand = "unsaved"
    api(loaded.delete)
    assert redis_client.keys("*Product*") == []


def test_values_that_doubles_cannot_tell_apart(api: Api) -> None:
    big = 2**53
    for number in (big + 1, big, big + 2, -big - 1, -big, 2**63 - 1, 2**63 - 2):
        api(Exact.create, name=str(number), number=number)
    query = Exact.query

    def numbers(builder: Any) -> list[int]:
        return [each.number for each in api(builder.all)]

    assert numbers(query.filter(number=big)) == [big]
    assert api(query.count, number=big) == 1
    assert numbers(query.filter(number__gt=big, number__lt=2**60)) == [big + 1, big + 2]
    assert numbers(query.filter(number__lte=-big)) == [-big - 1, -big]
    assert numbers(query.filter(number__ne=big, number__gt=0).limit(1)) == [big + 1]
    ordered = sorted([big + 1, big, big + 2, -big - 1, -big, 2**63 - 1, 2**63 - 2])
    assert numbers(query.order_by("number")) == ordered
    assert numbers(query.order_by("-number")) == ordered[::-1]
    assert numbers(query.order_by("-number").limit(3)) == ordered[:-4:-1]
    assert numbers(query.order_by("number").limit(1)) == ordered[:1]
    assert numbers(query.filter(number__gte=big).limit(2)) == [big, big + 1]


def test_decimals_stay_exact(api: Api) -> None:
    texts = ["0.1000000000000000000001", "0.1", "0.1000000000000000000002", "-1E+20", "1E-30"]
    for text in texts:
        api(Exact.create, name=text, amount=Decimal(text))
    query = Exact.query
    assert api(query.get, name=texts[0]).amount == Decimal(texts[0])
    assert [each.name for each in api(query.filter(amount="0.1").all)] == ["0.1"]
    found = api(query.filter(amount__gt=Decimal("0.1")).all)
    assert [each.name for each in found] == [texts[0], texts[2]]
    expected = sorted(texts, key=Decimal)
    assert [each.name for each in api(query.order_by("amount").all)] == expected
    assert [each.name for each in api(query.order_by("-amount").limit(2).all)] == expected[:-3:-1]
    assert api(query.count, amount__between=("0.1", "0.1000000000000000000001")) == 2


def test_moments(api: Api) -> None:
    utc = datetime.UTC
    moments = [
        datetime.datetime(1960, 1, 1),
        datetime.datetime(2026, 1, 1, 12, 0, 0, 1),
        datetime.datetime(2026, 1, 1, 12, 0, 0, 2),
        datetime.datetime(9000, 1, 1, 0, 0, 0, 1),
        datetime.datetime(9000, 1, 1, 0, 0, 0, 2),
    ]
    for number, moment in enumerate(moments):
        api(Exact.create, name=str(number), moment=moment)
    query = Exact.query
    for number, moment in enumerate(moments):
        assert [each.name for each in api(query.filter(moment=moment).all)] == [str(number)]
        assert api(query.count, moment__gt=moment) == len(moments) - 1 - number
    assert api(query.count, moment__lt=datetime.date(2026, 1, 1)) == 1
    assert [each.name for each in api(query.order_by("-moment").limit(2).all)] == ["4", "3"]
    aware = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=5)))
    api(Exact.create, name="aware", moment=aware)
    stored = api(query.get, name="aware").moment
    assert stored == aware
    assert stored.utcoffset() == aware.utcoffset()
    assert api(query.count, moment=aware.astimezone(utc)) == 1


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), 0.0, -0.0, 5e-324])
def test_unusual_floats(api: Api, value: float) -> None:
    api(Person.create, name="x", age=1, page=1)

    class Floats(Model):
        name = KeyField()
        value = SortedField()

    api(Floats.create, name="a", value=value)
    assert [each.value for each in api(Floats.query.filter(value=value).all)] == [value]
    assert api(Floats.query.count, value__gte=value) == 1
    with pytest.raises(ModelException, match="NaN"):
        api(Floats.create, name="b", value=float("nan"))
    assert api(Floats.query.count) == 1


def test_ties_come_in_the_order_of_keys_both_ways(api: Api) -> None:
    for name in ("c", "a", "b", "d"):
        api(Person.create, name=name, age=1 if name != "d" else 2, page=1)
    query = Person.query
    assert [each.name for each in api(query.order_by("age").all)] == ["a", "b", "c", "d"]
    assert [each.name for each in api(query.order_by("-age").all)] == ["d", "a", "b", "c"]
    for limit in range(1, 5):
        found = api(query.order_by("-age").limit(limit).all)
        assert [each.name for each in found] == ["d", "a", "b", "c"][:limit]
        found = api(query.filter(age__gt=0).limit(limit).all)
        assert [each.name for each in found] == ["a", "b", "c", "d"][:limit]


def test_a_sorted_key_field_has_both_families_of_lookups(api: Api) -> None:
    for sensor in ("s", "t"):
        for moment in (1.0, 2.0, 10.0):
            api(Reading.create, sensor=sensor, moment=moment, value=moment)
    query = Reading.query
    assert [each.moment for each in api(query.filter(moment__gt=1, sensor="s").all)] == [2.0, 10.0]
    assert api(query.count, moment=2) == 2
    assert api(query.get, sensor="t", moment=10).value == 10.0
    assert api(query.count, moment__in=[1, 2]) == 4
    assert api(query.count, moment__isnull=True) == 0
    assert api(query.count, moment__isnull=False) == 6
    assert api(query.count, moment__startswith="1") == 4
    assert api(query.count, moment__contains="0.") == 2
    assert api(query.count, moment__endswith=".0", moment__lt=5) == 4


class Stamped(Model):
    name = KeyField()
    added = SortedField(type=float, auto_now_add=True)
    touched = SortedField(type=int, auto_now=True)
    day = SortedField(type=datetime.date, auto_now_add=True)
    moment = SortedField(type=datetime.datetime, auto_now=True)
    exact = SortedField(type=Decimal, auto_now_add=True)


def test_timestamps_are_filled_in(api: Api) -> None:
    before = time.time()
    record = api(Stamped.create, name="a")
    assert before <= record.added <= time.time()
    assert type(record.touched) is int
    assert int(before) <= record.touched <= time.time()
    assert record.day == datetime.date.today()
    assert isinstance(record.moment, datetime.datetime)
    assert abs(float(record.exact) - before) < 5
    assert api(Stamped.query.count, added__gte=before) == 1
    record.touched = 5
    api(record.save)
    assert record.touched > 5
    record.touched = 5
    api(record.save, skip_auto_now=True)
    assert api(Stamped.query.get, name="a").touched == 5
    explicit = api(Stamped.create, name="b", added=0.0)
    assert explicit.added == 0.0


def test_the_old_name_of_partition_by() -> None:
    with pytest.warns(DeprecationWarning, match="partition_by"):
        field = SortedField(type=float, sort_by="kind")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert field.sort_by == ("kind",)
        field.sort_by = ("other",)
    assert field.partition_by == ("other",)
    assert {each.category for each in caught} == {DeprecationWarning}
    assert SortedField(partition_by="kind").partition_by == ("kind",)
    assert SortedField().sorted is True


def test_missing_values_are_refused(api: Api) -> None:
    with pytest.raises(ModelException, match="page"):
        api(Person.create, name="x", age=1)
    assert api(Person.query.count) == 0


def test_keys_of_sorted_sets(api: Api, redis_client: redis.Redis) -> None:
    stock(1)
    api(Reading.create, sensor="s", moment=1.0, value=1.0)
    key = Product.stock.get_sortedset_db_key(Product, "stock", "even", "a")
    assert key.redis_key == "$SortF:Product:stock:even:a"
    assert Product.stock.get_sortedset_db_key(Product, "stock", ["even", ("a",)]) == key
    assert redis_client.zrangebyscore(key.redis_key, 0, 200) == [b"Product:0:even"]
    product = api(Product.query.get, code=0, kind="even")
    again = Product.stock.get_partitioned_sortedset_db_key(product, "stock")
    assert again.redis_key == key.redis_key
    assert redis_client.zscore("$SortedKeyF:Reading:moment", "Reading:1.0:s") == 1.0


def test_several_sorted_conditions_order_by_the_first(api: Api) -> None:
    class Two(Model):
        name = KeyField()
        up = SortedField(type=int)
        down = SortedField(type=int)
        group = IndexedField()
        text = StringField()

    for number in range(5):
        api(Two.create, name=str(number), up=number, down=-number, group="g", text="t")
    found = api(Two.query.filter(up__gte=1, down__gt=-4, group="g").all)
    assert [each.up for each in found] == [1, 2, 3]
    found = api(Two.query.filter(down__gt=-4, up__gte=1, text="t").all)
    assert [each.up for each in found] == [3, 2, 1]
    found = api(Two.query.filter(Two.down > -4, Two.up >= 1).limit(2).all)
    assert [each.up for each in found] == [3, 2]


class Entry(Model):
    """Sorted apart by a field that has no index of its own."""

    name = KeyField(type=int)
    board = StringField()
    note = StringField()
    points = SortedField(type=int, partition_by="board")


@pytest.mark.parametrize(
    ("lookups", "expected"),
    [
        ({"board__in": ["a", "b"]}, [0, 1, 3, 4]),
        ({"board__in": ["a", "b"], "board__ne": "b"}, [0, 3]),
        ({"board__in": ["a", "b"], "board": "b"}, [1, 4]),
        ({"board__in": ["a", "b"], "board": "b", "board__ne": "b"}, []),
        ({"board__in": ["a", "c"], "points__gt": 2}, [3, 5]),
        ({"board": "c", "board__in": ["a", "c"], "points__gt": 2}, [5]),
    ],
    ids=repr,
)
def test_a_plain_field_that_parts_another_s_order_may_be_one_of_several(
    api: Api, lookups: dict[str, Any], expected: list[int]
) -> None:
    for number in range(6):
        api(Entry.create, name=number, board="abc"[number % 3], points=number)
    found = api(Entry.query.filter(**lookups).all)
    assert sorted(entry.name for entry in found) == expected
    assert api(Entry.query.filter(**lookups).count) == len(expected)


def test_a_plain_field_that_parts_nothing_may_not(api: Api) -> None:
    for lookups in ({"note__in": ["a"]}, {"board__startswith": "a", "board__in": ["a"]}):
        with pytest.raises(QueryException, match="does not support the lookup"):
            api(Entry.query.filter(**lookups).all)


def test_of_several_ranges_the_first_gives_the_order(api: Api) -> None:
    for name, age, page in (("a", 3, 1), ("b", 1, 2), ("c", 2, 3)):
        api(Person.create, name=name, age=age, page=page)

    def names(**lookups: Any) -> str:
        return "".join(person.name for person in api(Person.query.filter(**lookups).all))

    assert names(age__gt=0, page__gt=0) == "bca"
    assert names(page__gt=0, age__gt=0) == "abc"
    assert names(name__in=["a", "b", "c"], age__gt=0, page__gt=0) == "bca"
    assert names(age__gt=0, name__in=["a", "b", "c"]) == "bca"
    either = Q(name="a") | Q(name="b")
    assert [each.name for each in api(Person.query.filter(either, age__gt=0).all)] == ["b", "a"]


def test_an_order_goes_along_the_set_of_the_partition_that_is_asked_for(api: Api) -> None:
    for number in range(6):
        api(Entry.create, name=number, board="abc"[number % 3], points=9 - number)
    one = Entry.query.filter(board="a", points__gt=0)
    assert api(one.order_by("points").explain).order == (
        "points, along the sorted set $SortF:Entry:points:a"
    )
    assert [entry.name for entry in api(one.order_by("points").all)] == [3, 0]
    assert [entry.name for entry in api(one.order_by("-points").all)] == [0, 3]
    assert api(Entry.query.order_by("points").explain).order == "points, in Python"
    assert [entry.name for entry in api(Entry.query.order_by("points").limit(2).all)] == [5, 4]


def test_an_order_by_another_field_than_the_range_s(api: Api) -> None:
    class Score(Model):
        name = KeyField(type=int)
        level = SortedField(type=int)
        board = IndexedField()
        points = SortedField(type=int, partition_by="board")

    for number in range(4):
        api(Score.create, name=number, level=number, board="ab"[number % 2], points=-number)
    found = Score.query.filter(level__gte=1).order_by("points")
    assert api(found.explain).order == "points, in Python"
    assert [score.name for score in api(found.all)] == [3, 2, 1]
