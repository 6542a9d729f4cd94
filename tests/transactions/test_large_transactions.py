"""A transaction that is larger than what bulk operations send at once: one step all the same."""

from __future__ import annotations

import redis

import popoto
from popoto import KeyField, ListField, Model
from tests.driver import Api


class Roll(Model):
    name = KeyField()
    entries = ListField(max_length=5000)


def test_it_is_one_call(api: Api, redis_client: redis.Redis) -> None:
    Roll.create(name="known script")
    transaction = popoto.transaction()
    for number in range(42):
        transaction.save(Roll(name=str(number), entries=[1] * 5000))
    before = redis_client.info("commandstats")["cmdstat_evalsha"]["calls"]
    results = api(transaction.commit)
    after = redis_client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert after - before == 1
    assert results == [1] * 42
    assert Roll.query.count() == 43
