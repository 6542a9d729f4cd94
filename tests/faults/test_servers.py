"""Embedded servers that are killed, paused and started again."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from popoto import embedded
from popoto.testing.faults import FaultProxy, kill_server, paused_server, restart_server
from popoto.testing.faults.servers import process_of


@pytest.mark.slow
def test_a_restarted_server_has_what_it_acknowledged(tmp_path: Path) -> None:
    with embedded.start(tmp_path) as server:
        before = process_of(server)
        with redis.Redis.from_url(server.url) as client:
            client.set("a", 1)
        restart_server(server)
        assert process_of(server) != before
        with redis.Redis.from_url(server.url) as client:
            assert client.get("a") == b"1"


@pytest.mark.slow
def test_a_killed_server_in_memory_comes_back_empty() -> None:
    with embedded.start() as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("a", 1)
        kill_server(server)
        with (
            redis.Redis.from_url(server.url) as client,
            pytest.raises(redis.ConnectionError),
        ):
            client.ping()
        server.ensure_running()
        with redis.Redis.from_url(server.url) as client:
            assert client.get("a") is None


@pytest.mark.slow
def test_a_paused_server_says_nothing_and_goes_on_afterwards() -> None:
    with embedded.start() as server, FaultProxy(server) as proxy:
        once = Retry(NoBackoff(), 0)
        client = redis.Redis(port=proxy.port, socket_timeout=0.2, retry=once)
        client.ping()
        with paused_server(server), pytest.raises(redis.TimeoutError):
            client.set("a", 1)
        with redis.Redis.from_url(server.url) as other:
            assert other.get("a") == b"1"
        client.close()
