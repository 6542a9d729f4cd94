"""Reads of replicas, on request: a configured one, those of sentinels, those of a cluster."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from popoto import IndexedField, KeyField, Model, Relationship, redis_db
from popoto._connection.replicas import Turns
from popoto.exceptions import ConfigurationError, QueryException
from tests.cluster_nodes import cluster, cluster_url, free_ports, node, wait_until
from tests.driver import Api
from tests.isolation.test_require_partition import OF_QUERIES, Note
from tests.replica_nodes import group_of

pytestmark = [pytest.mark.slow]

#: What servers do without being asked by popoto's reads.
NOT_ASKED = {"info", "ping", "replconf", "hello", "auth", "select", "client|setinfo", "publish"}
NOT_ASKED |= {
    "cluster|slots",
    "subscribe",
    "psync",
    "role",
    "config|rewrite",
    "wait",
    "script|flush",
}
NOT_ASKED |= {"config|set", "replicaof", "client|setname"}
CHANGES = ("delete", "update", "renew_ttl")


class Fact(Model):
    name = KeyField()
    kind = IndexedField(default="")
    about = Relationship("Fact")


@dataclass
class Place:
    """A primary with one replica, and how they are reached."""

    kind: str
    primary: int
    replica: int
    settings: dict[str, Any]

    def lead_there(self) -> None:
        redis_db.set_REDIS_DB_settings(**self.settings)

    def settle(self) -> None:
        """Wait until the replica has everything."""
        with node(self.primary) as client:
            assert client.wait(1, 10_000) == 1


def link_status(sentinel: int) -> str:
    """What a sentinel says of the replica's connection to the primary."""
    with node(sentinel) as client:
        return str(client.sentinel_slaves("main")[0]["master-link-status"])


@contextmanager
def place_of(kind: str) -> Iterator[Place]:
    with ExitStack() as stack:
        if kind == "cluster":
            primary, replica = stack.enter_context(cluster(1, replicas=1))
            yield Place(kind, primary, replica, {"url": cluster_url([primary])})
            return
        group = stack.enter_context(group_of(1, int(kind == "sentinel")))
        settings = {"url": group.url}
        if kind == "configured":
            settings["replica_url"] = f"redis://127.0.0.1:{group.replicas[0]}"
        else:
            wait_until(
                lambda: link_status(group.sentinels[0]) == "ok",
                time.monotonic() + 30,
                "the sentinel never saw the replica follow",
            )
        yield Place(kind, group.primary, group.replicas[0], settings)


