"""What `EventStreamMixin` writes, when, and that it is true."""

from __future__ import annotations

import asyncio
import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import redis

from popoto import (
    EventStreamMixin,
    IndexedField,
    IntField,
    KeyField,
    Model,
    ModelException,
    Relationship,
    SkipSaveException,
    StringField,
    UniqueField,
    clock,
    redis_db,
)
from popoto.engine.request import Request
from popoto.exceptions import RecordGoneError
from popoto.models.writing import single
from popoto.models.writing.save_request import SaveRequest
from tests.driver import Api


class Order(EventStreamMixin, Model):
    number = KeyField()
    state = IndexedField(type=str, default="new")
    total = IntField(default=0)


class After(Model, EventStreamMixin):
    number = KeyField()


class Tenant(EventStreamMixin, Model):
    name = KeyField()
    tenant = StringField(null=True)
    level = IntField(null=True)
    _stream_name = "changes"
    _stream_partition_field = "tenant"
    _stream_metadata_fields = ("level", "tenant", "nothing")


def events(client: redis.Redis, key: str = "stream:mutations") -> list[dict[str, str]]:
    return [
        {name.decode(): value.decode() for name, value in fields.items()}
        for _, fields in client.xrange(key)
    ]


def ops(client: redis.Redis, key: str = "stream:mutations") -> list[tuple[str, str]]:
    return [(event["op"], event["pk"]) for event in events(client, key)]


def test_saves_and_deletes_are_written_down_in_order(api: Api, redis_client: redis.Redis) -> None:
    before = time.time()
    order = Order(number="7")
    api(order.save)
    order.state = "paid"
    api(order.save)
    api(order.save, update_fields=["total", "state"])
    api(order.delete)
    found = events(redis_client)
    assert [list(event) for event in found] == [["model", "pk", "op", "ts", "changed_fields"]] * 4
    assert [(event["op"], event["changed_fields"]) for event in found] == [
        ("create", ""),
        ("update", ""),
        ("update", "total,state"),
        ("delete", ""),
    ]
    assert {(event["model"], event["pk"]) for event in found} == {("Order", "Order:7")}
    assert before <= float(found[0]["ts"]) <= float(found[-1]["ts"]) <= time.time()


def test_the_mixin_may_stand_after_model(api: Api, redis_client: redis.Redis) -> None:
    api(After.create, number="1")
    assert ops(redis_client) == [("create", "After:1")]


def test_a_loaded_record_is_updated_not_created(api: Api, redis_client: redis.Redis) -> None:
    api(Order.create, number="7")
    for loaded in (api(Order.query.get, number="7"), Order.query.filter(number="7")[0]):
        assert loaded is not None
        loaded.total += 1
        api(loaded.save)
    assert [op for op, _ in ops(redis_client)] == ["create", "update", "update"]


def test_saving_a_new_instance_over_a_stored_record_is_an_update(
    api: Api, redis_client: redis.Redis
) -> None:
    api(Order.create, number="7")
    api(Order(number="7", total=5).save)
    assert [op for op, _ in ops(redis_client)] == ["create", "update"]


def test_a_partial_save_first_is_an_update(api: Api, redis_client: redis.Redis) -> None:
    api(Order.create, number="7")
    api(Order(number="7", total=5).save, update_fields=["total"])
    assert [op for op, _ in ops(redis_client)] == ["create", "update"]


def test_saving_a_copy_of_a_deleted_record_creates_it(api: Api, redis_client: redis.Redis) -> None:
    stale = api(Order.create, number="7")
    Order(number="7").delete()
    stale.state = "back"
    api(stale.save, recreate=True)
    assert [op for op, _ in ops(redis_client)] == ["create", "delete", "create"]


def test_deleting_what_is_not_there_is_no_event(api: Api, redis_client: redis.Redis) -> None:
    order = api(Order.create, number="7")
    twin = Order(number="7")
    assert api(order.delete) is True
    assert api(order.delete) is False
    assert api(twin.delete) is False
    assert api(Order(number="8").delete) is False
    assert [op for op, _ in ops(redis_client)] == ["create", "delete"]


def test_a_moved_record_is_updated_under_its_new_key(api: Api, redis_client: redis.Redis) -> None:
    order = api(Order.create, number="7")
    order.number = "8"
    api(order.save, migrate_key=True)
    assert ops(redis_client) == [("create", "Order:7"), ("update", "Order:8")]


