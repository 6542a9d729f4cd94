"""Erasing that is cut off is finished by the next one; others write and search meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from popoto import IndexedField, KeyField, Model, redis_db
from popoto.testing.faults import crashes
from tests.driver import at_the
from tests.erasing.looking import files_with, keys_with
from tests.erasing.models import ANN, BOB, Deed, Memory, lived, remember
from tests.interference import before_each_commit
from tests.upkeep.zoo import meanwhile

ROOT = Path(__file__).parents[2]


class Errand(Model):
    number = KeyField(type=int)
    agent = IndexedField()


class CutOffError(Exception):
    """Stands for the end of the process."""


@contextmanager
def before_request(number: int, work: Callable[[], object]) -> Iterator[None]:
    """Do something when the connection is about to send the `number`th time."""
    counted = at_the(number, work)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("call", "call_many"):
            send = getattr(redis_db.SyncConnection, name)

            def sent(*args: object, send: Callable[..., object] = send, **kwargs: object) -> object:
                counted()
                return send(*args, **kwargs)

            patch.setattr(redis_db.SyncConnection, name, sent)
        yield


def cut_off() -> None:
    raise CutOffError


@pytest.mark.single_server("counts what one server is asked")
def test_wherever_it_is_cut_off_the_next_one_finishes(
    redis_client: redis.Redis, directory: Path
) -> None:
    """The last round is one that was not cut off."""
    lived(BOB, 2)
    number, is_over = 0, False
    while not is_over:
        lived(ANN, 2)
        number += 9
        is_over = True
        with before_request(number, cut_off):
            try:
                Memory.erase(agent=ANN)
            except CutOffError:
                is_over = False
        Deed.erase(agent=ANN)
        assert Memory.erase(agent=ANN).is_complete
        assert keys_with(redis_client, ANN) == [], number
        assert files_with(directory, ANN) == [], number
    assert number > 40
    assert Memory.check_indexes()["total"] == 0


def erase_ann(url: str) -> None:
    redis_db.set_REDIS_DB_settings(url=url)
    Memory.erase(agent=ANN)
    Deed.erase(agent=ANN)


def test_a_process_that_is_killed_has_kept_the_rest_in_mind(
    redis_client: redis.Redis, directory: Path, server_url: str
) -> None:
    lived(BOB)
    for _ in crashes(erase_ann, server_url, times=4, within=0.2, seed=7):
        erase_ann(server_url)
        assert keys_with(redis_client, ANN) == []
        assert files_with(directory, ANN) == []
        lived(ANN)
    assert Memory.check_indexes()["total"] == Deed.check_indexes()["total"] == 0


def test_another_record_under_the_key_of_one_that_is_gone_is_spared(
    redis_client: redis.Redis, directory: Path
) -> None:
    remember(ANN, "plan")
    # After the record has been deleted, and before anything else is forgotten.
    for number in range(1, 30):
        with before_request(number, cut_off), pytest.raises(CutOffError):
            Memory.erase(agent=ANN)
        if not redis_client.exists("Memory:plan"):
            break
    remember(BOB, "plan")
    assert redis_client.exists("$Erasing:Memory")
    assert Memory.erase(agent=ANN).records == 0
    plan = Memory.query.filter(agent=BOB).first()
    assert plan.body == f"a long text of {BOB}: plan"
    assert [each.name for each in Memory.query.filter(agent=BOB).semantic_search("x")] == ["plan"]
    assert not redis_client.exists("$Erasing:Memory")
    assert Memory.check_indexes()["total"] == 0


def test_the_erasure_of_another_finishes_what_was_cut_off(
    monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    Errand.create(number=1, agent=ANN)

    def cut_off_once_noted() -> None:
        if redis_client.exists("$Erasing:Errand"):
            raise CutOffError

    with monkeypatch.context() as patch:
        before_each_commit(patch, cut_off_once_noted)
        with pytest.raises(CutOffError):
            Errand.erase(agent=ANN)
    assert Errand.query.count() == 1
    assert Errand.erase(agent=BOB).records == 1
    assert Errand.query.count() == 0


def test_a_record_that_becomes_anothers_meanwhile_is_spared(
    monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    """It changed hands when it had been found, and before it was deleted."""
    errand = Errand.create(number=1, agent=ANN)

    def hand_over() -> None:
        if redis_client.exists("$Erasing:Errand") and errand.agent == ANN:
            errand.agent = BOB
            errand.save()

    before_each_commit(monkeypatch, hand_over)
    assert Errand.erase(agent=ANN).records == 0
    assert Errand.query.get(number=1).agent == BOB


@pytest.mark.single_server("counts what one server is asked")
@pytest.mark.parametrize("number", [12, 25])
def test_what_is_written_of_the_subject_meanwhile_is_found_too(
    number: int, redis_client: redis.Redis
) -> None:
    lived(ANN)

    def remember_once_more() -> None:
        thread = threading.Thread(target=remember, args=(ANN, "late"))
        thread.start()
        thread.join()

    with before_request(number, remember_once_more):
        report = Memory.erase(agent=ANN)
    assert report.records == 4
    assert report.is_complete
    Deed.erase(agent=ANN)
    assert keys_with(redis_client, ANN) == []


def test_what_comes_back_again_and_again_is_reported() -> None:
    remember(ANN, "plan")

    def come_back(number: list[int]) -> None:
        number[0] += 1
        Deed.create(agent=ANN, number=number[0])

    with meanwhile(lambda thread, number=[0]: come_back(number), threads=1) as failures:
        report = Deed.erase(agent=ANN)
    assert failures == []
    assert report.is_complete == (report.traces["records"].remaining == 0)
    assert Deed.erase(agent=ANN).is_complete


def test_keys_and_entries_that_come_back_again_and_again_are_reported(
    monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    remember(ANN, "plan")
    remember(BOB, "other")

    def come_back() -> None:
        if not redis_client.exists("Memory:plan"):
            redis_client.rpush("Memory:plan::tags", "late")
            redis_client.sadd("$Class:Memory", "Memory:plan")

    before_each_commit(monkeypatch, come_back)
    report = Memory.erase(agent=ANN)
    assert report.traces["keys"].remaining == report.traces["index entries"].remaining == 1
    assert not report.is_complete


def test_entries_of_others_that_come_back_are_not_the_subjects(
    monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    remember(ANN, "plan")
    before_each_commit(monkeypatch, lambda: redis_client.sadd("$Class:Memory", "Memory:other"))
    report = Memory.erase(agent=ANN)
    assert redis_client.smembers("$Class:Memory") == {b"Memory:other"}
    assert report.is_complete


@pytest.mark.parametrize("filled", ["$EF:Memory:known", "$FS:Memory:often"])
def test_a_filter_that_another_rebuild_makes_anew_meanwhile_is_reported(
    filled: str, monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    remember(ANN, "plan")
    remember(BOB, "other")

    def begin_anew() -> None:
        if redis_client.exists(f"{filled}:builder"):
            redis_client.set(f"{filled}:builder", "another rebuild's")

    before_each_commit(monkeypatch, begin_anew)
    report = Memory.erase(agent=ANN)
    assert report.traces["filters"].remaining == 1
    assert not report.is_complete


def test_writers_of_others_are_not_disturbed(redis_client: redis.Redis) -> None:
    lived(ANN, 5)
    lived(BOB, 2)

    def write(thread: int) -> None:
        memory = remember(BOB, f"t{thread}")
        memory.body = "another"
        memory.save()
        assert Memory.query.filter(agent=BOB, name=f"t{thread}").first().body == "another"
        memory.delete()

    with meanwhile(write, threads=2) as failures:
        Memory.erase(agent=ANN)
        Deed.erase(agent=ANN)
    assert failures == []
    assert keys_with(redis_client, ANN) == []
    assert Memory.check_indexes()["total"] == 0
    assert Memory.query.filter(agent=BOB).keyword_search("says", field="all_words") != []


SEARCHING = """
import sys
from popoto.engine.run import run
from tests.erasing.models import Memory

