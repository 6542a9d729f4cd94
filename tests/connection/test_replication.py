"""Writes that wait until replicas have them: by connection, by model, by write; and when not."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from popoto import (
    IndexedField,
    KeyField,
    ListField,
    Model,
    ModelException,
    SortedField,
    StringField,
    redis_db,
    transaction,
    wait_for_replicas,
)
from popoto.exceptions import ConfigurationError, NotReplicatedError, OutcomeUnknownError
from popoto.testing.faults import FaultProxy
from tests.cluster_nodes import node
from tests.driver import Api, count_round_trips
from tests.replica_nodes import Group, group_of

pytestmark = [pytest.mark.slow]

#: What replicas are given in a test that they fail.
SOON = 0.02


class Berth(Model):
    name = KeyField()
    kind = IndexedField()
    note = KeyField(default="-")
    owner = StringField(default="nobody")
    depth = SortedField(type=int, default=0)
    log = ListField(max_length=3)


class Pier(Model):
    """A model that waits by itself."""

    name = KeyField()

    class Meta:
        wait_for_replicas = 1
        replica_timeout = SOON


@pytest.fixture(scope="module")
def group() -> Iterator[Group]:
    with group_of(2) as group:
        yield group


@pytest.fixture
def primary(group: Group) -> Iterator[redis.Redis]:
    with node(group.primary) as client:
        yield client


@pytest.fixture(autouse=True)
def _on_the_group(group: Group, primary: redis.Redis, _fresh_server: None) -> Iterator[None]:
    redis_db.set_REDIS_DB_settings(url=group.url)
    primary.flushall()
    yield
    redis_db.set_REDIS_DB_settings()


@pytest.fixture
def unreplicated(group: Group, primary: redis.Redis) -> Iterator[None]:
    """Replicas that are connected, and take nothing in."""
    primary.wait(2, 5000)
    with group.stalled(*group.replicas):
        yield


@contextmanager
def waiting(api: Api, replicas: int, seconds: float) -> Iterator[Api]:
    """Both ways of calling, by a task or thread that waits."""
    with wait_for_replicas(replicas, timeout=seconds):
        patient = Api(is_async=api.is_async)
        try:
            yield patient
        finally:
            patient.close()


def _save_together(api: Api, *instances: Model) -> None:
    async def later() -> None:
        async with transaction() as together:
            for instance in instances:
                together.save(instance)

    if api.is_async:
        api.run(later())
        return
    with transaction() as together:
        for instance in instances:
            together.save(instance)


#: Each way of writing: what is stored before, and what is done to it.
WRITES: dict[str, Callable[[Api, Berth], Any]] = {
    "create": lambda api, _: api(Berth.create, name="b"),
    "save": lambda api, berth: api(_changed(berth).save),
    "partial save": lambda api, berth: api(_changed(berth).save, update_fields=["kind"]),
    "moving": lambda api, berth: api(_moved(berth).save, migrate_key=True),
    "increment": lambda api, berth: api(berth.atomic_increment, "depth", 2),
    "get_or_create": lambda api, _: api(Berth.get_or_create, name="b"),
    "update_or_create": lambda api, _: api(Berth.update_or_create, name="a", note="b"),
    "push": lambda api, berth: api(berth.log.push, "x"),
    "expire_field": lambda api, berth: api(berth.expire_field, "owner", 100),
    "bulk_create": lambda api, _: api(Berth.bulk_create, [Berth(name="b"), Berth(name="c")]),
    "bulk_update": lambda api, berth: api(Berth.bulk_update, [berth], kind="pier"),
    "raw_update": lambda api, berth: api(Berth.raw_update, [berth.db_key], depth=3),
    "bulk_delete": lambda api, berth: api(Berth.bulk_delete, [berth]),
    "delete_all": lambda api, _: api(Berth.delete_all),
    "delete": lambda api, berth: api(berth.delete),
    "transaction": lambda api, _: _save_together(api, Berth(name="b"), Berth(name="c")),
}


def _changed(berth: Berth) -> Berth:
    berth.kind = "pier"
    return berth


def _moved(berth: Berth) -> Berth:
    berth.note = "elsewhere"
    return berth


@pytest.mark.parametrize("name", WRITES)
def test_every_write_waits_in_its_own_round_trip(api: Api, primary: redis.Redis, name: str) -> None:
    seen = []
    for replicas in (0, 0, 2):  # the first time, scripts may be unknown
        api(Berth.delete_all)
        berth = api(Berth.create, name="a", kind="quay")
        with count_round_trips(primary) as counted, waiting(api, replicas, 5) as patient:
            WRITES[name](patient, berth)
        seen.append((counted.sends, counted.commands["wait"] > 0))
    assert seen[1:] == [(seen[1][0], False), (seen[1][0], True)]


@pytest.mark.usefixtures("unreplicated")
@pytest.mark.parametrize("name", WRITES)
def test_a_write_that_no_replica_has_is_written_and_says_so(
    api: Api, primary: redis.Redis, name: str
) -> None:
    berth = api(Berth.create, name="a", kind="quay")
    before = written(primary)
    with pytest.raises(NotReplicatedError) as caught, waiting(api, 1, SOON) as patient:
        WRITES[name](patient, berth)
    assert isinstance(caught.value, OutcomeUnknownError)
    assert (caught.value.wanted, caught.value.replicas) == (1, 0)
    assert "0 of 1 replicas" in str(caught.value)
    assert written(primary) > before


def written(client: redis.Redis) -> int:
    """How many changes the server has counted."""
    return int(client.info("persistence")["rdb_changes_since_last_save"])


@pytest.mark.usefixtures("unreplicated")
def test_the_instance_knows_what_was_written(api: Api, primary: redis.Redis) -> None:
    with pytest.raises(NotReplicatedError) as caught, waiting(api, 1, SOON) as patient:
        patient(Berth.create, name="a", kind="quay")
    berth = caught.value.result
    assert berth.kind == "quay"
    berth.kind = "pier"
    api(berth.save)
    assert [each.kind for each in api(Berth.query.filter(kind="pier").all)] == ["pier"]
    assert api(Berth.query.count, kind="quay") == 0


@pytest.fixture
def proxy(group: Group) -> Iterator[FaultProxy]:
    with FaultProxy(f"redis://127.0.0.1:{group.primary}") as proxy:
        redis_db.set_REDIS_DB_settings(url=proxy.url)
        yield proxy


def given_up(proxy: FaultProxy) -> list[bytes]:
    """The commands that were sent when the reply to a write had been lost."""
    (at,) = (at for at, words in enumerate(proxy.commands) if b"3600000" in words)
    return [words[0] for words in proxy.commands[at:]]


def test_a_write_whose_reply_was_lost_is_seen_and_waited_for(api: Api, proxy: FaultProxy) -> None:
    """By the request that looks for it: only what that writes comes after it for sure."""
    berth = api(Berth.create, name="a", kind="quay")
    berth.kind = "pier"
    proxy.lose_reply(b"pier")
    with waiting(api, 1, 5) as patient:
        patient(berth.save)
    assert b"WAIT" in given_up(proxy)
    assert api(Berth.query.count, kind="pier") == 1


@pytest.mark.usefixtures("unreplicated")
def test_a_write_that_is_seen_and_that_no_replica_has(api: Api, proxy: FaultProxy) -> None:
    berth = api(Berth.create, name="a", kind="quay")
    berth.kind = "pier"
    proxy.lose_reply(b"pier")
    with pytest.raises(NotReplicatedError) as caught, waiting(api, 1, SOON) as patient:
        patient(berth.save)
    assert caught.value.replicas == 0
    berth.kind = "quay"
    api(berth.save)
    assert (api(Berth.query.count, kind="pier"), api(Berth.query.count, kind="quay")) == (0, 1)


def test_what_is_given_up_unseen_waits_for_nobody(api: Api, proxy: FaultProxy) -> None:
    api(Berth.create, name="b")
    proxy.lose_reply(b"Berth:a")
    with pytest.raises(OutcomeUnknownError) as caught, waiting(api, 1, 5) as patient:
        patient(Berth.create, name="a")
    assert not isinstance(caught.value, NotReplicatedError)
    assert b"WAIT" not in given_up(proxy)
    assert api(Berth.query.count) == 2


def test_how_many_have_it_is_told(api: Api, group: Group, primary: redis.Redis) -> None:
    primary.wait(2, 5000)
    with group.stalled(group.replicas[0]):
        with waiting(api, 1, 5) as patient:
            patient(Berth.create, name="a")
        with pytest.raises(NotReplicatedError) as caught, waiting(api, 2, 0.5) as patient:
            patient(Berth.create, name="b")
    assert (caught.value.wanted, caught.value.replicas) == (2, 1)


@pytest.mark.usefixtures("unreplicated")
def test_a_model_waits_by_itself_unless_the_writer_says_otherwise(api: Api) -> None:
    with pytest.raises(NotReplicatedError):
        api(Pier.create, name="a")
    with waiting(api, 0, 1) as patient:
        patient(Pier.create, name="b")
    api(Berth.create, name="a")


@pytest.mark.usefixtures("unreplicated")
def test_a_transaction_waits_for_the_model_that_asks_most(api: Api) -> None:
    with pytest.raises(NotReplicatedError):
        _save_together(api, Berth(name="a"), Pier(name="a"))


@pytest.mark.usefixtures("unreplicated")
def test_a_connection_says_it_for_all_its_writes(api: Api, group: Group) -> None:
    url = f"{group.url}?wait_for_replicas=1&replica_timeout={SOON}"
    redis_db.set_REDIS_DB_settings(url=url)
    with pytest.raises(NotReplicatedError):
        api(Berth.create, name="a")
    redis_db.set_REDIS_DB_settings(
        host="127.0.0.1", port=group.primary, wait_for_replicas=1, replica_timeout=SOON
    )
    with pytest.raises(NotReplicatedError):
        api(Berth.create, name="b")
    redis_db.use_database(1)
    with pytest.raises(NotReplicatedError):
        api(Berth.create, name="c")
    redis_db.set_REDIS_DB_settings(host="127.0.0.1", port=group.primary)
    api(Berth.create, name="d")


@pytest.mark.usefixtures("unreplicated")
def test_queries_and_upkeep_do_not_wait(api: Api) -> None:
    api(Berth.create, name="a", kind="quay")
    with waiting(api, 2, 60) as patient:
        assert patient(Berth.query.count, kind="quay") == 1
        assert patient(Berth.query.get, name="a", note="-").kind == "quay"
        patient(Berth.rebuild_indexes)


@pytest.mark.usefixtures("unreplicated")
def test_a_refusal_is_no_shortfall(api: Api) -> None:
    api(Berth.create, name="a")
    with pytest.raises(ModelException, match="exists"), waiting(api, 1, SOON) as patient:
        patient(Berth.create, name="a")


@pytest.mark.usefixtures("unreplicated")
def test_all_batches_are_written_and_the_time_is_spent_once(api: Api) -> None:
    berths = [Berth(name=str(number)) for number in range(30)]
    start = time.monotonic()
    with pytest.raises(NotReplicatedError), waiting(api, 1, 0.3) as patient:
        patient(Berth.bulk_create, berths, batch_size=1)
    # Each for itself they would take 9 s.
    assert time.monotonic() - start < 8
    assert api(Berth.query.count) == 30


@pytest.mark.usefixtures("unreplicated")
async def test_tasks_that_do_not_wait_are_not_kept_by_those_that_do() -> None:
    await Berth.async_create(name="warm")

    async def waiting() -> None:
        with wait_for_replicas(1, timeout=2):
            await Berth.async_create(name="a")

    slow = [asyncio.ensure_future(waiting()), asyncio.ensure_future(waiting())]
    quick = asyncio.ensure_future(Berth.async_create(name="b"))
    await asyncio.wait_for(quick, 1)
    assert not any(task.done() for task in slow)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)


def test_tasks_that_wait_alike_share_a_pipeline(group: Group, primary: redis.Redis) -> None:
    async def together() -> list[Any]:
        await Berth.async_create(name="warm")
        with count_round_trips(primary) as seen, wait_for_replicas(2, timeout=5):
            await asyncio.gather(*(Berth.async_create(name=str(n)) for n in range(20)))
        return [seen.sends, seen.commands["wait"]]

    assert asyncio.run(together()) == [1, 1]


def test_a_script_that_the_server_does_not_know_is_taught_and_waited_for(
    api: Api, primary: redis.Redis
) -> None:
    api(Berth.create, name="warm")
    primary.script_flush()
    with waiting(api, 2, 5) as patient:
        patient(Berth.create, name="a")
    assert api(Berth.query.count) == 2


def test_a_server_that_stops_being_the_primary_while_replicas_are_waited_for(
    api: Api, group: Group, primary: redis.Redis
) -> None:
    primary.wait(2, 5000)

    def demote() -> None:
        deadline = time.monotonic() + 10
        while not any("b" in each["flags"] for each in primary.client_list()):
            assert time.monotonic() < deadline, "nobody waits"
        primary.replicaof("127.0.0.1", group.replicas[0])

    demoting = threading.Thread(target=demote)
    demoting.start()
    try:
        with (
            group.stalled(*group.replicas),
            waiting(api, 1, 10) as patient,
            pytest.raises(NotReplicatedError) as caught,
        ):
            patient(Berth.create, name="a")
        assert caught.value.replicas == 0
    finally:
        demoting.join()
        primary.replicaof("NO", "ONE")


@pytest.mark.parametrize("replicas", [-1, 1.5, "two", True])
def test_a_number_that_is_none_is_refused(replicas: Any) -> None:
    with (
        pytest.raises(ConfigurationError, match="number of replicas"),
        wait_for_replicas(replicas),
    ):
        raise AssertionError("it was taken")
    with pytest.raises(ConfigurationError, match="number of replicas"):
        redis_db.set_REDIS_DB_settings(url=f"redis://127.0.0.1:1?wait_for_replicas={replicas}")


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "soon", True])
def test_a_time_that_is_none_is_refused(timeout: Any) -> None:
    with (
        pytest.raises(ConfigurationError, match="positive number of seconds"),
        wait_for_replicas(1, timeout=timeout),
    ):
        raise AssertionError("it was taken")
    with pytest.raises(ModelException, match=r"Wrong\.Meta: replica_timeout"):

        class Wrong(Model):
            name = KeyField()

            class Meta:
                wait_for_replicas = 1
                replica_timeout = timeout
