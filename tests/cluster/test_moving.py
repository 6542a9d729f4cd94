"""What records go through while their slot is moved to another node, and while nodes change roles.

After every test, entries and records have been compared.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import redis
from redis.exceptions import TryAgainError

from popoto import IndexedField, KeyField, Model, redis_db, wait_for_replicas
from popoto.exceptions import NotReplicatedError, UniquenessError
from popoto.redis_db import POPOTO_REDIS_DB, Wait
from tests.cluster_nodes import cluster, cluster_url, node, slot_on_the_move, wait_until
from tests.driver import Api
from tests.models.shop import FULL, Shop

from .load import Workers
from .models import House, holder

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

#: Which keys are on the other node already.
STAGES: dict[str, Callable[[list[str]], list[str]]] = {
    "none": lambda keys: [],
    "records": lambda keys: [key for key in keys if "}Shop:" in key],
    "entries": lambda keys: [key for key in keys if "}$" in key],
    "half": lambda keys: keys[::2],
    "all": lambda keys: keys,
}


@contextmanager
def impatient(ports: list[int]) -> Iterator[None]:
    """Connections that do not wait until keys have been moved."""
    redis_db.set_REDIS_DB_settings(url=f"{cluster_url(ports)}?migration_timeout=0")
    yield
    redis_db.set_REDIS_DB_settings(url=cluster_url(ports))


@pytest.fixture
def moving(
    ports: list[int], nodes: list[redis.Redis]
) -> Callable[[Callable[[list[str]], list[str]]], AbstractContextManager[None]]:
    """`with moving(stage):` the slot of the shops is on its way to another node."""

    def move(
        stage: Callable[[list[str]], list[str]], model: str = "Shop"
    ) -> AbstractContextManager[None]:
        slot = redis.crc.key_slot(f"{{{model}}}".encode())
        source = nodes.index(holder(nodes, model))
        return slot_on_the_move(slot, ports[source], ports[(source + 1) % 3], ports, stage)

    return move


def shop(name: str, **more: Any) -> dict[str, Any]:
    return {**FULL, "name": name, "code": name, "size": ord(name), **more}


def tried(write: Callable[[], object]) -> bool:
    """Whether it was carried out; what is not possible now is refused."""
    try:
        write()
    except TryAgainError:
        return False
    return True


@pytest.mark.parametrize("stage", STAGES)
def test_a_write_is_carried_out_or_refused_whole(
    api: Api, ports: list[int], moving: Any, stage: str
) -> None:
    """Also where the last record leaves an entry, and where nothing has been moved yet."""
    for name in "abc":
        api(Shop.create, **shop(name))
    changed, gone, counted = api(Shop.query.get_many, ["Shop:a", "Shop:b", "Shop:c"])
    changed.code, changed.kind, changed.size = "other", "other", 1
    with moving(STAGES[stage]), impatient(ports):
        done = {
            "a": tried(lambda: api(changed.save)),
            "b": tried(lambda: api(gone.delete)),
            "c": tried(lambda: api(counted.atomic_increment, "rank", 1)),
            "d": tried(lambda: api(Shop.create, **shop("d"))),
            "e": tried(lambda: api(Shop.bulk_create, [Shop(**shop("e")), Shop(**shop("f"))])),
        }
        with pytest.raises((UniquenessError, TryAgainError)):
            api(Shop.create, **shop("g", code="a" if not done["a"] else "other"))
    found = {each.name: each for each in api(Shop.query.all)}
    assert (found["a"].code == "other") is done["a"]
    assert ("b" not in found) is done["b"]
    assert (found["c"].rank == FULL["rank"] + 1) is done["c"]
    assert ("d" in found, "e" in found, "f" in found) == (done["d"], done["e"], done["e"])
    assert "g" not in found


def test_the_last_record_leaves_an_entry_whole_or_not_at_all(
    api: Api, ports: list[int], moving: Any
) -> None:
    """All keys are here, and those that come are there: servers would begin the script."""
    last = api(House.create, number=1, colour="red")
    api(House.create, number=2, colour="blue")
    last.colour = "blue"
    with moving(STAGES["none"], "House"), impatient(ports):
        done = tried(lambda: api(last.save))
    assert api(House.query.filter(colour="blue").count) == 1 + done
    assert api(House.query.get, number=1).colour == ("blue" if done else "red")


class Ticket(Model):
    name = KeyField()
    kind = IndexedField()

    class Meta:
        ttl = 1000


def test_a_query_that_finds_all_its_keys_on_the_other_node_and_no_record(
    api: Api, ports: list[int], moving: Any
) -> None:
    for name in "abc":
        api(Ticket.create, name=name, kind="day")
    with moving(STAGES["entries"], "Ticket"), impatient(ports):
        answers: list[int] = []
        tried(lambda: answers.append(api(Ticket.query.filter(kind="day").count)))
        tried(lambda: answers.append(len(api(Ticket.query.filter(kind="day").all))))
        tried(lambda: answers.append(api(Ticket.query.count)))
    assert set(answers) <= {3}
    assert api(Ticket.query.filter(kind="day").count) == 3
    assert api(Ticket.check_indexes)["total"] == 0
    api(Ticket.delete_all)


@pytest.mark.parametrize("stage", STAGES)
def test_a_query_answers_rightly_or_not_at_all(
    api: Api, ports: list[int], moving: Any, stage: str
) -> None:
    for name in "abc":
        api(Shop.create, **shop(name))
    with moving(STAGES[stage]), impatient(ports):
        for ask, right in (
            (lambda: api(Shop.query.filter(code="a").count), 1),
            (lambda: len(api(Shop.query.filter(kind=FULL["kind"]).all)), 3),
            (lambda: api(Shop.query.count), 3),
            (lambda: len(api(Shop.check_indexes)), None),
        ):
            try:
                answer = ask()
            except TryAgainError:
                continue
            assert right in (answer, None)
        # Records by their keys need no other keys.
        found = api(Shop.query.get, "Shop:a")
        assert (found.code, len(api(Shop.query.get_many, ["Shop:b", "Shop:c"]))) == ("a", 2)
        api(found.refresh)
    assert api(Shop.query.count) == 3


def test_patience_ends_with_an_error_that_names_the_setting(
    api: Api, ports: list[int], moving: Any
) -> None:
    api(Shop.create, **shop("a"))
    redis_db.set_REDIS_DB_settings(url=f"{cluster_url(ports)}?migration_timeout=0.3")
    with moving(STAGES["half"]):
        start = time.monotonic()
        with pytest.raises(TryAgainError, match=r"after 0\.3 s; migration_timeout"):
            api(Shop.query.count)
        assert time.monotonic() - start < 30
        with pytest.raises(TryAgainError, match="migration_timeout"):
            api(Shop.bulk_create, [Shop(**shop(name)) for name in "bcdef"], batch_size=1)


def test_many_commands_share_their_patience(api: Api, ports: list[int], moving: Any) -> None:
    POPOTO_REDIS_DB.mset({"{Shop}x": 1, "{Shop}y": 1})
    redis_db.set_REDIS_DB_settings(url=f"{cluster_url(ports)}?migration_timeout=2")
    commands = [("MGET", "{Shop}x", "{Shop}y")] * 5
    with moving(STAGES["half"]):
        start = time.monotonic()
        replies = api.run(_call_many(commands)) if api.is_async else _sync_call_many(commands)
        # Alone they would take 10 s.
        assert time.monotonic() - start < 8
    assert [type(reply) for reply in replies] == [TryAgainError] * 5


def _sync_call_many(commands: list[Any]) -> list[Any]:
    return redis_db.connection().call_many(commands, repeatable=True)


async def _call_many(commands: list[Any]) -> list[Any]:
    return await (await redis_db.async_connection()).call_many(commands, repeatable=True)


async def test_a_task_that_waits_can_be_cancelled(moving: Any) -> None:
    await Shop.async_create(**shop("a"))
    with moving(STAGES["half"]):
        waiting = asyncio.create_task(Shop.query.async_count())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting, 0.2)
    assert await Shop.query.async_count() == 1


def test_a_transaction_of_ones_own_waits_too(moving: Any) -> None:
    POPOTO_REDIS_DB.mset({"{Shop}x": 1, "{Shop}y": 1})
    results: list[Any] = []

    def write() -> None:
        pipeline = POPOTO_REDIS_DB.pipeline().incr("{Shop}x").incr("{Shop}y")
        results.append(pipeline.delete("{Shop}x", "{Shop}y").execute())

    writer = threading.Thread(target=write)
    with moving(STAGES["half"]):
        writer.start()
        writer.join(0.3)
        assert results == []
    writer.join(120)
    assert results == [[2, 2, 2]]


# Under load ----------------------------------------------------------------------------------


class Load(Workers):
    """Writers and readers in threads and tasks; what they were told is remembered."""

    step, patience = 30, 20

    def __init__(self) -> None:
        self.acknowledged: set[int] = set()
        super().__init__(range(3))

    @property
    def done(self) -> dict[str, int]:
        return {"all": len(self.acknowledged)}

    def work(self, kind: int) -> None:
        if kind == 2:
            asyncio.run(self._tasks())
        else:
            self._write(kind)

    def _write(self, kind: int) -> None:
        number = 0
        while not self.is_over:
            number += 1
            house = House.create(number=2 * number + kind, colour=f"c{number % 5}", price=1.0)
            self.acknowledged.add(house.number)
            house.colour = "red"
            house.save()
            assert House.query.filter(colour="red", number=house.number).count() == 1

    async def _tasks(self) -> None:
        number = -1
        while not self.is_over:
            number -= 10
            houses = [House(number=number + n, colour=f"c{n}") for n in range(5)]
            await asyncio.gather(*(house.async_save() for house in houses))
            self.acknowledged.update(house.number for house in houses)
            assert await House.query.async_get(number=number) is not None

    def check(self) -> None:
        assert self.errors == []
        stored = {each.number for each in House.query.all()}
        assert self.acknowledged <= stored
        assert len(self.acknowledged) > 100


def test_a_slot_is_moved_key_by_key_under_load(ports: list[int], nodes: list[redis.Redis]) -> None:
    slot = redis.crc.key_slot(b"{House}")
    with Load() as load:
        for _ in range(2):
            source = nodes.index(holder(nodes, "House"))
            with slot_on_the_move(slot, ports[source], ports[(source + 1) % 3], ports):
                pass
            load.proceed()
    load.check()


def test_a_slot_is_moved_in_one_step_under_load(ports: list[int], nodes: list[redis.Redis]) -> None:
    """As servers from Valkey 9 on do it: clients see that it has moved, and no more."""
    slot = redis.crc.key_slot(b"{House}")
    source = nodes.index(holder(nodes, "House"))
    target = nodes[(source + 1) % 3]
    name = target.execute_command("CLUSTER MYID").decode()
    with Load() as load:
        nodes[source].execute_command(
            *("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", name)
        )
        wait_until(
            lambda: holder(nodes, "House") is target, time.monotonic() + 20, "it does not move"
        )
        load.proceed()
    load.check()


def test_a_write_that_no_replica_has(api: Api) -> None:
    redis_db.connection().wait = Wait(1, 0.05)  # as the URL says it
    api.run(_wait_in_tasks())
    with pytest.raises(NotReplicatedError) as caught:
        api(House.create, number=1)
    assert caught.value.replicas == 0
    with pytest.raises(NotReplicatedError):
        api(House.bulk_create, [House(number=n) for n in range(2, 9)], batch_size=3)
    assert api(House.query.count) == 8


async def _wait_in_tasks() -> None:
    (await redis_db.async_connection()).wait = Wait(1, 0.05)


async def test_replicas_are_waited_for_also_behind_a_redirection() -> None:
    with cluster(1, replicas=1) as ports:
        redis_db.set_REDIS_DB_settings(url=cluster_url(ports[:1]))
        with wait_for_replicas(1, timeout=5):
            House.create(number=1)
            await House.async_create(number=2)
            with node(ports[1]) as replica:
                assert len(replica.keys("{House}House:*")) == 2
                replica.execute_command("CLUSTER FAILOVER")
                promoted = lambda: replica.info("replication")["role"] == "master"  # noqa: E731
                wait_until(promoted, time.monotonic() + 20, "no failover")
            House.create(number=3)
            await House.async_create(number=4)
            await asyncio.gather(*(House.async_create(number=n) for n in range(5, 9)))
        assert House.query.count() == 8


def test_a_primary_hands_over_to_its_replica_under_load() -> None:
    with cluster(1, replicas=1) as ports:
        redis_db.set_REDIS_DB_settings(url=cluster_url(ports[:1]))
        with Load() as load, node(ports[1]) as replica:
            replica.execute_command("CLUSTER FAILOVER")
            wait_until(
                lambda: replica.info("replication")["role"] == "master",
                time.monotonic() + 20,
                "no failover",
            )
            load.proceed()
        load.check()
