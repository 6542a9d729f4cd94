"""Processes killed in the middle of things leave entries and records that agree.

POPOTO_TRUTH_KILLS says how many writers are killed; CI kills some, a long run hundreds.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from popoto import embedded, redis_db
from popoto.testing.faults.servers import process_of
from tests.truth.models import Shelf, Thing
from tests.truth.oracle import records, violations
from tests.truth.remembered import found
from tests.truth.remembering import Fact
from tests.truth.writer import Counter

KILLS = int(os.environ.get("POPOTO_TRUTH_KILLS", "30"))
SERVER_KILLS = max(3, KILLS // 10)
#: What each record has in a key of its partition.
PARTED = ("certainty", "base", "relevance", "season", "cycles", "pressure")
ROOT = Path(__file__).parents[2]


class Writers:
    """The process that forks writers."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def start(self) -> int:
        """Another writer; its process id."""
        self._say(str(random.randrange(2**32)))
        return int(self._hear())

    def outcome(self) -> int:
        """How the writer ended: by a signal, or minus its exit code."""
        return int(self._hear())

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@contextmanager
def writers(socket: str, *arguments: str, module: str = "writer") -> Iterator[Writers]:
    process = subprocess.Popen(
        [sys.executable, "-m", f"tests.truth.{module}", socket, *arguments],
        cwd=ROOT,
        env={
            # Who is killed reports no coverage, and would only be slowed down by measuring it.
            **{name: value for name, value in os.environ.items() if "COVERAGE" not in name},
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
            "POPOTO_LOG_LEVEL": "CRITICAL",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Writers(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


@pytest.mark.slow
@pytest.mark.timeout(300 + KILLS)
def test_a_killed_writer_leaves_nothing_half_written(
    server_url: str, redis_client: redis.Redis
) -> None:
    worked = 0
    longest = 0.04
    with writers(server_url.removeprefix("unix://")) as forking:
        for _ in range(KILLS):
            before = records(redis_client, Thing)
            writer = forking.start()
            time.sleep(random.uniform(0.002, longest))
            os.kill(writer, signal.SIGKILL)
            assert forking.outcome() == signal.SIGKILL
            assert violations(redis_client, Thing, Shelf) == []
            has_worked = records(redis_client, Thing) != before
            worked += has_worked
            # On a busy machine writers need longer to come to something.
            longest = max(0.04, longest / 2) if has_worked else min(1.0, longest * 2)
    assert worked > KILLS / 10
    # What expired meanwhile is swept by asking, and deleting the rest leaves no key.
    while Thing.query.count() != len(records(redis_client, Thing)):
        pass
    for each in (*Thing.query.all(), *Shelf.query.all()):
        each.delete()
    for _ in range(20):
        Thing.query.count()
    assert redis_client.keys("*") == []


def kill_both(server: embedded.EmbeddedServer, process: int, writer: int, forking: Writers) -> None:
    """Kill a server in the middle of a writer's work, and have it run again."""
    os.kill(process, signal.SIGKILL)
    time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        # One that was about to repeat a read may not have noticed.
        os.kill(writer, signal.SIGKILL)
    assert forking.outcome() in (0, signal.SIGKILL)
    server.ensure_running()


def half_remembered(client: redis.Redis) -> list[str]:
    """What records have of which others should have a part, or nobody; of which a part lacks."""
    there = found(client)
    keys = set(there["records"])
    problems = [
        f"{kind}: {place}"
        for kind, places in there.items()
        for place in places
        if kind not in ("near", "causes", "incoming") and not keys & {place, place[-1]}
    ]
    problems += [
        f"near: {one} and {other}"
        for (one, other), weight in there["near"].items()
        if there["near"].get((other, one)) != weight or not {one, other} <= keys
    ]
    causes = {(target, source) for source, target in there["causes"]}
    problems += [f"causes: {pair}" for pair in causes ^ set(there["incoming"])]
    for key, (agent, weight, shown) in there["records"].items():
        own = {kind: there[kind].get((agent, key)) for kind in PARTED}
        problems += [f"{key} lacks {kind}" for kind, value in own.items() if value is None]
        if None not in own.values():
            is_told = {shown, own["base"], own["certainty"].confidence} == {shown}
            # A record that another instance has written over shows its initial confidence.
            is_written_over = shown == own["base"] == 0.4
            problems += [] if is_told or is_written_over else [f"{key} shows {shown}: {own}"]
        problems += [f"{key} lacks worth"] if key not in there["worth"] else []
        problems += [f"{key}: priority"] if (weight >= 0.7) != (key in there["priority"]) else []
        problems += [f"{key}: reads"] if (key in there["log"]) != (key in there["meta"]) else []
    return problems


def forget_expired() -> None:
    """Sweep what expired records left, and only that: notes tell of each."""
    for _ in range(20):
        Fact.query.count()
    # Its hash goes a moment before the rest where it expires while it is looked at.
    Fact.clean_indexes()


@pytest.mark.slow
@pytest.mark.timeout(300 + KILLS)
def test_a_killed_writer_leaves_no_memory_half_written(
    server_url: str, redis_client: redis.Redis
) -> None:
    worked = 0
    longest = 0.04
    with writers(server_url.removeprefix("unix://"), module="rememberer") as forking:
        for _ in range(KILLS):
            before = found(redis_client)
            writer = forking.start()
            time.sleep(random.uniform(0.002, longest))
            os.kill(writer, signal.SIGKILL)
            assert forking.outcome() == signal.SIGKILL
            forget_expired()
            assert half_remembered(redis_client) == []
            assert Fact.check_indexes()["total"] == 0
            has_worked = found(redis_client) != before
            worked += has_worked
            longest = max(0.04, longest / 2) if has_worked else min(1.0, longest * 2)
    assert worked > KILLS / 10
    for fact in Fact.query.all():
        fact.delete()
    forget_expired()
    assert set(redis_client.keys("*")) <= {b"$RP:Fact:partitions"}


@pytest.mark.slow
@pytest.mark.timeout(300 + KILLS)
def test_a_killed_server_forgets_nothing_that_was_learned(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.touch()
    server = embedded.start(tmp_path / "data")
    with server, writers(server.socket_path, str(journal), module="rememberer") as forking:
        redis_db.set_REDIS_DB_settings(unix_socket_path=server.socket_path)
        for _ in range(SERVER_KILLS):
            process = process_of(server)
            writer = forking.start()
            # Until it has learned something, however busy the machine is.
            size, deadline = journal.stat().st_size, time.monotonic() + 30
            while journal.stat().st_size == size and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(random.uniform(0.0, 0.1))
            kill_both(server, process, writer, forking)
            with redis.Redis(unix_socket_path=server.socket_path) as client:
                assert half_remembered(client) == []
                learned = found(client)["worth"]
            for line in journal.read_text().splitlines():
                key, count = line.rsplit(" ", 1)
                assert learned[key].evidence_count >= int(count)
    assert journal.read_text()


@pytest.mark.slow
@pytest.mark.timeout(300 + KILLS)
@pytest.mark.parametrize("kind", ["everything", "counting"])
def test_a_killed_server_keeps_what_it_acknowledged(tmp_path: Path, kind: str) -> None:
    journal = tmp_path / "journal"
    journal.touch()
    server = embedded.start(tmp_path / "data")
    arguments = [str(journal)] if kind == "counting" else []
    with server, writers(server.socket_path, *arguments) as forking:
        redis_db.set_REDIS_DB_settings(unix_socket_path=server.socket_path)
        for _ in range(SERVER_KILLS):
            process = process_of(server)
            writer = forking.start()
            time.sleep(random.uniform(0.02, 0.15))
            kill_both(server, process, writer, forking)
            with redis.Redis(unix_socket_path=server.socket_path) as client:
                assert violations(client, Thing, Shelf, Counter) == []
                stored = records(client, Counter)
            for line in journal.read_text().splitlines():
                name, total = line.split()
                assert stored[f"Counter:{name}"]["total"] >= int(total)
    assert kind == "everything" or journal.read_text()
