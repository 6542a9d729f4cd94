"""Fields of one's own, put together from the shipped mixins."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
import redis

from popoto import Field, IndexedField, IntField, KeyField, Model, ModelException, SortedField
from popoto.exceptions import UniquenessError
from popoto.fields.auto_field_mixin import AutoFieldMixin
from popoto.fields.indexed_field_mixin import IndexedFieldMixin
from popoto.fields.key_field_mixin import VALID_KEYFIELD_TYPES, KeyFieldMixin
from popoto.fields.sorted_field_mixin import SortedFieldMixin
from popoto.fields.unique_field_mixin import UniqueFieldMixin
from tests.driver import Api


class SerialField(KeyFieldMixin, Field):
    """A key of one's own."""


class EmailField(UniqueFieldMixin, Field):
    """Unique, and may be null."""


class ScoreField(SortedFieldMixin, Field):
    """Sorted."""


class RankedTagField(SortedFieldMixin, IndexedFieldMixin, Field):
    """Sorted and indexed at once."""


class TicketField(AutoFieldMixin, KeyFieldMixin, Field):
    """A key that makes itself."""


def test_prefixes_follow_the_class_name() -> None:
    prefixes = [str(each.field_class_key) for each in (SerialField, EmailField, ScoreField)]
    assert prefixes == ["$SeriaF", "$EmaF", "$ScorF"]


def test_a_key_mixin_makes_a_key(api: Api, redis_client: redis.Redis) -> None:
    class Part(Model):
        serial = SerialField(type=int)
        name = Field()

    assert Part._meta.key_field_names == {"serial"}
    api(Part.create, serial=5, name="a")
    assert redis_client.smembers("$SeriaF:Part:serial:5") == {b"Part:5"}
    assert api(Part.query.get, serial=5).name == "a"
    assert [each.name for each in api(Part.query.filter(serial__in=[5, 6]).all)] == ["a"]
    with pytest.raises(ModelException, match="not a valid"):
        SerialField(type=list)
    assert datetime.date in VALID_KEYFIELD_TYPES


def test_a_unique_mixin_may_be_null(api: Api) -> None:
    class User(Model):
        name = KeyField()
        email = EmailField()

    assert (User.email.null, User.email.unique) == (True, True)
    api(User.create, name="a", email=None)
    api(User.create, name="b", email=None)
    api(User.create, name="c", email="x")
    with pytest.raises(UniquenessError):
        api(User.create, name="d", email="x")
    assert api(User.query.get, email="x").name == "c"
    with pytest.raises(ModelException, match="unique"):
        EmailField(unique=False)


def test_a_sorted_mixin(api: Api, redis_client: redis.Redis) -> None:
    class Game(Model):
        name = KeyField()
        score = ScoreField(type=int)

    assert Game._meta.sorted_field_names == {"score"}
    api(Game.create, name="a", score=5)
    assert redis_client.zscore("$ScorF:Game:score", "Game:a") == 5
    assert [each.name for each in api(Game.query.filter(score__gt=4).all)] == ["a"]


def test_two_index_mixins_work_side_by_side(api: Api, redis_client: redis.Redis) -> None:
    class Item(Model):
        name = KeyField()
        rank = RankedTagField(type=int)

    assert Item._meta.sorted_field_names == {"rank"}
    assert Item._meta.indexed_field_names == {"rank"}
    for number in range(4):
        api(Item.create, name=str(number), rank=number)
    assert {each.name for each in api(Item.query.filter(rank__gte=2).all)} == {"2", "3"}
    assert {each.name for each in api(Item.query.filter(rank__in=[0, 3]).all)} == {"0", "3"}
    assert [each.name for each in api(Item.query.filter(rank=1).all)] == ["1"]
    (item,) = api(Item.query.filter(rank=1).all)
    item.rank = 9
    api(item.save)
    assert api(Item.query.count, rank=1) == 0
    assert api(Item.query.count, rank__gt=8) == 1
    for item in api(Item.query.all):
        api(item.delete)
    assert redis_client.keys("*") == []


def test_an_auto_mixin_keeps_no_index(api: Api, redis_client: redis.Redis) -> None:
    class Ticket(Model):
        number = TicketField(auto_uuid_length=6)

    ticket = api(Ticket.create)
    assert len(ticket.number) == 6
    assert Ticket._meta.auto_field_names == {"number"}
    assert redis_client.keys("*number*") == []
    assert api(Ticket.query.get, number=ticket.number) == ticket


def test_defaults_accumulate() -> None:
    defaults = RankedTagField(type=int).field_defaults
    assert (defaults["indexed"], defaults["sorted"], defaults["partition_by"]) == (True, True, ())
    assert defaults["max_length"] is None


def test_one_field_object_on_two_models_serves_both(api: Api) -> None:
    shared = IndexedField()

    class First(Model):
        name = KeyField()
        one = shared

    class Second(Model):
        name = KeyField()
        two = shared

    assert (First.one.name, Second.two.name) == ("one", "two")
    assert First.one is shared
    api(First.create, name="a", one="x")
    api(Second.create, name="b", two="x")
    assert [each.name for each in api(First.query.filter(one="x").all)] == ["a"]
    assert [each.name for each in api(Second.query.filter(two="x").all)] == ["b"]


def test_a_subclass_of_a_shipped_field_has_keys_of_its_own(
    api: Api, redis_client: redis.Redis
) -> None:
    class PriceField(SortedField):
        pass

    class CountField(IntField):
        def format_value_pre_save(self, field_value: Any, **kwargs: Any) -> Any:
            return (field_value or 0) + 1

    class Offer(Model):
        name = KeyField()
        price = PriceField(type=float)
        saves = CountField()

    offer = api(Offer.create, name="a", price=2.5)
    assert redis_client.zscore("$PricF:Offer:price", "Offer:a") == 2.5
    api(offer.save)
    assert offer.saves == 2
    assert api(Offer.query.get, name="a").saves == 2
