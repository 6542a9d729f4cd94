"""Both packages on the private server of the test session."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from .sides import LATER_VERSIONS, PUBLISHED_VERSION, OurSide, PeerMissingError, PublishedSide, Side


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Scores of naive datetimes depend on the zone of the process; the peer runs in UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="session")
def ours() -> Side:
    return OurSide()


def started(server_url: str, version: str = PUBLISHED_VERSION) -> Iterator[PublishedSide]:
    """One version of the published package, for a fixture."""
    side, problem = None, ""
    try:
        side = PublishedSide(server_url, version)
    except PeerMissingError as missing:
        problem = str(missing)
    if side is None:
        pytest.fail(problem, pytrace=False)
    yield side
    side.close()


@pytest.fixture(scope="session")
def published(server_url: str) -> Iterator[Side]:
    """The published package. Without its environment the test fails and says `make peer`."""
    yield from started(server_url)


@pytest.fixture(scope="session", params=LATER_VERSIONS)
def later(server_url: str, request: pytest.FixtureRequest) -> Iterator[PublishedSide]:
    """Each later version in turn."""
    yield from started(server_url, request.param)


@pytest.fixture
def writer(pair: tuple[str, str], request: pytest.FixtureRequest) -> Side:
    side: Side = request.getfixturevalue(pair[0])
    return side


@pytest.fixture
def reader(pair: tuple[str, str], request: pytest.FixtureRequest) -> Side:
    side: Side = request.getfixturevalue(pair[1])
    return side
