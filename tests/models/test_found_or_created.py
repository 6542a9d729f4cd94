"""`get_or_create` and `update_or_create` by what no key and no unique field decides."""

from __future__ import annotations

import asyncio
import datetime
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
import redis

from popoto import (
    AutoKeyField,
    BooleanField,
    DatetimeField,
    DecayingSortedField,
    DecimalField,
    GeoField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    QueryException,
    Relationship,
    SortedField,
    StringField,
    UniqueField,
    redis_db,
)
from popoto.engine.scripts import COMMIT, finding
from popoto.exceptions import AlreadyExistsError, MatchExistsError
from popoto.models.reading import absence
from tests.driver import Api
from tests.interference import before_each_commit

UTC = datetime.UTC


class Meanwhile(Model):
    """Lets a test do something between the look of a save's caller and its commit."""

    _meanwhile: Callable[[], object] | None = None

    class Meta:
        abstract = True

    def pre_save(self, **kwargs: Any) -> Any:
        work, type(self)._meanwhile = type(self)._meanwhile, None
        if work is not None:
            work()
        return super().pre_save(**kwargs)


class Team(Model):
    name = KeyField()


class Ticket(Meanwhile):
    number = AutoKeyField()
    part = KeyField(null=True)
    title = StringField(null=True)
    state = IndexedField(null=True)
    size = IntField(null=True)
    price = DecimalField(null=True)
    cost = IndexedField(type=Decimal, null=True)
    at = DatetimeField(null=True)
    due = IndexedField(type=datetime.datetime, null=True)
    rank = SortedField(type=int, default=0)
    weight = SortedField(type=Decimal, default=Decimal(0))
    share = SortedField(partition_by="state", default=0.0)
    place = GeoField(null=True)
    log = ListField(max_length=4)
    tags = ListField()
    is_open = BooleanField(default=False)
    team = Relationship(Team)
    _note = IndexedField(null=True)

    class Meta:
        indexes = ((("title", "size"), True), (("state", "size"), False))


class Memory(Meanwhile):
    topic = IndexedField()
    when = DecayingSortedField()

    class Meta:
        history = True


LOOKUPS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a part of the key": ({"part": "p"}, {}),
    "an indexed field": ({"state": "open"}, {}),
    "null in an indexed field": ({"state": None, "size": 3}, {}),
    "a hidden field": ({"_note": "n"}, {}),
    "a plain field": ({"title": "t"}, {}),
    "null in a plain field": ({"title": None, "rank": 3}, {}),
    "a plain number": ({"size": 5}, {}),
    "a truth": ({"is_open": True}, {}),
    "a plain Decimal": ({"price": Decimal("1.5")}, {}),
    "an indexed Decimal": ({"cost": Decimal("1.5")}, {}),
    "a moment": ({"at": datetime.datetime(2024, 5, 1, 12, tzinfo=UTC)}, {}),
    "an indexed moment": ({"due": datetime.datetime(2024, 5, 1, 12, tzinfo=UTC)}, {}),
    "a sorted number": ({"rank": 5}, {}),
    "a number beyond doubles": ({"rank": 2**53 + 1}, {}),
    "a sorted Decimal": ({"weight": Decimal("0.1")}, {}),
    "a number of one partition": ({"share": 2.5, "state": "open"}, {}),
    "a range": ({"rank__gte": 7}, {"rank": 8}),
    "a beginning": ({"state__startswith": "op"}, {"state": "open"}),
    "several values": ({"state__in": ["open", "new"]}, {"state": "new"}),
    "all but one value": ({"state__ne": "shut"}, {"state": "open"}),
    "no null": ({"state__isnull": False}, {"state": "open"}),
    "a place": (
        {"place_latitude": 10.0, "place_longitude": 20.0, "place_radius": 5},
        {"place": (10.0, 20.0)},
    ),
    "a capped list": ({"log": ["a", "b"]}, {}),
    "a list": ({"tags": ["a"]}, {}),
    "a record": ({"team": "Team:red"}, {}),
    "a field of a record": ({"team__name": "red", "state": "open"}, {"team": "Team:red"}),
    "several fields": ({"state": "open", "size": 3, "rank": 4}, {}),
    "a unique pair": ({"title": "t", "size": 3}, {}),
}


