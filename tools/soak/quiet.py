"""What is looked at while nothing is under way: indexes, keys, the stream, and what is held."""

from __future__ import annotations

import gc
import os
import re
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import redis

from popoto import cli
from tools.soak import rivals
from tools.soak.books import Books, Measure
from tools.soak.items import LONGEST_LEASE
from tools.soak.lane import Lane, patiently
from tools.soak.messages import Post
from tools.soak.models import MODELS, STREAM, Item, Lease, Seat

_PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
#: How many MiB the process may grow by from the first look to the last.
_MOST_GROWTH = 24
#: How many connections, threads and files there may be more than at the first look.
_MOST_MORE = 8
#: Asking sweeps some expired records at a time.
_SWEEPS = 40
#: Keys of a model; what is no record's is named after one.
_OWNED = re.compile(
    "|".join(model.__name__ for model in MODELS) + f"|stream:{STREAM}|RecallProposal"
)


class Scene(NamedTuple):
    """All that is looked at."""

    client: redis.Redis
    lanes: Sequence[Lane]
    sums: rivals.Sums
    post: Post
    tasks: int


def look(scene: Scene, books: Books) -> None:
    """Check every promise that needs quiet, and measure."""
    for lane in scene.lanes:
        lane.forget_absent()
    sweep()
    for model in MODELS:
        found = patiently(model.check_indexes)
        if found["total"]:
            problems = {name: number for name, number in found.items() if number}
            books.violation("index drift", f"{model.__name__}: {problems}")
    rivals.check(scene.sums, books)
    patiently(lambda: look_at_claims(books))
    _look_at_stream(scene, books)
    scene.post.check(scene.client, books)
    look_at_keys(scene.client, books)
    patiently(lambda: _export(books))
    books.measures.append(measure(scene.client, scene.tasks))
    books.checks += 1


def sweep() -> None:
    """Let all leases end, and what they left be taken away, as queries do."""
    time.sleep(LONGEST_LEASE + 0.1)
    for _ in range(_SWEEPS):
        patiently(Lease.query.count)


def look_at_claims(books: Books) -> None:
    """No two records share a unique value."""
    for model, name in ((Item, "code"), (Lease, "code"), (Seat, "holder")):
        values = [each[name] for each in model.query.values(name)]
        twice = {value for value in values if value is not None and values.count(value) > 1}
        if twice:
            books.violation("uniqueness", f"{model.__name__}.{name}: {twice}")


def _look_at_stream(scene: Scene, books: Books) -> None:
    told = sum(lane.events for lane in scene.lanes)
    found = scene.client.xlen(f"stream:{STREAM}")
    if found != told:
        kind = "lost acknowledged write" if found < told else "written after an error"
        books.violation(kind, f"{found} events of {told} writes")


def look_at_keys(client: redis.Redis, books: Books) -> None:
    """A key is a model's, or ends by itself."""
    keys = [key.decode("utf-8", "replace") for key in client.scan_iter(count=1000)]
    strange = [key for key in keys if not _OWNED.search(key) and client.ttl(key) == -1]
    if strange:
        books.violation("unowned keys", f"{len(strange)}: {sorted(strange)[:5]}")


def _export(books: Books) -> None:
    """As many records as there are, one line each."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "items.jsonl"
        cli.main(["export", "tools.soak.models:Item", "--quiet", "--output", str(path)])
        lines = len(path.read_text().splitlines())
    number = Item.query.count()
    books.done("export")
    if lines != number:
        books.violation("export", f"{lines} lines of {number} records")


def measure(client: redis.Redis, tasks: int) -> Measure:
    """What this process holds, and what the server holds for it."""
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1])
    return Measure(
        memory=resident * _PAGE_SIZE,
        threads=threading.active_count(),
        tasks=tasks,
        files=sum(1 for _ in Path("/proc/self/fd").iterdir()),
        connections=len(client.client_list()),
        keys=client.dbsize(),
    )


def growth(books: Books) -> None:
    """Tell of what has grown from the first look to the last."""
    if len(books.measures) < 2:
        return
    first, last = books.measures[0], books.measures[-1]
    grown = (last.memory - first.memory) / 2**20
    if grown > _MOST_GROWTH:
        books.violation("client memory", f"{grown:.1f} MiB more")
    for name in ("threads", "tasks", "files", "connections"):
        more = getattr(last, name) - getattr(first, name)
        if more > _MOST_MORE:
            books.violation(f"{name}", f"{more} more than at the beginning")


def empty(client: redis.Redis, books: Books) -> None:
    """Delete all by the models: no key is left that does not end by itself."""
    for model in MODELS:
        patiently(model.delete_all)
    client.delete(f"stream:{STREAM}")
    left = [key for key in client.scan_iter(count=1000) if client.ttl(key) == -1]
    if left:
        books.violation("keys left", f"{len(left)}: {sorted(left)[:5]}")
