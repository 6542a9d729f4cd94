"""Programs, how they are done on both sides, and the script that a failure prints.

A script can be run again by itself: it starts a cluster and a server of its own.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import redis

from popoto import embedded
from popoto.fields.embedding_field import invalidate_cache
from tests.cluster_nodes import cluster, cluster_url, node
from tests.driver import Api

from .allowed import REFUSED_OF_SEVERAL_SHARDS
from .comparing import Outcome, difference, outcome
from .families import APART, WHOLE
from .side import Side
from .table import DEEDS, LAST_LOOK


class Step(NamedTuple):
    """One deed, and the number that all its choices follow from."""

    deed: str
    seed: int


@dataclass(frozen=True)
class Servers:
    """A cluster and a server, both of them for programs alone."""

    cluster_url: str
    server_url: str
    clients: Sequence[redis.Redis]

    def flush(self) -> None:
        for client in self.clients:
            client.flushall()


class Twins:
    """Both sides, and what has been done on them so far. They begin empty."""

    def __init__(self, servers: Servers, calls: Api, files: Path) -> None:
        servers.flush()
        # A process remembers vectors, and a flush by other means tells it nothing.
        invalidate_cache()
        self._is_async = calls.is_async
        self._sides: list[Side] = []
        self._lines: list[str] = []
        self._differ = False
        for family, url in ((APART, servers.cluster_url), (WHOLE, servers.server_url)):
            place = Path(tempfile.mkdtemp(dir=files))
            self._sides.append(Side(family, url, calls, place))

    def do(self, step: Step) -> None:
        """Do a step on both sides. AssertionError where it does not come to the same."""
        deed = DEEDS[step.deed]
        apart, whole = self._sides
        found = outcome(apart, lambda side: deed.do(side, random.Random(step.seed)))
        self._lines += (f"{tuple(step)},", *(f"# {each}" for each in apart.called))
        if is_refused(found):
            self._lines.append("# refused: it concerns several shards")
            return
        other = outcome(whole, lambda side: deed.do(side, random.Random(step.seed)))
        taken_out = deed.allowing.taken_out
        differs = (
            difference(taken_out(found.answer), taken_out(other.answer))
            or differs_in("error", found.error, other.error)
            or differs_in("warnings", found.warnings, other.warnings)
        )
        if differs is not None:
            self._differ = True
            raise AssertionError(self._story(differs))

    def look(self) -> None:
        """Everything that is stored has to be the same at the end."""
        if not self._differ:
            self.do(Step(LAST_LOOK, 0))

    def _story(self, differs: str) -> str:
        lines = "\n".join(f"        {line}" for line in self._lines)
        return (
            f"a model in shards does not answer as its twin.\n{differs}\n\n"
            "To do it again, run this (.venv/bin/python -, from the root of the repository):\n\n"
            "from tests.cluster.twins.again import again\n\n"
            f"again(\n    is_async={self._is_async},\n    steps=[\n{lines}\n    ],\n)"
        )


def is_refused(found: Outcome) -> bool:
    return found.error is not None and any(
        text in found.error[1] for text in REFUSED_OF_SEVERAL_SHARDS
    )


def differs_in(what: str, apart: object, whole: object) -> str | None:
    return None if apart == whole else f"{what}:\n  in shards: {apart}\n  as a whole: {whole}"


@contextlib.contextmanager
def servers() -> Iterator[Servers]:
    """A cluster of three nodes and a server, which end with the block."""
    with contextlib.ExitStack() as running:
        ports = running.enter_context(cluster(3))
        server = embedded.start()
        running.callback(server.close)
        clients = [node(port) for port in ports] + [redis.Redis.from_url(server.url)]
        for client in clients:
            running.callback(client.close)
        yield Servers(cluster_url(ports), server.url, clients)
