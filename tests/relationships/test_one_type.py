"""The attribute is the related record, wherever a record comes from."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

from popoto import IndexedField, KeyField, Model, QueryException, Relationship, StringField
from popoto.exceptions import MissingTargetError, ModelException, NotStoredError
from popoto.models.transactions import transaction
from tests.driver import Api, RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Team(Model):
    name = KeyField()
    title = StringField()
    count = StringField()
    kind = IndexedField()

    def shout(self) -> str:
        return f"{self.title}!"


class Player(Model):
    name = KeyField()
    team = Relationship(Team)
    shirt = StringField()


class Coach(Model):
    name = KeyField()
    trains = Relationship("LaterTeam")


class Node(Model):
    name = KeyField()
    next = Relationship("self")


def stored(api: Api) -> Team:
    team = api(Team.create, name="reds", title="The Reds", count="11", kind="a")
    api(Player.create, name="ann", team=team, shirt="1")
    return team


def in_transaction(api: Api) -> Player:
    with transaction() as work:
        return work.create(Player, name="tim", team=Team.query.get("Team:reds"))


def ways(api: Api) -> dict[str, Callable[[], Player]]:
    query = Player.query
    named = query.filter(name="ann")
    return {
        "created with a record": lambda: api(
            Player.create, name="bob", team=api(Team.query.get, "Team:reds")
        ),
        "created with a key": lambda: Player.create(name="cid", team="Team:reds"),
        "constructed with a key": lambda: Player(name="dan", team="Team:reds"),
        "get": lambda: api(query.get, "Player:ann"),
        "get by another field": lambda: api(query.get, team="Team:reds"),
        "load": lambda: api(Player.load, "Player:ann"),
        "get_many": lambda: api(query.get_many, ["Player:ann"])[0],
        "all of the query": lambda: api(query.all)[0],
        "all of a builder": lambda: api(named.all)[0],
        "first": lambda: api(named.first),
        "last": lambda: api(named.last),
        "a slice": lambda: query.filter()[:1][0],
        "iterated": lambda: next(iter(query.filter())),
        "an iterator": lambda: next(query.filter().iterator()),
        "awaited": lambda: api.run(awaited()),
        "select_related": lambda: api(named.select_related("team").all)[0],
        "get_or_create, found": lambda: api(Player.get_or_create, name="ann")[0],
        "get_or_create, created": lambda: api(
            Player.get_or_create, name="eve", defaults={"team": "Team:reds"}
        )[0],
        "update_or_create": lambda: api(
            Player.update_or_create, name="ann", defaults={"shirt": "2"}
        )[0],
        "bulk_create": lambda: api(Player.bulk_create, [Player(name="fay", team="Team:reds")])[0],
        "a transaction": lambda: in_transaction(api),
        "refreshed": lambda: api(query.get, "Player:ann").refresh(),
        "a copy": lambda: copy.copy(api(named.first)),
        "a deep copy": lambda: copy.deepcopy(looked_at(api(named.first))),
        "pickled": lambda: pickle.loads(pickle.dumps(looked_at(api(named.first)))),
        "assigned and saved": lambda: assigned(api),
        "deleted": lambda: deleted(api),
    }


async def awaited() -> Any:
    return (await Player.query.filter(name="ann"))[0]


def looked_at(player: Player) -> Player:
    assert player.team == "Team:reds"
    return player


def assigned(api: Api) -> Player:
    player = api(Player.create, name="gus")
    player.team = "Team:reds"
    api(player.save)
    return player


def deleted(api: Api) -> Player:
    player = api(Player.query.filter(name="ann").first)
    api(player.delete)
    return player


@pytest.mark.parametrize("way", list(ways(Api(is_async=False))))
def test_the_attribute_is_the_related_record(api: Api, way: str) -> None:
    team = stored(api)
    held = ways(api)[way]().team
    assert isinstance(held, Team)
    assert held == team
    assert team == held
    assert hash(held) == hash(team)
    assert (held.name, held.title, held.shout()) == ("reds", "The Reds", "The Reds!")
    assert str(held) == "Team:reds"


@pytest.mark.parametrize("way", list(ways(Api(is_async=False))))
def test_it_keeps_its_reference_when_it_is_saved_again(
    api: Api, redis_client: redis.Redis, way: str
) -> None:
    stored(api)
    player = ways(api)[way]()
    assert player.team.title == "The Reds"
    player.shirt = "99"
    api(player.save)
    assert redis_client.hget(str(player), "team") == b"\xa9Team:reds"
    assert player.name in {each.name for each in api(Player.query.filter(team="Team:reds").all)}


def test_results_of_queries_hold_the_key_as_text_too(api: Api, round_trips: Counter) -> None:
    """As popoto 1.6 has it, and without reading anything."""
    stored(api)
    (player,) = api(Player.query.all)
    with round_trips() as seen:
        assert isinstance(player.team, str)
        assert player.team == "Team:reds"
        assert player.team != "Team:blues"
        assert hash(player.team) == hash("Team:reds")
        assert json.dumps([player.team]) == '["Team:reds"]'
        assert repr(player.team) == "'Team:reds'"
        assert player.team.partition(":")[2] == "reds"
        assert player.team == Team(name="reds")
        assert player.team.pk == player.team._redis_key == "Team:reds"
        assert player.team._meta is Team._meta
        assert player.to_dict()["team"] == "Team:reds"
        assert type(player.to_dict()["team"]) is str
    assert seen.sends == 0


def test_the_record_is_read_once_and_stays(api: Api, round_trips: Counter) -> None:
    stored(api)
    (player,) = api(Player.query.all)
    with round_trips() as seen:
        assert player.team.title == "The Reds"
        player.team.title = "Reds"
        assert player.team.title == "Reds"
        player.team.nickname = "r"
        del player.team.nickname
        assert not hasattr(player.team, "nickname")
    assert seen.sends == 1
    player.team.save()
    assert Team.query.get("Team:reds").title == "Reds"


def test_attributes_of_the_model_come_before_methods_of_texts(api: Api) -> None:
    stored(api)
    team = api(Player.query.all)[0].team
    assert (team.title, team.count) == ("The Reds", "11")
    assert team.upper() == "TEAM:REDS"
    assert {"shout", "title", "upper"} <= set(dir(team))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = team.nonsense


def test_it_can_be_given_on(api: Api) -> None:
    """Assigned, looked up and stored as a text."""
    stored(api)
    team = api(Player.query.all)[0].team
    api(Player.create, name="bob", team=team)
    cid = api(Player.create, name="cid")
    cid.team = team
    api(cid.save)
    assert api(Player.query.filter(team=team).count) == 3
    assert api(Player.query.filter(team__in=[team]).count) == 3
    api(Team.create, name="x", title=team)
    assert api(Team.query.get, "Team:x").title == "Team:reds"


def test_what_refers_to_a_missing_record_says_so(api: Api) -> None:
    team = stored(api)
    api(team.delete)
    (player,) = api(Player.query.all)
    assert player.team == "Team:reds"
    with pytest.raises(MissingTargetError, match=r"^Player\.team refers to 'Team:reds', which"):
        _ = player.team.title
    assert getattr(player.team, "title", None) is None
    assert issubclass(MissingTargetError, (NotStoredError, ModelException))
    assert player.to_dict(relationships=True)["team"] == "Team:reds"
    assert api(player.related, "team") is None
    assert player.team is None
    player.shirt = "5"
    api(player.save)
    assert api(Player.query.filter(team="Team:reds").count) == 1
    assert player.team is None
    api(Team.create, name="reds", title="again")
    assert api(player.related, "team").title == "again"


@pytest.mark.parametrize("forget", [False, True])
def test_a_missing_record_is_none_until_it_is_looked_up_again(api: Api, forget: bool) -> None:
    team = stored(api)
    api(team.delete)
    player = api(Player.query.filter().select_related("team").first)
    assert player.team is None
    api(Team.create, name="reds", title="again")
    assert player.team is None
    if forget:
        api(player.refresh)
        assert player.team == "Team:reds"
    player.team = "Team:reds"
    assert player.team == "Team:reds"


def test_a_model_that_is_not_defined_yet_leaves_the_text(api: Api) -> None:
    api(Coach.create, name="kim", trains="LaterTeam:x")
    trains = api(Coach.query.all)[0].trains
    assert isinstance(trains, str)
    assert not isinstance(trains, Model)
    assert trains.upper() == "LATERTEAM:X"
    with pytest.raises(ModelException, match="there is no model named 'LaterTeam'"):
        _ = trains.name


def test_plain_dicts_follow_references_of_either_kind(api: Api) -> None:
    for name, target in (("a", "b"), ("b", "c"), ("c", "a")):
        api(Node.create, name=name, next=f"Node:{target}")
    for node in (Node.query.get("Node:a"), Node.query.filter(name="a").first()):
        assert node is not None
        assert node.to_dict(relationships=True) == {
            "name": "a",
            "next": {"name": "b", "next": {"name": "c", "next": "Node:a"}},
        }


def test_related_returns_the_record_that_the_attribute_has(api: Api, round_trips: Counter) -> None:
    stored(api)
    for player in (api(Player.query.all)[0], Player(name="x", team="Team:reds")):
        with round_trips() as seen:
            team = api(player.related, "team")
            assert api(player.related, "team") is team is player.team
            assert team.title == "The Reds"
        assert seen.sends == 1
    player = Player.query.filter()[0]
    player.team.title = "changed here"
    assert api(player.related, "team").title == "changed here"
    assert api(Player(name="y").related, "team") is None
    with pytest.raises(QueryException, match="Player has no Relationship 'shirt'; its"):
        api(player.related, "shirt")


def test_a_field_may_have_the_name_of_the_method(api: Api) -> None:
    class Article(Model):
        related = StringField()

    article = api(Article.create, related="yes")
    assert api(Article.query.get, article.pk).related == "yes"


def test_attributes_of_other_objects_compare_unequal(api: Api) -> None:
    stored(api)
    team = api(Player.query.all)[0].team
    assert team != 5
    assert team != Player(name="reds")
    assert (team == Team(name="blues")) is False


def test_threads_of_a_loop_may_read(api: Api) -> None:
    stored(api)

    async def titles() -> list[str]:
        found = await Player.query.async_all()
        return await asyncio.to_thread(lambda: [player.team.title for player in found])

    assert api.run(titles()) == ["The Reds"]
