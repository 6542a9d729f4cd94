"""The scripts are known to the server, so that tests count the sends of operations alone."""

from __future__ import annotations

import pytest
import redis

from popoto.engine.scripts import COMMIT, QUERY


@pytest.fixture(autouse=True)
def _known_scripts(redis_client: redis.Redis, _fresh_server: None) -> None:
    for script in (COMMIT, QUERY):
        redis_client.script_load(script.text)
