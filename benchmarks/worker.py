"""Runs single rounds for `benchmarks.measure`, in the environment of one side.

The first line on standard output is a `Greeting`: what this side runs with. After that each line on
standard input names an operation; the answer is one line, an `Answer`. The server is that of
REDIS_URL, which popoto, published or ours, reads too.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sized
from pathlib import Path
from typing import NamedTuple, Protocol, TypedDict, cast

import redis
from redis.connection import DefaultParser

import popoto

TRIES = 3


class Operation(Protocol):
    """What one file of this directory offers.

    Both functions prepare, yield, and do the work that is timed. Work that leaves the server as it
    was is done again after each further `yield`, which gives what it found. The figure is the time
    of one of COUNT records; of one of TIMES repetitions where the file says TIMES.
    """

    COUNT: int

    def by_hand(self, client: redis.Redis, count: int) -> Iterator[object]: ...

    def by_popoto(self, client: redis.Redis, count: int) -> Iterator[object]: ...


class Round(NamedTuple):
    times: list[float]
    """Seconds that the timed part took for each of its records, once for every try."""
    found: object
    """What the last try read; None where it wrote."""


class Greeting(TypedDict):
    popoto: str
    """Where the package was found."""
    hiredis_installed: bool
    redis_py_uses_hiredis: bool


class Answer(TypedDict):
    times: list[float]
    """Seconds that every try took for each record; none where it failed."""
    found: int | None
    """How much the last try read; None where it wrote."""
    failure: str | None


def operation(name: str) -> Operation:
    return cast("Operation", importlib.import_module(f"benchmarks.{name}"))


def greeting() -> Greeting:
    return Greeting(
        popoto=str(Path(popoto.__file__).parent),
        hiredis_installed=importlib.util.find_spec("hiredis") is not None,
        redis_py_uses_hiredis="hiredis" in DefaultParser.__name__.lower(),
    )


def wall(client: redis.Redis) -> float:
    """The time, in seconds."""
    return time.perf_counter()


def cpu(client: redis.Redis) -> float:
    """Seconds for which this process and the server have been computing, in user and kernel."""
    used = client.info("cpu")
    return time.process_time() + used["used_cpu_user"] + used["used_cpu_sys"]


CLOCKS: dict[str, Callable[[redis.Redis], float]] = {"wall": wall, "cpu": cpu}


def run_round(
    name: str,
    side: str,
    client: redis.Redis,
    count: int | None = None,
    clock: Callable[[redis.Redis], float] = wall,
) -> Round:
    """One round on an emptied server; with `count` records in place of the operation's own."""
    client.flushall()
    chosen = operation(name)
    count = count or chosen.COUNT
    steps = getattr(chosen, side)(client, count)
    times: list[float] = []
    found: object = next(steps)
    ended = False
    while not ended and len(times) < TRIES:
        gc.collect()
        start = clock(client)
        try:
            found = next(steps)
        except StopIteration:
            ended = True
        times.append((clock(client) - start) / getattr(chosen, "TIMES", count))
    return Round(times, found)


def answer(name: str, side: str, client: redis.Redis, clock: str) -> Answer:
    """A round, or why there is none: not every side can do everything."""
    try:
        done = run_round(name, side, client, clock=CLOCKS[clock])
    except Exception as error:  # noqa: BLE001  # whatever it is, who compares decides what it means
        return Answer(times=[], found=None, failure=f"{type(error).__name__}: {error}")
    found = len(done.found) if isinstance(done.found, Sized) else cast("int | None", done.found)
    return Answer(times=done.times, found=found, failure=None)


def main() -> None:
    side, clock = sys.argv[1:]
    print(json.dumps(greeting()), flush=True)
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        for line in sys.stdin:
            print(json.dumps(answer(line.strip(), side, client, clock)), flush=True)


if __name__ == "__main__":
    main()
