"""The pytest plugin (`-p no:popoto` disables it): tests use a database that is theirs alone.

From the start of a session the process leads to a test database of the server that it is
configured for: number 15, or the ini option `popoto_test_db`, or the environment variable
POPOTO_TEST_DB. That opens no connection. Where tests define models or send a command, the
database is emptied before each test and after the last one.

It is emptied through a connection of the plugin's own, and only after it was found empty
once, or with the mark of an earlier session that did not end properly (a file in the cache
directory of pytest). Database 0 and the one of REDIS_URL are never used. The workers of
pytest-xdist count downwards, each has a database of its own.

A test, or a fixture, that configures another server keeps it as long as it lasts; then the
process is led back to where it was. The fixture `popoto_server` gives a test a private embedded
server.
"""

# redis-py leaves many of its methods without types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import threading
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from popoto import redis_db
from popoto._connection.asynchronous_clients import AsyncClient, make_async_client
from popoto._connection.clients import Client, make_client
from popoto._connection.pools import Pool
from popoto._connection.settings import Options, Settings, from_url, with_database
from popoto.embedded import EmbeddedServer
from popoto.embedded import start as start_embedded
from popoto.exceptions import NothingWrittenError, PopotoException
from popoto.models.record import known_models
from popoto.testing import DEFAULT_TEST_DATABASE
from popoto.testing.places import Place

logger = logging.getLogger("POPOTO-PYTEST")

OPTION = "popoto_test_db"
VARIABLE = "POPOTO_TEST_DB"


class TestDatabaseError(PopotoException):
    """The tests have no database that may be emptied. Nothing was written to one."""

    __test__ = False


def pytest_addoption(parser: pytest.Parser) -> None:
    """Announce the ini option."""
    parser.addini(
        OPTION,
        f"the database that popoto's tests use and empty, never 0 (environment: {VARIABLE})",
        default=str(DEFAULT_TEST_DATABASE),
    )


def database_number(config: pytest.Config) -> int:
    """The configured number. Raises ValueError for what is no number, or 0."""
    text = os.environ.get(VARIABLE, "").strip() or str(config.getini(OPTION)).strip()
    try:
        number = int(text)
    except ValueError as error:
        raise ValueError(f"popoto_test_db must be an integer, got {text!r}") from error
    if number == 0:
        raise ValueError(
            "popoto_test_db=0 is not allowed: tests empty their database, and number 0 is where "
            "real data usually is"
        )
    if number < 0:
        raise ValueError(f"popoto_test_db must be an integer from 1, got {number}")
    return number


def _is_chosen(config: pytest.Config) -> bool:
    """Whether somebody has named the database, as opposed to the default."""
    named = os.environ.get(VARIABLE, "").strip()
    return bool(named) or str(config.getini(OPTION)).strip() != str(DEFAULT_TEST_DATABASE)


def choose_database(config: pytest.Config, in_use: int, worker: int) -> int:
    """The database of one worker (0 = the only one), never the one that is `in_use`.

    Raises ValueError as `database_number`, and when the named one is in use.
    """
    wanted = database_number(config)
    if wanted == in_use and _is_chosen(config):
        raise ValueError(
            f"popoto_test_db={wanted} is the database that the connection URL names, and tests "
            "would empty it: choose another one"
        )
    candidates = [number for number in range(wanted, 0, -1) if number != in_use]
    if worker < len(candidates):
        return candidates[worker]
    return max(wanted, in_use) + 1 + worker - len(candidates)


