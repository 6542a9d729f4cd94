"""Of which tests coverage keeps a record: of the first cases of each function.

Tracing makes a test two to three times as long, and what follows the first cases of a function
hardly ever takes a line that none of them takes. At least `CASES` are traced, more while they have
taken less than `SECONDS`: tables of quick cases often have a branch for each. Those that are marked
as slow do at length what others do, but for those of a cluster. `traced(cases)` as a
marker names the number: many for a table of slower cases with branches of their own, none for
random histories and for processes that import popoto and do nothing new with it. Of a property the
first examples count.

`make coverage` and `make mutants`, which tell the lines that no test runs, trace everything
(`POPOTO_TRACED=all`).
"""

from __future__ import annotations

import functools
import os
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import coverage
import pytest

CASES, SECONDS = 1, 0.05
#: How many examples of a property are traced.
EXAMPLES = 20
#: By this the processes that a test starts know that they are to be traced too.
IN_PROCESSES = "COVERAGE_PROCESS_CONFIG"


@dataclass
class Traced:
    """What has been traced of a function."""

    cases: int = 0
    seconds: float = 0.0
    """Of the processors, that of ended processes included."""

    def is_enough(self, item: pytest.Item) -> bool:
        marker = item.get_closest_marker("traced")
        if marker is None:
            if item.get_closest_marker("slow") and not item.get_closest_marker("cluster"):
                return True
            return self.cases >= CASES and self.seconds >= SECONDS
        return self.cases >= int(marker.args[0])


#: By the function's name.
TRACED: pytest.StashKey[defaultdict[str, Traced]] = pytest.StashKey()


#: What was running before it was paused: of several, one upon the other, each lets the next go on.
_stopped: list[coverage.Coverage] = []
_in_processes: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TRACED] = defaultdict(Traced)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Set up, run and take down without coverage what is not to be traced."""
    if os.environ.get("POPOTO_TRACED") == "all":
        return (yield)
    traced = item.config.stash[TRACED][item.nodeid.partition("[")[0]]
    # To stop and to start takes as long as a quick test: so it stays as it is from test to test.
    if traced.is_enough(item):
        _pause()
        return (yield)
    _go_on()
    with ExitStack() as stack:
        _pause_after_examples(item, stack)
        begun = sum(os.times()[:4])
        try:
            return (yield)
        finally:
            traced.cases += 1
            traced.seconds += sum(os.times()[:4]) - begun


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish() -> Generator[None, object, object]:
    """Whoever saves the record expects that it is being kept."""
    _go_on()
    return (yield)


def _pause() -> None:
    """Trace neither this process nor those that it starts, until `_go_on`."""
    if IN_PROCESSES in os.environ:
        _in_processes.append(os.environ.pop(IN_PROCESSES))
    while (running := coverage.Coverage.current()) is not None:
        running.stop()
        _stopped.append(running)


def _go_on() -> None:
    # Every start wraps it once more, until it recurses too deeply.
    leave = os._exit
    while _stopped:
        _stopped.pop().start()
    os._exit = leave
    if _in_processes:
        os.environ[IN_PROCESSES] = _in_processes.pop()


def _pause_after_examples(item: pytest.Item, stack: ExitStack) -> None:
    """Hypothesis asks the handle of a property for the function that it calls for each example."""
    handle = getattr(getattr(item, "obj", None), "hypothesis", None)
    if handle is None:
        return
    of_one_example: Callable[..., Any] = handle.inner_test
    begun = 0

    @functools.wraps(of_one_example)
    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal begun
        begun += 1
        if begun == EXAMPLES + 1:
            _pause()
        return of_one_example(*args, **kwargs)

    stack.callback(setattr, handle, "inner_test", of_one_example)
    handle.inner_test = counted
