"""A new record has nothing of what an earlier one under its key has left, however that went."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from popoto import ConfidenceField, CyclicDecayField, KeyField, Model, RecallProposal
from tests.driver import Api
from tests.truth.remembered import Memory, Remembered, differences
from tests.truth.remembering import Fact, fill


def expires(client: redis.Redis) -> None:
    fact: Any = Fact.query.get(name="one")
    fact._ttl = 1000
    fact.save()
    for key in (fact.pk, *Fact._meta.companion_keys(fact.pk)):
        client.pexpireat(key, 1)


def is_deleted_by_hand(client: redis.Redis) -> None:
    client.delete("Fact:one")


GOES = pytest.mark.parametrize("goes", [expires, is_deleted_by_hand])


def forget_others(client: redis.Redis) -> None:
    for fact in Fact.query.all():
        if fact.name != "one":
            fact.delete()


@GOES
def test_a_record_that_is_created_begins_anew(
    redis_client: redis.Redis, api: Api, goes: Callable[[redis.Redis], None]
) -> None:
    fill()
    goes(redis_client)
    api(Fact.create, name="one", agent="b", weight=0.5)
    forget_others(redis_client)
    assert differences(redis_client, Memory({"Fact:one": Remembered("b", 0.5)})) == {}
    assert Fact.check_indexes()["total"] == 0


@GOES
def test_a_record_that_moves_there_brings_its_own(
    redis_client: redis.Redis, api: Api, goes: Callable[[redis.Redis], None]
) -> None:
    fill()
    goes(redis_client)
    mover = Fact.create(name="mover", agent="b", weight=0.5)
    ConfidenceField.update_confidence(mover, "worth", 0.9)
    mover.on_read()
    RecallProposal.create_batch([mover], partition="x")
    mover.name = "one"
    api(mover.save, migrate_key=True)
    forget_others(redis_client)
    wanted = Remembered("b", 0.5, staged=1, pending=frozenset({"x"})).learned("worth", 0.9)
    assert differences(redis_client, Memory({"Fact:one": wanted})) == {}
    assert Fact.check_indexes()["total"] == 0


def test_nobody_proposes_a_record_that_is_gone(redis_client: redis.Redis, api: Api) -> None:
    gone, stays = Fact.create(name="gone"), Fact.create(name="stays")
    Fact.query.get(name="gone").delete()
    api(RecallProposal.create_batch, [gone, stays, Fact(name="new")], partition="x")
    assert [key for key, _ in RecallProposal.get_pending(Fact, "x")] == ["Fact:stays"]
    assert Fact.check_indexes()["total"] == 0


def test_in_a_pipeline_it_is_an_error_of_its_own_command(redis_client: redis.Redis) -> None:
    gone, stays = Fact.create(name="gone"), Fact.create(name="stays")
    redis_client.delete(gone.pk)
    pipeline = redis_client.pipeline(transaction=False)
    RecallProposal.create_batch([gone, stays], pipeline=pipeline)
    first, second = pipeline.execute(raise_on_error=False)
    assert isinstance(first, redis.ResponseError)
    assert not isinstance(second, redis.ResponseError)
    assert [key for key, _ in RecallProposal.get_pending(Fact)] == ["Fact:stays"]


class Season(Model):
    name = KeyField()
    comes = CyclicDecayField(cycles=[(86400, 1.0)], pressure_rate=0.5)


def test_nothing_is_said_of_companions_that_are_found(
    redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """The hashes of cycles and pressure are no index of a partition of that name."""
    season = Season.create(name="spring")
    season.strengthen_cycle("comes", 5)
    redis_client.delete(season.pk)
    again = Season.create(name="spring")
    assert again.strengthen_cycle("comes", 1) == [[86400, 1.0, 0]]
    assert caplog.text == ""
