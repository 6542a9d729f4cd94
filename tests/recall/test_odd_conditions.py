"""Every way of searching where something is odd: nothing there, or gone, or another program's."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from popoto import ContextAssembler, ModelException, QueryException
from popoto.fields.embedding_field import invalidate_cache
from popoto.recipes import SubconsciousMemory
from popoto.testing.faults import crashes
from tests.driver import Api
from tests.recall.tales import TOPICS, Filed, Tale, write_some, write_without_end

Way = Callable[[Api, Any, str, int], list[str]]


def _names(found: Any) -> list[str]:
    return [each.name for each in found]


def recalled(api: Api, model: Any, text: str, limit: int) -> list[str]:
    return _names(api(model.query.filter(agent_id="a").recall, text, limit=limit))


def recalled_of_all(api: Api, model: Any, text: str, limit: int) -> list[str]:
    signals = ["words", "meaning"]  # the others have no values for all agents together
    return _names(api(model.query.recall, text, limit=limit, signals=signals))


def by_words(api: Api, model: Any, text: str, limit: int) -> list[str]:
    return _names(api(model.query.filter(agent_id="a").keyword_search, text, limit=limit))


def by_meaning(api: Api, model: Any, text: str, limit: int) -> list[str]:
    return _names(api(model.query.filter(agent_id="a").semantic_search, text, limit=limit))


def by_signals(api: Api, model: Any, text: str, limit: int) -> list[str]:
    query = model.query.filter(agent_id="a")
    return _names(api(query.semantic_search, text, {"relevance": 0.1}, limit=limit))


def assembled(api: Api, model: Any, text: str, limit: int) -> list[str]:
    found = ContextAssembler(model, {"relevance": 1.0}, limit, surfacing_threshold=1e9)
    return _names(api(found.assemble, {"topic": text}, agent_id="a").records)


def remembered(api: Api, model: Any, text: str, limit: int) -> list[str]:
    memory = SubconsciousMemory(model, "a", {"relevance": 1.0}, limit, None, content_field="text")
    _, result = api(memory.inject_context, [{"role": "user", "content": text}])
    # Of those that surface unasked the text says nothing.
    return _names(each for each in result.records if each not in result.proactive)


WAYS: list[Way] = [recalled, by_words, by_meaning, by_signals, assembled, remembered]
every_way = pytest.mark.parametrize("search", WAYS)


class Place:
    """A model, and where its records are."""

    def __init__(self, model: Any, client: Any, tag: str = "") -> None:
        self.model = model
        self._client = client
        self._stem = f"{tag}{model.__name__}:a:"

    def tell(self, count: int, text: str, name: str = "t") -> list[str]:
        """So many records of one text; their names."""
        names = [f"{name}{number}" for number in range(count)]
        self.model.bulk_create(self.model(agent_id="a", name=each, text=text) for each in names)
        return names

    def end(self, names: list[str], *, by_expiry: bool) -> None:
        """Let records go without a word to popoto."""
        with self._client.pipeline(transaction=False) as pipeline:
            for each in names:
                if by_expiry:
                    pipeline.pexpireat(self._stem + each, 1)
                else:
                    pipeline.delete(self._stem + each)
            pipeline.execute()

    def replace(self, name: str) -> None:
        self._client.delete(self._stem + name)
        self._client.set(self._stem + name, "of another program")


@pytest.fixture(autouse=True)
def _own_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("POPOTO_CONTENT_PATH", str(tmp_path))
    invalidate_cache()
    yield
    TOPICS.error = None
    invalidate_cache()


@pytest.fixture(params=[Tale, Filed], ids=["on the server", "in files"])
def model(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def place(model: Any, redis_client: redis.Redis) -> Place:
    return Place(model, redis_client)


# Few, or none ----------------------------------------------------------------------------------


@every_way
def test_a_model_without_records(api: Api, place: Place, search: Way) -> None:
    assert search(api, place.model, "tea", 3) == []
    place.tell(2, "tea")
    place.model.delete_all()
    assert search(api, place.model, "tea", 3) == []


@every_way
@pytest.mark.parametrize("limit", [1, 5000])
def test_one_record(api: Api, place: Place, search: Way, limit: int) -> None:
    place.tell(1, "tea and cake")
    assert search(api, place.model, "tea", limit) == ["t0"]


@every_way
def test_more_are_asked_for_than_there_are(api: Api, place: Place, search: Way) -> None:
    place.tell(30, "tea and cake")
    assert sorted(search(api, place.model, "tea", 5000)) == sorted(f"t{n}" for n in range(30))


# Gone ------------------------------------------------------------------------------------------


@every_way
@pytest.mark.parametrize("by_expiry", [True, False])
def test_records_that_are_gone_take_nobodys_place(
    api: Api, place: Place, search: Way, by_expiry: bool
) -> None:
    kept = place.tell(8, "tea with cake and much else to be said of it")
    gone = place.tell(130, "tea tea tea tea", name="gone")
    assert set(search(api, place.model, "tea", 3)) <= set(gone)
    place.end(gone, by_expiry=by_expiry)
    for _ in range(2):
        assert len(search(api, place.model, "tea", 5)) == 5
        assert sorted(search(api, place.model, "tea", 10)) == kept


@pytest.mark.parametrize("search", [recalled, recalled_of_all, assembled])
def test_what_is_near_in_meaning_alone_is_found_behind_what_is_gone(
    api: Api, place: Place, search: Way
) -> None:
    # No word of the question is left.
    kept = place.tell(3, "cake sun sun sun")
    gone = place.tell(450, "rain cake", name="gone")
    place.end(gone, by_expiry=True)
    for _ in range(2):
        assert sorted(search(api, place.model, "rain", 5)) == kept


def test_who_came_back_is_found_again(api: Api, place: Place) -> None:
    place.tell(2, "tea with cake")
    place.end(["t0"], by_expiry=False)
    for search in WAYS:
        assert search(api, place.model, "tea", 5) == ["t1"]
    place.model.create(agent_id="a", name="t0", text="tea tea tea")
    for search in WAYS:
        assert sorted(search(api, place.model, "tea", 5)) == ["t0", "t1"]


# Another program's -----------------------------------------------------------------------------


@every_way
def test_a_record_that_is_no_hash_is_named(api: Api, place: Place, search: Way) -> None:
    place.tell(3, "tea")
    place.replace("t1")
    key = f"{place.model.__name__}:a:t1"
    with pytest.raises(QueryException, match=f"'{key}' is a string instead of a hash"):
        search(api, place.model, "tea", 5)


@pytest.mark.parametrize("search", [recalled, assembled, remembered])
@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("$BM25:Tale:words:n", "string"),
        ("$BM25:Tale:words:avgdl", "string"),
        ("$BM25:Tale:words:analyzer", "string"),
        ("$BM25:Tale:words:dl", "zset"),
        ("$BM25:Tale:words:inv:tea", "zset"),
        ("$EmbeddingF:Tale:meaning:changes", "zset"),
        ("$EmbeddingF:Tale:meaning:vectors", "hash"),
        ("$EmbeddingF:Tale:meaning:note", "hash"),
        ("$DecayingSortF:Tale:relevance:a", "zset"),
        ("$DecayBase:Tale:relevance:a", "zset"),
    ],
)
def test_of_many_keys_that_are_read_together_the_wrong_one_is_named(
    api: Api, redis_client: redis.Redis, search: Way, key: str, kind: str
) -> None:
    Place(Tale, redis_client).tell(3, "tea")
    redis_client.delete(key)
    redis_client.geoadd(key, (1, 2, "x")) if kind != "zset" else redis_client.set(key, "x")
    with pytest.raises((QueryException, ModelException)) as caught:
        search(api, Tale, "tea", 5)
    assert f"'{key}'" in str(caught.value)


@pytest.mark.parametrize("name", ["n", "avgdl", "analyzer"])
def test_a_search_by_words_names_it_too(api: Api, redis_client: redis.Redis, name: str) -> None:
    Place(Tale, redis_client).tell(3, "tea")
    redis_client.delete(f"$BM25:Tale:words:{name}")
    redis_client.sadd(f"$BM25:Tale:words:{name}", "x")
    with pytest.raises(QueryException, match=rf"words:{name}' is a set instead of a string"):
        by_words(api, Tale, "tea", 5)


# A provider that fails -------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError("down"), KeyError("x"), OSError("no route")])
def test_words_decide_where_the_provider_fails_on_the_question(
    api: Api, place: Place, error: Exception
) -> None:
    place.tell(2, "tea with cake")
    place.tell(2, "rain", name="r")
    TOPICS.error = error
    for search in (recalled, by_words, assembled, remembered):
        assert sorted(search(api, place.model, "tea", 5)) == ["t0", "t1"]
    for search in (by_meaning, by_signals):
        with pytest.raises(RuntimeError, match="nothing was searched") as caught:
            search(api, place.model, "tea", 5)
        assert caught.value.__cause__ is error


# On a cluster ----------------------------------------------------------------------------------


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.usefixtures("on_the_cluster")
def test_all_of_it_on_a_cluster(api: Api, model: Any, ports: list[int]) -> None:
    with redis.RedisCluster(host="127.0.0.1", port=ports[0]) as client:
        place = Place(model, client, f"{{{model.__name__}}}")
        for search in WAYS:
            assert search(api, model, "tea", 5) == []
        kept = place.tell(3, "tea with cake and much else to be said of it")
        place.end(place.tell(130, "tea tea tea tea", name="gone"), by_expiry=True)
        for search in WAYS:
            assert sorted(search(api, model, "tea", 5000)) == kept
        TOPICS.error = OSError("no route")
        for search in (recalled, by_words, assembled, remembered):
            assert sorted(search(api, model, "tea", 5)) == kept
        TOPICS.error = None
        place.replace("t1")
        for search in WAYS:
            with pytest.raises(QueryException, match="t1' is a string instead of a hash"):
                search(api, model, "tea", 5)


# Other processes -------------------------------------------------------------------------------


@pytest.mark.slow
def test_searches_go_on_while_another_process_writes(
    api: Api, model: Any, redis_client: redis.Redis, server_url: str
) -> None:
    Place(model, redis_client).tell(5, "cat")
    arguments = (server_url, model.__name__, 60)
    process = multiprocessing.get_context("spawn").Process(target=write_some, args=arguments)
    process.start()
    possible = {*(f"t{n}" for n in range(5)), *(f"n{n}" for n in range(60))}
    rounds = 0
    while process.is_alive() or rounds < 2:
        for search in WAYS:
            found = search(api, model, "cat", 100)
            assert set(found) <= possible
            assert len(found) == len(set(found))
        rounds += 1
    process.join()
    assert process.exitcode == 0
    expected = sorted([*(f"t{n}" for n in range(5)), *(f"n{n}" for n in range(0, 60, 2))])
    for search in WAYS:
        assert sorted(search(api, model, "cat", 100)) == expected


@pytest.mark.slow
def test_a_killed_process_leaves_nothing_half_indexed(
    api: Api, model: Any, redis_client: redis.Redis, server_url: str
) -> None:
    kills = 0
    for crash in crashes(write_without_end, server_url, model.__name__, times=12, within=0.3):
        kills += crash.was_killed
        invalidate_cache()
        assert model.check_indexes()["total"] == 0
        told = {each.name: each.text for each in model.query.all()}
        for word in {word for text in told.values() for word in text.split()}:
            expected = sorted(name for name, text in told.items() if word in text.split())
            assert sorted(by_words(api, model, word, 100)) == expected
            assert set(expected) <= set(recalled(api, model, word, 100)) <= set(told)
            assert set(by_meaning(api, model, word, 100)) == set(told)
    assert kills == 12