def test_refused_saves_leave_no_event(api: Api, redis_client: redis.Redis) -> None:
    class Badge(EventStreamMixin, Model):
        name = KeyField()
        code = UniqueField(type=str)
        level = IntField(null=False, default=1)

        def pre_save(self, **kwargs: Any) -> Any:
            return False if self.name == "silent" else super().pre_save(**kwargs)

    api(Badge.create, name="a", code="x")
    with pytest.raises(ModelException, match="already exists"):
        api(Badge.create, name="b", code="x")
    with pytest.raises(ModelException, match="already exists"):
        api(Badge.create, name="a", code="y")
    wrong = Badge(name="c", code="z")
    wrong.level = "many"
    assert api(wrong.save, ignore_errors=True) is False
    assert api(Badge(name="silent", code="s").save) is False
    assert api(Badge(name="d", code="d").save, update_fields=[]) == 0
    assert ops(redis_client) == [("create", "Badge:a")]


@pytest.mark.single_server("it names a stream that several models have, each its own on a cluster")
def test_event_and_record_are_written_together_or_not_at_all(
    api: Api, redis_client: redis.Redis
) -> None:
    redis_client.set("stream:mutations", "not a stream")
    with pytest.raises(ModelException, match="holds a string where a stream belongs"):
        api(Order.create, number="7")
    assert Order.query.count() == 0
    redis_client.delete("stream:mutations")

    order = api(Order.create, number="7")
    redis_client.set("stream:mutations", "not a stream")
    with pytest.raises(ModelException):
        api(order.delete)
    assert Order.query.count() == 1


def test_an_event_costs_no_round_trip(api: Api, round_trips: Any) -> None:
    order = api(Order.create, number="7")
    with round_trips() as seen:
        order.state = "paid"
        api(order.save)
        api(order.delete)
    assert seen.sends == 2
    assert seen.commands["xadd"] == 2


def test_a_racing_writer_is_seen_in_the_events(api: Api, redis_client: redis.Redis) -> None:
    one = api(Order.create, number="7")
    two = api(Order.query.get, number="7")
    assert two is not None
    one.state = "a"
    api(one.save)
    two.state = "b"
    api(two.save)
    assert [op for op, _ in ops(redis_client)] == ["create", "update", "update"]


async def test_of_many_creators_one_creates_and_is_told(redis_client: redis.Redis) -> None:
    await asyncio.gather(*(Order.async_get_or_create(number="7") for _ in range(20)))
    await asyncio.gather(*(Order(number="8").async_save() for _ in range(20)))
    found = ops(redis_client)
    assert found.count(("create", "Order:7")) == 1
    assert found.count(("create", "Order:8")) == 1
    assert found.count(("update", "Order:8")) == 19
    assert len(found) == 21


def test_the_story_that_events_tell_is_possible(redis_client: redis.Redis) -> None:
    """Whatever writers do at the same time: create, updates, delete, create ..."""

    def write(seed: int) -> None:
        choose = random.Random(seed)
        for _ in range(60):
            order = Order.query.get(number="7") or Order(number="7")
            order.state = choose.choice("abc")
            again = partial(order.save, recreate=choose.random() < 0.5)
            with suppress(RecordGoneError):
                choose.choice((again, again, order.delete))()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))
    exists = False
    found = ops(redis_client)
    assert len({op for op, _ in found}) == 3
    for op, _ in found:
        assert op == ("create" if not exists else op)
        assert not (exists and op == "create")
        exists = op != "delete"
    assert exists == (Order.query.count() == 1)


def test_a_commit_with_an_event_is_not_sent_twice_after_a_lost_reply() -> None:
    order = Order.create(number="7")
    order.state = "paid"
    for plan in (single.save(order, SaveRequest()), single.delete(order, None, {})):
        request = next(plan)
        assert isinstance(request, Request)
        assert not request.repeatable
        plan.close()


def test_bulk_operations_tell_of_each_record(api: Api, redis_client: redis.Redis) -> None:
    api(Order.bulk_create, [Order(number="1"), Order(number="2")])
    api(Order.bulk_update, Order.query.filter(state="new"), state="paid")
    api(Order.bulk_delete, [Order(number="1"), Order(number="9")])
    api(Order.delete_all)
    found = events(redis_client)
    assert sorted((event["op"], event["pk"]) for event in found[:4]) == [
        ("create", "Order:1"),
        ("create", "Order:2"),
        ("update", "Order:1"),
        ("update", "Order:2"),
    ]
    assert ops(redis_client)[4:] == [("delete", "Order:1"), ("delete", "Order:2")]
    assert found[2]["changed_fields"] == "state"


# ── Keys and contents ────────────────────────────────────────────────────────


def test_partition_and_metadata(api: Api, redis_client: redis.Redis) -> None:
    record = api(Tenant.create, name="a", tenant="x:y", level=3)
    assert record._get_stream_key() == "stream:changes:x:y"
    api(Tenant.create, name="b")
    (event,) = events(redis_client, "stream:changes:x:y")
    assert list(event)[5:] == ["level", "tenant", "nothing"]
    assert (event["level"], event["tenant"], event["nothing"]) == ("3", "x:y", "")
    (other,) = events(redis_client, "stream:changes")
    assert (other["pk"], other["level"], other["tenant"]) == ("Tenant:b", "", "")


