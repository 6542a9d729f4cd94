"""`F`: updates that follow from the number that is stored when they arrive."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any, ClassVar, cast

import pytest
import redis

from popoto import (
    BooleanField,
    ConfidenceField,
    DatetimeField,
    DecayingSortedField,
    DecimalField,
    EventStreamMixin,
    F,
    Field,
    FloatField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    Q,
    QueryException,
    SortedField,
    StringField,
    UniqueField,
    redis_db,
    transaction,
)
from popoto.exceptions import (
    BulkError,
    KeyMutationError,
    ModelException,
    NotStoredError,
    NumberOverflowError,
    OutcomeUnknownError,
    RecordGoneError,
    UniquenessError,
    ValidationError,
)
from popoto.testing.faults import FaultProxy
from tests.driver import Api, RoundTrips
from tests.interference import before_each_commit
from tests.truth.oracle import violations

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Product(Model):
    name = KeyField()
    stock = IntField(default=0)
    weight = FloatField()
    price = DecimalField()
    score = SortedField(type=float, default=0.0)
    rank = SortedField(type=int, default=0, partition_by="team")
    level = IndexedField(type=int)
    seat = UniqueField(type=int, null=False)
    team = StringField(default="red")
    sold = IntField()
    state = IndexedField(default="new")
    note = StringField()
    active = BooleanField()

    class Meta:
        indexes = ((("team", "sold"), False),)


#: The fields that can be added to, each kept in another way.
NUMBERS = ("stock", "weight", "price", "score", "rank", "level", "seat", "sold")


def product(name: str = "a", **values: Any) -> Product:
    return Product.create(name=name, seat=values.pop("seat", len(name)), **values)


def again(record: Any) -> Any:
    found = type(record).query.get(record.pk)
    assert found is not None
    return found


def assert_healthy(client: redis.Redis, *models: type[Model]) -> None:
    assert not violations(client, *models)


# Updates of queries -------------------------------------------------------------------------------


def test_the_results_of_a_query_are_added_to(api: Api, redis_client: redis.Redis) -> None:
    for name in ("a", "bb", "ccc"):
        product(name, stock=10, team="blue" if name == "a" else "red")
    assert api(Product.query.filter(name__in=["a", "bb"]).update, stock=F("stock") - 3) == 2
    assert [each.stock for each in Product.query.order_by("name")] == [7, 7, 10]
    assert api(Product.query.filter(name="none").update, stock=F("stock") - 3) == 0
    assert_healthy(redis_client, Product)


@pytest.mark.parametrize("field", NUMBERS)
def test_every_index_follows(api: Api, redis_client: redis.Redis, field: str) -> None:
    record = product(**{field: 2}, team="blue")
    bystander = product("bb", **{"seat": 7, **({} if field == "seat" else {field: 2})})
    updates: dict[str, Any] = {field: 2 + F(field) - 1}
    assert api(Product.query.filter(name="a").update, **updates) == 1
    assert getattr(again(record), field) == 3
    assert type(getattr(again(record), field)) is type(getattr(record, field))
    assert api(Product.query.filter(**{field: 3}, team="blue").all) == [record]
    if field != "seat":
        assert api(Product.query.filter(**{field: 2}, team="red").all) == [bystander]
    assert_healthy(redis_client, Product)


def test_sums_are_exact(api: Api) -> None:
    record = product(stock=2**53, price=Decimal("12345678901234567890.01"), weight=0.1)
    api(
        Product.query.filter(name="a").update,
        stock=F("stock") + 1,
        price=F("price") - Decimal("0.02") + 0.1,
        weight=F("weight") + 0.2,
    )
    found = again(record)
    assert (found.stock, found.price) == (2**53 + 1, Decimal("12345678901234567890.09"))
    assert found.weight == 0.1 + 0.2
    # A missing number, and None, count as 0.
    api(Product.query.filter(name="a").update, sold=F("sold") + 1, level=F(Product.level) - 1)
    assert (again(record).sold, again(record).level) == (1, -1)


def test_other_values_are_set_along(api: Api, redis_client: redis.Redis) -> None:
    record = product(stock=5, rank=1)
    changes: dict[str, Any] = {"stock": F("stock") - 1, "sold": F("sold") + 1, "note": "x"}
    assert (
        api(Product.query.filter(name="a").update, **changes, rank=F("rank") + 1, team="blue") == 1
    )
    found = again(record)
    assert (found.stock, found.sold, found.note, found.rank) == (4, 1, "x", 2)
    assert Product.query.filter(team="blue", rank=2).all() == [record]
    assert_healthy(redis_client, Product)


def test_instances_that_are_given_have_the_sums(api: Api) -> None:
    records = [product("a", stock=1, level=1), product("bb", stock=5)]
    # What was loaded is not what is stored any more.
    Product.query.filter().update(stock=F("stock") + 100)
    changes: dict[str, Any] = {"stock": F("stock") - 1, "level": F("level") + 1}
    assert api(Product.bulk_update, records, **changes) == 2
    assert [(each.stock, each.level) for each in records] == [(100, 2), (104, 1)]
    records[0].save()
    assert again(records[0]).stock == 100


def test_a_row_that_cannot_be_added_to_refuses_its_batch(api: Api) -> None:
    product("a", seat=1)
    product("bb", seat=2)
    with pytest.raises(BulkError) as caught:
        api(Product.query.filter(name="a").update, seat=F("seat") + 1, stock=F("stock") + 1)
    assert isinstance(caught.value.errors[0].error, UniquenessError)
    assert again(product("c", seat=9)).stock == 0
    top = product("dddd", stock=2**64 - 1)
    with pytest.raises(BulkError) as caught:
        api(Product.query.filter(stock__ne=5).update, stock=F("stock") + 1, note="x")
    assert [type(each.error) for each in caught.value.errors] == [NumberOverflowError]
    assert {(each.stock, each.note) for each in Product.query.all()} == {
        (0, None),
        (top.stock, None),
    }
    told: list[Any] = []
    assert api(Product.bulk_update, [top], on_error=told.append, stock=F("stock") + 1) == 0
    assert [type(each.error) for each in told] == [NumberOverflowError]


# What others write at the same time ---------------------------------------------------------------


@pytest.mark.parametrize("field", NUMBERS)
def test_what_another_writer_adds_meanwhile_stays(
    api: Api, field: str, monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    record = product(**{field: 1})
    with monkeypatch.context() as patch:
        turns = iter(range(4))

        def other() -> None:
            # Before the query, and before the first commits.
            if next(turns, None) is not None:
                redis_db.connection()
                again(record).atomic_increment(field, 10)

        before_each_commit(patch, other)
        assert api(Product.query.filter(name="a").update, **{field: F(field) + 1}) == 1
        taken = 4 - len([*turns])
    assert getattr(again(record), field) == 2 + 10 * taken
    assert taken > 1
    assert_healthy(redis_client, Product)


@pytest.mark.parametrize("field", ["stock", "price", "score", "level"])
def test_no_addition_of_many_threads_is_lost(field: str) -> None:
    record = product(**{field: 0})
    failures: list[Exception] = []

    def add() -> None:
        try:
            for _ in range(15):
                Product.query.filter(name="a").update(**{field: F(field) + 1})
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures
    assert getattr(again(record), field) == 90


@pytest.mark.parametrize("field", ["stock", "score", "price"])
def test_the_conditions_of_an_update_hold_when_it_is_written(field: str) -> None:
    """Fifteen buyers want one of five."""
    record = product(**{field: 5})
    conditions: Any = Q(stock__ne=0) if field == "stock" else Q(score__gt=0)
    if field == "price":
        conditions = ~Q(price=0)

    async def buy() -> int:
        return await Product.query.filter(conditions, name="a").async_update(
            **{field: F(field) - 1}, sold=F("sold") + 1
        )

    async def all_of_them() -> list[int]:
        return await asyncio.gather(*(buy() for _ in range(15)))

    assert sum(asyncio.run(all_of_them())) == 5
    assert (getattr(again(record), field), again(record).sold) == (0, 5)


def test_of_two_who_take_the_same_record_one_has_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = product()
    query = Product.query.filter(state="new")
    turns = iter(range(2))

    def other() -> None:
        if next(turns, None) == 1:
            again(record).query.filter(name="a").update(state="taken", note="the other's")

    before_each_commit(monkeypatch, other)
    assert api(query.update, state="taken", note="mine") == 0
    assert again(record).note == "the other's"
    # Of one that matches all the same, the change is made.
    assert api(Product.query.filter(Q(state="taken") | Q(note="x")).update, state="new") == 1


def test_a_record_that_goes_on_matching_is_changed(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = product(score=10.0)
    turns = iter(range(3))

    def other() -> None:
        if next(turns, None) == 1:
            again(record).atomic_increment("score", 5)

    before_each_commit(monkeypatch, other)
    assert api(Product.query.filter(score__gte=10).update, note="high") == 1
    assert (again(record).score, again(record).note) == (15.0, "high")


def test_a_record_that_is_gone_is_left_out(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    record = product()
    turns = iter(range(2))
    before_each_commit(monkeypatch, lambda: next(turns, None) == 1 and again(record).delete())
    assert api(Product.query.filter(name="a").update, stock=F("stock") + 1) == 0
    assert Product.query.count() == 0
    with pytest.raises(BulkError):
        api(Product.bulk_update, [record], stock=F("stock") + 1)


@pytest.mark.parametrize("field", ["stock", "level", "price"])
def test_a_lost_reply_is_told_and_never_adds_twice(
    api: Api, proxy: FaultProxy, redis_client: redis.Redis, field: str
) -> None:
    record = product(**{field: 1})
    again(record)
    for number in range(1, 4):
        # The query has its reply; that to the commit is lost.
        proxy.lose_reply(b"addable" if field == "stock" else b"HSET")
        with pytest.raises(OutcomeUnknownError):
            api(Product.query.filter(name="a").update, **{field: F(field) + 1})
        assert getattr(again(record), field) == 1 + number
    mine = again(record)
    setattr(mine, field, F(field) + 1)
    proxy.lose_reply(b"addable" if field == "stock" else b"HSET")
    with pytest.raises(OutcomeUnknownError):
        api(mine.save)
    assert getattr(again(record), field) == 5
    # What other writers do from then on is added to, whatever this one believes.
    setattr(mine, field, F(field) + 1)
    api(mine.save)
    assert getattr(again(record), field) == getattr(mine, field) == 6
    assert_healthy(redis_client, Product)


# Saving a record ----------------------------------------------------------------------------------


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("names", [None, "named"])
def test_a_number_that_is_assigned_is_added_to_by_the_save(
    api: Api, redis_client: redis.Redis, field: str, names: str | None
) -> None:
    record = product(**{field: 3})
    Product.query.filter(name="a").update(**{field: F(field) + 10})
    setattr(record, field, F(field) - 1)
    record.note = "sold"
    api(record.save, update_fields=None if names is None else [field, "note"])
    # The attribute has the new value, as after an increment.
    assert getattr(record, field) == 12
    assert (getattr(again(record), field), again(record).note) == (12, "sold")
    api(record.save)
    assert getattr(again(record), field) == 12
    assert_healthy(redis_client, Product)


def test_a_number_whose_partition_another_writer_has_changed(
    api: Api, redis_client: redis.Redis
) -> None:
    record = product(rank=3)
    stale = again(record)
    record.team, record.level, record.rank = "blue", 9, 7
    record.save()
    stale.rank = F("rank") + 1
    api(stale.save)
    assert (stale.rank, again(record).rank, again(record).team) == (8, 8, "blue")
    assert_healthy(redis_client, Product)


def test_a_partial_save_of_other_fields_leaves_the_number_waiting(api: Api) -> None:
    record = product(stock=1)
    record.stock = F("stock") + 1
    record.note = "x"
    api(record.save, update_fields=["note"])
    assert again(record).stock == 1
    api(record.save)
    assert record.stock == again(record).stock == 2


def test_after_a_refused_save_the_number_still_waits(api: Api) -> None:
    record, rival = product("a", stock=1, seat=1), product("bb", seat=2)
    record.stock, record.seat = F("stock") + 1, 2
    with pytest.raises(UniquenessError):
        api(record.save)
    assert repr(record.stock) == "F('stock') + 1"
    rival.delete()
    api(record.save)
    assert (record.stock, again(record).stock) == (2, 2)


def test_what_is_loaded_by_key_alone_is_added_to(api: Api) -> None:
    product(stock=5, level=2)
    record = Product(name="a")
    record.stock, record.level = F("stock") + 1, F("level") + 1
    api(record.save, update_fields=["stock", "level"])
    assert (record.stock, record.level, again(record).stock, again(record).level) == (6, 3, 6, 3)


def test_an_update_and_a_get_or_update_of_a_stored_record(api: Api) -> None:
    record = product(stock=5)
    found, created = api(Product.update_or_create, name="a", defaults={"stock": F("stock") + 1})
    assert (created, found.stock, again(record).stock) == (False, 6, 6)


class AmountField(Field[int]):
    def __init__(self) -> None:
        super().__init__(type=int)

    @classmethod
    def is_valid(cls, field: Any, value: Any, null_check: bool = True, **kw: Any) -> bool:
        return super().is_valid(field, value, null_check, **kw) and (value or 0) >= 0


class SeenField(Field[int]):
    seen: ClassVar[list[tuple[Any, Any]]] = []

    def __init__(self) -> None:
        super().__init__(type=int)

    @classmethod
    def on_save(
        cls, model_instance: Any, field_name: str, field_value: Any, pipeline: Any = None, **_: Any
    ) -> Any:
        cls.seen.append((field_value, model_instance.other))
        return pipeline


class Drawer(Model):
    """A number that must not be negative, and one that a hook is told of."""

    name = KeyField()
    amount = AmountField()
    other = SeenField()

    class Meta:
        ttl = 1000


def test_what_a_field_refuses_is_what_would_be_stored(api: Api) -> None:
    record = Drawer.create(name="a", amount=0)
    stale = again(record)
    record.amount = 5
    record.save()
    # By what it has loaded it would be -1; what is stored decides.
    stale.amount = F("amount") - 1
    api(stale.save)
    assert stale.amount == again(record).amount == 4
    stale.amount = F("amount") - 5
    with pytest.raises(ValidationError, match="nothing was written"):
        api(stale.save)
    with pytest.raises(BulkError):
        api(Drawer.query.filter(name="a").update, amount=F("amount") - 5)
    assert again(record).amount == 4


def test_hooks_see_the_sum(api: Api) -> None:
    record = Drawer.create(name="a", other=1)
    SeenField.seen.clear()
    record.other = F("other") + 1
    api(record.save)
    assert SeenField.seen == [(2, 2)]
    assert record.other == again(record).other == 2


class Told(EventStreamMixin, Model):
    _stream_metadata_fields = ("count",)

    name = KeyField()
    count = IntField(default=0)
    changed = DatetimeField(auto_now=True)


def test_events_and_moments_follow(api: Api, redis_client: redis.Redis) -> None:
    record = Told.create(name="a")
    before = record.changed
    assert api(Told.query.filter(name="a").update, count=F("count") + 1) == 1
    assert again(record).count == 1
    assert again(record).changed > before
    (stream,) = [key for key in redis_client.keys("*") if redis_client.type(key) == b"stream"]
    events = cast("list[Any]", redis_client.xrange(stream))
    assert [event[b"count"] for _, event in events] == [b"0", b"1"]


class Versioned(Model):
    name = KeyField()
    count = IntField(default=0)
    version = IntField(default=0)

    class Meta:
        version_field = "version"


def test_a_version_counts_the_additions(api: Api) -> None:
    record = Versioned.create(name="a")
    before = record.version
    record.count = F("count") + 1
    api(record.save)
    assert api(Versioned.query.filter(name="a").update, count=F("count") + 1) == 1
    assert (again(record).count, again(record).version) == (2, before + 2)


def test_a_save_begins_the_time_to_live_anew(api: Api, redis_client: redis.Redis) -> None:
    record = Drawer.create(name="a", amount=1)
    redis_client.expire("Drawer:a", 5)
    record.amount = F("amount") + 1
    api(record.save)
    assert cast("int", redis_client.ttl("Drawer:a")) > 900


def test_a_moving_record_is_added_to(api: Api, redis_client: redis.Redis) -> None:
    record = product(stock=1, level=11)
    Product.query.filter(name="a").update(stock=F("stock") + 10)
    record.name, record.stock, record.level = "z", F("stock") + 1, F("level") + 1
    api(record.save, migrate_key=True)
    assert (again(record).pk, again(record).stock, again(record).level) == ("Product:z", 12, 12)
    assert_healthy(redis_client, Product)


# Pipelines and transactions -----------------------------------------------------------------------


def test_additions_wait_in_a_pipeline(redis_client: redis.Redis) -> None:
    record = product(stock=1, level=1)
    pipeline = redis_db.POPOTO_REDIS_DB.pipeline()
    for _ in range(2):
        record.stock, record.level = F("stock") + 1, F("level") + 1
        record.save(pipeline=pipeline)
    assert (again(record).stock, record.stock) == (1, 3)
    pipeline.execute()
    assert (again(record).stock, again(record).level) == (3, 3)
    assert_healthy(redis_client, Product)
    record.stock = F("stock") + 2**64
    with pytest.raises(NumberOverflowError):
        record.save(pipeline=redis_db.POPOTO_REDIS_DB.pipeline())


def test_additions_of_a_transaction_are_one_step(redis_client: redis.Redis) -> None:
    giver, taker = product("a", stock=5, seat=1), product("bb", stock=0, seat=2)
    Product.query.filter().update(stock=F("stock") + 1)
    with transaction() as t:
        giver.stock, taker.stock = F("stock") - 4, F("stock") + 4
        t.save(giver)
        t.save(taker)
    assert (giver.stock, taker.stock, again(giver).stock, again(taker).stock) == (2, 5, 2, 5)
    rival = product("c", seat=3)
    with pytest.raises(UniquenessError), transaction() as t:  # noqa: PT012
        giver.stock, rival.seat = F("stock") - 1, 2
        t.save(giver)
        t.save(rival)
    assert again(giver).stock == 2
    assert_healthy(redis_client, Product)


# What is refused ----------------------------------------------------------------------------------


class Belief(Model):
    name = KeyField()
    sure = ConfidenceField()
    fresh = DecayingSortedField()
    capped = ListField(max_length=3)


@pytest.mark.parametrize(
    ("updates", "match"),
    [
        ({"stock": F("sold") + 1}, "not to another's"),
        ({"stock": F("sold")}, "not to another's"),
        ({"note": F("note") + 1}, "only int, float and Decimal fields"),
        ({"active": F("active") + 1}, "only int, float and Decimal fields"),
        ({"stock": F("stock") + 0.5}, "whole numbers only"),
        ({"stock": F("stock") + True}, "the delta must be"),
        ({"stock": F("stock") + cast("Any", "1")}, "the delta must be"),
        ({"stock": F("stock") + cast("Any", None)}, "the delta must be"),
        ({"price": F("price") + Decimal("NaN")}, "it is no amount"),
    ],
)
def test_what_is_no_addition_is_refused(api: Api, updates: dict[str, Any], match: str) -> None:
    record = product(stock=3)
    with pytest.raises(ValidationError, match=match):
        api(Product.query.filter(name="a").update, **updates)
    for name, value in updates.items():
        setattr(record, name, value)
    with pytest.raises(ValidationError, match=match):
        api(record.save)
    assert api(record.save, ignore_errors=True) is False
    assert again(record).stock == 3


def test_memory_fields_and_lists_are_changed_by_their_own_methods(api: Api) -> None:
    record = Belief.create(name="a")
    for name in ("sure", "fresh"):
        with pytest.raises(ValidationError, match="is changed by its own methods"):
            api(Belief.query.filter(name="a").update, **{name: F(name) + 1})
    with pytest.raises(ValidationError, match="only int, float and Decimal"):
        api(Belief.query.filter(name="a").update, capped=F("capped") + 1)
    assert again(record).sure == record.sure


def test_keys_and_unknown_fields_are_refused(api: Api) -> None:
    class Numbered(Model):
        number = KeyField(type=int)

    record = Numbered.create(number=1)
    with pytest.raises(KeyMutationError):
        api(Numbered.query.filter(number=1).update, number=F("number") + 1)
    record.number = F("number") + 1
    with pytest.raises(KeyMutationError):
        api(record.save, migrate_key=True)
    with pytest.raises(ModelException, match="Unknown field"):
        api(Numbered.query.filter(number=1).update, count=F("count") + 1)


def test_only_stored_records_are_added_to(api: Api) -> None:
    with pytest.raises(ModelException, match="a number that is stored already"):
        Product(name="a", stock=F("stock") + 1)
    # Text takes nearly everything, and not this.
    with pytest.raises(ModelException, match="a number that is stored already"):
        Product(name="a", note=F("note"))
    fresh = Product(name="a", seat=1)
    fresh.stock = F("stock") + 1
    with pytest.raises(ValidationError, match="no number is stored yet"):
        api(fresh.save)
    with pytest.raises(NotStoredError):
        api(fresh.save, update_fields=["stock"])
    gone = product()
    again(gone).delete()
    gone.stock = F("stock") + 1
    with pytest.raises(RecordGoneError):
        api(gone.save)
    with pytest.raises(RecordGoneError):
        api(gone.save, recreate=True)
    assert Product.query.count() == 0


def test_conditions_do_not_take_it(api: Api) -> None:
    for lookup in ("stock", "note", "score__gt", "level", "state__in"):
        given: Any = [F("stock")] if lookup.endswith("in") else F("stock")
        with pytest.raises(QueryException, match="a number that is stored already"):
            api(Product.query.filter(**{lookup: given}).all)


@pytest.mark.parametrize(
    "work",
    [
        lambda f: f * 2,
        lambda f: 2 * f,
        lambda f: f / 2,
        lambda f: 2 / f,
        lambda f: f // 2,
        lambda f: f % 2,
        lambda f: f**2,
        lambda f: -f,
        lambda f: 5 - f,
        lambda f: f + F("other"),
        lambda f: f - F("other"),
        lambda f: f > 2,
        lambda f: f <= 2,
    ],
)
def test_other_operations_say_what_to_do(work: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"F\('stock'\).*expected"):
        work(F("stock"))


# Cost ---------------------------------------------------------------------------------------------


def test_an_update_is_a_query_and_a_commit(api: Api, round_trips: Counter) -> None:
    for number in range(50):
        product("a" * (number + 1))
    api(Product.query.filter(team="red").update, stock=F("stock") + 1)
    with round_trips() as seen:
        assert api(Product.query.filter().update, stock=F("stock") + 1) == 50
    assert seen.sends == 2
    # Of a key, which stays what it is, nothing has to be looked at again.
    with round_trips() as seen:
        assert api(Product.query.filter(name__startswith="a").update, note="x") == 50
    assert (seen.sends, seen.commands["hmget"]) == (2, 50)
    record = again(Product(name="a"))
    record.stock = F("stock") + 1
    with round_trips() as seen:
        api(record.save)
    assert seen.sends == 1


def test_writers_that_add_to_a_plain_number_are_not_in_each_others_way(
    api: Api, round_trips: Counter
) -> None:
    class Counted(Model):
        name = KeyField()
        hits = IntField(default=0)
        score = SortedField(type=float, default=0.0)

    record = Counted.create(name="a")
    stale = again(record)
    Counted.query.filter(name="a").update(hits=F("hits") + 1, score=F("score") + 1)
    stale.hits, stale.score = F("hits") + 1, F("score") + 1
    with round_trips() as seen:
        api(stale.save)
    assert seen.sends == 1
    assert (stale.hits, stale.score) == (again(record).hits, again(record).score) == (2, 2.0)
    assert Counted.query.filter(score=2).all() == [record]
    # Beyond what its doubles tell apart, the server says what is stored.
    record = again(record)
    again(record).atomic_increment("hits", 2**53)
    record.hits = F("hits") + 1
    with round_trips() as seen:
        api(record.save)
    assert (seen.sends, record.hits) == (2, 2**53 + 3)
