"""Digests tell whether two servers hold the same; a data set moves to a cluster and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from popoto import redis_db
from popoto.cli import Digest, digest, main
from tests.cli.memories import Coin, Fact
from tests.cli.running import ZOO, exported, imported
from tests.cli.test_export_import import beast
from tests.cli.zoo import Beast, Keeper, Ticket
from tests.cluster_nodes import cluster_url, node
from tests.driver import Server, start_server
from tests.erasing.models import ANN, BOB, PROVIDER, Memory, lived
from tests.truth.remembering import fill

pytestmark = pytest.mark.single_server("compares two servers, one of which may be a cluster")

FACTS = "tests.cli.memories:Fact"
MEMORIES = "tests.erasing.models:Memory"
KEEPERS = f"{ZOO}:Keeper"


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POPOTO_CONTENT_PATH", str(tmp_path / "contents"))


@pytest.fixture(scope="module")
def other() -> Iterator[Server]:
    server = start_server()
    yield server
    server.close()


@pytest.fixture
def elsewhere(other: Server) -> str:
    """The URL of another server, which is empty."""
    with redis_db.using(other.url):
        redis_db.POPOTO_REDIS_DB.flushall()
    return other.url


def moved(path: Path, models: str, url: str) -> None:
    exported(path, models)
    with redis_db.using(url):
        assert imported(path, models) == 0


def digests() -> list[Digest]:
    return [digest(model) for model in (Keeper, Beast, Ticket, Fact, Coin, Memory)]


def fill_all() -> None:
    Keeper.bulk_create(Keeper(badge=number, name="n") for number in range(30))
    keeper = Keeper.query.get(badge=1)
    for name in ("a", "b:c"):
        beast(name, keeper=keeper, members={"x", "y"}, mapping={"b": 1, "a": 2}).save()
    Ticket.create(rank=1)
    fill()
    lived(ANN)
    lived(BOB, 2)


@pytest.mark.cluster
@pytest.mark.slow
def test_a_data_set_moves_to_a_cluster_and_back_as_it_was(
    ports: list[int], redis_client: redis.Redis, tmp_path: Path
) -> None:
    fill_all()
    before = digests()
    assert [each.records for each in before] == [30, 2, 1, 4, 0, 5]
    assert before[-1].vectors == 10
    for port in ports:
        with node(port) as client:
            client.flushall()
    url = cluster_url(ports)
    modules = (ZOO, "tests.cli.memories", MEMORIES)
    for number, models in enumerate(modules):
        exported(tmp_path / f"{number}", models)
    for number, models in enumerate(modules):
        with redis_db.using(url):
            assert imported(tmp_path / f"{number}", models) == 0
        assert main(["verify", models, "--against", url]) == 0
    with redis_db.using(url):
        assert digests() == before
        for number, models in enumerate(modules):
            exported(tmp_path / f"{number} again", models)
        assert Memory.check_indexes()["total"] == 0
    redis_client.flushall()
    for number, models in enumerate(modules):
        assert imported(tmp_path / f"{number} again", models) == 0
        assert main(["verify", models, "--against", str(tmp_path / f"{number}")]) == 0
    assert digests() == before
    assert [Fact.check_indexes()["total"], Memory.check_indexes()["total"]] == [0, 0]


CHANGES: dict[str, Callable[[redis.Redis], Any]] = {
    "a value": lambda client: client.hset(
        "Fact:one", "weight", b"\xcb?\xec\xcc\xcc\xcc\xcc\xcc\xce"
    ),
    "a value that is lacking": lambda client: client.hdel("Fact:one", "weight"),
    "an index field": lambda client: client.hset("Fact:one", "agent", b"\xa1z"),
    "evidence": lambda client: client.hset(
        "$ConfidencF:Fact:worth:data",
        "Fact:one",
        client.hget("$ConfidencF:Fact:worth:data", "Fact:three").replace(b"\x01", b"\x02"),
    ),
    "an edge": lambda client: client.zincrby(
        "$CoOccurrencF:Fact:near:Fact:one", 0.001, "Fact:three"
    ),
    "reads": lambda client: client.hincrby("$AT:Fact:meta:Fact:one", "access_count", 1),
    "a prediction": lambda client: client.zincrby("$PL:Fact:errors:default", 0.001, "Fact:one"),
    "the priority": lambda client: client.zincrby("$WF:Fact:priority", 0.001, "Fact:one"),
    "a proposal": lambda client: client.zincrby("$RP:Fact:pending:evening", 1, "Fact:one"),
    "its end": lambda client: client.pexpire("Fact:one", 100_000_000),
    "the record itself": lambda client: Fact.query.get(name="one").delete(),
    "another record": lambda client: Fact.create(name="new", weight=0.9),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_changes_is_told(
    what: str,
    elsewhere: str,
    redis_client: redis.Redis,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fill()
    moved(tmp_path / "facts", FACTS, elsewhere)
    assert main(["verify", FACTS, "--against", elsewhere]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Fact: 4 records, the same in both"
    before = digest(Fact)
    state = {key: redis_client.dump(key) for key in redis_client.keys("*")}
    CHANGES[what](redis_client)
    after = {key: redis_client.dump(key) for key in redis_client.keys("*")}
    assert after != state or what == "its end"
    assert digest(Fact) != before
    for against in (elsewhere, str(tmp_path / "facts")):
        assert main(["verify", FACTS, "--against", against]) == 1
        told = capsys.readouterr().err
        assert told.startswith("Fact: 4 records" if "record" not in what else "Fact: ")
        assert "not the same" in told
        expected = {"the record itself": "is missing here", "another record": "is missing there"}
        assert expected.get(what, "Fact:one differs") in told


def test_digests_know_no_order(elsewhere: str) -> None:
    Keeper.bulk_create(Keeper(badge=ord(name), name=name) for name in "abc")
    with redis_db.using(elsewhere):
        Keeper.bulk_create(Keeper(badge=ord(name), name=name) for name in "cba")
        there = digest(Keeper)
    assert digest(Keeper) == there
    Keeper.create(badge=1)
    assert digest(Keeper).digest != there.digest


def test_a_vector_that_changed_is_told_and_can_be_left_out(
    elsewhere: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lived(ANN)
    path = tmp_path / "memories"
    exported(path, MEMORIES)
    monkeypatch.setitem(PROVIDER.table, f"{ANN} says {ANN}.0", (1, 2, 3))
    with redis_db.using(elsewhere):
        assert imported(path, MEMORIES) == 0
    assert main(["verify", MEMORIES, "--against", elsewhere]) == 1
    assert f"the vector of Memory:{ANN}.0 (near_on_server) differs" in capsys.readouterr().err
    assert main(["verify", MEMORIES, "--against", elsewhere, "--no-vectors"]) == 0


def test_a_file_is_compared_packed_or_not(tmp_path: Path, redis_client: redis.Redis) -> None:
    beast().save()
    path = tmp_path / "zoo.jsonl.gz"
    assert main(["export", ZOO, "-q", "-o", str(path)]) == 0
    assert main(["verify", ZOO, "--against", str(path), "-q"]) == 0
    Keeper.create(badge=1)
    assert main(["verify", ZOO, "--against", str(path), "-q"]) == 1


def test_what_is_no_export_is_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wrong"
    for text in (
        '{"model": "Keeper"}',
        "no",
        '{"model": "Fact", "key": "Fact:a", "fields": {}}',
        "5",
    ):
        path.write_text(text)
        assert main(["verify", KEEPERS, "--against", str(path)]) == 2
        assert "line 1 is no line of an export" in capsys.readouterr().err
    assert main(["verify", KEEPERS, "--against", str(tmp_path / "nothing")]) == 2
    assert main(["verify", KEEPERS, "--against", "redis://:secret@host:port"]) == 2
    assert "secret" not in capsys.readouterr().err


def test_a_lacking_field_counts_as_its_default(
    elsewhere: str, tmp_path: Path, redis_client: redis.Redis
) -> None:
    """As it is read, and as an import saves it."""
    Keeper.create(badge=1)
    redis_client.hdel("Keeper:1", "name")
    moved(tmp_path / "keepers", KEEPERS, elsewhere)
    assert main(["verify", KEEPERS, "--against", elsewhere]) == 0


def test_many_differences_are_counted(capsys: pytest.CaptureFixture[str], elsewhere: str) -> None:
    Keeper.bulk_create(Keeper(badge=number) for number in range(25))
    assert main(["verify", KEEPERS, "--against", elsewhere]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Keeper: 25 records here, 0 there; 25 are not the same"
    assert (len(lines), lines[-1]) == (22, "  … and 5 more")


def test_what_cannot_be_read_has_no_digest(redis_client: redis.Redis) -> None:
    Keeper.create(badge=1)
    redis_client.hset("Keeper:1", "name", b"\xc1")
    with pytest.raises(RuntimeError, match="1 stored values cannot be read"):
        digest(Keeper)
    assert main(["verify", KEEPERS]) == 1


def test_digests_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    lived(ANN)
    assert main(["verify", MEMORIES]) == 0
    found = digest(Memory)
    head, row = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head == ["model", "records", "digest", "vectors", "their", "digest"]
    assert row == ["Memory", "3", found.digest, "6", found.vector_digest]
    assert main(["verify", MEMORIES, "--no-vectors"]) == 0
    assert found.vector_digest not in capsys.readouterr().out
    assert digest(Memory, vectors=False) == Digest("Memory", 3, found.digest)
