"""Fixtures of the whole suite. Every test runs on a private server and begins with it empty."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager

# popoto reads this when it is imported; no test may reach the server that a user's URL names.
os.environ.pop("REDIS_URL", None)

import hypothesis
import pytest
import redis

from popoto import redis_db
from popoto.embeddings.default import set_default_provider
from popoto.testing.faults import FaultProxy
from tests.cluster_nodes import cluster, cluster_url, node
from tests.driver import (
    Api,
    RoundTrips,
    client_of,
    count_round_trips,
    engine,
    start_server,
)
from tests.order import slowest_files_first

pytest_plugins = ["tests.selection", "tests.tracing"]

# How long one example takes says how busy the machine is. A test that hangs is ended by pytest.
# A property that has been tried on the embedded server needs fewer examples on another engine.
hypothesis.settings.register_profile(
    "busy",
    deadline=None,
    max_examples=100 if engine() == "embedded" else 30,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("busy")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # one process of several
        slowest_files_first(items)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    # What is collected lives to the end: to look at it for garbage meanwhile is in vain.
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    # No garbage collection has to look at it later either.
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """One server for each test process (pytest-xdist worker), `unix:///path`."""
    server = start_server()
    yield server.url
    server.close()


@pytest.fixture(scope="session")
def _raw_client(server_url: str) -> Iterator[redis.Redis]:
    with client_of(server_url) as client:
        yield client


@pytest.fixture(autouse=True)
def _fresh_server(server_url: str, _raw_client: redis.Redis) -> None:
    """Popoto talks to the private server, which is empty, whatever the last test did or set."""
    set_default_provider(None)
    _raw_client.flushall()
    redis_db.set_REDIS_DB_settings(url=server_url)
    redis_db._POPOTO_ASYNC_REDIS_DB = None


@pytest.fixture
def redis_client(_raw_client: redis.Redis) -> redis.Redis:
    """A plain client on the same server, answering in bytes: the stored state as it is."""
    return _raw_client


@pytest.fixture(params=["sync", "async"])
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    """Both ways of calling: `api(Model.create, name="x")`."""
    both = Api(is_async=request.param == "async")
    yield both
    both.close()


@pytest.fixture
def round_trips(_raw_client: redis.Redis) -> Callable[[], AbstractContextManager[RoundTrips]]:
    """`with round_trips() as seen: ...`, then `seen.sends` and `seen.commands`."""
    return lambda: count_round_trips(_raw_client)


@pytest.fixture(scope="session")
def ports() -> Iterator[list[int]]:
    """The ports of a cluster of three nodes, one for each test process that asks for it.

    A test may move slots. One that stops or adds nodes starts a cluster of its own.
    """
    with cluster(3) as ports:
        yield ports


@pytest.fixture
def on_the_cluster(ports: list[int], _fresh_server: None) -> None:
    """Popoto talks to the cluster, which is empty and has not been taught any script."""
    for port in ports:
        with node(port) as client:
            client.flushall()
            client.script_flush()
    redis_db.set_REDIS_DB_settings(url=cluster_url(ports))


@pytest.fixture
def proxy(server_url: str) -> Iterator[FaultProxy]:
    """Popoto reaches the private server through a proxy, which can lose, hold and cut."""
    with FaultProxy(server_url) as proxy:
        redis_db.set_REDIS_DB_settings(host="127.0.0.1", port=proxy.port)
        yield proxy
        redis_db.set_REDIS_DB_settings()
