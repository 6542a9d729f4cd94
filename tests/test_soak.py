"""The soak: a short run of everything, and that it sees promises that are broken."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import redis

from popoto.exceptions import NothingWrittenError, OutcomeUnknownError
from tools.soak import items, memories, quiet, rivals
from tools.soak.books import Books, Measure
from tools.soak.lane import Gate, Lane, drive
from tools.soak.models import Counter, Item, Lease, Memory, Parcel, Seat

ROOT = Path(__file__).parents[1]


@pytest.fixture
def lane() -> Lane:
    return Lane("lane", Books(), Gate(), seed=3, is_async=False)


def do(lane: Lane, *work: Callable[[Lane], Awaitable[None]]) -> None:
    for each in work:
        drive(each(lane))  # type: ignore[arg-type]


def key_of(model: type, name: str) -> str:
    return next(str(each.pk) for each in model.query.all() if each.name == name)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_short_run_has_every_fault_and_breaks_no_promise() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tools.soak", "--minutes", "0.05", "--seed", "5"),
            *("--threads", "2", "--tasks", "2", "--pause", "0.2"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for told in ("server killed (-9)", "server stopped", "client killed (-9)", "held back"):
        assert told in done.stdout
    assert "lost acknowledged writes       0" in done.stdout


def test_all_kinds_of_work_leave_what_they_say(lane: Lane, redis_client: redis.Redis) -> None:
    sums = rivals.Sums()
    Counter(name="all").save()
    for work in (*items.WORK, *memories.WORK) * 3:
        do(lane, work)
    for contest in rivals.Rivals(lane, sums).work:
        drive(contest())  # type: ignore[arg-type]
    rivals.check(sums, lane.books)
    assert lane.books.told == []
    assert set(lane.books.errors) <= {"UniquenessError"}


def test_a_record_that_is_lost_is_a_violation(lane: Lane, redis_client: redis.Redis) -> None:
    do(lane, items.create)
    redis_client.delete(key_of(Item, lane.known(Item)[0]))
    do(lane, items.look)
    assert lane.books.lost == 1


def test_a_record_that_nobody_was_told_of_is_a_violation(lane: Lane) -> None:
    do(lane, items.create)
    (name,) = lane.known(Item)
    lane.truth[Item, name] = None
    do(lane, items.look)
    assert lane.books.violations == {"written after an error": 1}


def test_a_value_that_was_not_written_is_a_violation(lane: Lane, redis_client: redis.Redis) -> None:
    do(lane, items.create)
    redis_client.hset(key_of(Item, lane.known(Item)[0]), "note", b"\xa5other")
    do(lane, items.look)
    assert lane.books.lost == 1


def test_an_index_that_lacks_a_record_is_a_violation(lane: Lane, redis_client: redis.Redis) -> None:
    do(lane, items.create)
    for key in redis_client.scan_iter("*topic*"):
        if redis_client.type(key) == b"set":
            redis_client.delete(key)
    for _ in range(20):
        do(lane, items.ask)
    assert lane.books.violations["index drift"]


def test_words_that_are_not_found_are_a_violation(lane: Lane, redis_client: redis.Redis) -> None:
    do(lane, memories.remember)
    name = lane.known(Memory)[0]
    lane.truth[Memory, name] = {"text": "something wholly different"}
    do(lane, memories.ask)
    assert lane.books.lost == 1


def test_an_expired_record_that_is_found_is_a_violation(lane: Lane) -> None:
    do(lane, items.lease)
    (name,) = lane.leases
    lane.leases[name] = (0.0, 1.0)
    do(lane, items.ask_leases)
    assert lane.books.violations == {"expired record found": 1}
    assert Lease.query.count() == 1


def test_a_write_in_doubt_is_looked_for(lane: Lane) -> None:
    async def lost() -> None:
        Parcel.create(lane="lane", name="a", note="new")
        raise OutcomeUnknownError("the reply was lost")

    async def refused() -> None:
        Parcel.query.filter(name="a").update(note="newer")
        raise NothingWrittenError("it says")

    assert drive(lane.write("save", lost, {(Parcel, "a"): {"note": "new"}}))
    assert lane.books.doubts == {"stored": 1}
    assert not drive(lane.write("save", refused, {(Parcel, "a"): {"note": "newer"}}))
    drive(lane.look((Parcel, "a")))
    assert sum(lane.books.violations.values()) == 1


def test_half_of_a_write_in_doubt_is_a_violation(lane: Lane) -> None:
    async def half() -> None:
        Parcel.create(lane="lane", name="a", note="new")
        raise OutcomeUnknownError("the reply was lost")

    places = {(Parcel, "a"): {"note": "new"}, (Parcel, "b"): {"note": "new"}}
    assert not drive(lane.write("transaction", half, places))
    assert lane.books.violations == {"half-written": 1}


def test_sums_and_values_that_two_have_are_compared(lane: Lane) -> None:
    books, sums = lane.books, rivals.Sums()
    Counter(name="all", total=2).save()
    sums.add("total", 3, certain=True)
    rivals.check(sums, books)
    assert books.lost == 1
    sums.add("total", -2, certain=True)
    rivals.check(sums, books)
    assert books.violations["written after an error"] == 1
    for name in "ab":
        Seat.create(lane="lane", name=name, holder=name)
    Seat.raw_update([key_of(Seat, "b")], holder="a")
    quiet.look_at_claims(books)
    assert books.violations["uniqueness"] == 1


def test_growth_and_strange_keys_are_violations(redis_client: redis.Redis) -> None:
    books = Books()
    books.measures = [Measure(0, 5, 5, 5, 5, 5), Measure(2**30, 5, 90, 5, 90, 5)]
    quiet.growth(books)
    assert set(books.violations) == {"client memory", "tasks", "connections"}
    redis_client.set("somebody", 1)
    redis_client.set("soon", 1, ex=100)
    quiet.look_at_keys(redis_client, books)
    assert books.violations["unowned keys"] == 1
