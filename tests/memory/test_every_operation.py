"""Every operation of memory fields: at once, in a pipeline, in a transaction, sync and async."""

from __future__ import annotations

import pytest
import redis

from popoto import transaction
from popoto.redis_db import POPOTO_REDIS_DB
from tests.driver import Api

from .every_operation import (
    READS,
    WRITES,
    Memory,
    in_transactions,
    operations_with_twins,
    remembered,
    replies,
    wanted,
)


def test_none_is_left_out() -> None:
    told = {(owner, name) for owner, name, _, _ in (*WRITES, *READS)}
    assert told == operations_with_twins()


def test_each_does_what_it_says(api: Api) -> None:
    memory = remembered(api)
    assert list(replies(api, memory, WRITES)) == wanted(WRITES)
    assert list(replies(api, memory, READS)) == wanted(READS)


@pytest.mark.parametrize("whole", [True, False])
def test_each_waits_in_a_pipeline(api: Api, whole: bool, redis_client: redis.Redis) -> None:
    memory = remembered(api)
    before = {key: redis_client.dump(key) for key in redis_client.keys("*")}
    with POPOTO_REDIS_DB.pipeline(transaction=whole) as pipeline:
        list(replies(api, memory, WRITES, pipeline=pipeline))
        assert {key: redis_client.dump(key) for key in redis_client.keys("*")} == before
        pipeline.execute()
    assert list(replies(api, memory, READS)) == wanted(READS)


def test_each_takes_part_in_a_transaction(api: Api, redis_client: redis.Redis) -> None:
    memory = remembered(api)
    before = {key: redis_client.dump(key) for key in redis_client.keys("*")}
    dropped = transaction()
    list(replies(api, memory, WRITES[2:], pipeline=dropped))
    dropped.discard()
    assert {key: redis_client.dump(key) for key in redis_client.keys("*")} == before
    for steps in in_transactions(WRITES):
        together = transaction()
        list(replies(api, memory, steps, pipeline=together))
        api(together.commit)
    assert list(replies(api, memory, READS)) == wanted(READS)
    assert Memory.check_indexes()["total"] == 0
