"""`team.players`: the query for those that refer to a record."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import pytest

from popoto import (
    CASCADE,
    IndexedField,
    IntField,
    KeyField,
    Model,
    ModelException,
    Relationship,
    StringField,
)
from popoto.models.query import QueryBuilder
from tests.driver import Api, RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Team(Model):
    name = KeyField()
    city = StringField()
    secretaries = StringField()
    members: ClassVar[QueryBuilder[Fan]]

    def trainers(self) -> str:
        return "nobody"


class BigTeam(Team):
    pass


class Player(Model):
    name = KeyField()
    team = Relationship(Team)
    age = IntField(default=0)
    role = IndexedField()


class Fan(Model):
    name = KeyField()
    team = Relationship("Team", related_name="members")


class LoudFan(Fan):
    pass


class OrderBox(Model):
    team = Relationship(Team)


class Category(Model):
    name = KeyField()
    team = Relationship(Team)
    parent = Relationship("self", related_name="children")


class Secretary(Model):
    team = Relationship(Team)


class Trainer(Model):
    team = Relationship(Team)


class Spy(Model):
    team = Relationship(Team, related_name="+")


class Game(Model):
    home = Relationship(Team)
    guest = Relationship(Team)


class Owned(Model):
    owner = Relationship(Team, related_name="owned_%(class)s_list")

    class Meta:
        abstract = True


class Bus(Owned):
    name = KeyField()


class SpareBall(Owned):
    name = KeyField()


def names(found: Any) -> list[str]:
    return sorted(each.name for each in found)


@pytest.fixture
def reds(api: Api) -> Team:
    for name in ("reds", "blues"):
        team = api(Team.create, name=name)
        for number, player in enumerate(("ann", "bob", "cid")):
            role = "goal" if number else "wing"
            api(Player.create, name=f"{player} {name}", team=team, age=number, role=role)
    return api(Team.query.get, "Team:reds")


def test_it_is_a_query_like_any_other(api: Api, reds: Team, round_trips: Counter) -> None:
    with round_trips() as seen:
        players = reds.players
    assert seen.sends == 0
    assert names(api(players.all)) == ["ann reds", "bob reds", "cid reds"]
    assert api(reds.players.count) == 3
    assert names(api(reds.players.filter(role="goal").all)) == ["bob reds", "cid reds"]
    assert api(reds.players.filter(age=1).first).name == "bob reds"
    assert api(reds.players.exists)
    assert names(reds.players) == names(api.run(waited(reds)))
    assert len(reds.players) == 3
    assert reds.players.order_by("name")[0].name == "ann reds"
    assert api(reds.players.values_list("name").all) != []
    assert api(reds.players.delete) == 3
    assert not api(reds.players.exists)
    assert api(Player.query.count) == 3


async def waited(team: Team) -> list[Any]:
    return await team.players


def test_a_reference_leads_back_too(api: Api, reds: Team) -> None:
    player = api(Player.query.filter(name="ann reds").first)
    assert names(player.team.players) == names(reds.players)


def test_what_refers_is_found_by_the_stored_key(api: Api, reds: Team) -> None:
    """Also while another one is about to be saved, and before the record itself is."""
    reds.name = "greens"
    assert api(reds.players.count) == 3
    api(Player.create, name="eve", team="Team:golds")
    assert api(Team(name="golds").players.count) == 1
    with pytest.raises(
        ModelException, match=r"Player\.team can refer to no such record.*name is un"
    ):
        _ = Team().players


def test_names_are_plurals_of_the_class_or_chosen(api: Api, reds: Team) -> None:
    api(Fan.create, name="fay", team=reds)
    api(OrderBox.create, team=reds)
    root = api(Category.create, name="root", team=reds)
    api(Category.create, name="leaf", parent=root)
    api(Bus.create, name="bus", owner=reds)
    api(SpareBall.create, name="ball", owner=reds)
    assert names(api(reds.members.all)) == ["fay"]
    assert not hasattr(reds, "fans")
    assert api(reds.order_boxes.count) == 1
    assert names(api(reds.categories.all)) == ["root"]
    assert names(api(root.children.all)) == ["leaf"]
    assert names(api(reds.owned_bus_list.all)) == ["bus"]
    assert names(api(reds.owned_spare_ball_list.all)) == ["ball"]
    assert not hasattr(reds, "spies")


def test_records_of_a_derived_model_have_them_as_well(api: Api) -> None:
    big = api(BigTeam.create, name="x")
    api(Player.create, name="pia", team=big)
    assert names(api(big.players.all)) == ["pia"]


def test_a_derived_model_leaves_the_chosen_name_to_its_base(api: Api, reds: Team) -> None:
    api(LoudFan.create, name="lou", team=reds)
    api(Fan.create, name="fay", team=reds)
    assert names(api(reds.members.all)) == ["fay"]


def test_what_the_model_has_under_a_plural_stays(reds: Team) -> None:
    assert reds.secretaries is None
    assert reds.trainers() == "nobody"


def test_two_that_would_share_a_plural_need_names(reds: Team) -> None:
    assert not hasattr(reds, "games")
    with pytest.raises(
        AttributeError, match=r"Game\.guest and Game\.home|Game\.home and Game\.guest"
    ):
        _ = reds.games
    assert "players" in repr(Team.players)
    assert "Player.team" in repr(Team.players)


def test_an_instance_may_have_a_value_of_its_own_under_a_plural(api: Api, reds: Team) -> None:
    reds.players = ["as in popoto 1.6"]
    assert reds.players == ["as in popoto 1.6"]
    with pytest.warns(UserWarning, match="Team has no field 'players', so the value is not stored"):
        Team(name="x", players=[])


def test_a_chosen_name_cannot_be_assigned(reds: Team) -> None:
    with pytest.raises(
        ModelException, match=r"Team\.members are the records that refer.*Fan\.team"
    ):
        reds.members = []
    with pytest.raises(ModelException, match=r"Team\.members are the records that refer"):
        Team(name="x", members=[])


@pytest.mark.parametrize("name", ["city", "trainers", "save", "pk", "members", "query"])
def test_a_chosen_name_that_is_taken_is_refused(reds: Team, name: str) -> None:
    with pytest.raises(
        ModelException, match=rf"Critic\.team: related_name='{name}' is not free on T"
    ):

        class Critic(Model):
            team = Relationship(Team, related_name=name)

    assert names(reds.players) == ["ann reds", "bob reds", "cid reds"]
    assert hasattr(reds, name)


@pytest.mark.parametrize("name", ["", "Players", "_players", "a__b", "two words", "class", 5, "%s"])
def test_what_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(ModelException, match="related_name must be the name of an attribute"):
        Relationship(Team, related_name=name)


def test_a_refused_model_leaves_no_trace(api: Api, reds: Team) -> None:
    class Referee(Model):
        name = KeyField()
        team = Relationship(Team)

    api(Referee.create, name="kim", team=reds)

    def define_again() -> None:
        class Referee(Model):
            team = Relationship(Team)
            boss = Relationship(Team, related_name="city")

    with pytest.raises(ModelException) as caught:
        define_again()
    assert names(api(reds.referees.all)) == ["kim"]

    class Pass(Model):
        referee = Relationship("Referee")

    api(Pass.create, referee="Referee:kim")
    assert api(Pass.query.all)[0].referee.team == reds
    del caught


def test_models_are_defined_while_somebody_keeps_the_error_of_a_refused_one(api: Api) -> None:
    """As an interactive session does with the last one."""

    def define() -> None:
        class Mascot(Model):
            name = KeyField()
            team = Relationship(Team)

            class Meta:
                shard_by = "team"

    with pytest.raises(ModelException, match="shard_by") as caught:
        define()

    class Banner(Model):
        name = KeyField()

    assert api(Banner.create, name="red").name == "red"
    del caught


def test_a_refused_model_takes_back_what_it_gave() -> None:
    def define() -> None:
        class Umpire(Model):
            team = Relationship(Team)
            boss = Relationship(Team, related_name="city")

    with pytest.raises(ModelException):
        define()
    assert not hasattr(Team, "umpires")


def test_a_name_that_one_model_chose_is_not_anothers_plural(api: Api, reds: Team) -> None:
    class Backer(Model):
        name = KeyField()
        team = Relationship(Team, related_name="patrons")

    class Patron(Model):
        name = KeyField()
        team = Relationship(Team)

    api(Backer.create, name="b", team=reds)
    api(Patron.create, name="p", team=reds)
    assert [type(each) for each in reds.patrons] == [Backer]


def test_two_models_may_not_inherit_one_chosen_name() -> None:
    class Thing(Model):
        team = Relationship(Team, related_name="things_")

        class Meta:
            abstract = True

    class Chair(Thing):
        pass

    with pytest.raises(ModelException, match=r"Table\.team: related_name='things_'.*%\(class\)s"):

        class Table(Thing):
            pass

    assert isinstance(Chair, type)


def test_a_model_that_is_defined_later_has_it_then(api: Api) -> None:
    class Letter(Model):
        name = KeyField()
        stamp = Relationship("StampOfLater", related_name="letters_")
        second = Relationship("StampOfLater")

    api(Letter.create, name="a", stamp="StampOfLater:x", second="StampOfLater:x")

    class StampOfLater(Model):
        name = KeyField()

    stamp = api(StampOfLater.create, name="x")
    assert names(api(stamp.letters_.all)) == names(api(stamp.letters.all)) == ["a"]


def test_a_later_model_is_refused_for_a_name_that_it_promised(api: Api) -> None:
    class Cover(Model):
        book = Relationship("BookOfLater", related_name="title")

    with pytest.raises(ModelException, match=r"Cover\.book: related_name='title' is not free"):

        class BookOfLater(Model):
            title = StringField()

    assert isinstance(Cover, type)
    del Cover
    gc.collect()


def test_a_derived_model_may_not_hide_a_chosen_name() -> None:
    with pytest.raises(ModelException, match=r"Fan\.team: related_name='members' is not free"):

        class HidingTeam(Team):
            members = StringField()

    class OtherTeam(Team):
        players = StringField()

    assert OtherTeam(name="x").players is None


def test_fields_that_are_added_later_have_and_keep_it(api: Api) -> None:
    class Club(Model):
        name = KeyField()

    class Guest(Model):
        name = KeyField()

    Guest.club = Relationship(Club, related_name="visitors")
    Guest._meta.add_field("club", Guest.club)
    club = api(Club.create, name="x")
    api(Guest.create, name="g", club=club)
    assert names(api(club.visitors.all)) == ["g"]
    with pytest.raises(ModelException, match=r"Guest\.club: related_name='visitors' is not"):
        Club._meta.add_field("visitors", StringField())
    Club._meta.add_field("guests", StringField())
    assert api(Club.query.get, "Club:x").guests is None


def test_a_delete_knows_a_field_that_was_added_after_another_delete(api: Api) -> None:
    class Lodge(Model):
        name = KeyField()

    class Sleeper(Model):
        name = KeyField()

    api(api(Lodge.create, name="x").delete)
    Sleeper._meta.add_field("lodge", Relationship(Lodge, on_delete=CASCADE))
    lodge = api(Lodge.create, name="x")
    api(Sleeper.create, name="s", lodge=lodge)
    api(lodge.delete)
    assert api(Sleeper.query.count) == 0


@pytest.mark.parametrize("again", ["both", "the one referred to", "the one that refers"])
def test_a_model_that_is_defined_once_more_takes_its_place(api: Api, again: str) -> None:
    def define_shelf() -> type[Model]:
        class Shelf(Model):
            name = KeyField()

        return Shelf

    def define_jar(shelf: type[Model]) -> type[Model]:
        class Jar(Model):
            name = KeyField()
            shelf_ = Relationship(shelf, related_name="jars_")
            other = Relationship("Shelf")

        return Jar

    shelf = define_shelf()
    jar = define_jar(shelf)
    if again != "the one that refers":
        shelf = define_shelf()
    if again != "the one referred to":
        jar = define_jar(shelf)
    found = api(shelf.create, name="s")
    api(jar.create, name="j", shelf_="Shelf:s", other="Shelf:s")
    assert names(api(found.jars_.all)) == names(api(found.jars.all)) == ["j"]
    assert type(found.jars_[0]) is jar


def test_what_referred_by_a_model_that_is_gone_is_not_there(api: Api) -> None:
    class Dock(Model):
        name = KeyField()

    def define() -> None:
        class Ship(Model):
            dock = Relationship(Dock)

        assert hasattr(Dock(name="x"), "ships")

    define()
    gc.collect()
    assert not hasattr(Dock(name="x"), "ships")
    with pytest.raises(AttributeError, match="the model that referred to it is gone"):
        _ = Dock(name="x").ships


def defined_in(module: str, name: str, **body: Any) -> Any:
    return type(Model)(name, (Model,), {"__module__": module, "name": KeyField(), **body})


@pytest.mark.filterwarnings("ignore:.*keeps its records under the name")
@pytest.mark.parametrize("names_as_text", [False, True])
def test_models_of_one_name_in_several_modules_find_their_own(
    api: Api, names_as_text: bool
) -> None:
    """As the modules of a test suite have them."""
    found: list[tuple[Any, Any]] = []
    for module in ("first", "second"):
        if names_as_text:
            target: Any = "Choir"
            singer = defined_in(module, "Singer", choir=Relationship(target, related_name="voices"))
            choir = defined_in(module, "Choir")
        else:
            choir = defined_in(module, "Choir")
            singer = defined_in(module, "Singer", choir=Relationship(choir, related_name="voices"))
        found.append((choir, singer))
    api(found[0][1].create, name="a", choir="Choir:x")
    for choir, singer in found:
        assert type(choir(name="x").voices[0]) is singer
        assert isinstance(api(singer.query.all)[0].choir, choir)


@pytest.mark.filterwarnings("ignore:.*keeps its records under the name")
def test_a_model_of_another_module_is_found_by_its_name_too(api: Api) -> None:
    organ = defined_in("first", "Organ")
    pipe = defined_in("second", "Pipe", organ=Relationship("Organ", related_name="pipes_"))
    api(pipe.create, name="a", organ="Organ:x")
    assert type(organ(name="x").pipes_[0]) is pipe
    with pytest.raises(ModelException, match="is not free on Organ"):
        defined_in("second", "Bellows", organ=Relationship("Organ", related_name="pipes_"))
    assert type(organ(name="x").pipes_[0]) is pipe


@pytest.mark.filterwarnings("ignore:.*keeps its records under the name")
def test_of_two_models_of_one_name_the_first_keeps_the_name_at_a_third() -> None:
    hall = defined_in("first", "Hall")
    seat = defined_in("second", "Seat", hall=Relationship(hall, related_name="seats_"))
    later = defined_in("third", "Seat", hall=Relationship(hall, related_name="seats_"))
    assert hall.seats_.fields == [seat._meta.by_name["hall"]]
    assert later is not seat
