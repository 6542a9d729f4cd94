"""bulk update: a plain and an indexed field of 1,000 loaded records in one
`Restaurant.bulk_update(restaurants, seats=..., city=...)`.

The work done by hand knows the old values, because the records are loaded.
"""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.restaurant import (
    Restaurant,
    city_index,
    fill,
    key_of,
    pack,
    sample,
    saved,
)

COUNT = 1000
CITY = "Lisbon"
SEATS = 12


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    records = sample(count)
    fill(client, records)
    yield
    with client.pipeline(transaction=False) as pipeline:
        for record in records:
            key = key_of(record["name"])
            pipeline.hset(key, mapping={"seats": pack(SEATS), "city": pack(CITY)})
            pipeline.srem(city_index(record["city"]), key)
            pipeline.sadd(city_index(CITY), key)
        pipeline.execute()


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    restaurants = saved(sample(count))
    yield
    Restaurant.bulk_update(restaurants, seats=SEATS, city=CITY)
