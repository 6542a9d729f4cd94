"""Checking, cleaning, rebuilding and emptying a model whose records have vectors."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from popoto import EmbeddingField
from popoto.fields.embedding_field import invalidate_cache
from popoto.models.upkeep.registry import Registry
from tests.driver import Api
from tests.upkeep.zoo import SOUNDS, Parrot, drop_indexes, parrot, state

STEM = "$EmbeddingF:Parrot:sound"


@pytest.fixture(autouse=True)
def _own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POPOTO_CONTENT_PATH", str(tmp_path))
    invalidate_cache()


@pytest.fixture
def parrots(api: Api) -> list[Parrot]:
    """Six of ten have something to say."""
    return api(Parrot.bulk_create, [parrot(number) for number in range(10)])


def found(api: Api) -> set[str]:
    """Whom a search finds."""
    return {each.name for each in api(Parrot.query.semantic_search, "hello", limit=20)}


def files(tmp_path: Path) -> set[str]:
    return {each.name for each in tmp_path.rglob("*.npy")}


TALKERS = {"p:0", "p:2", "p:4", "p:5", "p:7", "p:9"}


def test_a_healthy_model(api: Api, parrots: list[Parrot], redis_client: redis.Redis) -> None:
    before = state(redis_client)
    checked = api(Parrot.check_indexes)
    assert checked["companions"] == {
        "sound": 0,
        "sight": 0,
        "proposals": 0,
    }
    assert checked["total"] == 0
    assert api(Parrot.clean_indexes) == 0
    assert api(Parrot.rebuild_indexes) == 10
    assert state(redis_client) == before
    assert api(Parrot.embed_missing) == 0
    assert found(api) == TALKERS


def test_every_vector_of_a_missing_record_is_counted_and_cleaned(
    api: Api, parrots: list[Parrot], redis_client: redis.Redis, tmp_path: Path
) -> None:
    redis_client.delete(*(each._redis_key for each in parrots[:3]))
    # Two vectors, and of three records when that has changed.
    assert api(Parrot.check_indexes)["companions"] == {
        "sound": 5,
        "sight": 0,
        "proposals": 0,
    }
    for batch_size in (1, 1000):
        assert api(Parrot.check_indexes, batch_size=batch_size)["companions"]["sound"] == 5
    api(Parrot.clean_indexes)
    assert api(Parrot.check_indexes)["total"] == 0
    assert redis_client.hlen(f"{STEM}:vectors") == 4
    assert len(files(tmp_path)) == 6
    assert api(EmbeddingField.garbage_collect, Parrot, 0) == 2
    assert len(files(tmp_path)) == 4
    assert found(api) == TALKERS - {"p:0", "p:2"}


def test_lost_vectors_are_missed_and_marked(
    api: Api, parrots: list[Parrot], redis_client: redis.Redis
) -> None:
    redis_client.hdel(f"{STEM}:vectors", parrots[0].pk, parrots[1].pk)
    assert api(Parrot.check_indexes)["missing_entries"] == {"sound": 1}
    redis_client.delete(f"{STEM}:vectors")
    assert api(Parrot.check_indexes)["missing_entries"] == {"sound": 6}
    assert api(Parrot.rebuild_indexes) == 10
    assert api(Parrot.check_indexes)["total"] == 0
    assert redis_client.zcard(f"{STEM}:missing") == 6
    # Marked already, and not a second time.
    before = state(redis_client)
    assert api(Parrot.rebuild_indexes) == 10
    assert state(redis_client) == before
    SOUNDS.calls.clear()
    assert api(Parrot.embed_missing) == 6
    assert redis_client.hlen(f"{STEM}:vectors") == 6
    assert redis_client.exists(f"{STEM}:missing") == 0
    assert found(api) == TALKERS


def test_whatever_is_lost_a_rebuild_and_embedding_bring_it_back(
    api: Api, parrots: list[Parrot], redis_client: redis.Redis
) -> None:
    drop_indexes(redis_client, Parrot)
    assert api(Parrot.check_indexes)["total"] > 0
    assert api(Parrot.rebuild_indexes) == 10
    assert api(Parrot.embed_missing) == 6
    assert api(Parrot.check_indexes)["total"] == 0
    assert found(api) == TALKERS


def test_who_has_nothing_to_say_any_more_has_lost_no_vector(
    api: Api, parrots: list[Parrot], redis_client: redis.Redis
) -> None:
    parrots[0].says = None
    api(parrots[0].save)
    redis_client.delete(f"{STEM}:vectors")
    assert api(Parrot.check_indexes)["missing_entries"] == {"sound": 5}


def test_the_registry_knows_every_key(parrots: list[Parrot], redis_client: redis.Redis) -> None:
    redis_client.delete(f"{STEM}:vectors")
    Parrot.rebuild_indexes()
    Parrot.reembed()
    registry = Registry(Parrot._meta)
    texts = {key for _, _, *pair in registry.text_fields for key in pair}
    unknown = {
        key
        for key in state(redis_client)
        if not registry.is_record_key(key) and not registry.candidates(key)
    }
    assert unknown - texts == set()


def test_emptying_leaves_nothing(
    api: Api, parrots: list[Parrot], redis_client: redis.Redis, tmp_path: Path
) -> None:
    assert api(Parrot.delete_all) == 10
    assert redis_client.keys() == []
    assert files(tmp_path) == set()
    assert found(api) == set()
