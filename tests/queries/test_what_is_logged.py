"""What queries tell in the log, and under which name it can be found there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import redis

from popoto import DecimalField, IndexedField, IntField, KeyField, Model, Relationship
from tests.driver import Api

RUBBISH = b"\xc1rubbish"


class Team(Model):
    name = KeyField()


class Player(Model):
    name = KeyField()
    kind = IndexedField()
    rank = IntField(default=0)
    cost = DecimalField()
    team = Relationship(Team)


@pytest.fixture(autouse=True)
def player(redis_client: redis.Redis) -> None:
    team = Team.create(name="t")
    Player.create(name="a", kind="k", rank=1, cost=2, team=team)
    Player.create(name="b", kind="k", rank=2, cost=3)
    redis_client.hset("Player:b", mapping={"rank": RUBBISH, "cost": RUBBISH})


def move(api: Api) -> None:
    team = Team.query.get(name="t")
    team.name = "u"
    api(team.save, migrate_key=True)


QUERY, RELATIONSHIP = "POPOTO.Query", "POPOTO.Relationship"
DEBUG, WARNING = logging.DEBUG, logging.WARNING

TOLD: list[tuple[Callable[[Api], Any], str, int, str]] = [
    (
        lambda api: api(Player.query.filter(rank=1).all),
        QUERY,
        DEBUG,
        (
            "Client-side filter: Player.rank has no index, so the stored rank of each candidate is "
            "compared"
        ),
    ),
    (
        lambda api: api(Player.query.filter(cost=2, kind="k").all),
        QUERY,
        DEBUG,
        "Client-side filter on cost, kind of Player",
    ),
    (
        lambda api: api(Player.query.filter(cost=2).all),
        QUERY,
        WARNING,
        "left out of a query's results: Player.cost of record 'Player:b' cannot be decoded",
    ),
    (
        lambda api: api(Player.query.order_by("rank").all),
        QUERY,
        WARNING,
        "Player.rank of record 'Player:b' cannot be decoded",
    ),
    (
        lambda api: api(Player.query.values("rank").all),
        QUERY,
        WARNING,
        "Player.rank of record 'Player:b' cannot be decoded",
    ),
    (
        lambda api: api(Player.query.filter(order_by="kind").computed_sort(lambda it: it.name).all),
        QUERY,
        WARNING,
        "Player: computed_sort overrides order_by='kind'",
    ),
    (
        move,
        RELATIONSHIP,
        WARNING,
        (
            "1 records of Player still refer to Team:t, which is Team:u now: assign and save "
            "team of Player.query.filter(team='Team:t')"
        ),
    ),
]


@pytest.mark.parametrize(
    ("ask", "name", "level", "text"), TOLD, ids=[each[3][:40] for each in TOLD]
)
def test_it_is_told_once_and_by_name(
    api: Api,
    caplog: pytest.LogCaptureFixture,
    ask: Callable[[Api], Any],
    name: str,
    level: int,
    text: str,
) -> None:
    with caplog.at_level(logging.DEBUG, logger="POPOTO"):
        ask(api)
    told = [each for each in caplog.records if each.getMessage().startswith(text)]
    assert [(each.name, each.levelno) for each in told] == [(name, level)]


def test_a_move_of_a_record_that_nothing_refers_to_is_not_told(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    lonely = Team.create(name="lonely")
    lonely.name = "v"
    api(lonely.save, migrate_key=True)
    assert caplog.records == []


def test_an_order_of_computed_values_alone_is_not_told(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    api(Player.query.filter().computed_sort(lambda it: it.name).all)
    assert caplog.records == []
