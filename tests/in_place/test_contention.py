"""An increment whose field others write at the same time: what that may cost it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal

import pytest
import redis

from popoto import DecimalField, KeyField, Model
from tests.driver import Api, RoundTrips
from tests.interference import before_each_commit, in_each_pause

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Till(Model):
    """Decimals are added by this process and swapped in, so other writers can come between."""

    name = KeyField()
    cash = DecimalField(default=Decimal(0))


class Interloper:
    """Another writer, who changes the amount just before a commit arrives, or during a pause."""

    def __init__(self, client: redis.Redis, patch: pytest.MonkeyPatch) -> None:
        self._client = client
        for amount in range(2):
            Till.create(name=f"form{amount}", cash=Decimal(amount))
        self._forms = [client.hget(f"Till:form{amount}", "cash") for amount in range(2)]
        self.changes = 0
        #: how many more commits meet a changed amount
        self.before_commits = 0
        self.in_pauses = False
        before_each_commit(patch, self._before_a_commit)
        in_each_pause(patch, self._in_a_pause)

    def _change(self) -> None:
        self.changes += 1
        self._client.hset("Till:a", "cash", self._forms[self.changes % 2])

    def _before_a_commit(self) -> None:
        if self.before_commits:
            self.before_commits -= 1
            self._change()

    def _in_a_pause(self) -> None:
        if self.in_pauses:
            self._change()


@pytest.fixture
def till() -> Till:
    return Till.create(name="a")


@pytest.fixture
def interloper(
    till: Till, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> Interloper:
    return Interloper(redis_client, monkeypatch)


@pytest.mark.parametrize("times", [0, 1, 3, 4, 9, 20])
def test_an_interference_costs_at_most_two_round_trips(
    api: Api, till: Till, interloper: Interloper, round_trips: Counter, times: int
) -> None:
    interloper.before_commits = times
    with round_trips() as seen:
        total = api(till.atomic_increment, "cash", Decimal("0.5"))
    assert interloper.changes == times
    assert total == times % 2 + Decimal("0.5")
    assert seen.sends <= 1 + 2 * times


def test_who_writes_in_every_pause_does_not_keep_an_increment_from_succeeding(
    api: Api, till: Till, interloper: Interloper, round_trips: Counter
) -> None:
    """What was known before a pause is old after it, so the try after that goes at once."""
    interloper.before_commits = 4
    interloper.in_pauses = True
    with round_trips() as seen:
        total = api(till.atomic_increment, "cash", Decimal("0.5"))
    assert total == interloper.changes % 2 + Decimal("0.5")
    assert Till.query.get(name="a").cash == total
    assert interloper.changes > 4
    assert seen.sends <= 1 + 2 * interloper.changes
