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
    redis_db,
)
from popoto.exceptions import NotReplicatedError, OutcomeUnknownError
from popoto.testing.faults import FaultProxy
from tests.driver import Api
from tests.interference import before_each_commit


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
        b"SETTLE",
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
    api: Api, hint: Hint, proxy: FaultProxy, marker: bytes, write: Write
) -> None:
    api(Hint.query.all)
    before = proxy.sent(marker)
    proxy.lose_reply(marker)
    with pytest.raises(OutcomeUnknownError):
        write(api, hint)
    assert proxy.sent(marker) == before + 1


@pytest.mark.single_server("here it waits in vain, and a cluster has replicas")
@each_write
def test_all_wait_for_replicas_where_that_is_asked_for(
    api: Api, hint: Hint, marker: bytes, write: Write
) -> None:
    with popoto.wait_for_replicas(1, timeout=0.01), pytest.raises(NotReplicatedError):
        write(api, hint)


def test_evidence_does_not_move_once_its_caller_was_told_that_nobody_knows(
    api: Api, redis_client: redis.Redis, hint: Hint, proxy: FaultProxy
) -> None:
    """The request is held back, and arrives late."""
    api(ConfidenceField.migrate_to_partitioned, Hint, "certainty", dry_run=True)
    redis_db.set_REDIS_DB_settings(host="127.0.0.1", port=proxy.port, socket_timeout=0.3)
    held = proxy.hold(b"EVALSHA")
    with pytest.raises(OutcomeUnknownError):
        api(ConfidenceField.migrate_to_partitioned, Hint, "certainty")
    held.deliver()
    assert redis_client.hkeys("$ConfidencF:Hint:certainty:data") == [b"Hint:a"]
    assert api(ConfidenceField.migrate_to_partitioned, Hint, "certainty")["migrated"] == 1


def test_evidence_of_a_record_that_changes_meanwhile_stays(
    api: Api, redis_client: redis.Redis, hint: Hint
) -> None:
    """The others move all the same."""
    other = Hint.create(name="b")
    old = redis_client.hget("$ConfidencF:Hint:certainty:data", hint.pk)
    assert old is not None
    redis_client.hset("$ConfidencF:Hint:certainty:data", other.pk, old)

    def change() -> None:
        redis_client.hset("Hint:a", "agent", b"\xa1y")

    with pytest.MonkeyPatch.context() as patch:
        before_each_commit(patch, change)
        report = api(ConfidenceField.migrate_to_partitioned, Hint, "certainty")
    assert report["migrated"] == 1
    assert report["errors"] == [
        {"member_key": "Hint:a", "error": "the record has changed meanwhile: run it again"}
    ]
    assert redis_client.hkeys("$ConfidencF:Hint:certainty:data") == [b"Hint:a"]