@pytest.fixture(autouse=True)
def red() -> Iterator[None]:
    Team.create(name="red")
    yield
    Ticket._meanwhile = Memory._meanwhile = None


@pytest.mark.traced(200)
@pytest.mark.parametrize(("lookup", "defaults"), LOOKUPS.values(), ids=LOOKUPS)
def test_what_another_creates_meanwhile_is_found(
    api: Api, lookup: dict[str, Any], defaults: dict[str, Any]
) -> None:
    others: list[tuple[Any, bool]] = []
    Ticket._meanwhile = lambda: others.append(Ticket.get_or_create(defaults, **lookup))
    mine, created = api(Ticket.get_or_create, defaults, **lookup)
    assert (others[0][1], created) == (True, False)
    assert mine.pk == others[0][0].pk
    assert api(Ticket.query.count) == 1
    assert api(Ticket.check_indexes)["total"] == 0


@pytest.mark.traced(200)
@pytest.mark.parametrize(("lookup", "defaults"), LOOKUPS.values(), ids=LOOKUPS)
def test_what_others_have_that_does_not_match_is_no_hindrance(
    api: Api, lookup: dict[str, Any], defaults: dict[str, Any]
) -> None:
    others: dict[str, Any] = {
        "state": None if "state__isnull" in lookup else "shut",
        "size": 4,
        "title": "other",
        "price": Decimal(4),
        "rank": -1,
        "weight": Decimal("0.1000000000000000055511151231257827"),
        "log": ["b"],
    }
    if lookup.get("rank") == 2**53 + 1:
        others["rank"] = 2**53
    api(Ticket.create, **others)
    assert api(Ticket.get_or_create, defaults, **lookup)[1] is True
    assert api(Ticket.get_or_create, defaults, **lookup)[1] is False
    assert api(Ticket.query.count) == 2


