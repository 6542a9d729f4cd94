"""count: how many records have one value, of which 1,000 do; the figure is that of one count."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.restaurant import Restaurant, city_index, fill, in_cities, sample

COUNT = 1000
TIMES = 20


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    fill(client, in_cities(sample(count), count))
    found = None
    while True:
        yield found
        for _ in range(TIMES):
            found = client.scard(city_index("City 0"))


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    fill(client, in_cities(sample(count), count))
    found = None
    while True:
        yield found
        for _ in range(TIMES):
            found = Restaurant.query.filter(city="City 0").count()
