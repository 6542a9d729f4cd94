"""`atomic_increment`: exact, whatever the type and whoever else writes; indexes follow."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import popoto
from popoto import redis_db
from popoto.exceptions import (
    ModelException,
    NotStoredError,
    NumberOverflowError,
    StoredDataError,
    UniquenessError,
    UnsavedError,
    ValidationError,
)
from tests.driver import Api, RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Account(popoto.Model):
    name = popoto.KeyField()
    count = popoto.IntField(default=0)
    share = popoto.FloatField()
    price = popoto.DecimalField()
    score = popoto.SortedField(type=float, default=0.0)
    rank = popoto.SortedField(type=int, default=0, partition_by="team")
    worth = popoto.SortedField(type=Decimal, default=Decimal(0))
    level = popoto.IndexedField(type=int)
    seat = popoto.UniqueField(type=int, null=False)
    team = popoto.StringField(default="red")
    active = popoto.BooleanField()
    note = popoto.StringField()
    tags = popoto.ListField()

    class Meta:
        indexes = ((("team", "count"), False),)


class Plain(popoto.Model):
    name = popoto.KeyField()
    count = popoto.IntField()
    share = popoto.FloatField()
    price = popoto.DecimalField()


def account(name: str = "a", **values: Any) -> Account:
    return Account.create(name=name, seat=values.pop("seat", len(name)), **values)


def stored(record: Account) -> Account:
    found = Account.query.get(record.pk)
    assert found is not None
    return found


# Results ---------------------------------------------------------------------------------


def test_the_new_value_is_returned_stored_and_on_the_instance(api: Api) -> None:
    record = account(count=5)
    assert api(record.atomic_increment, "count", 3) == 8
    assert record.count == 8
    assert record._saved_field_values["count"] == 8
    assert stored(record).count == 8


@pytest.mark.parametrize(
    ("field", "start", "delta", "expected"),
    [
        ("count", 2**53, 1, 2**53 + 1),
        ("count", 10**15, 1, 10**15 + 1),
        ("count", 2**63 - 1, 2**63, 2**64 - 1),
        ("count", -(2**63) + 1, -1, -(2**63)),
        ("count", 2**64 - 1, -(2**63) - 2**63, -1),
        ("count", 7, 5.0, 12),
        ("count", 7, Decimal(-7), 0),
        ("share", 1.0, 1 / 3, 1.0 + 1 / 3),
        ("share", 0.1, 0.2, 0.1 + 0.2),
        ("share", 1.5, 2.5, 4.0),
        ("share", 1e300, -1e300, 0.0),
        ("share", 5e-324, 5e-324, 1e-323),
        (
            "price",
            Decimal("12345678901234567.89"),
            Decimal("0.01"),
            Decimal("12345678901234567.90"),
        ),
        ("price", Decimal("10.50"), Decimal("1.25"), Decimal("11.75")),
        ("price", Decimal("0.10"), 0.2, Decimal("0.30")),
        ("price", Decimal(1), Decimal("1E-60"), Decimal(1) + Decimal(0)),
        ("rank", 2**60, 1, 2**60 + 1),
        ("worth", Decimal("0.1"), Decimal("0.2"), Decimal("0.3")),
    ],
)
def test_arithmetic_is_exact(api: Api, field: str, start: Any, delta: Any, expected: Any) -> None:
    if isinstance(delta, Decimal) and delta == Decimal("1E-60"):
        expected = Decimal("1." + "0" * 59 + "1")
    record = account(**{field: start})
    result = api(record.atomic_increment, field, delta)
    assert (type(result), result, str(result)) == (type(expected), expected, str(expected))
    again = getattr(stored(record), field)
    assert (type(again), str(again)) == (type(expected), str(expected))
    lazy = Account.query.filter(name="a").first()
    assert type(getattr(lazy, field)) is type(expected)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(start=st.integers(-(2**54), 2**54), delta=st.integers(-(2**54), 2**54))
def test_ints_add_as_in_python(redis_client: redis.Redis, start: int, delta: int) -> None:
    record = Plain(name="int", count=start)
    record.save()
    assert record.atomic_increment("count", delta) == start + delta
    # The bytes are those of a save, in the shortest form.
    raw = redis_client.hget("Plain:int", "count")
    Plain(name="int", count=start + delta).save()
    assert raw == redis_client.hget("Plain:int", "count")


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    start=st.floats(-1e300, 1e300),
    delta=st.floats(-1e300, 1e300) | st.floats(-1, 1) | st.integers(-(2**60), 2**60),
)
def test_floats_add_as_in_python(redis_client: redis.Redis, start: float, delta: float) -> None:
    record = Plain(name="float", share=start)
    record.save()
    assert record.atomic_increment("share", delta) == start + float(delta)
    raw = redis_client.hget("Plain:float", "share")
    assert raw is not None
    assert raw[:1] == b"\xcb"


@pytest.mark.parametrize("field", ["count", "share", "price"])
def test_none_and_a_missing_value_count_as_zero(
    api: Api, redis_client: redis.Redis, field: str
) -> None:
    record = account(**{field: None})
    assert api(record.atomic_increment, field, 2) == 2
    redis_client.hdel("Account:a", field)
    assert api(record.atomic_increment, field, 3) == 3
    assert getattr(stored(record), field) == 3


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(b"\x04", 4.5), (b"\xca\x41\x28\x00\x00", 11.0), (b"\xcc\xff", 255.5), (b"\xff", -0.5)],
)
def test_numbers_as_the_published_package_stores_them(
    api: Api, redis_client: redis.Redis, raw: bytes, expected: float
) -> None:
    record = account(share=1.0)
    redis_client.hset("Account:a", "share", raw)
    assert api(record.atomic_increment, "share", 0.5) == expected


# Memory and the rest of the record --------------------------------------------------------


def test_unsaved_changes_of_other_fields_stay_unsaved(api: Api) -> None:
    record = account(count=1, note="old")
    record.note = "new"
    record.count = 100
    assert api(record.atomic_increment, "count", 1) == 2
    assert record.count == 2
    assert record.note == "new"
    assert stored(record).note == "old"
    record.save()
    assert stored(record).note == "new"
    assert stored(record).count == 2


def test_a_stale_copy_adds_to_what_is_stored(api: Api) -> None:
    record = account(count=1)
    stale = stored(record)
    record.count = 50
    record.save()
    assert api(stale.atomic_increment, "count", 1) == 51


def test_the_expiry_stays(api: Api, redis_client: redis.Redis) -> None:
    record = account(level=1, _ttl=100)
    redis_client.expire("Account:a", 50)
    for field in ("count", "share", "score", "level", "price", "seat"):
        api(record.atomic_increment, field, 1)
    assert 40 < redis_client.ttl("Account:a") <= 50


def test_a_lazily_loaded_record_and_a_changed_key_field(api: Api) -> None:
    account(count=1)
    record = Account.query.filter(name="a").first()
    assert record is not None
    record.name = "other"
    assert api(record.atomic_increment, "count", 1) == 2
    assert Account.query.get(name="a").count == 2
    assert Account.query.count() == 1


# Indexes ---------------------------------------------------------------------------------


def test_sorted_indexes_follow(api: Api, redis_client: redis.Redis) -> None:
    record = account(score=1.0, rank=5)
    api(record.atomic_increment, "score", 1 / 3)
    api(record.atomic_increment, "rank", 2)
    assert redis_client.zscore("$SortF:Account:score", "Account:a") == 1.0 + 1 / 3
    assert redis_client.zscore("$SortF:Account:rank:red", "Account:a") == 7
    assert [found.pk for found in Account.query.filter(score__gt=1.2)] == ["Account:a"]
    assert not Account.query.filter(score__lte=1.0).count()


def test_a_sorted_field_whose_partition_another_writer_changed(
    api: Api, redis_client: redis.Redis
) -> None:
    record = account(rank=5)
    other = stored(record)
    other.team = "blue"
    other.save()
    assert api(record.atomic_increment, "rank", 1) == 6
    assert redis_client.zscore("$SortF:Account:rank:blue", "Account:a") == 6
    assert not redis_client.exists("$SortF:Account:rank:red")


def test_indexed_and_composite_indexes_follow(api: Api, redis_client: redis.Redis) -> None:
    record = account(level=1, count=1)
    api(record.atomic_increment, "level", 1)
    api(record.atomic_increment, "count", 1)
    assert not Account.query.filter(level=1).count()
    assert Account.query.filter(level=2).count() == 1
    assert Account._meta.compute_index_hash(stored(record), ("team", "count")) in {
        digest.decode() for digest in redis_client.hkeys("$Index:Account:team:count")
    }
    record.delete()
    assert not [key for key in redis_db.scan_keys("*") if b"Account" in key]


def test_uniqueness_is_kept(api: Api) -> None:
    record, _ = account("a", seat=1), account("b", seat=2)
    with pytest.raises(UniquenessError, match=r"unique.*already exists"):
        api(record.atomic_increment, "seat", 1)
    assert stored(record).seat == 1
    assert api(record.atomic_increment, "seat", 2) == 3
    account("c", seat=1)


def test_what_an_expired_record_leaves_is_swept_after_an_increment(
    api: Api, redis_client: redis.Redis
) -> None:
    record = account(level=1, _ttl=100)
    api(record.atomic_increment, "level", 1)
    redis_client.pexpire("Account:a", 1)
    redis_client.zadd("$Expiry:Account", {"Account:a": 1})
    while redis_client.exists("Account:a"):
        pass
    assert Account.query.filter(level=2).count() == 0
    assert not [key for key in redis_db.scan_keys("*") if b"$IndexF:Account" in key]


# Refusals --------------------------------------------------------------------------------


def test_checks_come_in_the_documented_order(api: Api) -> None:
    unsaved = Account(name="a", seat=1)
    with pytest.raises(AttributeError, match="has no field"):
        api(unsaved.atomic_increment, "nothing", None)
    with pytest.raises(TypeError, match="unsaved") as caught:
        api(unsaved.atomic_increment, "note", None)
    assert isinstance(caught.value, UnsavedError)
    unsaved.save()
    with pytest.raises(TypeError, match="delta"):
        api(unsaved.atomic_increment, "note", None)
    for name in ("note", "active", "tags", "name"):
        with pytest.raises(TypeError, match=name):
            api(unsaved.atomic_increment, name, 1)


@pytest.mark.parametrize("delta", [None, True, "1", "abc", b"1", [1], object()])
def test_a_delta_that_is_no_number(api: Api, delta: Any) -> None:
    record = account(count=1)
    with pytest.raises(TypeError):
        api(record.atomic_increment, "count", delta)
    assert stored(record).count == 1


@pytest.mark.parametrize(
    ("field", "delta"),
    [
        ("count", 0.5),
        ("count", Decimal("0.5")),
        ("share", float("nan")),
        ("share", float("inf")),
        ("price", Decimal("NaN")),
        ("score", float("nan")),
    ],
)
def test_an_amount_that_does_not_fit(api: Api, field: str, delta: Any) -> None:
    record = account(count=1, share=1.0, price=Decimal(1))
    with pytest.raises(ValidationError):
        api(record.atomic_increment, field, delta)
    assert getattr(stored(record), field) == getattr(record, field)


@pytest.mark.parametrize(
    ("field", "start", "delta"),
    [
        ("count", 2**64 - 1, 1),
        ("count", -(2**63), -1),
        ("count", 0, 10**30),
        ("share", 1e308, 1e308),
        ("share", 1.0, 10**400),
        ("price", Decimal("1E+100000"), Decimal("1E-100000")),
    ],
)
def test_overflow_is_an_error_and_nothing_is_written(
    api: Api, field: str, start: Any, delta: Any
) -> None:
    record = account(**{field: start})
    with pytest.raises(NumberOverflowError) as caught:
        api(record.atomic_increment, field, delta)
    assert isinstance(caught.value, OverflowError)
    assert isinstance(caught.value, ModelException)
    assert getattr(stored(record), field) == start


def test_bytes_that_are_no_number(api: Api, redis_client: redis.Redis) -> None:
    record = account(count=1)
    redis_client.hset("Account:a", "count", b"\xa3abc")
    with pytest.raises(StoredDataError, match="count"):
        api(record.atomic_increment, "count", 1)
    assert redis_client.hget("Account:a", "count") == b"\xa3abc"


@pytest.mark.parametrize("field", ["count", "share", "score", "level", "price"])
def test_a_deleted_record_stays_deleted(api: Api, redis_client: redis.Redis, field: str) -> None:
    record = account()
    stale = stored(record)
    record.delete()
    with pytest.raises(NotStoredError):
        api(stale.atomic_increment, field, 1)
    with pytest.raises(TypeError, match="unsaved"):
        api(record.atomic_increment, field, 1)
    assert not redis_client.keys("*Account*")


# Hooks and validators of the user's own -------------------------------------------------------


class EvenField(popoto.IntField):
    @classmethod
    def is_valid(cls, field: Any, value: Any, null_check: bool = True, **kwargs: Any) -> bool:
        return value is None or value % 2 == 0

    @classmethod
    def on_save(
        cls, model_instance: Any, field_name: str, field_value: Any, pipeline: Any = None, **kw: Any
    ) -> Any:
        return pipeline.set(f"seen:{model_instance.pk}", field_value)


class Even(popoto.Model):
    name = popoto.KeyField()
    number = EvenField(default=0)


def test_fields_of_the_users_own_check_and_index_the_sum(
    api: Api, redis_client: redis.Redis
) -> None:
    record = Even.create(name="a")
    assert api(record.atomic_increment, "number", 4) == 4
    assert redis_client.get("seen:Even:a") == b"4"
    with pytest.raises(ValidationError):
        api(record.atomic_increment, "number", 1)
    assert redis_client.get("seen:Even:a") == b"4"
    assert record.number == 4


# Pipelines -------------------------------------------------------------------------------


def test_in_a_pipeline_memory_runs_ahead(redis_client: redis.Redis) -> None:
    record = account(count=1, score=1.0)
    pipeline = redis_db.POPOTO_REDIS_DB.pipeline()
    assert record.atomic_increment("count", 2, pipeline=pipeline) is pipeline
    record.atomic_increment("count", 2, pipeline=pipeline)
    record.atomic_increment("score", 2, pipeline=pipeline)
    record.note = "later"
    record.save(pipeline=pipeline)
    assert record.count == 5
    assert stored(record).count == 1
    pipeline.execute()
    assert stored(record).count == 5
    assert stored(record).note == "later"
    assert redis_client.zscore("$SortF:Account:score", "Account:a") == 3.0


def test_a_queued_addition_of_a_plain_number_disturbs_nobody() -> None:
    record = Plain.create(name="a", count=1)
    pipeline = redis_db.POPOTO_REDIS_DB.pipeline()
    record.atomic_increment("count", 1, pipeline=pipeline)
    Plain.query.get(name="a").atomic_increment("count", 10)
    pipeline.execute()
    assert Plain.query.get(name="a").count == 12


def test_a_pipeline_must_be_one() -> None:
    with pytest.raises(TypeError, match="pipeline"):
        account().atomic_increment("count", 1, pipeline="no")  # type: ignore[arg-type]


# Cost and contention -----------------------------------------------------------------------


@pytest.mark.parametrize("field", ["count", "share", "price", "score", "level"])
def test_an_increment_is_one_round_trip(api: Api, round_trips: Counter, field: str) -> None:
    record = account(level=1)
    record.atomic_increment(field, 1)
    with round_trips() as seen:
        api(record.atomic_increment, field, 1)
    assert seen.sends == 1


@pytest.mark.parametrize("field", ["share", "price", "score", "level", "count"])
def test_no_addition_of_many_tasks_is_lost(field: str) -> None:
    record = account(level=0)

    async def add_all() -> None:
        await asyncio.gather(*(stored(record).async_atomic_increment(field, 1) for _ in range(60)))

    asyncio.run(add_all())
    assert getattr(stored(record), field) == 60
    record.refresh()
    record.delete()
    assert not [key for key in redis_db.scan_keys("*") if b"Account" in key]


@pytest.mark.parametrize("field", ["count", "price", "level"])
def test_no_addition_of_many_threads_is_lost(field: str) -> None:
    record = account(level=0)
    failures: list[Exception] = []

    def add() -> None:
        mine = stored(record)
        try:
            for _ in range(20):
                mine.atomic_increment(field, 1)
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures
    assert getattr(stored(record), field) == 120