@pytest.fixture(scope="module", params=["configured", "sentinel", "cluster"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with place_of(request.param) as place:
        yield place


@pytest.fixture
def there(place: Place, _fresh_server: None) -> Iterator[Place]:
    """Empty, and led to."""
    with node(place.primary) as client:
        client.flushall()
    place.lead_there()
    yield place
    redis_db.set_REDIS_DB_settings()


@contextmanager
def asked(port: int) -> Iterator[set[str]]:
    """The commands that a server has carried out for us inside the block."""
    with node(port) as client:
        before = client.info("commandstats")
        names: set[str] = set()
        yield names
        after = client.info("commandstats")
        names.update(
            name.removeprefix("cmdstat_")
            for name, told in after.items()
            if told["calls"] > before.get(name, {"calls": 0})["calls"]
        )
        names -= NOT_ASKED


def fill(place: Place) -> None:
    Note.create(name="a1", agent="a", text="the plan of a", number=1)
    Note.create(name="b1", agent="b", text="the plan of b", number=1)
    place.settle()


def told(found: Any) -> Any:
    """What is alike in two results."""
    if isinstance(found, list):
        return [told(each) for each in found]
    return found.pk if isinstance(found, Model) else found


@pytest.mark.parametrize("name", [name for name in OF_QUERIES if name not in CHANGES])
def test_every_read_is_answered_by_the_replica_alone(there: Place, api: Api, name: str) -> None:
    fill(there)
    read = OF_QUERIES[name]
    expected = told(read(api, Note.query.filter(agent="b")))
    with asked(there.primary) as of_primary, asked(there.replica) as of_replica:
        found = told(read(api, Note.query.using(replica=True).filter(agent="b")))
    assert str(found) == str(expected)
    assert of_primary == set()
    assert of_replica or name == "explain"


#: Reads of a whole model, by `Query` alone.
OF_A_MODEL: dict[str, Callable[[Api, Any], Any]] = {
    "get": lambda api, query: api(query.get, name="x"),
    "get by key": lambda api, query: api(query.get, "Fact:x"),
    "get by another field": lambda api, query: api(query.get, kind="old"),
    "get_many": lambda api, query: api(query.get_many, ["Fact:x"]),
    "get_untracked": lambda _, query: query.get_untracked("Fact:x"),
    "all": lambda api, query: api(query.all),
    "count": lambda api, query: api(query.count, kind="old"),
    "keys": lambda api, query: api(query.keys),
    "filter_for_keys_set": lambda _, query: query.filter_for_keys_set(kind="old"),
    "iterator": lambda api, query: api.run(_read(query)) if api.is_async else [*query.iterator()],
    "len": lambda _, query: len(query.filter()),
    "select_related": lambda api, query: api(query.select_related("about").all),
    "related conditions": lambda api, query: api(query.filter(about__kind="new").all),
}


async def _read(query: Any) -> list[Any]:
    return [each async for each in query.async_iterator()]


@pytest.mark.parametrize("name", OF_A_MODEL)
def test_a_whole_model_is_read_there(there: Place, api: Api, name: str) -> None:
    Fact.create(name="x", kind="old", about=Fact.create(name="y", kind="new"))
    there.settle()
    with asked(there.primary) as of_primary, asked(there.replica) as of_replica:
        assert OF_A_MODEL[name](api, Fact.query.using(replica=True))
    assert of_primary == set()
    assert of_replica


def test_replicas_are_asked_only_on_request(there: Place, api: Api) -> None:
    fill(there)
    query = Note.query.using(replica=True).filter(agent="b")
    with asked(there.replica) as of_replica:
        assert api(Note.query.filter(agent="b").count) == 1
        assert api(query.using(replica=False).count) == 1
        everything = Note.query.using(replica=True).using(replica=False).no_track()
        assert api(everything.filter(agent="b").all)
    assert of_replica == set()


@pytest.mark.parametrize("name", CHANGES)
def test_what_writes_is_refused(there: Place, api: Api, name: str) -> None:
    fill(there)
    for query in (
        Note.query.using(replica=True),
        Note.query.filter(agent="b").using(replica=True),
    ):
        with pytest.raises(QueryException, match=r"writes, and using\(replica=True\)"):
            OF_QUERIES[name](api, query)
    with pytest.raises(QueryException, match="writes"):
        api(Fact.query.using(replica=True).keys, clean=True)
    assert api(Note.query.filter(agent="b").count) == 1


def test_what_missing_records_left_stays_until_the_primary_is_asked(there: Place, api: Api) -> None:
    Fact.create(name="stays", kind="old")
    Fact(name="ended", kind="old", _ttl=1000).save()
    Fact.create(name="gone", kind="old")
    tag = "{Fact}" if there.kind == "cluster" else ""
    with node(there.primary) as primary:
        primary.delete(f"{tag}Fact:ended", f"{tag}Fact:gone")
        primary.zadd(f"{tag}$Expiry:Fact", {"Fact:ended": 1})
        there.settle()
        index = f"{tag}$IndexF:Fact:kind:old"
        for _ in range(2):
            with asked(there.primary) as of_primary:
                query = Fact.query.using(replica=True).filter(kind="old")
                assert [fact.name for fact in api(query.all)] == ["stays"]
                assert api(query.count) == 1
            assert of_primary == set()
            assert primary.scard(index) == 3
        assert api(Fact.query.filter(kind="old").count) == 1
        assert primary.scard(index) == 1


def test_words_of_records_that_have_ended_stay_too(there: Place, api: Api) -> None:
    fill(there)
    tag = "{Note}" if there.kind == "cluster" else ""
    with node(there.primary) as primary:
        primary.delete(f"{tag}Note:b1")
        there.settle()
        before = primary.dbsize()
        with asked(there.primary) as of_primary:
            query = Note.query.using(replica=True).filter(agent="b")
            assert api(query.keyword_search, "plan") == []
            assert api(query.recall, "plan") == []
            assert api(query.semantic_search, "plan") == []
            assert api(query.composite_score, {"number": 1.0}) == []
        assert of_primary == set()
        assert primary.dbsize() == before


def test_reads_are_not_counted(there: Place, api: Api) -> None:
    fill(there)
    (note,) = api(Note.query.using(replica=True).filter(agent="b").all)
    tag = "{Note}" if there.kind == "cluster" else ""
    with node(there.primary) as primary:
        assert not primary.exists(f"{tag}$AT:Note:staged:{note.pk}")
        api(Note.query.filter(agent="b").all)
        assert primary.exists(f"{tag}$AT:Note:staged:{note.pk}")


def test_a_replica_learns_scripts_that_it_does_not_know(there: Place, api: Api) -> None:
    fill(there)
    with node(there.replica) as replica:
        replica.script_flush()
    with asked(there.primary) as of_primary:
        assert api(Note.query.using(replica=True).filter(agent="b").count) == 1
    assert of_primary == set()


def test_reads_of_a_moment_go_together(there: Place) -> None:
    fill(there)
    api = Api(is_async=True)

    async def many() -> list[int]:
        query = Note.query.using(replica=True).filter(agent="b")
        return list(await asyncio.gather(*(query.async_count() for _ in range(20))))

    with asked(there.primary) as of_primary:
        assert api.run(many()) == [1] * 20
    assert of_primary == set()
    api.close()


# Replicas that are behind, and that do not answer -----------------------------------------------


@pytest.fixture(params=["configured", "sentinel", "cluster"])
def own(request: pytest.FixtureRequest, _fresh_server: None) -> Iterator[Place]:
    """Of this test alone."""
    with place_of(request.param) as place:
        place.lead_there()
        yield place
        redis_db.set_REDIS_DB_settings()


def test_where_the_replica_is_gone_the_primary_answers(
    own: Place, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    fill(own)
    query = Note.query.using(replica=True).filter(agent="b")
    assert api(query.count) == 1
    with node(own.replica) as replica:
        replica.shutdown(nosave=True, force=True)
    Note.create(name="b2", agent="b")
    with caplog.at_level(logging.WARNING, "POPOTO-REDIS_DB"), asked(own.primary) as of_primary:
        assert [api(query.count) for _ in range(5)] == [2] * 5
    assert of_primary
    said = [each.getMessage() for each in caplog.records if "replica" in each.getMessage()]
    assert len(said) <= 1, "and it is said once"


@pytest.fixture
def behind(request: pytest.FixtureRequest, _fresh_server: None) -> Iterator[Place]:
    """A configured replica that has lost its primary, after `fill`."""
    with place_of("configured") as place:
        place.lead_there()
        fill(place)
        with node(place.replica) as replica:
            replica.replicaof("127.0.0.1", free_ports(1)[0])
        yield place
        redis_db.set_REDIS_DB_settings()


def test_a_replica_that_is_behind_tells_what_it_has(behind: Place, api: Api) -> None:
    """What docs/high-availability.md says that may be missed: new, changed and deleted records."""
    Note.create(name="b2", agent="b", number=2)
    changed = api(Note.query.get, name="b1", agent="b")
    changed.number = 5
    changed.save()
    Note.query.get(name="a1", agent="a").delete()
    old = Note.query.using(replica=True)
    assert [note.name for note in api(old.filter(agent="b").all)] == ["b1"]
    assert api(old.get, name="b1", agent="b").number == 1
    assert api(old.filter(agent="a").count) == 1
    assert [note.number for note in api(Note.query.filter(agent="b").all)] == [5, 2]


def test_a_change_of_what_a_replica_told_meets_what_is_stored(behind: Place, api: Api) -> None:
    """A save goes to the primary, and knows by its guards that the copy is an old one."""
    Fact.create(name="x", kind="new")
    old = api(Note.query.using(replica=True).get, name="b1", agent="b")
    api(Note.query.filter(agent="b").update, number=9)
    old.agent = "c"
    api(old.save, update_fields=["agent"])
    stored = api(Note.query.get, name="b1", agent="c")
    assert stored.number == 9
    assert Note.check_indexes()["total"] == 0


def test_a_replica_that_says_it_is_behind_is_left_alone(behind: Place, api: Api) -> None:
    Note.create(name="b2", agent="b")
    with node(behind.replica) as replica:
        replica.config_set("replica-serve-stale-data", "no")
    assert api(Note.query.using(replica=True).filter(agent="b").count) == 2


def test_what_a_replica_lacks_is_not_forgotten_of_the_primary(behind: Place, api: Api) -> None:
    """Vectors in memory: those of replicas are others."""
    Note.create(name="b2", agent="b", text="the plan of b, again")
    for _ in range(2):
        found = api(Note.query.filter(agent="b").semantic_search, "plan")
        assert {note.name for note in found} == {"b1", "b2"}
        query = Note.query.using(replica=True).filter(agent="b")
        assert [note.name for note in api(query.semantic_search, "plan")] == ["b1"]
        assert [note.name for note in api(query.keyword_search, "plan")] == ["b1"]
        assert [note.name for note in api(query.recall, "plan")] == ["b1"]


@pytest.mark.usefixtures("_fresh_server")
def test_sentinels_say_which_replicas_hear_from_the_primary(api: Api) -> None:
    with place_of("sentinel") as place:
        place.lead_there()
        fill(place)
        with node(place.replica) as replica:
            replica.replicaof("127.0.0.1", free_ports(1)[0])
        sentinel = int(place.settings["url"].rpartition("/main")[0].rpartition(":")[2])
        wait_until(
            lambda: link_status(sentinel) != "ok",
            time.monotonic() + 30,
            "the sentinel never noticed",
        )
        Note.create(name="b2", agent="b")
        assert api(Note.query.using(replica=True).filter(agent="b").count) == 2
        redis_db.set_REDIS_DB_settings()


@pytest.mark.usefixtures("_fresh_server")
def test_a_cluster_without_replicas_answers_itself(api: Api) -> None:
    with cluster(1) as ports:
        redis_db.set_REDIS_DB_settings(url=cluster_url(ports))
        Fact.create(name="x")
        assert api(Fact.query.using(replica=True).count) == 1
        redis_db.set_REDIS_DB_settings()


# Which replica -----------------------------------------------------------------------------------


def test_without_a_replica_it_is_refused(api: Api) -> None:
    Fact.create(name="x")
    query = Fact.query.using(replica=True)
    with pytest.raises(ConfigurationError, match="REDIS_REPLICA_URL"):
        api(query.count)
    with pytest.raises(ConfigurationError, match="no replica of"):
        api(query.filter(name="x").all)
    assert api(Fact.query.count) == 1


def test_a_replica_belongs_to_its_primary(there: Place, api: Api, server_url: str) -> None:
    """Another server that is used for a while has none of its own."""
    fill(there)
    with redis_db.using(server_url), pytest.raises(ConfigurationError, match="no replica of"):
        api(Note.query.using(replica=True).filter(agent="b").count)
    assert api(Note.query.using(replica=True).filter(agent="b").count) == 1
    redis_db.set_REDIS_DB_settings(url=server_url)
    with pytest.raises(ConfigurationError, match="no replica of"):
        api(Note.query.using(replica=True).filter(agent="b").count)


def test_a_pool_in_the_place_of_ours_has_no_replica(
    behind: Place, api: Api, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = Note.query.using(replica=True).filter(agent="b")
    assert api(query.count) == 1
    client, path = redis_db.POPOTO_REDIS_DB, server_url.removeprefix("unix://")
    with redis_db.using(server_url):
        ours = redis_db.get_REDIS_DB().connection_pool
    for pool in (ours, redis.Redis(unix_socket_path=path).connection_pool):
        monkeypatch.setattr(client, "connection_pool", pool)
        with pytest.raises(ConfigurationError, match="no replica of"):
            api(query.count)
    monkeypatch.undo()
    assert api(query.count) == 1


def test_a_replica_is_read_in_the_database_of_its_primary(behind: Place, api: Api) -> None:
    redis_db.use_database(3)
    assert api(Note.query.using(replica=True).filter(agent="b").count) == 0
    redis_db.use_database(0)
    assert api(Note.query.using(replica=True).filter(agent="b").count) == 1


@pytest.mark.parametrize(
    ("url", "replica_url", "problem"),
    [
        ("redis+cluster://a:1", "redis://b:1", "tell their replicas"),
        ("redis+sentinel://a:1/main", "redis://b:1", "tell their replicas"),
        ("redis://a:1/2", "redis://:secret@b:1/3", "in the database of"),
        ("redis://a:1", "redis+cluster://b:1", "names one server"),
        ("redis://a:1", "embedded://", "names one server"),
        ("redis://a:1", "b:1", "A connection URL starts with"),
    ],
)
def test_what_cannot_be_a_replica(url: str, replica_url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as caught:
        redis_db.set_REDIS_DB_settings(url=url, replica_url=replica_url)
    assert "secret" not in str(caught.value)
    with pytest.raises(TypeError):
        redis_db.set_REDIS_DB_settings(
            connection_pool=redis.ConnectionPool(), replica_url="redis://b:1"
        )


def test_the_environment_names_it(behind: Place) -> None:
    program = (
        "from popoto import *\n"
        "class Note(Model):\n name = KeyField()\n agent = IndexedField()\n"
        "print(Note.query.using(replica=True).count(), Note.query.count())"
    )
    Note.create(name="new", agent="b")
    urls = {
        "REDIS_URL": behind.settings["url"],
        "REDIS_REPLICA_URL": behind.settings["replica_url"],
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | urls,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["2", "3"]


def test_turns_are_taken_and_failures_rest_longer_each_time() -> None:
    now = 100.0
    turns = Turns(lambda: now)
    places = [("a", 1), ("b", 1)]
    assert {turns.choose(places) for _ in range(4)} == set(places)
    assert turns.choose([]) is None
    rests: list[float] = []
    for _ in range(8):
        turns.failed(places[0], "url", "gone")
        assert [turns.choose(places) for _ in range(3)] == [places[1]] * 3
        assert turns.choose(places[:1]) is None
        began = now
        while turns.choose(places[:1]) is None:
            now += 1.0
        rests.append(now - began)
    assert rests == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert turns.judged([b"x"], places[0], "url") == [b"x"]
    turns.failed(places[0], "url", "gone")
    now += 2.0
    assert turns.choose(places[:1]) == places[0]