@pytest.mark.parametrize("name", ["an indexed field", "a plain Decimal", "a sorted Decimal"])
def test_of_thirty_callers_one_creates(api: Api, name: str) -> None:
    lookup, defaults = LOOKUPS[name]
    found: list[tuple[Any, bool]] = []
    if api.is_async:

        async def race() -> None:
            calls = (Ticket.async_get_or_create(defaults, **lookup) for _ in range(30))
            found.extend(await asyncio.gather(*calls))

        api.run(race())
    else:
        gate = threading.Barrier(30)

        def work() -> None:
            gate.wait()
            found.append(Ticket.get_or_create(defaults, **lookup))

        threads = [threading.Thread(target=work) for _ in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [created for _, created in found].count(True) == 1
    assert len({record.pk for record, _ in found}) == 1
    assert len(found) == 30


def test_update_or_create_changes_what_another_has_created_meanwhile(api: Api) -> None:
    Ticket._meanwhile = lambda: Ticket.create(state="open", size=1)
    record, created = api(Ticket.update_or_create, state="open", defaults={"size": 2})
    assert (created, record.size) == (False, 2)
    assert [each.size for each in Ticket.query.all()] == [2]


def test_a_plain_create_meanwhile_counts_too(api: Api) -> None:
    Ticket._meanwhile = lambda: Ticket.create(state="open")
    assert api(Ticket.get_or_create, state="open")[1] is False


def test_a_model_with_a_memory(api: Api) -> None:
    Memory._meanwhile = lambda: Memory.create(topic="tea")
    assert api(Memory.get_or_create, topic="tea")[1] is False
    assert api(Memory.get_or_create, topic="milk")[1] is True


# What stands in an index ------------------------------------------------------------------------


def test_a_record_that_is_gone_is_no_hindrance(api: Api, redis_client: redis.Redis) -> None:
    Ticket._meanwhile = lambda: redis_client.sadd("$IndexF:Ticket:state:open", "Ticket:gone:None")
    assert api(Ticket.get_or_create, state="open")[1] is True


def test_an_expired_record_is_no_hindrance(api: Api, redis_client: redis.Redis) -> None:
    other = api(Ticket.create, state="open")
    redis_client.delete(other.pk)
    Ticket._meanwhile = lambda: redis_client.sadd("$IndexF:Ticket:state:open", other.pk)
    assert api(Ticket.get_or_create, state="open")[1] is True


class Unrepaired(Meanwhile):
    """Queries clear nothing away that stands wrongly in an index."""

    state = IndexedField(null=True)

    class Meta:
        self_repair = False


@pytest.mark.parametrize("stands", ["Unrepaired:gone", "Unrepaired:other"])
def test_it_is_no_hindrance_where_queries_repair_nothing(
    api: Api, redis_client: redis.Redis, stands: str
) -> None:
    other = api(Unrepaired.create, _auto_key="o" * 32, state="shut")
    stands = stands.replace("other", other._auto_key)
    Unrepaired._meanwhile = lambda: redis_client.sadd("$IndexF:Unrepaired:state:open", stands)
    assert api(Unrepaired.get_or_create, state="open")[1] is True
    assert redis_client.sismember("$IndexF:Unrepaired:state:open", stands)


@pytest.mark.parametrize("state", ["shut", None])
def test_a_record_that_an_index_names_wrongly_is_no_hindrance(
    api: Api, redis_client: redis.Redis, state: str | None
) -> None:
    other = api(Ticket.create, state=state)
    Ticket._meanwhile = lambda: redis_client.sadd("$IndexF:Ticket:state:open", other.pk)
    record, created = api(Ticket.get_or_create, state="open")
    assert (created, record.pk == other.pk) == (True, False)


def test_a_record_that_is_changed_meanwhile_to_what_is_looked_for_is_found(api: Api) -> None:
    other = api(Ticket.create, price=Decimal(1))

    def change() -> None:
        other.price = Decimal(2)
        other.save()

    Ticket._meanwhile = change
    record, created = api(Ticket.get_or_create, price=Decimal("2.0"))
    assert (created, record.pk) == (False, other.pk)


# What is gone again -----------------------------------------------------------------------------


def _coming_and_going(patch: pytest.MonkeyPatch, times: int) -> list[int]:
    """Another creates the record before each commit, and deletes it before it is looked for."""
    left, stage = [times], [0]

    def come() -> None:
        if left[0]:
            left[0] -= 1
            stage[0] = 0
            Ticket.create(part="p", number="n" * 32, state="open")
            stage[0] = 1

    def go() -> None:
        if stage[0] == 2:
            stage[0] = 0
            Ticket.query.get(part="p", number="n" * 32).delete()
            Ticket._meanwhile = come
        elif stage[0] == 1:
            stage[0] = 2

    before_each_commit(patch, go)
    Ticket._meanwhile = come
    return left


def test_what_is_deleted_before_it_is_read_is_created(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = _coming_and_going(monkeypatch, 3)
    record, created = api(Ticket.get_or_create, state="open")
    assert (created, left) == (True, [0])
    assert [each.pk for each in Ticket.query.all()] == [record.pk]


def test_it_ends_where_others_come_and_go_each_time(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    _coming_and_going(monkeypatch, 100)
    with pytest.raises(MatchExistsError, match=r"Ticket: .* the lookup; nothing was written"):
        api(Ticket.get_or_create, state="open")


# Methods of the class's own ---------------------------------------------------------------------


class OwnCreate(Meanwhile):
    word = IndexedField()
    also = IntField(default=0)

    @classmethod
    def create(cls, *args: Any, **kwargs: Any) -> Any:
        return super().create(*args, **{**kwargs, "also": 1})


class OwnSave(Meanwhile):
    word = IndexedField()

    def save(self, *args: Any, **kwargs: Any) -> Any:
        return super().save(*args, **kwargs)


class OwnTwins(OwnSave):
    async def async_save(self, *args: Any, **kwargs: Any) -> Any:
        return await super().async_save(*args, **kwargs)

    @classmethod
    async def async_create(cls, *args: Any, **kwargs: Any) -> Any:
        return await super().async_create(*args, **kwargs)


class Claimed(Model):
    code = UniqueField()
    text = StringField()


class Asked(IndexedField):
    """A field that answers queries itself."""

    @classmethod
    def filter_query(cls, model: Any, field_name: str, **params: Any) -> Any:
        key = cls.get_special_use_field_db_key(model, field_name, params[field_name])
        return redis_db.POPOTO_REDIS_DB.smembers(key.redis_key)


class OwnAnswers(Model):
    word = Asked()


@pytest.mark.parametrize("model", [OwnCreate, OwnSave, OwnTwins])
def test_a_save_or_create_of_the_class_itself_is_decided_too(
    api: Api, model: type[Meanwhile]
) -> None:
    def another() -> None:
        other: Any = model(word="a")
        other.save()

    model._meanwhile = another
    assert api(model.get_or_create, word="a")[1] is False
    assert api(model.get_or_create, word="b")[1] is True
    # What was looked for then is not asked of what is created later.
    assert api(model.create, word="b").word == "b"


class Pair(Meanwhile):
    word = IndexedField()

    @classmethod
    def create(cls, *args: Any, **kwargs: Any) -> Any:
        if Team.query.get(name="of pairs") is None:
            Team.create(name="of pairs")
        first = super().create(*args, **kwargs)
        super().create(*args, **kwargs)
        return first


def test_it_is_the_first_of_several_that_is_decided(api: Api) -> None:
    assert api(Pair.get_or_create, word="a")[1] is True
    assert api(Pair.query.count) == 2


def test_what_a_create_of_the_class_itself_creates_elsewhere_decides_nothing(api: Api) -> None:
    Pair._meanwhile = lambda: Pair(word="a").save()
    assert api(Pair.get_or_create, word="a")[1] is False


def test_a_create_of_the_class_itself_gives_its_own_values(api: Api) -> None:
    assert api(OwnCreate.get_or_create, word="a")[0].also == 1


@pytest.mark.single_server("the field asks redis-py for a key, which has a hash tag on a cluster")
def test_fields_with_answers_of_their_own_find_and_create(api: Api) -> None:
    assert api(OwnAnswers.get_or_create, word="a")[1] is True
    assert api(OwnAnswers.get_or_create, word="a")[1] is False


# What it costs, and where it ends ---------------------------------------------------------------


def test_round_trips(api: Api, round_trips: Any) -> None:
    api(Ticket.get_or_create, state="warm")
    for lookup, sends in (
        ({"state": "warm"}, 1),
        ({"state": "a"}, 2),
        ({"size": 5}, 2),
        ({"price": Decimal(1)}, 3),
    ):
        with round_trips() as seen:
            api(Ticket.get_or_create, **lookup)
        assert seen.sends == sends


def test_what_a_key_or_a_claim_decides_is_not_looked_for(
    api: Api, redis_client: redis.Redis
) -> None:
    redis_client.script_flush()
    api(Ticket.get_or_create, part="p", number="n" * 32)
    api(Claimed.get_or_create, code="c")
    assert redis_client.script_exists(finding(COMMIT).digest) == [False]
    api(Claimed.get_or_create, text="c", defaults={"code": "d"})
    assert redis_client.script_exists(finding(COMMIT).digest) == [True]


def test_more_values_than_can_be_compared_are_refused(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absence, "_MOST_KNOWN", 3)
    for number in (1, 2, 2, 3):
        api(Ticket.create, price=Decimal(number))
    assert api(Ticket.get_or_create, price=Decimal("2.5"))[1] is True
    with pytest.raises(QueryException, match=r"Ticket: .* by price .*unique field, or index"):
        api(Ticket.get_or_create, price=Decimal(9))
    assert api(Ticket.query.count) == 5


def test_the_error_is_one_of_a_record_that_exists() -> None:
    assert issubclass(MatchExistsError, AlreadyExistsError)
