"""Do queries cost what their answer costs, or what the table costs?

Loads 20,000 records into one embedded server and 200,000 into another, and prints the
median time of each query on both. The ratio should stay below 2.

    python benchmarks/scale.py [small] [large]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from popoto import IndexedField, KeyField, Model, Q, SortedField, StringField, embedded, redis_db


class Entry(Model):
    number = KeyField(type=int)
    group = IndexedField()
    city = IndexedField()
    price = SortedField(type=float)
    note = StringField()


def load(first: int, last: int) -> None:
    """Records of which ten share a group, whatever the size, and a tenth a city."""
    for start in range(first, last, 5000):
        Entry.bulk_create(
            [
                Entry(
                    number=number,
                    group=f"g{number // 10}",
                    city=f"c{number % 10}",
                    price=float(number * 7919 % 1_000_003),
                    note="x" * 20,
                )
                for number in range(start, min(start + 5000, last))
            ]
        )


QUERIES: dict[str, Callable[[], object]] = {
    "equality, 10 results": lambda: Entry.query.filter(group="g77").all(),
    "range, limit 10": lambda: Entry.query.filter(price__gt=500_000).limit(10).all(),
    "two conditions, order, limit 10": lambda: (
        Entry.query.filter(city="c3", price__gt=1000).order_by("-price").limit(10).all()
    ),
    "equality of a tenth, limit 10": lambda: Entry.query.filter(city="c3").limit(10).all(),
    "equality of a tenth, first": lambda: Entry.query.filter(city="c3").first(),
    "equality of a tenth, exists": lambda: Entry.query.filter(city="c3").exists(),
    "either of two, limit 10": lambda: (
        Entry.query.filter(Q(city="c3") | Q(city="c4")).limit(10).all()
    ),
    "count of a tenth": lambda: Entry.query.filter(city="c3").count(),
    "count of a range": lambda: Entry.query.filter(price__gt=500_000).count(),
    "count": Entry.query.count,
    "all, limit 10": lambda: Entry.query.limit(10).all(),
    "first": Entry.query.first,
    "last": Entry.query.last,
    "order by sorted, descending, limit 10": lambda: Entry.query.order_by("-price").limit(10).all(),
    "greatest": lambda: Entry.query.max("price"),
    "get by key": lambda: Entry.query.get(number=77),
}


def timed(query: Callable[[], object], url: str) -> list[float]:
    """Times of a few calls on one server, in microseconds."""
    redis_db.set_REDIS_DB_settings(unix_socket_path=url.removeprefix("unix://"))
    times: list[float] = []
    for _ in range(5):
        start = time.perf_counter()
        query()
        times.append((time.perf_counter() - start) * 1e6)
    return times[1:]  # the first one opens the connection


def main(small: int = 20_000, large: int = 200_000) -> None:
    servers = [embedded.start(), embedded.start()]
    try:
        for server, size in zip(servers, (small, large), strict=True):
            redis_db.set_REDIS_DB_settings(unix_socket_path=server.url.removeprefix("unix://"))
            load(0, size)
        print(f"{'query':40} {small:>12,} {large:>12,}  ratio   (microseconds)")
        for name, query in QUERIES.items():
            # In turns, so that whatever else the machine does hits both alike.
            times: list[list[float]] = [[], []]
            for _ in range(20):
                for found, server in zip(times, servers, strict=True):
                    found.extend(timed(query, server.url))
            before, after = (statistics.median(found) for found in times)
            print(f"{name:40} {before:12.0f} {after:12.0f} {after / before:6.2f}")
    finally:
        for server in servers:
            server.close()


if __name__ == "__main__":
    main(*(int(size) for size in sys.argv[1:]))
