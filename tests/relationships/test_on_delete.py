"""What becomes of records that refer to one that is deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

import popoto
from popoto import (
    CASCADE,
    DO_NOTHING,
    PROTECT,
    SET_NULL,
    DatetimeField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    ModelException,
    Relationship,
    SortedField,
    UniqueField,
)
from popoto.exceptions import BulkError, ProtectedError
from popoto.models.transactions import Transaction
from tests.driver import Api, RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Team(Model):
    name = KeyField()
    city = IndexedField()


class BigTeam(Team):
    pass


class User(Model):
    name = KeyField()
    team = Relationship(Team, on_delete=CASCADE)
    mail = UniqueField(default="")
    age = SortedField(type=int, default=1)


class Note(Model):
    name = KeyField()
    user = Relationship(User, on_delete=CASCADE)
    reviewer = Relationship("User", on_delete=SET_NULL)
    team = Relationship(Team, on_delete=SET_NULL)
    stamp = DatetimeField(auto_now=True)
    log = ListField(max_length=3)


class Invoice(Model):
    name = KeyField()
    note = Relationship(Note, on_delete=PROTECT)


class Fan(Model):
    name = KeyField()
    team = Relationship(Team)


class Node(Model):
    name = KeyField()
    next = Relationship("self", on_delete=CASCADE, related_name="previous")
    twin = Relationship("self", on_delete=SET_NULL, related_name="twins")
    guard = Relationship("self", on_delete=PROTECT, related_name="guarded")


MODELS = [Team, BigTeam, User, Note, Invoice, Fan, Node]


def user(api: Api, name: str, **values: Any) -> User:
    return api(User.create, name=name, mail=f"{name}@x", **values)


def family(api: Api) -> Team:
    """A team with three users, of whom each has two notes; another team with one."""
    team, other = api(Team.create, name="reds", city="Rome"), api(Team.create, name="blues")
    for number in range(3):
        member = user(api, f"u{number}", team=team)
        for each in "ab":
            api(Note.create, name=f"n{number}{each}", user=member)
    stranger = user(api, "stranger", team=other)
    api(Note.create, name="reviewed", user=stranger, reviewer="User:u1", team=team, log=["a"])
    api(Fan.create, name="fan", team=team)
    return team


def stored(api: Api) -> dict[str, int]:
    """How many records of each model there are; that their indexes tell the truth goes without
    saying."""
    for model in MODELS:
        assert api(model.check_indexes)["total"] == 0
    return {
        model.__name__: number
        for model in MODELS
        if (number := api(model.query.filter().count)) > 0
    }


WHOLE = {"Team": 2, "User": 4, "Note": 7, "Fan": 1}
LEFT = {"Team": 1, "User": 1, "Note": 1, "Fan": 1}


def by_record(api: Api, team: Team) -> None:
    assert api(team.delete) is True


def by_a_constructed_record(api: Api, team: Team) -> None:
    assert api(Team(name="reds").delete) is True


def by_query(api: Api, team: Team) -> None:
    assert api(Team.query.filter(city="Rome").delete) == 1


def by_bulk_delete(api: Api, team: Team) -> None:
    assert api(Team.bulk_delete, [team]) == 1


def by_bulk_delete_of_a_query(api: Api, team: Team) -> None:
    assert api(Team.bulk_delete, Team.query.filter(name="reds")) == 1


def by_small_batches(api: Api, team: Team) -> None:
    empty = [api(Team.create, name=str(number)) for number in range(3)]
    assert api(Team.bulk_delete, iter([*empty, team]), batch_size=2) == 4


def by_transaction(api: Api, team: Team) -> None:
    work = Transaction()
    work.delete(team)
    fan = work.create(Fan, name="new")
    assert api(work.commit) == [True, 0] or work.results[0] is True
    api(fan.delete)


def by_pipeline(api: Api, team: Team) -> None:
    with popoto.get_redis().pipeline() as pipeline:
        assert team.delete(pipeline) is pipeline
        pipeline.execute()


WAYS = [
    by_record,
    by_a_constructed_record,
    by_query,
    by_bulk_delete,
    by_bulk_delete_of_a_query,
    by_small_batches,
    by_transaction,
    by_pipeline,
]


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
@pytest.mark.parametrize("way", WAYS)
def test_the_rules_hold_whichever_way_a_record_is_deleted(
    api: Api, way: Callable[[Api, Team], None], redis_client: redis.Redis
) -> None:
    team = family(api)
    before = api(Note.query.get, "Note:reviewed").stamp
    way(api, team)
    assert stored(api) == LEFT
    note = api(Note.query.get, "Note:reviewed")
    assert (note.user.name, note.reviewer, note.team) == ("stranger", None, None)
    assert (note.stamp, note.log) == (before, ["a"])
    # Without a rule, the key stays, as in popoto 1.6.
    assert api(Fan.query.filter(team="Team:reds").count) == 1
    for model in MODELS:
        api(model.delete_all)
    assert redis_client.keys("*") == []


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
@pytest.mark.parametrize("way", WAYS)
def test_what_is_protected_refuses_before_anything_is_written(
    api: Api, way: Callable[[Api, Team], None]
) -> None:
    team = family(api)
    api(Invoice.create, name="i", note="Note:n1b")
    with pytest.raises(ProtectedError) as caught:
        way(api, team)
    assert caught.value.holders == ("Invoice:i",)
    assert str(caught.value).startswith(
        "'Note:n1b' cannot be deleted, since records refer to it by Invoice.note "
        "(on_delete=PROTECT), 1 of them: 'Invoice:i'; nothing was written. Delete them first, or"
    )
    assert isinstance(caught.value, ModelException)
    api(Invoice.delete_all)
    for name in ("0", "1", "2"):
        api(Team(name=name).delete)
    assert stored(api) == WHOLE


def test_emptying_a_model_runs_the_rules(api: Api) -> None:
    family(api)
    assert api(Team.delete_all) == 2
    assert stored(api) == {"Fan": 1}


def test_emptying_a_model_that_others_protect_is_refused(api: Api) -> None:
    family(api)
    api(Invoice.create, name="i", note="Note:n1b")
    for model in (Note, User, Team):
        with pytest.raises(ProtectedError, match="Invoice:i"):
            api(model.delete_all, batch_size=1)
    assert stored(api) == {**WHOLE, "Invoice": 1}


def test_records_that_go_as_well_protect_none(api: Api) -> None:
    for number in range(5):
        api(Node.create, name=str(number), guard=f"Node:{(number + 1) % 5}")
    with pytest.raises(ProtectedError, match=r"'Node:0' cannot be deleted.*'Node:4'"):
        api(Node.query.get("Node:0").delete)
    assert api(Node.query.filter(name__in=list("01234")).delete, batch_size=2) == 5
    for number in range(5):
        api(Node.create, name=str(number), guard=f"Node:{(number + 1) % 5}")
    assert api(Node.delete_all, batch_size=1) == 5
    assert stored(api) == {}


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
@pytest.mark.parametrize("order", ["first", "last"])
def test_a_transaction_may_delete_who_protects_as_well(api: Api, order: str) -> None:
    note = api(Note.create, name="n")
    invoice = api(Invoice.create, name="i", note=note)
    work = Transaction()
    for record in (invoice, note) if order == "first" else (note, invoice):
        work.delete(record)
    assert api(work.commit) == [True, True]
    assert stored(api) == {}


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
def test_a_transaction_may_lead_them_elsewhere(api: Api) -> None:
    team = family(api)
    users = list(team.users)
    work = Transaction()
    work.delete(team)
    for each in users:
        each.team = "Team:blues"
        work.save(each)
    api(work.commit)
    assert stored(api) == {**WHOLE, "Team": 1}
    assert api(User.query.filter(team="Team:blues").count) == 4


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
@pytest.mark.parametrize("partial", [False, True])
def test_a_transaction_may_not_let_them_refer_to_what_it_deletes(api: Api, partial: bool) -> None:
    team = family(api)
    for each in (api(User.query.get, "User:u1"), api(User.query.get, "User:stranger")):
        work = Transaction()
        work.delete(team)
        each.team = team
        each.age = 7
        work.save(each, update_fields=["team", "age"] if partial else None)
        with pytest.raises(ModelException, match=r"to which it refers by User\.team \(on_d"):
            api(work.commit)
    assert stored(api) == WHOLE


def test_circles_and_references_to_oneself_go(api: Api) -> None:
    for name, following in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "d"), ("e", "a")):
        api(Node.create, name=name, next=f"Node:{following}")
    api(Node.create, name="f", twin="Node:b", next="Node:f")
    assert api(Node.query.get("Node:b").delete) is True
    assert {each.name for each in api(Node.query.all)} == {"d", "f"}
    assert api(Node.query.get, "Node:f").twin is None
    assert api(Node.query.get("Node:d").delete) is True
    assert stored(api) == {"Node": 1}


def test_a_circle_goes_in_a_pipeline_too(api: Api) -> None:
    for name, following in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "d")):
        api(Node.create, name=name, next=f"Node:{following}", twin="Node:a")
    with popoto.get_redis().pipeline() as pipeline:
        Node.query.get("Node:a").delete(pipeline)
        pipeline.execute()
    assert [(each.name, each.twin) for each in api(Node.query.all)] == [("d", None)]
    assert stored(api) == {"Node": 1}


@pytest.mark.slow
def test_a_circle_of_many_goes(api: Api) -> None:
    number = 1100
    Node.bulk_create(
        [Node(name=str(each), next=f"Node:{(each + 1) % number}") for each in range(number)]
    )
    assert api(Node.query.get("Node:7").delete) is True
    assert stored(api) == {}


def test_records_of_later_batches_have_no_say_however_many_depend_on_the_first(api: Api) -> None:
    api(Node.create, name="0")
    api(Node.create, name="1", guard="Node:0")
    Node.bulk_create([Node(name=f"x{each}", next="Node:0") for each in range(1100)])
    assert api(Node.query.filter(name__in=["0", "1"]).delete, batch_size=1) == 2
    assert stored(api) == {}


def test_a_record_that_would_go_and_change_goes(api: Api) -> None:
    api(Node.create, name="a")
    api(Node.create, name="b", twin="Node:a", next="Node:a")
    api(Node.create, name="c", twin="Node:a", next="Node:b")
    api(Node.query.get("Node:a").delete)
    assert stored(api) == {}


@pytest.mark.slow(4)
@pytest.mark.parametrize("number", [1, 2500])
def test_thousands_of_dependants_go_in_bounded_batches(
    api: Api, number: int, round_trips: Counter
) -> None:
    team = api(Team.create, name="reds")
    User.bulk_create([User(name=str(each), mail=str(each), team=team) for each in range(number)])
    Note.bulk_create([Note(name=str(each), user=f"User:{each % number}") for each in range(900)])
    Note.bulk_create([Note(name=f"t{each}", team=team) for each in range(number)])
    with round_trips() as seen:
        assert api(team.delete) is True
    assert seen.sends < 60
    # No commit writes more than a thousand of them.
    assert seen.commands["evalsha"] >= number // 500
    assert stored(api) == {"Note": number}
    assert api(Note.query.filter(team=None).count) == number


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
def test_a_record_that_nobody_depends_on_goes_in_one_round_trip(
    api: Api, round_trips: Counter
) -> None:
    teams = [api(Team.create, name=str(each)) for each in range(12)]
    with round_trips() as seen:
        api(teams.pop().delete)
        assert api(Team.bulk_delete, teams) == 11
    assert seen.sends == 2


def test_a_model_without_rules_costs_what_it_did(api: Api, round_trips: Counter) -> None:
    fan = api(Fan.create, name="x")
    with round_trips() as seen:
        api(fan.delete)
    assert seen.sends == 1
    assert seen.commands["sscan"] == 0


def test_records_of_a_derived_model_have_the_rules_of_their_base(api: Api) -> None:
    big = api(BigTeam.create, name="x")
    user(api, "u", team=big)
    assert api(big.delete) is True
    assert stored(api) == {}


def test_the_rules_of_inherited_relationships_hold(api: Api) -> None:
    class Owned(Model):
        owner = Relationship(Team, on_delete=CASCADE, related_name="+")

        class Meta:
            abstract = True

    class Car(Owned):
        name = KeyField()

    class Van(Car):
        pass

    team = api(Team.create, name="reds")
    api(Car.create, name="c", owner=team)
    api(Van.create, name="v", owner=team)
    api(team.delete)
    assert api(Car.query.count) == api(Van.query.count) == 0


def test_rules_that_come_later_hold(api: Api) -> None:
    class Club(Model):
        name = KeyField()

    api(Club.create, name="a").delete()

    class Guest(Model):
        name = KeyField()

    Guest._meta.add_field("club", Relationship(Club, on_delete=CASCADE))
    club = api(Club.create, name="a")
    api(Guest.create, name="g", club=club)
    assert api(club.delete) is True
    assert api(Guest.query.count) == 0


def test_a_rule_that_was_taken_away_by_a_new_definition_does_not_hold(api: Api) -> None:
    class Club(Model):
        name = KeyField()

    def define(rule: Any) -> Any:
        class Guest(Model):
            name = KeyField()
            club = Relationship(Club, on_delete=rule)

        return Guest

    former = define(CASCADE)
    guest = define(DO_NOTHING)
    api(guest.create, name="g", club=api(Club.create, name="a"))
    assert api(Club.query.get("Club:a").delete) is True
    assert api(guest.query.count) == 1
    del former


def test_values_of_on_delete() -> None:
    for given in (CASCADE, "CASCADE", "cascade"):
        assert Relationship(Team, on_delete=given).on_target_deleted is CASCADE
    assert Relationship(Team, on_delete="set_null").on_target_deleted is SET_NULL
    assert Relationship(Team, on_delete="protect").on_target_deleted is PROTECT
    for given in ("ignore", "DO_NOTHING", DO_NOTHING):
        assert Relationship(Team, on_delete=given).on_target_deleted is DO_NOTHING
    assert Relationship(Team).on_target_deleted is DO_NOTHING
    wrongs: Iterable[Any] = ("RESTRICT", "", None, 5, lambda: None)
    for wrong in wrongs:
        with pytest.raises(ModelException, match="must be one of DO_NOTHING, CASCADE, SET_NULL"):
            Relationship(Team, on_delete=wrong)
    with pytest.raises(ModelException, match="on_delete=SET_NULL, null=False"):
        Relationship(Team, on_delete=SET_NULL, null=False)


def test_the_hook_of_fields_keeps_its_name(api: Api) -> None:
    seen: list[str] = []

    class Noted(Relationship):
        @classmethod
        def on_delete(cls, model_instance: Any, field_name: str, **kwargs: Any) -> Any:
            seen.append(f"{model_instance} {field_name}")
            return super().on_delete(model_instance, field_name, **kwargs)

    class Badge(Model):
        name = KeyField()
        team = Noted(Team, on_delete=CASCADE)

    team = api(Team.create, name="reds")
    api(Badge.create, name="b", team=team)
    api(team.delete)
    assert seen == ["Badge:b team"]


def test_what_a_class_does_to_delete_its_records_is_done(api: Api) -> None:
    seen: list[str] = []

    class Photo(Model):
        name = KeyField()
        team = Relationship(Team, on_delete=CASCADE)

        def delete(self, *args: Any, **kwargs: Any) -> Any:
            seen.append(self.name)
            return super().delete(*args, **kwargs)

    class Frame(Model):
        name = KeyField()
        photo = Relationship(Photo, on_delete=CASCADE)

    team = api(Team.create, name="reds")
    for name in "ab":
        api(Photo.create, name=name, team=team)
        api(Frame.create, name=name, photo=f"Photo:{name}")
    api(team.delete)
    assert sorted(seen) == ["a", "b"]
    assert api(Photo.query.count) == api(Frame.query.count) == api(Team.query.count) == 0


def test_expired_records_protect_nobody_and_hold_nothing_up(
    api: Api, redis_client: redis.Redis
) -> None:
    """What an expired record left in an index is not taken for a record."""
    note = api(Note.create, name="n")
    api(Invoice.create, name="i", note=note)
    redis_client.delete("Invoice:i")
    assert api(note.delete) is True
    team = api(Team.create, name="t")
    user(api, "u", team=team)
    redis_client.delete("User:u")
    assert api(team.delete) is True


def test_an_entry_that_is_wrong_deletes_nobody(api: Api, redis_client: redis.Redis) -> None:
    team = api(Team.create, name="t")
    user(api, "u", team="Team:other")
    api(Note.create, name="n", team="Team:other")
    redis_client.sadd("$RelationshipF:User:team:Team:t", "User:u")
    redis_client.sadd("$RelationshipF:Note:team:Team:t", "Note:n")
    assert api(team.delete) is True
    assert api(User.query.get, "User:u").to_dict()["team"] == "Team:other"
    assert api(Note.query.get, "Note:n").to_dict()["team"] == "Team:other"


def test_deleting_what_is_not_stored_does_nothing(api: Api) -> None:
    user(api, "u", team="Team:missing")
    assert api(Team(name="missing").delete) is False
    gone = api(Team.create, name="x")
    user(api, "v", team=gone)
    Team.query.get("Team:x").delete()
    user(api, "w", team="Team:x")
    assert api(gone.delete) is False
    assert api(User.query.count) == 2


def test_a_key_of_another_program_is_named(api: Api, redis_client: redis.Redis) -> None:
    team = api(Team.create, name="t")
    redis_client.set("$RelationshipF:User:team:Team:t", "foreign")
    with pytest.raises(ModelException, match="'\\$RelationshipF:User:team:Team:t' holds a string"):
        api(team.delete)
    assert api(Team.query.count) == 1


def test_many_holders_are_counted_and_the_first_are_named(api: Api) -> None:
    note = api(Note.create, name="n")
    Invoice.bulk_create([Invoice(name=str(each), note=note) for each in range(1200)])
    with pytest.raises(ProtectedError, match=r"more than 1000 of them: .*, …; nothing") as caught:
        api(note.delete)
    assert len(caught.value.holders) == 1000


def test_counters_of_dependants_stay_no_obstacle(api: Api) -> None:
    """Another field of a dependant may change meanwhile; it goes all the same."""

    class Score(Model):
        name = KeyField()
        team = Relationship(Team, on_delete=CASCADE)
        points = IntField(default=0)

    team = api(Team.create, name="t")
    score = api(Score.create, name="s", team=team)
    api(score.atomic_increment, "points", 3)
    assert api(team.delete) is True
    assert api(Score.query.count) == 0


def test_what_lets_go_of_its_reference_keeps_everything_else(
    api: Api, redis_client: redis.Redis
) -> None:
    """Its time to live, its unsaved rules, and what others have written."""

    class Ticket(Model):
        name = KeyField()
        team = Relationship(Team, on_delete=SET_NULL)
        seat = IndexedField()
        row = SortedField(type=int, partition_by="team")
        version = IntField()

        class Meta:
            version_field = "version"

        def is_valid(self, null_check: bool = True) -> bool:
            return False

    team = api(Team.create, name="t")
    redis_client.hset("Ticket:a", "team", b"\xa6Team:t")
    for key, ttl in (("a", None), ("b", 1000)):
        record = Ticket.query.get("Ticket:a") if key == "a" else None
        assert record is None or record.name is None
        redis_client.hset(
            f"Ticket:{key}",
            mapping={"name": b"\xa1" + key.encode(), "seat": b"\xa11", "row": b"\x05"},
        )
        redis_client.hset(f"Ticket:{key}", "team", b"\xa6Team:t")
        if ttl is not None:
            redis_client.expire(f"Ticket:{key}", ttl)
    api(Ticket.rebuild_indexes)
    assert api(team.delete) is True
    assert [each.team for each in api(Ticket.query.all)] == [None, None]
    assert redis_client.ttl("Ticket:a") == -1
    assert 900 < redis_client.ttl("Ticket:b") <= 1000
    assert [each.seat for each in api(Ticket.query.all)] == ["1", "1"]
    assert api(Ticket.check_indexes)["total"] == 0
    # Once it has expired, no entry is left of what it held last.
    redis_client.delete("Ticket:b")
    redis_client.zadd("$Expiry:Ticket", {"Ticket:b": 1})
    assert api(Ticket.query.count, seat="1") == 1
    assert api(Ticket.check_indexes)["total"] == 0


def test_what_stands_in_a_dependant_s_way_is_no_matter_of_a_row(
    api: Api, redis_client: redis.Redis
) -> None:
    reds, blues = (Team.create(name=name) for name in ("reds", "blues"))
    User.create(name="ann", team=reds)
    (key,) = redis_client.keys("*:User:age*")
    redis_client.delete(key)
    redis_client.set(key, "of another program")
    with pytest.raises(ModelException, match="age") as caught:
        api(Team.bulk_delete, [blues, reds])
    assert not isinstance(caught.value, BulkError)
    assert Team.query.count() == 2


def test_a_key_of_another_kind_where_a_reference_is_let_go_of_is_named(
    api: Api, redis_client: redis.Redis
) -> None:
    team = api(Team.create, name="a")
    api(Note.create, name="n", team=team)
    redis_client.pexpire("Note:n", 50_000)
    redis_client.set("$Expiry:Note", "foreign")
    with pytest.raises(ModelException, match=r"'\$Expiry:Note' holds a string"):
        api(team.delete)
    assert redis_client.exists("Team:a") == 1
    assert redis_client.hget("Note:n", "team") is not None
