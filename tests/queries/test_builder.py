"""`Query` and `QueryBuilder`: laziness, sharing of results, entry points."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import pytest

from popoto import DecimalField, FloatField, IndexedField, IntField, KeyField, Model, QueryException
from tests.driver import Api, RoundTrips
from tests.queries.shop import Owner, Product, Shop, codes, stock

Counter = Callable[[], AbstractContextManager[RoundTrips]]


def test_building_sends_nothing(round_trips: Counter) -> None:
    with round_trips() as seen:
        builder = Product.query.filter(kind="a").limit(3).order_by("-price").values("code")
        builder.filter(price__gt=3).no_track().exclude(brand="x").computed_sort(len)
        repr(builder)
    assert seen.sends == 0
    assert seen.commands.total() == 0


def test_builders_are_never_changed(api: Api) -> None:
    stock(4)
    builder = Product.query.filter(kind="even")
    builder.filter(price__gt=1)
    builder.limit(1)
    builder.order_by("-price")
    builder.values("code")
    builder.computed_sort(lambda it: it)
    builder.offset(1)
    assert api(builder.first).code == 0
    assert codes(api(builder.all)) == [0, 2]


def test_arguments_have_the_names_of_the_documented_interface(api: Api) -> None:
    stock(4)
    for query in (Product.query, Product.query.filter()):
        upside_down = query.computed_sort(fn=lambda product: product.code, reverse=True)
        assert codes(api(upside_down.limit(n=2).offset(n=1).all)) == [2, 1]
        assert codes(api(query.offset(n=3).all)) == codes(api(query.offset(3).limit(n=None).all))


def test_implicit_uses_share_one_evaluation(round_trips: Counter) -> None:
    stock(4)
    builder = Product.query.filter(kind="even")
    with round_trips() as seen:
        assert codes(list(builder)) == [0, 2]
        assert codes([*builder]) == [0, 2]
        assert len(builder) == 2
        assert builder[0].code == 0
        assert builder[-1].code == 2
        assert builder[1:] == builder[1:]
        assert builder
        assert builder[0] in builder
        assert builder == list(builder)
        assert codes(sorted(builder, key=lambda it: -it.code)) == [2, 0]
    assert seen.sends == 1
    with round_trips() as seen:
        builder.all()
        builder.all()
        builder.count()
        builder.first()
        builder.last()
        builder.exists()
    assert seen.sends == 6


def test_the_truth_of_a_builder_reads_no_record(round_trips: Counter) -> None:
    stock(4)
    with round_trips() as seen:
        assert Product.query.filter(kind="even")
        assert not Product.query.filter(kind="none")
    assert seen.sends == 2
    assert seen.commands["hmget"] == seen.commands["hgetall"] == 0


def test_comparisons() -> None:
    products = stock(4)
    evens = Product.query.filter(kind="even")
    assert evens == [products[0], products[2]]
    assert evens == Product.query.filter(code__in=[0, 2])
    assert evens != [products[0]]
    assert products[1] not in evens
    assert (evens == 5) is False


def test_text() -> None:
    text = repr(Product.query.filter(kind="even").limit(3).order_by("-price"))
    for part in ("QueryBuilder", "Product", "kind", "even", "limit=3", "order_by='-price'"):
        assert part in text
    further = Product.query.filter(kind="even").offset(2).values("kind")
    assert repr(further) == "<QueryBuilder Product(Q(kind='even'), offset=2, values=('kind',))>"
    assert repr(Product.query.filter()) == "<QueryBuilder Product()>"


def test_first_and_last(api: Api) -> None:
    stock(5)
    query = Product.query
    assert api(query.filter(price__gt=1).first).code == 2
    assert api(query.filter(price__gt=1).last).code == 4
    assert api(query.filter(price__gt=9).first) is None
    assert api(query.filter(price__gt=9).last) is None
    assert api(query.filter().order_by("-price").first).code == 4
    assert api(query.filter().order_by("-price").last).code == 0
    assert api(query.filter().order_by("rank").last).code == 3
    assert api(query.filter(rank=0).last).code == 4
    assert api(query.filter(kind="even").limit(2).last).code == 2
    assert api(query.filter(kind="even").offset(1).last).code == 4
    assert api(query.filter(kind="even").offset(7).last) is None
    assert api(query.filter().limit(0).last) is None
    assert api(query.first).code == 0
    assert api(query.last).code == 4
    assert api(query.filter(price__gt=1).values("code").last) == {"code": 4}


@pytest.mark.slow(1)
def test_ties_at_the_ends(api: Api) -> None:
    for name in "dbca":
        api(Owner.create, name=name, city="c", age=1)
    query = Owner.query
    assert api(query.order_by("age").last).name == "d"
    assert api(query.order_by("-age").last).name == "d"
    assert api(query.order_by("-age").first).name == "a"
    for number in range(1200):
        Owner.create(name=f"m{number:04}", city="c", age=2)
    assert api(query.order_by("-age").first).name == "m0000"
    assert api(query.order_by("-age").last).name == "d"
    assert api(query.order_by("age").last).name == "m1199"
    found = api(query.order_by("-age").offset(1199).limit(3).all)
    assert [each.name for each in found] == ["m1199", "a", "b"]


def test_iteration_in_chunks(api: Api, round_trips: Counter) -> None:
    stock(10)
    builder = Product.query.filter(price__gt=1)
    if api.is_async:

        async def collect() -> list[int]:
            return [each.code async for each in builder.async_iterator(3)]

        assert api.run(collect()) == list(range(2, 10))
        return
    with round_trips() as seen:
        assert [each.code for each in builder.iterator(chunk_size=3)] == list(range(2, 10))
    assert seen.sends == 4
    with pytest.raises(ValueError, match="chunk_size"):
        list(builder.iterator(0))


def test_asynchronous_use(api: Api) -> None:
    stock(4)

    async def use() -> None:
        assert codes(await Product.query.filter(kind="even")) == [0, 2]
        assert [each.code async for each in Product.query.filter(kind="odd")] == [1, 3]
        assert codes(await Product.query.async_filter(kind="odd", limit=1)) == [1]
        assert type(await Product.query.async_filter(kind="odd")) is list
        assert await Product.query.async_filter(Product.price > 2) == [Product(code=3, kind="odd")]

    api.run(use())


def test_query_is_asked_directly(api: Api) -> None:
    stock(4)
    query = Product.query
    assert Product.objects is query
    assert Product(code=1, kind="x").query is query
    assert [each.code for each in query] == [0, 1, 2, 3]
    assert codes(api(query.order_by("-price").all)) == [3, 2, 1, 0]
    assert codes(api(query.limit(1).all)) == [0]
    assert api(query.exists) is True
    assert api(query.count) == 4
    assert type(api(query.all)) is list
    assert sorted(api(query.keys)) == [
        b"Product:0:even",
        b"Product:1:odd",
        b"Product:2:even",
        b"Product:3:odd",
    ]
    assert api(query.filter(kind="odd").keys) == [b"Product:1:odd", b"Product:3:odd"]
    assert query.filter_for_keys_set(kind="odd") == {b"Product:1:odd", b"Product:3:odd"}


@pytest.mark.single_server("on a cluster every key of the server has a hash tag")
def test_keys_of_everything(api: Api, redis_client: Any, caplog: Any) -> None:
    stock(2)
    redis_client.delete("Product:1:odd")
    everything = api(Product.query.keys, catchall=True)
    assert b"Product:0:even" in everything
    assert set(everything) == {key for key in redis_client.scan_iter() if b"Product" in key}
    assert set(api(Product.query.keys, clean=True)) == {b"Product:0:even"}
    assert any(
        "deprecated" in each.message and "clean_indexes()" in each.message
        for each in caplog.records
    )
    assert redis_client.smembers("$Class:Product") == {b"Product:0:even"}


class Bill(Model):
    number = KeyField(type=int)
    customer = IndexedField()
    amount = DecimalField()
    weight = FloatField()
    count = IntField()


def bills(api: Api) -> None:
    amounts = ["0.1", "0.2", "1E+20", "-0.0000000000000000000000000000001", None]
    for number, amount in enumerate(amounts):
        api(
            Bill.create,
            number=number,
            customer="ab"[number % 2],
            amount=None if amount is None else Decimal(amount),
            weight=0.1,
            count=2**62 if number else None,
        )


def test_aggregates(api: Api) -> None:
    bills(api)
    query = Bill.query
    assert api(query.sum, "amount") == Decimal(
        "100000000000000000000.2999999999999999999999999999999"
    )
    assert api(query.sum, Bill.count) == 4 * 2**62
    api(Bill.create, number=9, customer="z", amount=Decimal("1E+4990"))
    api(Bill.create, number=10, customer="z", amount=Decimal("1E-4990"))
    assert api(query.filter(customer="z").sum, "amount").as_tuple().digits == (1, *[0] * 9979, 1)
    api(query.filter(customer="z").delete)
    assert api(query.sum, "weight") == 0.5
    assert api(query.filter(customer="a").sum, "weight") == 0.30000000000000004
    assert api(query.filter(number__in=[0, 1]).avg, "amount") == Decimal("0.15")
    assert api(query.avg, "count") == 2**62
    assert api(query.min, "amount") == Decimal("-1E-31")
    assert api(query.max, "amount") == Decimal("1E+20")
    assert api(query.min, "number") == 0
    assert api(query.max, "customer") == "b"
    assert api(query.group_count, "customer") == {"a": 3, "b": 2}
    assert api(query.group_count, "count") == {2**62: 4, None: 1}
    assert api(query.order_by("number").limit(2).sum, "amount") == Decimal("0.3")
    empty = query.filter(customer="zz")
    assert api(empty.sum, "amount") == 0
    assert api(empty.avg, "amount") is None
    assert api(empty.min, "amount") is None
    assert api(empty.group_count, "customer") == {}
    for call, name in ((query.sum, "customer"), (query.avg, "nowhere"), (query.min, "nowhere")):
        with pytest.raises(QueryException, match=name):
            api(call, name)


def test_records_that_popoto_1_6_replaced_are_found(api: Api, redis_client: Any) -> None:
    """It keeps the class set, and not what stands beside it in this version."""
    for name in "abc":
        api(Owner.create, name=name, city="c", age=1)
    stored = redis_client.hgetall("Owner:a")
    for name in "ab":
        redis_client.delete(f"Owner:{name}")
        redis_client.srem("$Class:Owner", f"Owner:{name}")
    for name in "xy":
        redis_client.hset(f"Owner:{name}", mapping={**stored, b"name": b"\xa1" + name.encode()})
        redis_client.sadd("$Class:Owner", f"Owner:{name}")
    assert [owner.name for owner in api(Owner.query.all)] == ["c", "x", "y"]
    assert [owner.name for owner in api(Owner.query.limit(2).all)] == ["c", "x"]
    assert api(Owner.query.first).name == "c"
    assert api(Owner.query.last).name == "y"
    assert api(Owner.query.count) == 3


@pytest.mark.slow
def test_large_models_are_read_in_the_order_of_their_keys(
    api: Api, round_trips: Counter, redis_client: Any
) -> None:
    Owner.bulk_create([Owner(name=f"{n:05}", city=f"c{n % 3}", age=n % 7) for n in range(6000)])
    api(Owner.query.first)
    with round_trips() as seen:
        assert [owner.name for owner in api(Owner.query.limit(2).all)] == ["00000", "00001"]
        assert api(Owner.query.last).name == "05999"
        assert [each.name for each in api(Owner.query.filter(city="c2").limit(2).all)] == [
            *("00002", "00005")
        ]
        found = api(Owner.query.order_by("-age").offset(856).limit(3).all)
        assert [each.name for each in found] == ["05998", "00005", "00012"]
    assert seen.commands["smembers"] == 0
    redis_client.delete("Owner:00000")
    assert [owner.name for owner in api(Owner.query.limit(2).all)] == ["00001", "00002"]
    assert api(Owner.query.limit(1).offset(5997).all)[0].name == "05998"
    redis_client.delete("$Values:Owner:$keys")
    assert api(Owner.query.first).name == "00001"


def test_extremes_of_a_sorted_field_come_from_its_index(api: Api, round_trips: Counter) -> None:
    stock(20)
    with round_trips() as seen:
        assert api(Product.query.max, "price") == 19.0
        assert api(Product.query.min, Product.made) == Product.query.filter(code=0)[0].made
        assert api(Product.query.filter(kind="even").max, "price") == 18.0
    assert seen.commands["hmget"] <= 4
    assert api(Product.query.filter(kind="x").max, "price") is None


def test_explanations(api: Api, round_trips: Counter) -> None:
    owner = Owner.create(name="o", city="c", age=3)
    Shop.create(name="s", owner=owner)
    with round_trips() as seen:
        plan = api(
            Product.query.filter(brand="a", price__gt=3, note="x").order_by("rank").limit(3).explain
        )
        ranged = api(Product.query.filter(price__gt=3).explain)
        nothing = api(Product.query.filter(brand__in=[]).explain)
        everything = api(Product.query.explain)
        decimals = api(Bill.query.filter(amount=1).explain)
    assert seen.sends == 0
    text = str(plan)
    assert repr(plan) == text
    for part in ("Product", "$IndexF:Product:brand:a", "$SortF:Product:price", "(3.0", "note"):
        assert part in text
    assert "rank" in plan.order
    assert any("rank" in each for each in plan.in_python)
    assert (plan.commands, plan.round_trips) == (2, 2)
    assert (ranged.commands, ranged.in_python) == (1, ())
    assert "price" in ranged.order
    assert nothing.round_trips == 0
    assert everything.operands == ("all records",)
    assert any("amount" in each for each in decimals.in_python)
    chained = api(Shop.query.filter(owner__age__gt=2).explain)
    assert "$RelationshipF:Shop:owner:Owner:o" in str(chained)
    mixed = str(api(Product.query.filter(~(Product.price > 3) | (Product.kind == "even")).explain))
    for word in ("any of", "not", "$KeyF:Product:kind:even"):
        assert word in mixed
