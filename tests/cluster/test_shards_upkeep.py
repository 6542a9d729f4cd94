"""Upkeep of a model whose agents have shards of their own: it goes through all of them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import redis

from popoto.cli import main
from popoto.engine import keys
from tests.cluster_nodes import cluster_url
from tests.driver import Api

from .models import Guarded, Memory, Note, holder

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

AGENTS = ("ann", "bob", "cleo", "a}b")


@pytest.fixture(autouse=True)
def _filled(_on_the_cluster: None) -> None:
    for agent in AGENTS:
        for number in range(3):
            Note.create(agent=agent, number=number, topic="t", code=f"c{number}")


def server_of(nodes: list[redis.Redis], agent: str, model: str = "Note") -> tuple[Any, str]:
    """The node of a shard, and what its keys begin with."""
    shard = keys.shard_name(model, agent)
    return holder(nodes, shard), f"{{{shard}}}"


def lose_a_record(nodes: list[redis.Redis], agent: str) -> None:
    server, tag = server_of(nodes, agent)
    key = Note.query.get(agent=agent, number=1).pk
    assert server.delete(tag + key) == 1


def test_what_is_healthy_is_told_so(api: Api) -> None:
    healthy = api(Note.check_indexes)
    assert healthy["total"] == 0
    Note.delete_all()
    assert api(Note.check_indexes) == healthy


def test_a_check_adds_up_what_is_wrong_in_every_shard(api: Api, nodes: list[redis.Redis]) -> None:
    for agent in ("ann", "a}b"):
        lose_a_record(nodes, agent)
    server, tag = server_of(nodes, "bob")
    server.delete(tag + "$IndexF:Note:topic:t")
    found = api(Note.check_indexes)
    assert found["class_set"] == 2
    assert found["indexed_fields"]["topic"] == 2
    assert found["missing_entries"] == {"topic": 3}
    assert api(Note.rebuild_indexes) == 10
    assert api(Note.check_indexes)["total"] == 0


def test_cleaning_goes_through_every_shard(api: Api, nodes: list[redis.Redis]) -> None:
    for agent in ("ann", "a}b"):
        lose_a_record(nodes, agent)
    removed = api(Note.clean_indexes)
    assert removed > 2
    assert removed % 2 == 0
    assert api(Note.check_indexes)["total"] == 0
    assert api(Note.query.count) == 10


def test_a_rebuild_tells_the_problems_of_every_shard(
    api: Api, nodes: list[redis.Redis], caplog: pytest.LogCaptureFixture
) -> None:
    for agent in ("bob", "cleo"):
        server, tag = server_of(nodes, agent)
        server.hset(tag + Note.query.get(agent=agent, number=2).pk, "topic", b"\xc1")
    with caplog.at_level(logging.CRITICAL):
        rebuilt = api(Note.rebuild_indexes)
    assert rebuilt == 12
    assert rebuilt.problem_count == 2
    assert {problem.key.split(":")[1] for problem in rebuilt.problems} == {"bob", "cleo"}
    Note.delete_all()


@pytest.mark.parametrize("upkeep", [Note.clean_indexes, Note.rebuild_indexes])
def test_a_shard_that_nobody_registered_is_found(
    api: Api, nodes: list[redis.Redis], upkeep: Any
) -> None:
    server, tag = holder(nodes, "Note"), "{Note}"
    assert server.srem(tag + "$Shards:Note", "a}b", "bob") == 2
    assert api(Note.query.count) == 6
    found = api(Note.check_indexes)
    assert (found["unregistered_shards"], found["total"]) == (2, 2)
    api(getattr(Note, upkeep.__name__))
    assert api(Note.query.count) == 12
    assert api(Note.check_indexes)["total"] == 0


def test_all_shards_are_emptied_and_forgotten(api: Api, nodes: list[redis.Redis]) -> None:
    server, tag = holder(nodes, "Note"), "{Note}"
    server.srem(tag + "$Shards:Note", "cleo")
    lose_a_record(nodes, "ann")
    told: list[int] = []
    assert api(Note.delete_all, batch_size=2, progress=told.append) == 11
    assert max(told) <= 11
    assert [key for node in nodes for key in node.keys("*Note*")] == []


def remember() -> None:
    for agent in ("ann", "bob"):
        for number, text in enumerate(("the cat sleeps", "taxes are due")):
            Memory.create(agent=agent, name=f"m{number}", text=text)


def test_vectors_that_are_missing_are_made_in_every_shard(
    api: Api, nodes: list[redis.Redis]
) -> None:
    remember()
    for agent in ("ann", "bob"):
        server, tag = server_of(nodes, agent, "Memory")
        assert server.delete(tag + "$EmbeddingF:Memory:meaning:vectors") == 1
    assert api(Memory.check_indexes)["missing_entries"] == {"meaning": 4}
    api(Memory.rebuild_indexes)
    assert api(Memory.embed_missing) == 4
    assert api(Memory.check_indexes)["total"] == 0
    for agent in ("ann", "bob"):
        found = Memory.query.filter(agent=agent).semantic_search("cat")
        assert found[0].name == "m0"


def test_vectors_are_made_anew_in_every_shard(api: Api, nodes: list[redis.Redis]) -> None:
    remember()
    assert api(Memory.reembed) == 0
    assert api(Memory.reembed, anew=True) == 4
    assert api(Memory.check_indexes)["total"] == 0


# Erasing, and moving elsewhere ------------------------------------------------------------------


def keys_with(nodes: list[redis.Redis], text: str) -> list[bytes]:
    """The keys of the cluster that are named so, or hold it."""
    found: list[bytes] = []
    for node in nodes:
        for key in node.keys("*"):
            # Of entries that went, a stream keeps the bytes for a while.
            is_stream = node.type(key) == b"stream"
            held = repr(node.xrange(key)).encode() if is_stream else node.dump(key)
            if text.encode() in key or text.encode() in (held or b""):
                found.append(key)
    return found


def test_a_subject_is_erased_from_its_shard_and_forgotten(
    api: Api, nodes: list[redis.Redis]
) -> None:
    for agent in ("annabella", "bob"):
        for name in ("one", "two"):
            Memory.create(agent=agent, name=name, text="the cat sleeps")
    report = api(Memory.erase, agent="annabella")
    assert report.is_complete
    assert report.records == 2
    assert keys_with(nodes, "annabella") == []
    assert api(Memory.query.count) == 2


def test_a_subject_is_erased_wherever_it_is(api: Api, nodes: list[redis.Redis]) -> None:
    for agent in ("ann", "bob"):
        for name in ("spoken", "kept"):
            Memory.create(agent=agent, name=name, text="taxes are due")
    report = api(Memory.erase, name="spoken")
    assert (report.records, report.is_complete) == (2, True)
    assert keys_with(nodes, "spoken") == []
    assert {each.pk for each in Memory.query.all()} == {"Memory:ann:kept", "Memory:bob:kept"}
    assert api(Memory.check_indexes)["total"] == 0


def test_what_a_former_definition_kept_of_a_subject_goes_from_every_shard(
    api: Api, nodes: list[redis.Redis]
) -> None:
    for agent in ("ann", "bob"):
        for name in ("spoken", "kept"):
            Guarded.create(agent=agent, name=name)
            server, tag = server_of(nodes, agent, "Guarded")
            server.rpush(f"{tag}Guarded:{agent}:{name}::tags", "x")
    report = api(Guarded.erase, name="spoken")
    assert (report.records, report.is_complete) == (2, True)
    assert keys_with(nodes, "spoken") == []
    for agent in ("ann", "bob"):
        server, tag = server_of(nodes, agent, "Guarded")
        assert server.delete(f"{tag}Guarded:{agent}:kept::tags") == 1


def test_what_is_exported_from_all_shards_is_imported_into_them(
    nodes: list[redis.Redis], ports: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remember()
    before = {each.pk: each.to_dict() for each in Memory.query.all()}
    name, place = "tests.cluster.models:Memory", str(tmp_path / "all.jsonl")
    server = ["--url", cluster_url(ports), "--quiet"]
    assert main(["export", name, "--output", place, *server]) == 0
    for node in nodes:
        node.flushall()
    assert main(["import", name, place, *server]) == 0
    assert {each.pk: each.to_dict() for each in Memory.query.all()} == before
    assert Memory.check_indexes()["total"] == 0


def test_the_doctor_looks_at_every_shard(
    ports: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "tests.cluster.models:Note", "--url", cluster_url(ports)]) == 0
    assert "Note: 12 records, nothing left" in capsys.readouterr().out
