"""Children are killed in the middle of their work; what they leave can be looked at."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import redis

from popoto.testing.faults import crashes
from tests.faults.work import Ticket, fail, note, write


@pytest.mark.slow
def test_killed_writers_leave_records_and_entries_that_agree(
    server_url: str, redis_client: redis.Redis
) -> None:
    ends = []
    for crash in crashes(write, server_url, times=15, seed=3):
        ends.append(crash)
        assert Ticket.check_indexes()["total"] == 0
    assert [crash.number for crash in ends] == list(range(1, 16))
    assert all(crash.was_killed for crash in ends)
    assert all(0 <= crash.seconds <= 0.1 for crash in ends)
    assert Ticket.query.count() > 0


@pytest.mark.slow
def test_work_that_is_done_before_is_not_killed(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    ends = list(crashes(note, str(path), 0.0, times=4, within=1.0, seed=1))
    done = [crash for crash in ends if not crash.was_killed]
    assert len(done) >= 3
    assert path.read_text().count("done") >= len(done)


@pytest.mark.slow
def test_instants_are_those_of_the_seed(tmp_path: Path) -> None:
    def instants(seed: int) -> list[float]:
        work = crashes(note, str(tmp_path / "notes"), 5.0, times=3, within=0.01, seed=seed)
        return [crash.seconds for crash in work]

    assert instants(1) == instants(1)
    assert instants(1) != instants(2)


@pytest.mark.slow
def test_work_that_fails_by_itself_is_told() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)failed by itself.*there is nothing to do"):
        list(crashes(fail, within=1.0, times=3, seed=1))


@pytest.mark.parametrize("work", [lambda: None, partial(print), int.__add__.__call__])
def test_work_that_children_cannot_find(work: object) -> None:
    with pytest.raises(ValueError, match="cannot be found by a child process"):
        list(crashes(work))  # type: ignore[arg-type]