for line in sys.stdin:
    for name in ("near", "near_on_server"):
        seen = run(Memory._meta.by_name[name].keeper.seen())
        print(" ".join(seen.exported()[1]), flush=True)
"""


def test_the_memory_of_other_processes_has_no_vector_of_it_any_more(
    server_url: str, directory: Path
) -> None:
    lived(ANN, 2)
    lived(BOB, 2)
    with subprocess.Popen(
        [sys.executable, "-c", SEARCHING],
        cwd=ROOT,
        env={**os.environ, "REDIS_URL": server_url, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None

        def told() -> list[int]:
            other.stdin.write("search\n")
            other.stdin.flush()
            return [len(other.stdout.readline().split()) for _ in range(2)]

        assert told() == [4, 4]
        Memory.erase(agent=ANN)
        assert told() == [2, 2]
        other.stdin.close()


@pytest.mark.cluster
@pytest.mark.usefixtures("on_the_cluster")
def test_on_a_cluster(ports: list[int], directory: Path) -> None:
    lived(ANN)
    lived(BOB)
    letter = ("model", "Memory", "pk", f"Memory:{ANN}.0")
    redis_db.connection().call(
        ("XADD", "dead:{Memory}stream:mutations", "*", *letter), repeatable=False
    )
    reports = [Memory.erase(agent=ANN), Deed.erase(agent=ANN)]
    assert all(report.is_complete for report in reports)
    for port in ports:
        with redis.Redis(port=port) as client:
            assert keys_with(client, ANN) == []
    assert files_with(directory, ANN) == []
    assert Memory.query.filter(agent=BOB).count() == 3
