"""Vectors on the server: several processes, upkeep, expiry, pipelines, a cluster, precision."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest
import redis

import popoto
from popoto import (
    EmbeddingField,
    KeyField,
    Model,
    ModelException,
    StringField,
    redis_db,
    transaction,
)
from popoto.exceptions import NotReplicatedError, OutcomeUnknownError
from popoto.fields.vectors.keeper import Described
from popoto.fields.vectors.on_server import Following, forget_followed
from popoto.redis_db import get_REDIS_DB
from popoto.testing.faults import FaultProxy
from tests.driver import Api
from tests.vectors.provider import TABLE, Known

STEM = "$EmbeddingF:Served:vector"


@pytest.fixture
def served(provider: Known) -> Any:
    class Served(Model):
        name = KeyField()
        text = StringField()
        vector = EmbeddingField(source="text", provider=provider, store="server")

    return Served


def found(model: Any, question: str = "up") -> list[str]:
    return [each.name for each in model.query.semantic_search(question)]


def test_a_vector_stands_beside_its_record_and_is_packed(
    api: Api, served: Any, redis_client: redis.Redis
) -> None:
    api(served.create, name="a", text="a")
    assert redis_client.hget(f"{STEM}:vectors", "Served:a") == bytes.fromhex(
        "00004040 00008040 00000000"
    )
    note = redis_client.hgetall(f"{STEM}:note")
    assert (note[b"dimensions"], note[b"form"], note[b"version"]) == (b"3", b"float32", b"1")
    assert redis_client.zrange(f"{STEM}:changes", 0, -1, withscores=True) == [(b"Served:a", 1.0)]


@pytest.mark.parametrize(("precision", "size"), [("float16", 2), ("int8", 1)])
def test_packed_more_tightly_they_say_nearly_the_same(
    provider: Known, redis_client: redis.Redis, precision: str, size: int
) -> None:
    class Served(Model):
        name = KeyField()
        text = StringField()
        vector = EmbeddingField(
            source="text", provider=provider, store="server", precision=precision
        )

    dice = random.Random(7)
    provider._dimensions = 64
    for number in range(20):
        provider.table[f"t{number}"] = [dice.gauss(0, 1) for _ in range(64)]
        Served.create(name=f"n{number}", text=f"t{number}")
    data = redis_client.hget(f"{STEM}:vectors", "Served:n0")
    assert data is not None
    assert len(data) == 64 * size + (4 if size == 1 else 0)
    best = Served.query.semantic_search("t3", limit=1)[0]
    assert (best.name, best._similarity_score) == ("n3", pytest.approx(1, abs=1e-4))


def test_what_others_write_is_found_and_asked_for_alone(
    served: Any, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        served.create(name=name, text=name)
    assert found(served) == ["a", "b"]
    taken: list[int] = []
    plain = Following._take

    def watched(self: Following, *arguments: Any) -> bool:
        taken.append(len(arguments[-1]) // 3)
        return plain(self, *arguments)

    monkeypatch.setattr(Following, "_take", watched)
    assert found(served) == ["a", "b"]
    served.create(name="c", text="a")
    assert found(served) == ["c", "a", "b"]
    served.query.get(name="a").delete()
    assert found(served) == ["c", "b"]
    assert taken == [0, 1, 0]


def test_a_server_that_was_emptied_and_filled_anew_is_followed(
    served: Any, redis_client: redis.Redis
) -> None:
    for name in "abcd":
        served.create(name=name, text=name)
    assert found(served) == ["a", "b"]
    redis_client.flushall()
    assert found(served) == []
    served.create(name="b", text="b")
    assert found(served) == ["b"]


def test_thousands_are_read_page_by_page(served: Any) -> None:
    served.bulk_create([served(name=f"n{n}", text="a") for n in range(2500)])
    assert served.query.semantic_search("up", limit=1)[0].name == "n999"
    forget_followed(None)
    assert len(EmbeddingField.load_embeddings(served)[1]) == 2500
    served.bulk_delete(served.query.filter())
    assert found(served) == []
    assert served.query.count() == 0


def test_memory_of_what_is_gone_is_given_back(served: Any) -> None:
    served.bulk_create([served(name=f"n{n}", text="a") for n in range(800)])
    assert EmbeddingField.load_embeddings(served)[0].shape == (800, 3)
    served.query.filter(name__startswith="n").delete()
    served.create(name="b", text="b")
    assert found(served) == ["b"]
    assert EmbeddingField.load_embeddings(served)[1] == ["Served:b"]


def test_an_expired_record_is_not_found_and_upkeep_removes_its_vector(
    served: Any, redis_client: redis.Redis
) -> None:
    for name in "ab":
        served.create(name=name, text=name)
    redis_client.delete("Served:a")
    assert found(served) == ["b"]
    assert EmbeddingField.load_embeddings(served)[1] == ["Served:b"]
    assert redis_client.hlen(f"{STEM}:vectors") == 2
    served.clean_indexes()
    assert redis_client.hkeys(f"{STEM}:vectors") == [b"Served:b"]
    assert redis_client.zrange(f"{STEM}:changes", 0, -1) == [b"Served:b"]
    served.rebuild_indexes()
    assert served.check_indexes()["total"] == 0
    assert found(served) == ["b"]


def change(version: int, vector: list[float]) -> list[Any]:
    return [b"Served:a", str(version).encode(), struct.pack("<3f", *vector)]


def test_a_reply_that_comes_late_undoes_nothing() -> None:
    described = Described("", 3, "float32")
    following = Following()
    assert following._take(("", 0), b"epoch", described, 1, change(2, [0, 1, 0]))
    assert following._take(("", 0), b"epoch", described, 1, change(1, [1, 0, 0]))
    assert following.matrix.exported()[0].tolist() == [[0, 1, 0]]
    # A search that found the record gone, before it was made anew.
    following.drop(["Served:a"], moment=1)
    assert len(following.matrix) == 1
    following.drop(["Served:a"], moment=2)
    assert len(following.matrix) == 0


def test_a_reply_that_leaves_a_gap_is_asked_for_again() -> None:
    described = Described("", 3, "float32")
    following = Following()
    assert following._take(("", 0), b"epoch", described, 1, change(1, [1, 0, 0]))
    assert not following._take(("epoch", 5), b"epoch", described, 1, change(6, [0, 1, 0]))
    assert following.version == 1


def test_a_field_that_a_model_has_no_more_leaves_nothing(
    served: Any, redis_client: redis.Redis
) -> None:
    served.create(name="a", text="a")

    class Served(Model):
        name = KeyField()
        text = StringField()

    Served.rebuild_indexes()
    assert redis_client.keys("$EmbeddingF*") == []


def test_a_refused_save_changes_no_vector(api: Api, served: Any) -> None:
    api(served.create, name="a", text="a")
    with pytest.raises(ModelException, match="already exists"):
        api(served.create, name="a", text="c")
    assert found(served) == ["a"]


def test_a_vector_goes_with_a_pipeline_and_not_before(served: Any) -> None:
    pipeline = get_REDIS_DB().pipeline()
    served(name="a", text="a").save(pipeline=pipeline)
    assert found(served) == []
    pipeline.execute()
    assert found(served) == ["a"]


def test_a_transaction_embeds_for_all_together(served: Any, provider: Known) -> None:
    with transaction() as together:
        together.save(served(name="a", text="a"))
        together.save(served(name="b", text="b"))
    assert provider.calls == [(["a", "b"], "document")]
    assert found(served) == ["a", "b"]


def test_a_key_of_another_type_refuses_the_save(
    api: Api, served: Any, redis_client: redis.Redis
) -> None:
    redis_client.set(f"{STEM}:vectors", "mine")
    with pytest.raises(ModelException, match=r"holds a string where a hash belongs"):
        api(served.create, name="a", text="a")
    assert not redis_client.exists("Served:a")


def test_bytes_that_are_no_vector_are_left_out(
    served: Any, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    for name in "ab":
        served.create(name=name, text=name)
    redis_client.hset(f"{STEM}:vectors", "Served:a", b"short")
    forget_followed("Served")
    assert found(served) == ["b"]
    assert "left out" in caplog.text


@pytest.mark.cluster
def test_on_a_cluster(on_the_cluster: None, api: Api) -> None:
    class Served(Model):
        name = KeyField()
        text = StringField()
        vector = EmbeddingField(source="text", provider=Known(TABLE), store="server")

    for name in "abcd":
        api(Served.create, name=name, text=name)
    moved = api(Served.query.get, name="a")
    moved.name = "z"
    api(moved.save, migrate_key=True)
    assert [each.name for each in api(Served.query.semantic_search, "up")] == ["z", "b"]
    assert api(Served.reembed, anew=True) == 4
    assert found(Served) == ["z", "b"]


# Begun anew ------------------------------------------------------------------------------------


def test_vectors_are_not_dropped_once_their_caller_was_told_that_nobody_knows(
    api: Api, served: Any, redis_client: redis.Redis, proxy: FaultProxy
) -> None:
    """The request is held back, and arrives late: what was stored meanwhile stays."""
    api(served.create, name="a", text="a")
    redis_db.set_REDIS_DB_settings(host="127.0.0.1", port=proxy.port, socket_timeout=0.3)
    held = proxy.hold(b"REFORM")
    with pytest.raises(OutcomeUnknownError):
        api(served.reembed, anew=True)
    before = redis_client.hgetall(f"{STEM}:note"), redis_client.hgetall(f"{STEM}:vectors")
    held.deliver()
    after = redis_client.hgetall(f"{STEM}:note"), redis_client.hgetall(f"{STEM}:vectors")
    assert before == after
    assert list(after[1]) == [b"Served:a"]
    assert api(served.reembed, anew=True) == 1


def test_to_begin_anew_is_not_sent_again_once_its_reply_was_lost(
    api: Api, served: Any, proxy: FaultProxy
) -> None:
    api(served.create, name="a", text="a")
    before = proxy.sent(b"REFORM")
    proxy.lose_reply(b"REFORM")
    with pytest.raises(OutcomeUnknownError):
        api(served.reembed, anew=True)
    assert proxy.sent(b"REFORM") == before + 1


@pytest.mark.single_server("here it waits in vain, and a cluster has replicas")
def test_to_begin_anew_waits_for_replicas_where_that_is_asked_for(api: Api, served: Any) -> None:
    # Without a record nothing else is written.
    with popoto.wait_for_replicas(1, timeout=0.01), pytest.raises(NotReplicatedError):
        api(served.reembed, anew=True)
