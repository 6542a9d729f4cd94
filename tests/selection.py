"""What is left out on another engine: tests to which it makes no difference.

`make test-cluster` leaves out tests about one server, and those with servers of their own;
`make test-redis` those that start Valkey from the wheel whatever the engine, and those that ask no
server. None is left out silently: the last lines of a run say how many, and why.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.driver import engine

#: A test with one of these markers or fixtures is the same on every engine, or means one server.
MARKERS = {
    "cluster": "starts a cluster of its own on every engine",
    "interop": "works beside the published package, which hardly works on a cluster",
}
FIXTURES = {
    "proxy": "stands between the client and one server",
    "server_url": "names one server",
    "ports": "starts a cluster of its own on every engine",
}
#: Directories of tests that are the same on every engine.
DIRECTORIES = {
    "connection": "starts the servers that it connects to",
    "embedded": "is about the embedded server",
    "faults": "breaks servers and connections of its own",
    "typing": "asks type checkers",
}
#: What is the same on the machine's Redis: these start Valkey from the wheel, or no server.
MARKERS_ON_REDIS = {"cluster": MARKERS["cluster"]}
FIXTURES_ON_REDIS = {"ports": FIXTURES["ports"]}
PLACES_ON_REDIS = {
    "embedded": DIRECTORIES["embedded"],
    "typing": DIRECTORIES["typing"],
    **dict.fromkeys(
        (
            "test_distribution.py",
            "test_mutants.py",
            "test_packages.py",
            "test_source_rules.py",
            "test_tracing.py",
        ),
        "is about files and asks no server",
    ),
}
#: Fixtures of every test, which ask for the server's address whatever it is.
EVERYWHERE = {"_fresh_server", "_raw_client"}
LEFT_OUT: pytest.StashKey[Counter[str]] = pytest.StashKey()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what does not belong on the engine that the tests run on."""
    counted: Counter[str] = Counter()
    config.stash[LEFT_OUT] = counted
    reason_of = REASONS.get(engine())
    if reason_of is None:
        return
    reasons = [(item, reason_of(item)) for item in items]
    counted.update(reason for _, reason in reasons if reason is not None)
    config.hook.pytest_deselected(items=[item for item, reason in reasons if reason is not None])
    items[:] = [item for item, reason in reasons if reason is None]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker process of pytest-xdist, which collects, reports to the one that writes."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left out"] = dict(session.config.stash[LEFT_OUT])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Every worker has collected the same tests, so the report of any will do."""
    node.config.stash[LEFT_OUT] = Counter(getattr(node, "workeroutput", {}).get("left out", {}))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how many tests were left out for which reason."""
    counted = config.stash.get(LEFT_OUT, Counter())
    if counted:
        terminalreporter.section(f"left out on {NAMES[engine()]}")
    for reason, number in counted.most_common():
        terminalreporter.write_line(f"{number:6} {reason}")


def _reason_on_redis(item: pytest.Item) -> str | None:
    """Why a test is left out on the machine's Redis; None for one that runs there."""
    for name, reason in MARKERS_ON_REDIS.items():
        if item.get_closest_marker(name) is not None:
            return reason
    place = item.path.relative_to(Path(__file__).parent).parts[0]
    if place in PLACES_ON_REDIS:
        return PLACES_ON_REDIS[place]
    asked = _asked(item)
    return next((reason for name, reason in FIXTURES_ON_REDIS.items() if name in asked), None)


def _reason_on_a_cluster(item: pytest.Item) -> str | None:
    """Why a test is left out on a cluster; None for one that runs there."""
    marker = item.get_closest_marker("single_server")
    if marker is not None:
        (reason,) = marker.args
        return str(reason)
    for name, reason in MARKERS.items():
        if item.get_closest_marker(name) is not None:
            return reason
    inside = item.path.parent.relative_to(Path(__file__).parent).parts
    if not inside:
        return "is about programs and files, which start what they need"
    if inside[0] in DIRECTORIES:
        return DIRECTORIES[inside[0]]
    asked = _asked(item)
    return next((reason for name, reason in FIXTURES.items() if name in asked), None)


def _asked(item: pytest.Item) -> set[str]:
    """The fixtures that a test asks for, and those that fixtures of its own ask for."""
    if not isinstance(item, pytest.Function):
        return set()
    known = item._fixtureinfo
    used = [mark.args for mark in item.iter_markers("usefixtures")]
    own = set(known.names_closure) - EVERYWHERE
    inner = [each.argnames for name in own for each in known.name2fixturedefs.get(name, ())]
    return {*known.argnames, *(name for names in (*used, *inner) for name in names)}


#: Engine -> why a test is left out on it. On the embedded server none is.
REASONS = {"redis": _reason_on_redis, "cluster": _reason_on_a_cluster}
NAMES = {"redis": "the machine's Redis", "cluster": "a cluster"}
