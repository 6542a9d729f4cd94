"""What tests use beside the public interface: a private server, both ways of calling, counters."""

from __future__ import annotations

import asyncio
import contextvars
import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MethodType
from typing import ParamSpec, Protocol, TypeVar, cast

import pytest
import redis

from popoto import embedded, redis_db
from popoto._connection.asynchronous import AsyncClusterConnection
from popoto._connection.sync import ClusterConnection
from tests.cluster_client import ClusterClient
from tests.cluster_nodes import cluster, cluster_url, ports_of

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


# ── The server ───────────────────────────────────────────────────────────────


class Server(Protocol):
    """A server that belongs to this test process alone."""

    @property
    def url(self) -> str: ...

    def close(self) -> None: ...


class RedisServer:
    """The machine's own redis-server, on a Unix socket in a directory that goes away with it."""

    def __init__(self, binary: str) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="popoto-test-"))
        self._socket = self._directory / "server.sock"
        log = self._directory / "server.log"
        self._process = subprocess.Popen(
            [
                *(binary, "--port", "0", "--unixsocket", str(self._socket)),
                *("--dir", str(self._directory), "--save", "", "--appendonly", "no"),
                *("--logfile", str(log)),
            ],
            stdin=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                story = log.read_text(errors="replace") if log.exists() else "no log was written"
                self.close()
                raise RuntimeError(f"{binary} did not start:\n{story}")
            time.sleep(0.005)

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _answers(self) -> bool:
        with redis.Redis(unix_socket_path=str(self._socket)) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False


def _three_primaries() -> AbstractContextManager[list[int]]:
    # A busy machine lets a node wait for seconds: no reason to put its replica in its place.
    return cluster(3, replicas=3, node_timeout=60_000)


class ClusterServer:
    """Three primaries, each with a replica, of the embedded Valkey."""

    def __init__(self) -> None:
        self._running = ExitStack()
        self.url = cluster_url(self._running.enter_context(_three_primaries()))

    def close(self) -> None:
        self._running.close()


def engine() -> str:
    """What POPOTO_TEST_ENGINE names: `embedded` (Valkey, the default), `redis` or `cluster`."""
    named = os.environ.get("POPOTO_TEST_ENGINE", "embedded")
    if named not in ("embedded", "redis", "cluster"):
        raise ValueError(f"POPOTO_TEST_ENGINE={named!r}: 'embedded', 'redis' or 'cluster'")
    return named


def start_server() -> Server:
    """A server, or a cluster, of the engine that the tests are to run on."""
    if engine() == "redis":
        return RedisServer(os.environ.get("POPOTO_TEST_REDIS_SERVER", "redis-server"))
    return ClusterServer() if engine() == "cluster" else embedded.start()


def client_in_use() -> redis.Redis:
    """A client of the server that popoto uses now, which knows keys by their logical names."""
    connection = redis_db.connection()
    if isinstance(connection, ClusterConnection):
        return ClusterClient([port for _, port in connection.topology.seeds])
    return redis_db.get_REDIS_DB()


def client_of(url: str) -> redis.Redis:
    """redis-py's client, which knows keys by their logical names."""
    if engine() == "cluster":
        return ClusterClient(ports_of(url))
    return redis.Redis.from_url(url)


# ── Both ways of calling ─────────────────────────────────────────────────────


class Api:
    """Calls a method or its asyncio twin, so that one test states what both do.

    `api(record.save, update_fields=["name"])` calls `record.save(...)`, or runs
    `record.async_save(...)` in the one event loop of the test.
    """

    def __init__(self, *, is_async: bool) -> None:
        self.is_async = is_async
        self._runner = asyncio.Runner()

    def __call__(
        self,
        method: Callable[Parameters, Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        if not self.is_async:
            return method(*args, **kwargs)
        bound = cast("MethodType", method)
        twin = cast(
            "Callable[Parameters, Awaitable[Result]]",
            getattr(bound.__self__, f"async_{bound.__name__}"),
        )

        async def await_twin() -> Result:
            return await twin(*args, **kwargs)

        return self.run(await_twin())

    def run(self, coroutine: Coroutine[object, object, Result]) -> Result:
        """Runs a coroutine in the event loop of the test, also in the sync half."""
        # In the caller's context, as if the test itself ran there.
        return self._runner.run(coroutine, context=contextvars.copy_context())

    def close(self) -> None:
        self._runner.close()


# ── Counters ─────────────────────────────────────────────────────────────────

# Sent when a connection is opened, or by replicas, which is no part of an operation; INFO is the
# counter's own.
NOT_COUNTED = ("auth", "client|setinfo", "cluster|slots", "hello", "info", "replconf", "select")


@dataclass
class RoundTrips:
    """What happened inside the `with` block; complete once it has been left."""

    sends: int = 0
    """How often a client sent something and waited for the answer."""

    commands: Counter[str] = field(default_factory=Counter)
    """Commands that the server carried out, also inside scripts, by lower-case name."""


@contextmanager
def count_round_trips(raw: redis.Redis) -> Iterator[RoundTrips]:
    seen = RoundTrips()
    before = _commands_carried_out(raw)
    with pytest.MonkeyPatch.context() as patch:
        for kind in (
            *(redis_db.SyncConnection, redis_db.AsyncConnection),
            *(ClusterConnection, AsyncClusterConnection),
        ):
            for name in ("call", "call_many"):
                patch.setattr(kind, name, _counting(getattr(kind, name), seen))
        yield seen
    seen.commands = _commands_carried_out(raw) - before
    for name in NOT_COUNTED:
        del seen.commands[name]


def _counting(send: Callable[..., object], seen: RoundTrips) -> Callable[..., object]:
    def counted(*args: object, **kwargs: object) -> object:
        seen.sends += 1
        return send(*args, **kwargs)

    return counted


def _commands_carried_out(raw: redis.Redis) -> Counter[str]:
    statistics = cast("dict[str, dict[str, int]]", raw.info("commandstats"))
    return Counter(
        {name.removeprefix("cmdstat_"): entry["calls"] for name, entry in statistics.items()}
    )


def expires_fields(client: redis.Redis) -> bool:
    try:
        client.execute_command("HPTTL", "nothing", "FIELDS", 1, "nothing")
    except redis.ResponseError:
        return False
    return True


def at_the(number: int, work: Callable[[], object]) -> Callable[[], object]:
    """Does the work the `number`th time that it is called."""
    calls = 0

    def counted() -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            work()

    return counted
