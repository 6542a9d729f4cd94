"""Which reads call the records' read hooks: those that return instances, for those returned."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

from popoto import IndexedField, KeyField, Model, Q, SortedField, StringField
from tests.driver import Api, RoundTrips

READ: list[str] = []


class Watched(Model):
    name = KeyField()
    tag = IndexedField()
    rank = SortedField(type=int)
    note = StringField()

    def on_read(self, pipeline: Any = None) -> None:
        READ.append(self.name)
        pipeline.rpush(f"$Reads:Watched:{self.name}", 1)


@pytest.fixture(autouse=True)
def _records() -> None:
    for number in range(4):
        Watched.create(name=str(number), tag="t", rank=number, note="n" if number % 2 else "m")
    READ.clear()


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (lambda api: api(Watched.query.get, name="1"), "1"),
        (lambda api: api(Watched.query.get, "Watched:1"), "1"),
        (lambda api: api(Watched.query.get, rank=2), "2"),
        (lambda api: api(Watched.query.get, name="x"), ""),
        (lambda api: api(Watched.query.get_many, ["Watched:1", "Watched:x", "Watched:3"]), "13"),
        (lambda api: api(Watched.query.filter(tag="t").all), "0123"),
        (lambda api: api(Watched.query.filter().all), "0123"),
        (lambda api: api(Watched.query.filter(tag="t").limit(2).all), "01"),
        (lambda api: api(Watched.query.filter(note="n").all), "13"),
        (lambda api: api(Watched.query.filter(note="n").limit(1).all), "1"),
        (lambda api: api(Watched.query.filter(tag="t").first), "0"),
        (lambda api: api(Watched.query.filter(tag="t").last), "3"),
        (lambda api: api(Watched.query.filter(~Q(note="n")).all), "02"),
        (
            lambda api: api(Watched.query.filter().computed_sort(lambda it: -it.rank).limit(1).all),
            "3",
        ),
        (lambda api: api(Watched.query.all), "0123"),
        (lambda api: api(Watched.query.all, order_by="rank", limit=2), "01"),
        (lambda api: api(Watched.query.no_track().all), ""),
        (lambda api: api(Watched.query.filter(tag="t").values("name").all), ""),
        (lambda api: api(Watched.query.filter(tag="t").no_track().all), ""),
        (lambda api: api(Watched.query.filter(tag="t").no_track().limit(1).first), ""),
        (lambda api: api(Watched.query.filter(note="n").count), ""),
        (lambda api: api(Watched.query.filter(tag="t").exists), ""),
        (lambda api: api(Watched.query.filter(tag="t").keys), ""),
        (lambda api: api(Watched.query.count, Q(note="n") | Q(tag="t")), ""),
        (lambda api: api(Watched.query.sum, "rank"), ""),
        (lambda api: bool(Watched.query.filter(tag="t")), ""),
    ],
)
def test_reads(api: Api, read: Callable[[Api], Any], expected: str) -> None:
    read(api)
    assert "".join(READ) == expected


def test_comparisons_are_no_reads() -> None:
    record = Watched(name="1")
    assert record in Watched.query.filter(tag="t")
    assert Watched.query.filter(name="1") == [record]
    assert READ == []
    builder = Watched.query.filter(tag="t")
    assert len(builder) == 4
    assert READ == []
    assert builder[0].name == "0"
    assert [*builder] == [builder[0], *builder[1:]]
    assert "".join(READ) == "0123"


def test_iteration_reads_once() -> None:
    assert len([*Watched.query.filter(tag="t")]) == 4
    assert "".join(READ) == "0123"


def test_results_that_are_shared_are_read_once() -> None:
    builder = Watched.query.filter(tag="t")
    for _ in range(3):
        assert len([*builder]) == 4
        assert len(builder) == 4
    assert "".join(READ) == "0123"


class Scripted(Model):
    name = KeyField()

    def on_read(self, pipeline: Any = None) -> None:
        pipeline.eval("return redis.call('INCR', KEYS[1])", 1, f"reads of {self.name}")


def test_a_hook_may_queue_what_no_script_may_call(api: Api, redis_client: redis.Redis) -> None:
    Scripted.create(name="a")
    Scripted.create(name="b")
    api(Scripted.query.filter(name="a").all)
    api(Scripted.query.filter(name__in=["a", "b"]).all)
    assert redis_client.mget("reads of a", "reads of b") == [b"2", b"1"]


def test_hooks_share_one_round_trip(
    api: Api, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    with round_trips() as seen:
        api(Watched.query.filter(tag="t").all)
    assert seen.sends == 2
    assert seen.commands["rpush"] == 4


def test_tracking_can_be_switched_off(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watched, "_track_reads", False, raising=False)
    api(Watched.query.filter(tag="t").all)
    api(Watched.query.get, name="1")
    assert READ == []