def test_a_relationship_is_told_as_its_key_without_loading_it(
    api: Api, redis_client: redis.Redis, round_trips: Any
) -> None:
    class Line(EventStreamMixin, Model):
        name = KeyField()
        order = Relationship(model=Order, null=True)
        _stream_metadata_fields = ("order",)

    order = api(Order.create, number="7")
    api(Line.create, name="a", order=order)
    (loaded,) = Line.query.filter(name="a")
    with round_trips() as seen:
        api(loaded.save)
    assert seen.sends == 1
    assert [event["order"] for event in events(redis_client) if event["model"] == "Line"] == [
        "Order:7",
        "Order:7",
    ]


def test_text_that_is_no_utf8_does_not_stop_a_save(redis_client: redis.Redis) -> None:
    class Odd(EventStreamMixin, Model):
        name = KeyField()
        _stream_metadata_fields = ("nickname",)

    odd = Odd(name="a")
    odd.nickname = "\ud800"
    odd.save()
    assert redis_client.xlen("stream:mutations") == 1


@pytest.mark.parametrize("exactly", [False, True])
def test_the_length_of_the_stream(exactly: bool, redis_client: redis.Redis) -> None:
    class Short(EventStreamMixin, Model):
        name = KeyField()
        _stream_max_length = 5
        _stream_exact_length = exactly

    record = Short(name="a")
    for _ in range(300):
        record.save()
    length = redis_client.xlen("stream:mutations")
    assert (length == 5) if exactly else (5 <= length < 300)


def test_a_stream_without_limit(redis_client: redis.Redis) -> None:
    class Long(EventStreamMixin, Model):
        name = KeyField()
        _stream_max_length = None

    record = Long(name="a")
    for _ in range(150):
        record.save()
    assert redis_client.xlen("stream:mutations") == 150


def test_events_of_other_kinds(redis_client: redis.Redis) -> None:
    record = Tenant.create(name="a", tenant="t", level=1)
    assert record._xadd_event("boost", extra_fields={"field": "level", "signal": 0.5}) is None
    event = events(redis_client, "stream:changes:t")[-1]
    assert list(event)[5:] == ["level", "tenant", "nothing", "field", "signal"]
    assert (event["op"], event["pk"], event["signal"]) == ("boost", "Tenant:a", "0.5")

    pipeline = redis_db.POPOTO_REDIS_DB.pipeline()
    record._xadd_event("later", pipeline=pipeline)
    assert len(ops(redis_client, "stream:changes:t")) == 2
    pipeline.execute()
    asyncio.run(record._async_xadd_event("async"))
    assert [op for op, _ in ops(redis_client, "stream:changes:t")] == [
        *("create", "boost", "later", "async")
    ]


# ── Pipelines of the caller's own ────────────────────────────────────────────


@pytest.mark.parametrize("transaction", [True, False])
def test_events_wait_in_the_pipeline(transaction: bool, redis_client: redis.Redis) -> None:
    pipeline = redis_db.POPOTO_REDIS_DB.pipeline(transaction=transaction)
    order = Order(number="7")
    order.save(pipeline=pipeline)
    order.state = "paid"
    order.save(pipeline=pipeline)
    Order(number="8").delete(pipeline=pipeline)
    order.delete(pipeline=pipeline)
    assert ops(redis_client) == []
    pipeline.execute()
    assert ops(redis_client) == [
        ("create", "Order:7"),
        ("update", "Order:7"),
        ("delete", "Order:7"),
    ]


def test_a_discarded_pipeline_leaves_no_event(redis_client: redis.Redis) -> None:
    with redis_db.POPOTO_REDIS_DB.pipeline() as pipeline:
        Order(number="7").save(pipeline=pipeline)
    assert ops(redis_client) == []


# ── Settings ─────────────────────────────────────────────────────────────────


def test_wrong_settings_are_refused_when_the_class_is_made() -> None:
    with pytest.raises(ModelException, match="empty _stream_name"):

        class NoName(EventStreamMixin, Model):
            _stream_name = ""

    with pytest.raises(ModelException, match="'missing', which is no field of NoField"):

        class NoField(Model, EventStreamMixin):
            name = KeyField()
            _stream_partition_field = "missing"

    for length in (-1, "5", 2.5, True):
        with pytest.raises(ModelException, match="_stream_max_length"):
            type(
                "NoLength",
                (EventStreamMixin, Model),
                {"_stream_max_length": length, "__module__": __name__},
            )

    with pytest.raises(ModelException, match="_stream_metadata_fields"):

        class NoTuple(EventStreamMixin, Model):
            _stream_metadata_fields = "name"  # type: ignore[assignment]


