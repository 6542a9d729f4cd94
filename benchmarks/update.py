"""update: three fields of a loaded record change, two of them indexed, then `save()`."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.restaurant import (
    BY_RATING,
    city_index,
    fill,
    key_of,
    pack,
    sample,
    saved,
)

COUNT = 100
CITY = "Lisbon"
NOTE = "Moved."


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    records = sample(count)
    fill(client, records)
    yield
    for record in records:
        key = key_of(record["name"])
        rating = record["rating"] + 1
        with client.pipeline() as pipeline:
            changes = {"city": pack(CITY), "rating": pack(rating), "note": pack(NOTE)}
            pipeline.hset(key, mapping=changes)
            pipeline.srem(city_index(record["city"]), key)
            pipeline.sadd(city_index(CITY), key)
            pipeline.zadd(BY_RATING, {key: rating})
            pipeline.execute()


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    restaurants = saved(sample(count))
    yield
    for restaurant in restaurants:
        restaurant.city = CITY
        restaurant.rating += 1
        restaurant.note = NOTE
        restaurant.save()
