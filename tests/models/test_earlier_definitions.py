"""Records that a model's earlier definition stored, and that expired meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from popoto import IndexedField, KeyField, Model, SortedField
from tests.driver import Api


def earlier() -> type[Model]:
    class Ticket(Model):
        code = KeyField()
        gate = IndexedField()

    return Ticket


def with_more_fields() -> type[Model]:
    class Ticket(Model):
        code = KeyField()
        gate = IndexedField()
        price = SortedField(type=float, default=0.0)

    return Ticket


def with_fewer_fields() -> type[Model]:
    class Ticket(Model):
        code = KeyField()

    return Ticket


def with_another_field() -> type[Model]:
    class Ticket(Model):
        code = KeyField()
        seat = IndexedField()

    return Ticket


def in_another_order() -> type[Model]:
    class Ticket(Model):
        gate = IndexedField()
        code = KeyField()

    return Ticket


@pytest.mark.parametrize(
    "later", [with_more_fields, with_fewer_fields, with_another_field, in_another_order]
)
def test_what_expired_before_a_field_came_or_went_disturbs_no_query(
    api: Api, redis_client: redis.Redis, later: Any
) -> None:
    """What is noted of such a record, and what its key tells, is read as far as it is known."""
    api(earlier().create, code="old", gate="A", _ttl=0)
    ticket = later()
    api(ticket.create, code="new")
    assert [each.code for each in api(ticket.query.all)] == ["new"]
    assert api(ticket.query.count) == 1
    assert redis_client.smembers("$Class:Ticket") == {b"Ticket:new"}
    assert not redis_client.exists("$KeyF:Ticket:code:old")
    assert not redis_client.exists("$Expiry:Ticket", "$Expiry:Ticket:values")


def test_a_new_record_takes_the_key_of_one_of_an_earlier_definition(api: Api) -> None:
    api(earlier().create, code="a", gate="A", _ttl=0)
    ticket = with_more_fields()
    api(ticket.create, code="a", gate="B", price=2.5)
    assert [each.gate for each in api(ticket.query.filter(price__gte=1).all)] == ["B"]
    assert api(ticket.query.count, gate="B") == 1


@pytest.mark.parametrize("later", [with_more_fields, in_another_order])
def test_what_is_noted_of_a_field_that_stayed_takes_its_entry_away(
    api: Api, redis_client: redis.Redis, later: Any
) -> None:
    api(earlier().create, code="old", gate="A", _ttl=0)
    api(later().query.all)
    assert redis_client.keys("*Ticket*") == []


@pytest.mark.parametrize("writer", [earlier, in_another_order])
def test_a_value_of_another_field_is_not_taken_for_that_of_one(
    api: Api, redis_client: redis.Redis, writer: Any
) -> None:
    """Another definition has as many fields. What is noted for the one is none of the other's."""
    api(writer().create, code="old", gate="A", _ttl=0)
    other = with_another_field()
    redis_client.sadd("$IndexF:Ticket:seat:A", "Ticket:old")
    redis_client.hset("$Values:Ticket", "seat", 1)
    api(other.query.all)
    assert redis_client.smembers("$IndexF:Ticket:seat:A") == {b"Ticket:old"}
    assert api(other.query.filter(seat="A").all) == []


@pytest.mark.parametrize("note", [b"", b"\xc1", b"\x92\xa1a\xa1b", b"\x81\xa4code\x01", b"\x01"])
def test_a_note_that_says_nothing_leaves_what_the_key_tells(
    api: Api, redis_client: redis.Redis, note: bytes
) -> None:
    ticket = earlier()
    api(ticket.create, code="old", gate="A", _ttl=0)
    redis_client.hset("$Expiry:Ticket:values", "Ticket:old", note)
    assert api(ticket.query.all) == []
    assert not redis_client.exists("$KeyF:Ticket:code:old")
    untold = {} if note else {b"Ticket:old": b"\x80"}
    assert redis_client.hgetall("$Expiry:Ticket:values") == untold
