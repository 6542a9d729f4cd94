"""A cluster of three nodes, empty before each test; after it, its keys and indexes are looked at.

Each key of the cluster has to carry its model's hash tag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis

from popoto import redis_db
from tests.cluster_nodes import cluster_url, node
from tests.truth.oracle import violations

from .models import MODELS


@pytest.fixture
def nodes(ports: list[int]) -> Iterator[list[redis.Redis]]:
    clients = [node(port) for port in ports]
    yield clients
    for client in clients:
        client.close()


@pytest.fixture(autouse=True)
def _on_the_cluster(
    nodes: list[redis.Redis], ports: list[int], _fresh_server: None, redis_client: redis.Redis
) -> Iterator[None]:
    for client in nodes:
        client.flushall()
    redis_db.set_REDIS_DB_settings(url=cluster_url(ports))
    yield
    copy_of(nodes, redis_client)
    assert violations(redis_client, *MODELS) == []


@pytest.fixture
def state(nodes: list[redis.Redis], redis_client: redis.Redis) -> Callable[[], redis.Redis]:
    """`state()`: the keys of the cluster, without their tags, on a single server."""
    return lambda: copy_of(nodes, redis_client)


def copy_of(nodes: list[redis.Redis], target: redis.Redis) -> redis.Redis:
    target.flushall()
    known = {model._meta.model_name for model in MODELS}
    for source in nodes:
        for key in source.keys("*"):
            tag, _, name = key.decode().removeprefix("{").partition("}")
            assert key.startswith(b"{"), f"{key!r} carries no tag"
            assert tag in known, f"{key!r} carries the tag of no model"
            copy_key(source, key, target, name)
    return target


def copy_key(source: redis.Redis, key: bytes, target: redis.Redis, name: str) -> None:
    kind = source.type(key).decode()
    if kind == "hash":
        target.hset(name, mapping=source.hgetall(key))
    elif kind == "set":
        target.sadd(name, *source.smembers(key))
    elif kind == "zset":
        target.zadd(name, dict(source.zrange(key, 0, -1, withscores=True)))
    elif kind == "list":
        target.rpush(name, *source.lrange(key, 0, -1))
    elif kind == "string":
        target.set(name, source.get(key))
    elif kind == "stream":
        for number, fields in source.xrange(key):
            target.xadd(name, fields, id=number)
    if source.pttl(key) >= 0:
        target.pexpireat(name, source.pexpiretime(key))
