"""A sorted field that may be null, written in every way: it has an entry while it has a value."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import redis

from popoto import IndexedField, KeyField, Model, ModelException, SortedField, SortedKeyField
from popoto.fields.cyclic_decay_field import CyclicDecayField
from popoto.fields.decaying_sorted_field import DecayingSortedField
from popoto.fields.field import Field
from popoto.fields.key_field_mixin import KeyFieldMixin
from popoto.fields.sorted_field_mixin import SortedFieldMixin
from popoto.models.transactions import transaction
from tests.driver import Api
from tests.truth.oracle import violations


class Sample(Model):
    name = KeyField()
    site = IndexedField(default="lab")
    level = SortedField(type=int, null=True)
    depth = SortedField(null=True, partition_by="site")
    seen = SortedField(type=datetime.datetime, null=True)
    cost = SortedField(type=Decimal, null=True)


def values(value: int | None) -> dict[str, Any]:
    moment = None if value is None else datetime.datetime(2026, 1, 1 + value)
    return {"level": value, "depth": value, "seen": moment, "cost": value}


def assign_and_save(api: Api, value: int | None) -> None:
    sample = api(Sample.query.get, name="a")
    for name, each in values(value).items():
        setattr(sample, name, each)
    api(sample.save)


def save_fields(api: Api, value: int | None) -> None:
    sample = Sample(name="a", **values(value))
    api(sample.save, update_fields=list(values(value)))


def save_anew(api: Api, value: int | None) -> None:
    api(Sample(name="a", **values(value)).save)


def save_found(api: Api, value: int | None) -> None:
    (sample,) = api(Sample.query.filter(name="a").all)
    sample.level = value
    sample.depth = value
    api(sample.save)
    save_fields(api, value)


def bulk_create(api: Api, value: int | None) -> None:
    api(Sample.bulk_create, [Sample(name="a", **values(value)), Sample(name="b")])


def bulk_update(api: Api, value: int | None) -> None:
    assert api(Sample.bulk_update, api(Sample.query.all), **values(value)) == 1


def update(api: Api, value: int | None) -> None:
    assert api(Sample.query.filter(name="a").update, **values(value)) == 1


def update_or_create(api: Api, value: int | None) -> None:
    api(Sample.update_or_create, defaults=values(value), name="a")


def in_a_transaction(api: Api, value: int | None) -> None:
    sample = api(Sample.query.get, name="a")
    for name, each in values(value).items():
        setattr(sample, name, each)
    joined = transaction()
    joined.save(sample)
    api(joined.commit)


def in_a_pipeline(api: Api, value: int | None, client: redis.Redis) -> None:
    with client.pipeline() as pipeline:
        api(Sample(name="a", **values(value)).save, pipeline=pipeline)
        pipeline.execute()


def raw_update_and_rebuild(api: Api, value: int | None) -> None:
    raw = {**values(value), "cost": None if value is None else Decimal(value)}
    api(Sample.raw_update, ["Sample:a"], **raw)
    api(Sample.rebuild_indexes)


WAYS: list[Callable[..., None]] = [
    assign_and_save,
    save_fields,
    save_anew,
    save_found,
    bulk_create,
    bulk_update,
    update,
    update_or_create,
    in_a_transaction,
    in_a_pipeline,
    raw_update_and_rebuild,
]


def levels(api: Api, **conditions: Any) -> list[int | None]:
    found = api(Sample.query.filter(name="a", **conditions).all)
    return [sample.level for sample in found]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_value_comes_and_goes(api: Api, redis_client: redis.Redis, way: Any) -> None:
    api(Sample.create, name="a")
    for value in (None, 5, 0, None, 7, None, None, 2):
        way(*(api, value), *([redis_client] if way is in_a_pipeline else []))
        assert violations(redis_client, Sample) == []
        stands = redis_client.zscore("$SortF:Sample:level", "Sample:a")
        assert stands == value
        assert redis_client.zscore("$SortF:Sample:depth:lab", "Sample:a") == value
        assert levels(api, level__isnull=True) == ([None] if value is None else [])
        assert levels(api, site="lab", depth__isnull=False) == ([] if value is None else [value])
        assert levels(api, seen__isnull=False, cost=value) == ([] if value is None else [value])
        again = api(Sample.query.get, name="a")
        assert (again.level, again.depth, again.cost) == (value, value, value)
        assert api(Sample.check_indexes)["total"] == 0


@pytest.mark.parametrize("name", ["level", "depth", "cost"])
def test_an_increment_counts_null_as_nothing(
    api: Api, redis_client: redis.Redis, name: str
) -> None:
    sample = api(Sample.create, name="a")
    assert api(sample.atomic_increment, name, 3) == 3
    assert api(sample.atomic_increment, name, -5) == -2
    assert getattr(api(Sample.query.get, name="a"), name) == -2
    assert violations(redis_client, Sample) == []
    conditions = {"site": "lab", f"{name}__isnull": False}
    assert api(Sample.query.count, **conditions) == 1
    stale = api(Sample.query.get, name="a")
    setattr(sample, name, None)
    api(sample.save)
    # Another client counts on, from what is stored.
    assert api(stale.atomic_increment, name, 4) == 4
    assert violations(redis_client, Sample) == []


def test_a_record_without_a_value_moves_between_partitions_and_keys(
    api: Api, redis_client: redis.Redis
) -> None:
    sample = api(Sample.create, name="a", site="pit")
    sample.site = "lab"
    api(sample.save)
    assert api(Sample.query.count, site="lab", depth__isnull=True) == 1
    assert api(Sample.query.count, site="pit", depth__isnull=True) == 0
    sample.depth = 2.5
    sample.site = None
    api(sample.save)
    sample.name = "z"
    api(sample.save, migrate_key=True)
    assert violations(redis_client, Sample) == []
    assert api(Sample.query.count, site=None, depth__isnull=False) == 1
    sample.depth = None
    sample.name = "y"
    api(sample.save, migrate_key=True)
    assert api(Sample.query.count, site=None, depth=None) == 1
    assert violations(redis_client, Sample) == []
    assert api(sample.delete) is True
    assert redis_client.keys("*Sample*") == []


def test_two_stale_clients_leave_one_entry_or_none(api: Api, redis_client: redis.Redis) -> None:
    api(Sample.create, name="a", level=1)
    first, second = (api(Sample.query.get, name="a") for _ in range(2))
    first.level = None
    api(first.save)
    second.level = 9
    api(second.save)
    assert violations(redis_client, Sample) == []
    first.level = 4
    api(first.save)
    second.level = None
    api(second.save)
    assert violations(redis_client, Sample) == []
    assert api(Sample.query.count, level=None) == 1


def test_expired_records_leave_nothing_whether_they_were_null_or_not(
    api: Api, redis_client: redis.Redis
) -> None:
    for name, level in (("a", None), ("b", 5), ("c", None)):
        sample = Sample(name=name, **values(level))
        sample._ttl = 100
        api(sample.save)
    sample.level = 3
    api(sample.save)
    for name in "abc":
        redis_client.pexpire(f"Sample:{name}", 0)
        redis_client.zadd("$Expiry:Sample", {f"Sample:{name}": 1})
    assert api(Sample.query.count, level__isnull=True) == 0
    assert api(Sample.query.order_by("level", nulls="first").all) == []
    assert redis_client.keys("*Sample*") == []


def test_upkeep_knows_that_null_has_no_entry(api: Api, redis_client: redis.Redis) -> None:
    for name, level in (("a", None), ("b", 5)):
        api(Sample.create, name=name, **values(level))
    assert api(Sample.check_indexes)["total"] == 0
    redis_client.zadd("$SortF:Sample:level", {"Sample:a": 3})
    redis_client.zrem("$SortF:Sample:depth:lab", "Sample:b")
    found = api(Sample.check_indexes)
    assert (found["wrong_values"], found["missing_entries"]) == ({"level": 1}, {"depth": 1})
    assert api(Sample.query.count, level__isnull=True) == 0
    api(Sample.rebuild_indexes)
    assert api(Sample.check_indexes)["total"] == 0
    assert violations(redis_client, Sample) == []
    redis_client.delete("Sample:a", "Sample:b")
    assert api(Sample.check_indexes)["sorted_fields"] == {
        "level": 1,
        "depth": 1,
        "seen": 1,
        "cost": 1,
    }
    api(Sample.clean_indexes)
    assert api(Sample.check_indexes)["total"] == 0
    assert redis_client.keys("*Sample*") == []


def test_a_query_puts_a_wrong_entry_right(api: Api, redis_client: redis.Redis) -> None:
    for name, level in (("a", None), ("b", 5), ("c", None)):
        api(Sample.create, name=name, level=level)
    redis_client.zadd("$SortF:Sample:level", {"Sample:a": 3})
    redis_client.zrem("$SortF:Sample:level", "Sample:b")
    assert [each.name for each in api(Sample.query.filter(level__isnull=True).all)] == ["c"]
    assert [each.name for each in api(Sample.query.filter(level__isnull=False).all)] == ["b"]
    assert [each.name for each in api(Sample.query.filter(level__isnull=True).all)] == ["a", "c"]
    assert violations(redis_client, Sample) == []


def test_null_is_refused_where_it_was_not_asked_for(api: Api, redis_client: redis.Redis) -> None:
    class Strict(Model):
        name = KeyField()
        level = SortedField(type=int)

    with pytest.raises(ModelException, match="level"):
        api(Strict.create, name="a")
    assert redis_client.dbsize() == 0


class RankedKey(SortedFieldMixin[Any], KeyFieldMixin[Any], Field[Any]):
    """A key of its own with an order."""


@pytest.mark.parametrize("make", [SortedKeyField, DecayingSortedField, CyclicDecayField, RankedKey])
def test_what_is_a_key_or_set_by_every_save_is_never_null(make: Callable[..., Any]) -> None:
    with pytest.raises(ModelException, match=f"{make.__name__} cannot be null"):
        make(null=True)
    make(null=False)


def test_a_time_that_is_filled_in_may_be_null_before(api: Api) -> None:
    class Stamped(Model):
        name = KeyField()
        added = SortedField(type=int, auto_now_add=True, null=True)

    stamped = Stamped(name="a")
    assert stamped.added is None
    api(stamped.save)
    assert api(Stamped.query.count, added__isnull=False) == 1