class _TestDatabase:
    """The database of this session's tests: claimed at the first use, then emptied for each."""

    def __init__(self, original: Settings, number: int, mark: Path | None) -> None:
        self.original = original
        self.number = number
        self.problem: Exception | None = None
        self.is_claimed = False
        self.is_empty = False
        #: whether a test was stopped by the problem
        self.is_needed = False
        self._lock = threading.RLock()
        try:
            self.settings = with_database(original, number)
        except ValueError:
            self.settings = from_url(f"redis://127.0.0.1:6379/{number}")
            self.problem = TestDatabaseError(
                f"{original.url} is a cluster, which has only database 0, and tests never empty "
                "that. Use the fixture popoto_server, or REDIS_URL=embedded://"
            )
        self.client = make_client(self.settings)
        self.mark = None if mark is None else mark / _mark_name(self.settings)
        self.pool: redis.ConnectionPool | None = None

    def install(self) -> None:
        """Lead the process to the test database. Opens no connection."""
        client = make_client(self.settings)
        pool = client.connection_pool
        if isinstance(pool, Pool):
            pool.locate = self._before_connecting(pool.locate)
        self.pool = pool
        _global_client().become(client)

    @property
    def is_installed(self) -> bool:
        """Whether nobody has led the process elsewhere meanwhile."""
        return _global_client().connection_pool is self.pool

    def _before_connecting(self, locate: Callable[[], Options] | None) -> Callable[[], Options]:
        def prepared() -> Options:
            with self._lock:
                if not self.is_empty:
                    self.is_needed = True
                    self.empty()
            return {} if locate is None else locate()

        return prepared

    def empty(self) -> None:
        """Empty the database. Raises TestDatabaseError, and NothingWrittenError without server."""
        if self.problem is not None:
            raise self.problem
        try:
            if not self.is_claimed:
                self._claim()
            self.client.flushdb()
        except (NothingWrittenError, TestDatabaseError) as error:
            self.problem = error
            raise
        self.is_empty = True

    def _claim(self) -> None:
        if self.client.dbsize() and not (self.mark is not None and self.mark.exists()):
            raise TestDatabaseError(
                f"{self.settings.url} is not empty, and not known as a test database, so tests do "
                f"not touch it. If nothing in it is needed, empty it once (redis-cli -n "
                f"{self.number} FLUSHDB); or choose another one with the ini option {OPTION} or "
                f"the environment variable {VARIABLE}; or set REDIS_URL=embedded://"
            )
        if self.mark is not None:
            self.mark.write_text(f"{self.settings.url}\n")
        self.is_claimed = True
        logger.info("The tests use %s", self.settings.url)

    def finish(self) -> None:
        """Give the database back, empty. Raises whatever stands in the way."""
        if self.is_claimed:
            self.client.flushdb()
            if self.mark is not None:
                self.mark.unlink(missing_ok=True)
        self.client.close()


_DATABASE = pytest.StashKey[_TestDatabase]()

_AT_REST = pytest.StashKey[Place]()
# Where the process leads between the tests, as far as fixtures that outlive a test have decided.

_BEFORE = pytest.StashKey[dict[pytest.FixtureDef[Any], Place]]()
# Where it led before fixtures changed that, which are still there.


def _mark_name(settings: Settings) -> str:
    return hashlib.sha256(settings.url.encode()).hexdigest()[:16]


def _global_client() -> Client:
    return redis_db._client


def _swap_db(db: int, **options: Any) -> None:  # pyright: ignore[reportUnusedFunction]  # a name of popoto 1.6
    """Lead the process to another database; `options` change further connection settings."""
    settings = _global_client().current_settings()
    changed = replace(settings, options={**settings.options, **options})
    _global_client().become(make_client(with_database(changed, db)))


def _worker(config: pytest.Config) -> int:
    """The number of the pytest-xdist worker, 0 without one."""
    text = str(getattr(config, "workerinput", {}).get("workerid", "gw0"))
    return int(text.removeprefix("gw")) if text.removeprefix("gw").isdigit() else 0


def _models_are_defined() -> bool:
    """Whether somebody other than popoto itself has defined models."""
    return any(not model.__module__.startswith("popoto.") for model in known_models.all_models())


