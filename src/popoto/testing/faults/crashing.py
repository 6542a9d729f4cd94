"""Child processes that are killed at random instants of their work."""

from __future__ import annotations

import base64
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, Self, cast

__all__ = ["Crash", "crashes"]


@dataclass(frozen=True, slots=True)
class Crash:
    """How one child ended."""

    number: int
    """Counted from 1."""

    seconds: float
    """How long it was left to work."""

    was_killed: bool
    """False if it was done before."""


def crashes(
    work: Callable[..., object],
    *arguments: Any,
    times: int = 20,
    within: float = 0.1,
    seed: int | None = None,
) -> Iterator[Crash]:
    """Run ``work(*arguments)`` in `times` child processes, one after another, and kill each.

        for _ in crashes(write_a_thousand_orders, times=100):
            assert Order.check_indexes()["total"] == 0

    A child is killed (SIGKILL) at a random instant of its first `within` seconds of work, and gone
    before the loop goes on. Instants come of `seed`.

    `work` is a function of a module, since children find it by its name, with arguments that can
    be pickled; each child has connections of its own. Its module is imported once, and children
    are forked from there, which takes some milliseconds each. What it prints goes to stderr.

    Raises ValueError for a function that has no name to be found by, and for numbers of which no
    crash comes; RuntimeError with the child's traceback if one fails by itself.
    """
    if times < 1 or not within > 0:
        raise ValueError(
            f"crashes() needs times of 1 or more and a positive within, got {times} and {within}"
        )
    name = _name_of(work)
    instants = random.Random(seed)
    with _Launcher(name, arguments) as launcher:
        for number in range(1, times + 1):
            seconds = instants.uniform(0.0, within)
            yield Crash(number, seconds, launcher.run(seconds))


def _name_of(work: Callable[..., object]) -> str:
    module, name = getattr(work, "__module__", None), getattr(work, "__qualname__", "<>")
    if module in (None, "__main__") or "<" in name:
        raise ValueError(
            f"{work!r} cannot be found by a child process: crashes() needs a function that is "
            "defined at the top of a module that can be imported"
        )
    return f"{module}:{name}"


class _Launcher:
    """A process that has imported the work, and forks a child for each run."""

    def __init__(self, name: str, arguments: tuple[Any, ...]) -> None:
        order = base64.b64encode(pickle.dumps((name, arguments))).decode()
        # Who is killed reports no coverage, and would only be slowed down by measuring it.
        inherited = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "popoto.testing.faults.forking", order],
            env={**inherited, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._orders = cast("IO[str]", self._process.stdin)
        self._answers = cast("IO[str]", self._process.stdout)

    def run(self, seconds: float) -> bool:
        """Whether the child was killed, after so many seconds, before it was done."""
        child = int(self._ask("run"))
        time.sleep(seconds)
        # Its id is not given to another process: the launcher waits for it at the next order.
        os.kill(child, signal.SIGKILL)
        status = self._ask("wait")
        if status.startswith("! "):
            failure = bytes.fromhex(status[2:]).decode()
            raise RuntimeError(f"The work has failed by itself:\n{failure}")
        return status != "0"

    def _ask(self, order: str) -> str:
        self._orders.write(f"{order}\n")
        self._orders.flush()
        line = self._answers.readline().strip()
        if not line:
            raise RuntimeError("The process that starts the work has ended; stderr tells why")
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._orders.close()
        self._process.wait()
        self._answers.close()
