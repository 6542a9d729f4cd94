"""The pytest plugin (`-p no:popoto` disables it): tests use a database that is theirs alone.

While tests are collected, and from the first one on, the process leads to a test database of
the server that it is configured for: number 15, or the ini option `popoto_test_db`, or the
environment variable POPOTO_TEST_DB. That opens no connection. Where tests define models or send
a command, the database is emptied before each test and after the last one.

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
import logging
import os
import warnings
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from popoto import redis_db
from popoto._connection.asynchronous_clients import AsyncClient, make_async_client
from popoto._connection.clients import Client, make_client
from popoto._connection.settings import from_url, with_database
from popoto.embedded import EmbeddedServer
from popoto.embedded import start as start_embedded
from popoto.exceptions import NothingWrittenError
from popoto.models.record import known_models
from popoto.testing import DEFAULT_TEST_DATABASE
from popoto.testing.database import OPTION, VARIABLE, TestDatabase, TestDatabaseError
from popoto.testing.places import Place

logger = logging.getLogger("POPOTO-PYTEST")


class _Default(str):
    """The number that nobody has chosen, which the same number in an ini file is not."""

    __slots__ = ()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Announce the ini option."""
    parser.addini(
        OPTION,
        f"the database that popoto's tests use and empty, never 0 (environment: {VARIABLE})",
        default=_Default(DEFAULT_TEST_DATABASE),
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
    return bool(named) or not isinstance(config.getini(OPTION), _Default)


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


_EMPTIED = ", and no test finds them, since the database is emptied before each"

_DATABASE = pytest.StashKey[TestDatabase]()

_AT_REST = pytest.StashKey[Place]()
# Where the process leads between the tests, as far as fixtures that outlive a test have decided.

_BEFORE = pytest.StashKey[dict[pytest.FixtureDef[Any], Place]]()
# Where it led before fixtures changed that, which are still there.


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


def _find_database(config: pytest.Config) -> TestDatabase:
    """That of the server to which the process leads. Raises ValueError for a wrong choice."""
    original = _global_client().current_settings()
    number = choose_database(config, int(original.options.get("db") or 0), _worker(config))
    cache = getattr(config, "cache", None)
    return TestDatabase(original, number, None if cache is None else cache.mkdir("popoto"))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """What modules do while they are imported reaches the tests' database, and no real data."""
    before = Place.current()
    try:
        database = _find_database(session.config)
    except ValueError:  # told by the tests
        return (yield)
    database.install()
    try:
        return (yield)
    finally:
        if database.is_installed:
            before.lead_back()
        if number := database.size():
            _warn(
                session.config,
                f"{number} keys were written while modules were imported{_EMPTIED}: write them in "
                "a fixture",
            )
        database.client.close()


@pytest.fixture(scope="session", autouse=True)
def _popoto_test_db(request: pytest.FixtureRequest) -> Iterator[int]:
    """The number of the tests' database. The process leads there until the session ends."""
    config = request.config
    database = _find_database(config)
    config.stash[_DATABASE] = database
    database.install()
    yield database.number
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
    database = request.config.stash.get(_DATABASE, None)
    if database is not None and (fixturedef.scope == "function" or not database.is_installed):
        database = None
    number = 0 if database is None else database.size()
    try:
        return (yield)
    finally:
        if database is not None and database.is_installed and database.size() > number:
            _warn(
                request.config,
                f"{database.size() - number} keys were written by the fixture "
                f"{fixturedef.argname!r} (scope {fixturedef.scope!r}){_EMPTIED}: give it the scope "
                "'function'",
            )
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
    is_used = "popoto_server" not in request.fixturenames and _models_are_defined()
    if database.is_installed and (database.is_claimed or is_used):
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
    request: pytest.FixtureRequest,
    _popoto_private_server: EmbeddedServer,
    _popoto_reset_async: None,
) -> EmbeddedServer:
    """A private embedded server, empty; the process leads there during the test.

    `popoto_server.url` is its address. One server serves all tests of a process that ask for
    it, one after the other. Needs `popoto[embedded]`; starting takes some 80 ms, once.
    """
    if hasattr(request, "param"):
        raise pytest.UsageError(f"popoto_server takes no parameter, got {request.param!r}")
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
