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


@pytest.mark.parametrize("later", [with_more_fields, with_fewer_fields])
def test_what_expired_before_a_field_came_or_went_disturbs_no_query(
    api: Api, redis_client: redis.Redis, later: Any
) -> None:
    """What is noted of such a record cannot be read any more: its key tells what it can."""
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