def test_an_abstract_model_may_name_a_field_that_its_children_have() -> None:
    class Base(EventStreamMixin, Model):
        _stream_partition_field = "tenant"

        class Meta:
            abstract = True

    class Child(Base):
        tenant = KeyField()

    assert Child(tenant="t")._get_stream_key() == "stream:mutations:t"


@pytest.mark.parametrize(
    ("setting", "value"), [("_stream_name", ""), ("_stream_partition_field", "missing")]
)
def test_a_setting_broken_later_loses_the_event_and_not_the_record(
    setting: str,
    value: str,
    api: Api,
    redis_client: redis.Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:
    order = Order(number="7")
    setattr(order, setting, value)
    assert api(order.save) == 3
    assert "No create event" in caplog.text
    order._xadd_event("boost")

    pipeline = redis_db.POPOTO_REDIS_DB.pipeline()
    for queueing in (
        lambda: order.save(pipeline=pipeline),
        lambda: order.delete(pipeline=pipeline),
        lambda: order._xadd_event("boost", pipeline=pipeline),
        order._get_stream_key,
    ):
        with pytest.raises(ModelException):
            queueing()
    assert len(pipeline) == 0

    assert api(order.delete) is True
    assert redis_client.keys("*Order*") == []
    assert ops(redis_client) == []


# ── The extension point itself ───────────────────────────────────────────────


class Choosy:
    """Keeps records out that have no worth, and counts those that get in."""

    def _before_save(self, update_fields: list[str] | None) -> None:
        if getattr(self, "worth", 0) < 1:
            raise SkipSaveException("worthless")

    def _on_commit(self, batch: Any, commit: Any) -> None:
        batch.put("HINCRBY", "tally", commit.operation, 1)

    @classmethod
    def _companion_keys(cls, key: str) -> list[str]:
        return [f"$Note:{key}"]


class Coin(EventStreamMixin, Choosy, Model):
    name = KeyField()
    worth = IntField(default=0)


def test_a_mixin_vetoes_saves_before_anything_else(api: Api, redis_client: redis.Redis) -> None:
    coin = Coin(name="a")
    assert api(coin.save) is False
    assert redis_client.keys("*") == []
    unsaved = api(Coin.create, name="a")
    assert unsaved._is_persisted is False
    found, created = api(Coin.get_or_create, name="a")
    assert (found._is_persisted, created) == (False, True)
    pipeline = redis_db.POPOTO_REDIS_DB.pipeline()
    assert coin.save(pipeline=pipeline) is pipeline
    assert len(pipeline) == 0
    coin.worth = 2
    assert api(coin.save) == 2
    coin.worth = 0
    assert api(coin.save, update_fields=["worth"]) is False
    assert api(Coin.query.get, name="a").worth == 2  # type: ignore[union-attr]


def test_bulk_operations_ask_for_each_record(api: Api, redis_client: redis.Redis) -> None:
    coins = [Coin(name="a", worth=0), Coin(name="b", worth=1)]
    assert api(Coin.bulk_create, coins) == coins
    assert [coin._is_persisted for coin in coins] == [False, True]
    api(Coin.bulk_update, [coins[1]], worth=0)
    assert api(Coin.query.get, name="b").worth == 1  # type: ignore[union-attr]
    assert ops(redis_client) == [("create", "Coin:b")]


def test_what_mixins_queue_is_part_of_the_commit(api: Api, redis_client: redis.Redis) -> None:
    coin = api(Coin.create, name="a", worth=1)
    api(coin.save)
    api(coin.delete)
    assert redis_client.hgetall("tally") == {b"create": b"1", b"update": b"1", b"delete": b"1"}
    assert [op for op, _ in ops(redis_client)] == ["create", "update", "delete"]


def test_companions_follow_and_end_with_the_record(api: Api, redis_client: redis.Redis) -> None:
    coin = api(Coin.create, name="a", worth=1)
    redis_client.set("$Note:Coin:a", "shiny")
    coin._ttl = 100
    api(coin.save)
    assert redis_client.ttl("$Note:Coin:a") > 0
    coin.name = "b"
    api(coin.save, migrate_key=True)
    assert redis_client.get("$Note:Coin:b") == b"shiny"
    api(coin.delete)
    assert redis_client.keys("$Note*") == []


def test_events_tell_the_time_of_the_clock(redis_client: redis.Redis) -> None:
    with clock.using(1_700_000_000.5):
        order = Order.create(number="7")
        order._xadd_event("noted")
        order.delete()
    assert [event["ts"] for event in events(redis_client)] == ["1700000000.5"] * 3
