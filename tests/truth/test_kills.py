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
from typing import cast

import pytest
import redis

from popoto import embedded, redis_db
from tests.truth.models import Shelf, Thing
from tests.truth.oracle import records, violations
from tests.truth.writer import Counter

KILLS = int(os.environ.get("POPOTO_TRUTH_KILLS", "30"))
SERVER_KILLS = max(3, KILLS // 10)
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
def writers(socket: str, *arguments: str) -> Iterator[Writers]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.truth.writer", socket, *arguments],
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
@pytest.mark.timeout(60 + KILLS)
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


@pytest.mark.slow
@pytest.mark.timeout(60 + KILLS)
@pytest.mark.parametrize("kind", ["everything", "counting"])
def test_a_killed_server_keeps_what_it_acknowledged(tmp_path: Path, kind: str) -> None:
    journal = tmp_path / "journal"
    journal.touch()
    server = embedded.start(tmp_path / "data")
    arguments = [str(journal)] if kind == "counting" else []
    with server, writers(server.socket_path, *arguments) as forking:
        redis_db.set_REDIS_DB_settings(unix_socket_path=server.socket_path)
        for _ in range(SERVER_KILLS):
            with redis.Redis(unix_socket_path=server.socket_path) as client:
                information = cast("dict[str, int]", client.info("server"))
            writer = forking.start()
            time.sleep(random.uniform(0.02, 0.15))
            os.kill(information["process_id"], signal.SIGKILL)
            time.sleep(0.01)
            with contextlib.suppress(ProcessLookupError):
                # One that was about to repeat a read may not have noticed.
                os.kill(writer, signal.SIGKILL)
            assert forking.outcome() in (0, signal.SIGKILL)
            server.ensure_running()
            with redis.Redis(unix_socket_path=server.socket_path) as client:
                assert violations(client, Thing, Shelf, Counter) == []
                stored = records(client, Counter)
            for line in journal.read_text().splitlines():
                name, total = line.split()
                assert stored[f"Counter:{name}"]["total"] >= int(total)
    assert kind == "everything" or journal.read_text()
