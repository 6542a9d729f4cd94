"""Sets that are read page by page."""

from __future__ import annotations

import pytest
import redis

from popoto.engine.looking_up import members_of
from popoto.engine.run import run


@pytest.mark.single_server("its names belong to no model and so to no shard")
def test_all_members_are_told_once(redis_client: redis.Redis) -> None:
    wanted = {f"member {number}" for number in range(5_000)}
    redis_client.sadd("$Class:Many", *wanted)
    found = run(members_of("$Class:Many", "Many"))
    assert len(found) == 5_000
    assert set(found) == wanted
    assert run(members_of("$Class:None", "None")) == []