@pytest.fixture(scope="session", autouse=True)
def _popoto_test_db(request: pytest.FixtureRequest) -> Iterator[int]:
    """The number of the tests' database. The process leads there until the session ends."""
    config = request.config
    original = _global_client().current_settings()
    number = choose_database(config, int(original.options.get("db") or 0), _worker(config))
    cache = getattr(config, "cache", None)
    database = _TestDatabase(original, number, None if cache is None else cache.mkdir("popoto"))
    config.stash[_DATABASE] = database
    database.install()
    yield number
    try:
        database.finish()
    except Exception as error:  # noqa: BLE001  # whatever it is, the tests have passed or failed by now
        _warn(config, f"{database.settings.url} was not emptied after the last test: {error!r}")


def _warn(config: pytest.Config, text: str) -> None:
    """Tell at the end of the session; where warnings are errors too, since no test is to blame."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        warnings.warn(pytest.PytestWarning(text), stacklevel=2)
    details = {"warning_message": told[0], "when": "runtest", "nodeid": "", "location": None}
    config.hook.pytest_warning_recorded.call_historic(kwargs=details)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Note where the process led before a fixture that leads it elsewhere."""
    before = Place.current()
    try:
        return (yield)
    finally:
        if not before.is_current():
            request.config.stash.setdefault(_BEFORE, {})[fixturedef] = before
            if fixturedef.scope != "function":
                request.config.stash[_AT_REST] = Place.current()


def pytest_fixture_post_finalizer(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> None:
    """Lead the process back to where it led before the fixture."""
    before = request.config.stash.setdefault(_BEFORE, {}).pop(fixturedef, None)
    if before is not None:
        before.lead_back()


@pytest.fixture(autouse=True)
def _popoto_flush_db(request: pytest.FixtureRequest, _popoto_test_db: int) -> Iterator[None]:
    """Each test begins with its database empty, and after it the process is led back.

    The database of a session without models is emptied at the first command, if there is one.
    """
    stash = request.config.stash
    database = stash[_DATABASE]
    stash[_AT_REST] = Place.current()
    is_due = database.is_installed and "popoto_server" not in request.fixturenames
    if is_due and (database.is_claimed or _models_are_defined()):
        with suppress(NothingWrittenError, TestDatabaseError):  # told by the test that connects
            database.empty()
    yield
    stash[_AT_REST].lead_back()


@pytest.fixture(autouse=True)
def _popoto_reset_async(_popoto_flush_db: None) -> Iterator[None]:
    """Each test has an async client and a lock that no event loop of another test has seen."""
    _renew_async_client()
    yield
    client = redis_db._POPOTO_ASYNC_REDIS_DB
    if isinstance(client, AsyncClient):
        client.retire()
    redis_db._POPOTO_ASYNC_REDIS_DB = None


def _renew_async_client() -> None:
    redis_db._async_redis_lock = asyncio.Lock()
    redis_db._async_target = None
    redis_db._POPOTO_ASYNC_REDIS_DB = make_async_client(_global_client())


@pytest.fixture(scope="session")
def _popoto_private_server() -> Generator[EmbeddedServer]:
    with start_embedded() as server:
        yield server


@pytest.fixture
def popoto_server(
    _popoto_private_server: EmbeddedServer, _popoto_reset_async: None
) -> EmbeddedServer:
    """A private embedded server, empty; the process leads there during the test.

    `popoto_server.url` is its address. One server serves all tests of a process that ask for
    it, one after the other. Needs `popoto[embedded]`; starting takes some 80 ms, once.
    """
    server = _popoto_private_server
    server.ensure_running()
    private = make_client(from_url(server.url))
    private.flushall()
    _global_client().become(private)
    _renew_async_client()
    return server


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say once why tests could not use popoto."""
    database = config.stash.get(_DATABASE, None)
    if database is not None and database.problem is not None and database.is_needed:
        terminalreporter.section("popoto", yellow=True)
        terminalreporter.line(str(database.problem))
