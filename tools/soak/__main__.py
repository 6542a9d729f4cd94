"""Works on everything at once for some minutes, with faults on, and counts broken promises.

    python -m tools.soak [--minutes N] [--seed N] [--threads N] [--tasks N]

Threads and tasks of asyncio, each with records of its own and some that all want, use every feature
that writes, against a server of their own that keeps what it has acknowledged. A proxy delays,
cuts, stalls, holds back and loses what they send; the server is killed and stopped; processes that
write are killed. Each lane compares what it is given with what it knows; every so often all wait,
and everything is checked. The table at the end says what was done and found. The exit status is 1
if any promise was broken.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

import redis

from popoto import embedded, redis_db
from popoto.testing.faults import FaultProxy
from tools.soak import quiet
from tools.soak.books import Books
from tools.soak.crew import Crew
from tools.soak.models import Counter
from tools.soak.trouble import Trouble

#: How long lanes work before all is looked at, and how long commands wait for a reply.
_ROUND_SECONDS = 15.0
_SOCKET_SECONDS = 2.0


def main() -> int:
    """Run what the arguments ask for. Returns the exit status."""
    given = _arguments()
    # What connections complain of is the point here.
    logging.disable(logging.CRITICAL)
    books = Books()
    start = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="popoto-soak-") as place,
        embedded.start(Path(place) / "data") as server,
        FaultProxy(server, seed=given.seed, remember=100) as proxy,
        redis.Redis.from_url(server.url) as client,
    ):
        redis_db.set_REDIS_DB_settings(url=f"{proxy.url}?socket_timeout={_SOCKET_SECONDS}")
        trouble = Trouble(server, proxy, books, given.seed, given.pause)
        crew = Crew(books, given.seed, given.threads, given.tasks)
        Counter(name="all").save()
        with crew:
            end = start + given.minutes * 60
            is_first = True
            while is_first or time.monotonic() < end:
                _round(crew, trouble, min(end, time.monotonic() + _ROUND_SECONDS))
                if is_first and given.minutes < 1:
                    trouble.each()
                trouble.end()
                crew.rest()
                quiet.look(quiet.Scene(client, crew.lanes, crew.sums, crew.post, crew.tasks), books)
                crew.go_on()
                is_first = False
        quiet.growth(books)
        quiet.empty(client, books)
    seconds = time.monotonic() - start
    print(f"{seconds:,.0f} s, seed {given.seed}, {given.threads} threads, {given.tasks} tasks\n")
    print(books.table(seconds))
    return int(bool(books.violations))


def _round(crew: Crew, trouble: Trouble, until: float) -> None:
    trouble.begin()
    while time.monotonic() < until:
        crew.check()
        time.sleep(0.1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0, help="how long, about")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of what is drawn")
    parser.add_argument("--threads", type=int, default=4, help="lanes that block")
    parser.add_argument("--tasks", type=int, default=4, help="lanes on one event loop")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between faults, about")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
