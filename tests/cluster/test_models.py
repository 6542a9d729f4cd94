"""Models on a Redis Cluster of three nodes: a model's keys in one slot, models on several nodes.

After every test, each key of the cluster has been seen to carry its model's hash tag.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from redis.exceptions import RedisClusterException

from popoto import Model, ModelException, transaction
from popoto.engine.db_key import DB_key
from popoto.exceptions import AlreadyExistsError, UniquenessError
from popoto.redis_db import POPOTO_REDIS_DB, get_async_redis_db
from tests.cluster_nodes import slot_on_the_move
from tests.driver import Api
from tests.models.shop import FULL, OTHER, Shop, Town, assign, plain
from tests.truth.oracle import violations

from .models import MODELS, City, Hooked, House, Order, Person, holder, street

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def test_the_models_are_on_different_nodes(nodes: list[redis.Redis]) -> None:
    assert len({id(holder(nodes, model._meta.model_name)) for model in MODELS}) > 1


# One record ----------------------------------------------------------------------------------


def test_the_life_of_a_record(api: Api, state: Callable[[], redis.Redis]) -> None:
    api(Town.create, name="berlin")
    record = api(Shop.create, **FULL)
    assert state().hget("Shop:a", "name") is not None
    with pytest.raises(AlreadyExistsError):
        api(Shop.create, **FULL)
    with pytest.raises(UniquenessError, match="code"):
        api(Shop.create, **{**OTHER, "name": "b", "code": "c1"})
    with pytest.raises(UniquenessError, match="kind"):
        api(Shop.create, **{**OTHER, "name": "b", "kind": "books", "size": 3})
    found = api(Shop.query.get, name="a")
    assert plain(found) == plain(record)
    assert found.town.name == "berlin"
    assign(found, OTHER)
    api(found.save)
    found.note, found.rank = "partly", 100
    api(found.save, update_fields=["note"])
    assert (api(Shop.query.get, "Shop:a").note, api(Shop.query.get, "Shop:a").rank) == ("partly", 6)
    found.name = "b"
    api(found.save, migrate_key=True)
    assert violations(state(), Shop, Town) == []
    assert api(Shop.query.get_many, ["Shop:b", "Shop:a"]) == [found, None]
    assert api(found.atomic_increment, "rank", 5) == 105
    api(found.refresh)
    assert (DB_key("Shop", "b").exists(), DB_key("Shop", "a").exists()) == (True, False)
    assert DB_key("$Class", "Shop").exists()
    assert api(found.delete) is True
    assert api(found.delete) is False
    assert [each.decode() for each in state().keys("*Shop*")] == []


def test_a_capped_list(api: Api, state: Callable[[], redis.Redis]) -> None:
    record = api(Shop.create, **FULL)
    for item in ("1", "2"):
        api(record.log.push, item)
    assert api(Shop.query.get, name="a").log == ["2", "1", "x"]
    assert state().llen("Shop:a::log") == 3
    assert api(Shop.query.values("log").all) == [{"log": ["2", "1", "x"]}]


def test_get_or_create_has_one_winner(api: Api) -> None:
    async def race() -> list[tuple[Any, bool]]:
        return await asyncio.gather(
            *(Order.async_get_or_create(name="a", defaults={"state": str(n)}) for n in range(20))
        )

    if api.is_async:
        outcomes = api.run(race())
    else:
        outcomes = [Order.get_or_create(name="a", defaults={"state": str(n)}) for n in range(3)]
    assert [created for _, created in outcomes].count(True) == 1
    assert len({record.state for record, _ in outcomes}) == 1


# Queries -------------------------------------------------------------------------------------


LOOKUPS: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [*range(12)]),
    ({"number": 3}, [3]),
    ({"number__in": [3, 4, 99]}, [3, 4]),
    ({"colour": "red", "price__gt": 6}, [7, 9, 11]),
    ({"colour": "blue", "price__between": (2, 6)}, [2, 4, 6]),
    ({"colour__startswith": "re", "floors": 1}, [1, 5, 9]),
    ({"colour__endswith": "ue", "floors": 0}, [0, 4, 8]),
    ({"colour__contains": "e", "number__in": [1, 2]}, [1, 2]),
    ({"colour__ne": "red", "floors": 2}, [2, 6, 10]),
    ({"colour__isnull": True}, []),
    ({"city": "City:oslo"}, [0, 3, 6, 9]),
    ({"city__name": "oslo", "colour": "red"}, [3, 9]),
    ({"city__name__startswith": "o"}, [0, 3, 6, 9]),
    ({"city__mayor__name": "bob"}, [0, 3, 6, 9]),
    ({"city__mayor__age__lt": 40, "colour": "red"}, [1, 5, 7, 11]),
    ({"city__mayor__name": "nobody"}, []),
]


@pytest.mark.parametrize(("lookup", "numbers"), LOOKUPS)
def test_lookups(api: Api, lookup: dict[str, Any], numbers: list[int]) -> None:
    street()
    assert sorted(each.number for each in api(House.query.filter(**lookup).all)) == numbers
    assert api(House.query.filter(**lookup).count) == len(numbers)


def test_order_limit_values_and_keys(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    street()
    red = House.query.filter(colour="red")
    assert [each.number for each in api(red.order_by("-price").limit(2).all)] == [11, 9]
    assert api(red.order_by("price").offset(1).limit(2).values("number").all) == [
        {"number": 3},
        {"number": 5},
    ]
    assert api(House.query.filter(colour="blue").order_by("price").last).number == 10
    assert api(House.query.filter(floors=3).exists)
    assert sorted(api(House.query.keys)) == sorted(b"House:%d" % n for n in range(12))
    with caplog.at_level("ERROR"):
        every = api(House.query.keys, catchall=True)
    assert b"{House}House:3" in every
    assert all(key.startswith(b"{House}") for key in every)
    near = City.query.filter(place=(41.9, 12.5), place_radius=50, place_radius_unit="km")
    assert [each.name for each in api(near.all)] == ["rome"]


def test_references_lead_to_other_nodes(api: Api) -> None:
    street()
    house = api(House.query.get, number=1)
    assert house.city.mayor.name == "ann"
    (found,) = api(House.query.filter(number=3).select_related("city__mayor").all)
    assert vars(found)["city"].mayor.age == 50
    api(api(Person.query.get, name="ann").delete)
    assert api(City.query.filter(mayor__name="ann").count) == 0


# Expiry --------------------------------------------------------------------------------------


def test_expired_records_are_gone_and_swept(api: Api, state: Callable[[], redis.Redis]) -> None:
    api(Shop.create, **FULL, _ttl=0)
    lasting = api(Shop.create, **{**FULL, "name": "b"}, _ttl=100)
    assert [each.name for each in api(Shop.query.filter(kind="books").all)] == ["b"]
    assert 0 < state().ttl("Shop:b::log") <= 100
    assert violations(state(), Shop, Town) == []
    assert state().zrange("$Expiry:Shop", 0, -1) == [b"Shop:b"]
    api(lasting.delete)
    assert state().keys("*") == []


# Many records --------------------------------------------------------------------------------


def test_many_records_at_once(api: Api, state: Callable[[], redis.Redis]) -> None:
    records = [
        Shop(**{**FULL, "name": str(n), "code": str(n), "size": n, "_ttl": None}) for n in range(60)
    ]
    api(Shop.bulk_create, records, batch_size=25)
    assert api(Shop.query.count) == 60
    assert violations(state(), Shop, Town) == []
    assert api(Shop.bulk_update, records[:30], kind="wine") == 30
    assert api(Shop.bulk_update, Shop.query.filter(kind="wine"), rank=8) == 30
    assert api(Shop.query.count, kind="wine") == 30
    assert api(Shop.bulk_delete, records[:10]) == 10
    assert api(Shop.query.count) == 50
    assert violations(state(), Shop, Town) == []
    api(Town.create, name="stays")
    assert api(Shop.delete_all) == 50
    assert [key for key in state().keys("*") if b"Shop" in key] == []
    assert api(Town.query.count) == 1


def test_upkeep(api: Api, nodes: list[redis.Redis], state: Callable[[], redis.Redis]) -> None:
    for number in range(5):
        Shop.create(**{**FULL, "name": str(number), "code": str(number), "size": number})
    assert api(Shop.check_indexes)["total"] == 0
    server = holder(nodes, "Shop")
    server.delete("{Shop}Shop:0", "{Shop}$IndexF:Shop:kind:books")
    before = api(Shop.check_indexes)
    assert before["class_set"] == 1
    assert before["missing_entries"] == {"kind": 4}
    assert api(Shop.clean_indexes) > 0
    assert api(Shop.check_indexes)["class_set"] == 0
    assert api(Shop.rebuild_indexes) == 4
    assert api(Shop.check_indexes)["total"] == 0
    assert api(Shop.query.count, kind="books") == 4
    assert violations(state(), Shop, Town) == []


# Transactions and pipelines ------------------------------------------------------------------


def test_a_transaction_concerns_one_shard(api: Api) -> None:
    def write(*models: type[Model]) -> list[Any]:
        together = transaction()
        for number, model in enumerate(models):
            together.create(model, name=f"{number}")
        return api(together.commit)

    assert len(write(Person, Person)) == 2
    with pytest.raises(ModelException, match=r"one shard, not Person, Town.*Nothing was written"):
        write(Person, Town)
    assert (api(Person.query.count), api(Town.query.count)) == (2, 0)


def pipeline_of(api: Api, *, whole: bool) -> Any:
    if not api.is_async:
        return POPOTO_REDIS_DB.pipeline(transaction=whole)

    async def make() -> Any:
        return (await get_async_redis_db()).pipeline(transaction=whole)

    return api.run(make())


def executed(api: Api, pipeline: Any) -> list[Any]:
    result: list[Any] = api.run(pipeline.execute()) if api.is_async else pipeline.execute()
    return result


@pytest.mark.parametrize("whole", [True, False])
def test_a_pipeline_of_the_caller(
    api: Api, whole: bool, nodes: list[redis.Redis], state: Callable[[], redis.Redis]
) -> None:
    gone = api(Shop.create, **{**FULL, "name": "gone", "code": "g", "size": 0})
    pipeline = pipeline_of(api, whole=whole)
    first, second = Shop(**FULL), Shop(**{**OTHER, "name": "b"})
    for record in (first, second):
        api(record.save, pipeline)
    api(gone.delete, pipeline)
    first.kind, first.size = "tea", 9
    api(first.save, pipeline, update_fields=["kind", "size"])
    api(first.atomic_increment, "rank", 2, pipeline)
    for client in nodes:
        client.script_flush()
    executed(api, pipeline)
    assert sorted(each.pk for each in api(Shop.query.all)) == ["Shop:a", "Shop:b"]
    assert api(Shop.query.get, name="a").rank == 7
    assert violations(state(), Shop, Town) == []


def test_a_pipeline_for_several_nodes(
    api: Api, nodes: list[redis.Redis], state: Callable[[], redis.Redis]
) -> None:
    """Each node is taught the script by the first save that goes to it."""
    pipeline = pipeline_of(api, whole=False)
    for name in ("a", "b"):
        for model in (Person, Town, City, Order):
            api(model(name=name).save, pipeline)
    for client in nodes:
        client.script_flush()
    executed(api, pipeline)
    assert [api(model.query.count) for model in (Person, Town, City, Order)] == [2] * 4
    assert state().xlen("stream:orders") == 2
    together = pipeline_of(api, whole=True)
    api(Person(name="c").save, together)
    api(Town(name="c").save, together)
    with pytest.raises(RedisClusterException, match="one hash slot"):
        executed(api, together)
    assert api(Person.query.count) == 2


def test_events(api: Api, state: Callable[[], redis.Redis]) -> None:
    order = api(Order.create, name="a", state="new")
    order._xadd_event("seen")
    pipeline = pipeline_of(api, whole=True)
    order._xadd_event("sent", pipeline=pipeline)
    api(order.save, pipeline)
    executed(api, pipeline)
    api(order.delete)
    events = [fields[b"op"] for _, fields in state().xrange("stream:orders")]
    assert events == [b"create", b"seen", b"sent", b"update", b"delete"]


def test_fields_whose_hooks_are_called_directly(api: Api, state: Callable[[], redis.Redis]) -> None:
    order = api(Order.create, name="a", state="new")
    field = Order._meta.by_name["state"]
    pipeline = pipeline_of(api, whole=False)
    field.on_delete(order, "state", "new", pipeline, saved_redis_key=order._redis_key)
    executed(api, pipeline)
    assert state().exists("$IndexF:Order:state:new") == 0
    field.on_save(order, "state", "new")
    assert api(Order.query.count, state="new") == 1


def test_what_hooks_queue(api: Api, nodes: list[redis.Redis]) -> None:
    with nodes[0].pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe("hooked")
        listener.get_message(timeout=1)
        api(Hooked.create, name="a", body="x")
        pipeline = pipeline_of(api, whole=True)
        api(Hooked(name="b", body="x").save, pipeline)
        executed(api, pipeline)
        heard = [listener.get_message(timeout=60) for _ in range(2)]
    assert all(message is not None and message["channel"] == b"hooked" for message in heard)
    server = holder(nodes, "Hooked")
    assert server.get("{Hooked}hook:script") == b"ran"
    assert server.mget("{Hooked}hook:1", "{Hooked}hook:3", "{Hooked}hook:b") == [
        *(b"1", b"2"),
        b"3",
    ]
    assert server.zrange("{Hooked}hook:z", 0, -1, withscores=True) == [(b"a", 1.0)]
    assert server.smembers("{Hooked}hook:u") == {b"a"}
    assert len(server.xinfo_groups("{Hooked}hook:x")) == 1


def test_pipelines_of_other_clients(ports: list[int], nodes: list[redis.Redis]) -> None:
    """One of the node that has the model's slot will do; redis-py's for clusters runs no script."""
    pipeline = holder(nodes, "Person").pipeline()
    Person(name="a").save(pipeline)
    pipeline.execute()
    assert Person.query.count() == 1
    elsewhere = next(each for each in nodes if each is not holder(nodes, "Person"))
    pipeline = elsewhere.pipeline()
    Person(name="b").save(pipeline)
    # Older releases of redis-py have no class for it outside their clients of clusters.
    with pytest.raises(redis.ResponseError) as refused:
        pipeline.execute()
    assert isinstance(refused.value, redis.exceptions.MovedError) or "MOVED" in str(refused.value)
    with (
        redis.RedisCluster(host="127.0.0.1", port=ports[0]) as client,
        pytest.raises(TypeError, match=r"on a cluster POPOTO_REDIS_DB\.pipeline"),
    ):
        Person(name="c").save(client.pipeline())  # type: ignore[arg-type]
    assert Person.query.count() == 1


# The cluster changes -------------------------------------------------------------------------


def test_scripts_that_a_node_has_forgotten(api: Api, nodes: list[redis.Redis]) -> None:
    street()
    for client in nodes:
        client.script_flush()
        assert api(House.query.filter(city__mayor__name="ann").count) == 8
        api(Person.create, name=f"new {client.get_connection_kwargs()['port']}")
        api(City.bulk_create, [City(name=f"{n}") for n in range(3)], batch_size=2)
        api(City.bulk_delete, City.query.filter(name__in=["0", "1", "2"]))
    assert api(Person.query.count) == 5


def test_a_slot_moves_while_records_are_written(
    api: Api, ports: list[int], nodes: list[redis.Redis], state: Callable[[], redis.Redis]
) -> None:
    for number in range(20):
        Shop.create(**{**FULL, "name": str(number), "code": str(number), "size": number})
    source = nodes.index(holder(nodes, "Shop"))
    slot = redis.crc.key_slot(b"{Shop}")
    target = (source + 1) % 3
    write = (lambda: asyncio.run(_async_write_all())) if api.is_async else _write_all
    writer = threading.Thread(target=write)
    with slot_on_the_move(slot, ports[source], ports[target], ports):
        writer.start()
        time.sleep(0.2)
    writer.join(120)
    found = api(Shop.query.all)
    assert [(each.rank, each.note, each.data) for each in found] == [
        (6, "changed", {"moved": True})
    ] * 20
    assert holder(nodes, "Shop") is nodes[target]
    api(Shop.create, **{**OTHER, "name": "after"})
    assert violations(state(), Shop, Town) == []
    with slot_on_the_move(slot, ports[target], ports[source], ports):
        pass
    assert api(Shop.query.count) == 21


def _write_all() -> None:
    records = Shop.query.get_many([f"Shop:{number}" for number in range(20)])
    for record in records:
        record.atomic_increment("rank", 1)
        record.note = "changed"
        record.save()
    Shop.bulk_update(records, batch_size=6, data={"moved": True})


async def _async_write_all() -> None:
    records = await Shop.query.async_get_many([f"Shop:{number}" for number in range(20)])
    await asyncio.gather(*(record.async_atomic_increment("rank", 1) for record in records))
    for record in records:
        record.note = "changed"
    await asyncio.gather(*(record.async_save() for record in records))
    await Shop.async_bulk_update(records, batch_size=6, data={"moved": True})
