# pyright: strict
"""Relationships: there, back, and one by one."""

from typing import ClassVar, assert_type

from popoto import KeyField, Model, Relationship
from popoto.models.query import QueryBuilder


class Team(Model):
    name = KeyField()
    players: ClassVar[QueryBuilder["Player"]]


class Player(Model):
    name = KeyField()
    team: Team | None = Relationship(Team, related_name="players")
    rival = Relationship(Team, related_name="+")


def the_attribute_is_the_related_record(player: Player) -> None:
    assert_type(player.team, Team | None)
    assert_type(player.rival, Team | str | None)
    if player.team is not None:
        assert_type(player.team.name, str)
        assert_type(player.team.players, QueryBuilder[Player])
        assert_type(player.team.players[0].team, Team | None)
        assert_type(player.team.players.filter(name="x").count(), int)


async def the_way_back_is_awaited(team: Team) -> None:
    assert_type(await team.players, list[Player])
    await Player().async_related("team")
    team.players.naem()  # error
