"""The sides of a benchmark do the same work: they find the same, and leave the same keys behind."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable
from typing import cast

import pytest
import redis

from benchmarks.measure import AIMS, OPERATIONS, Times, say_what_runs, table, who_takes_part
from benchmarks.worker import CLOCKS, Answer, Greeting, answer, run_round
from tests.interop.layout import dump

# Two times ten for `filter_10`, and quick.
COUNT = 20

Values = dict[str, object]


@pytest.fixture(autouse=True)
def _no_time_is_taken_for_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Collecting that of a whole session takes many times as long as a round."""
    monkeypatch.setattr(gc, "collect", lambda: 0)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_both_sides_find_and_leave_the_same(
    operation: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.25)
    by_hand = run_round(operation, "by_hand", redis_client, COUNT).found
    assert by_hand is None or by_hand, "what is not filled finds nothing, like any other side"
    left_by_hand = dump(redis_client)
    by_popoto = run_round(operation, "by_popoto", redis_client, COUNT).found
    assert dump(redis_client) == left_by_hand
    if isinstance(by_hand, list):
        by_popoto = plain(by_popoto, names=list(by_hand[0]))
        by_hand = plain(by_hand, names=list(by_hand[0]))
    assert by_popoto == by_hand


def plain(found: object, names: list[str]) -> list[Values]:
    """Records, or rows of values, in one form and in the order of their names."""
    rows = [
        record if isinstance(record, dict) else {name: getattr(record, name) for name in names}
        for record in cast("Iterable[object]", found)
    ]
    return sorted(cast("list[Values]", rows), key=lambda row: str(row["name"]))


def test_every_aim_is_that_of_an_operation() -> None:
    assert set(AIMS) <= set(OPERATIONS)


def test_the_table_tells_which_operation_is_over_its_aim() -> None:
    by_hand, slow = Times(least=1, quartile=1, median=1), Times(least=9, quartile=9, median=9)
    _, over, within, without_aim = table(
        {
            "create": {"redis-py": by_hand, "popoto": slow},
            "delete": {"redis-py": by_hand, "popoto": by_hand},
            "values": {"redis-py": by_hand, "popoto": slow},
        }
    )
    assert over == ["create", "1.0", "9.0", "9.00", "1.5 (over)"]
    assert within == ["delete", "1.0", "1.0", "1.00", "1.5"]
    assert without_aim == ["values", "1.0", "9.0", "9.00", ""]


def test_a_side_that_cannot_do_an_operation_is_left_out_with_the_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = Answer(times=[1.0], found=10, failure=None)
    failed = Answer(times=[], found=None, failure="AttributeError: no recall")
    other = Answer(times=[1.0], found=0, failure=None)
    answers = {"redis-py": done, "popoto": done, "1.6.1": failed, "1.8.0": other}
    assert who_takes_part("recall", answers) == ["redis-py", "popoto"]
    assert capsys.readouterr().err.splitlines() == [
        "recall without 1.6.1: AttributeError: no recall",
        "recall without 1.8.0: it finds 0, not 10",
    ]
    with pytest.raises(RuntimeError, match=r"recall by popoto: it finds 0, not 10"):
        who_takes_part("recall", {"redis-py": done, "popoto": other})


def test_the_table_has_a_dash_for_a_side_that_took_no_part() -> None:
    some = Times(least=1, quartile=1, median=1)
    sides = {"redis-py": some, "popoto": some}
    _, without, with_it = table({"recall": sides, "get": sides | {"1.6.1": some}})
    assert without == ["recall", "1.0", "1.0", "-", "1.00", "-", ""]
    assert with_it == ["get", "1.0", "1.0", "1.0", "1.00", "1.00", ""]


def test_an_operation_that_fails_is_an_answer(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert answer("get", "by_hand", redis_client, "wall")["failure"] is None
    monkeypatch.delattr("benchmarks.get.by_hand")
    assert "by_hand" in str(answer("get", "by_hand", redis_client, "wall")["failure"])


def test_popoto_with_hiredis_is_not_compared_with_redis_py_without() -> None:
    by_hand = Greeting(popoto="", hiredis_installed=True, redis_py_uses_hiredis=False)
    with pytest.raises(SystemExit, match="no comparison"):
        say_what_runs({"redis-py": by_hand, "popoto": by_hand})


@pytest.mark.parametrize("clock", CLOCKS)
def test_every_try_of_a_round_is_timed(clock: str, redis_client: redis.Redis) -> None:
    times = run_round("get", "by_hand", redis_client, COUNT, CLOCKS[clock]).times
    assert len(times) == 3
    assert min(times) > 0
