"""Writes of memory fields and mixins that are no saves: what is told where something goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

import popoto
from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    KeyField,
    Model,
    RecallProposal,
    StringField,
)
from popoto.exceptions import NotReplicatedError, OutcomeUnknownError
from tests.connection.relay import Relay
from tests.driver import Api


class Hint(AccessTrackerMixin, Model):
    name = KeyField()
    agent = StringField(default="x")
    certainty = ConfidenceField(partition_by="agent")


Write = Callable[[Api, Hint], Any]
#: Each with what its writing request has in it.
WRITES: dict[str, tuple[bytes, Write]] = {
    "create_batch": (b"ZADD", lambda api, hint: api(RecallProposal.create_batch, [hint])),
    "resolve": (b"ZREM", lambda api, hint: api(RecallProposal.resolve, hint, "acted")),
    "expire_stale": (
        b"ZREMRANGEBYSCORE",
        lambda api, hint: api(RecallProposal.expire_stale, Hint, ttl=-1),
    ),
    "discard_staged_access": (b"DEL", lambda api, hint: api(hint.discard_staged_access)),
    "migrate_to_partitioned": (
        b"EVALSHA",
        lambda api, hint: api(ConfidenceField.migrate_to_partitioned, Hint, "certainty"),
    ),
}
each_write = pytest.mark.parametrize(("marker", "write"), WRITES.values(), ids=WRITES)


@pytest.fixture
def hint(redis_client: redis.Redis) -> Hint:
    hint = Hint.create(name="a")
    RecallProposal.create_batch([hint])
    hint.on_read()
    old = b"\x84\xaaconfidence\xcb?\xe0\x00\x00\x00\x00\x00\x00\xaeevidence_count\x01"
    old += b"\xaecorroborations\x01\xaecontradictions\x00"
    redis_client.hset("$ConfidencF:Hint:certainty:data", "Hint:a", old)
    return hint


def test_the_default_partition_is_not_listed(api: Api, redis_client: redis.Redis) -> None:
    """It is looked through in any case."""
    hint = Hint.create(name="a")
    api(RecallProposal.create_batch, [hint], partition="default")
    assert redis_client.keys("$RP:Hint:partitions") == []
    assert [key for key, _ in api(RecallProposal.get_pending, Hint)] == [hint.pk]


@each_write
def test_none_is_sent_again_once_its_reply_was_lost(
    api: Api, hint: Hint, relay: Relay, marker: bytes, write: Write
) -> None:
    api(Hint.query.all)
    before = relay.sent(marker)
    relay.lose(marker)
    with pytest.raises(OutcomeUnknownError):
        write(api, hint)
    assert relay.sent(marker) == before + 1


@each_write
def test_all_wait_for_replicas_where_that_is_asked_for(
    api: Api, hint: Hint, marker: bytes, write: Write
) -> None:
    with popoto.wait_for_replicas(1, timeout=0.01), pytest.raises(NotReplicatedError):
        write(api, hint)
