"""A cluster of three nodes, empty before each test; after it, its keys and indexes are looked at.

Each key of the cluster has to carry its model's hash tag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest
import redis

from popoto import redis_db
from popoto.engine import keys
from tests.cluster_nodes import cluster_url, node
from tests.truth.oracle import violations

from .models import MODELS, SHARDED


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
    check_shards(nodes, redis_client)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """`counted()`: from then on, how many commands went together, each time that any did."""

    def begin() -> list[int]:
        asked: list[int] = []
        kind = type(redis_db.connection())
        call, call_many = kind.call, kind.call_many

        def counting(self: Any, command: Any, **keywords: Any) -> Any:
            asked.append(1)
            return call(self, command, **keywords)

        def counting_many(self: Any, commands: Any, **keywords: Any) -> Any:
            asked.append(len(commands))
            return call_many(self, commands, **keywords)

        monkeypatch.setattr(kind, "call", counting)
        monkeypatch.setattr(kind, "call_many", counting_many)
        return asked

    return begin


@pytest.fixture
def state(nodes: list[redis.Redis], redis_client: redis.Redis) -> Callable[[], redis.Redis]:
    """`state()`: the keys of the cluster, without their tags, on a single server."""
    return lambda: copy_of(nodes, redis_client)


@pytest.fixture
def both(_on_the_cluster: None, server_url: str) -> Iterator[Callable[..., Any]]:
    """`both(call)`: what it returns on the cluster, and on a single server."""

    def call(what: Callable[[], Any]) -> tuple[Any, Any]:
        here = what()
        with redis_db.using(server_url):
            return here, what()

    yield call
    # It is needed empty for the check of the shards.
    with redis_db.using(server_url):
        redis_db.get_REDIS_DB().flushall()


def copy_of(nodes: list[redis.Redis], target: redis.Redis) -> redis.Redis:
    target.flushall()
    for (model_name, text), found in by_shard(nodes).items():
        if text is None:
            assert model_name in {each._meta.model_name for each in MODELS}, found
            copy_shard(found, target)
    return target


#: A shard, as the model's name and a text where it has several; and its keys, without the tag.
Shard: TypeAlias = tuple[str, str | None]
Keys: TypeAlias = list[tuple[redis.Redis, bytes, str]]


def by_shard(nodes: list[redis.Redis]) -> dict[Shard, Keys]:
    """Every key of the cluster, where it is and what it is called, by its hash tag."""
    found: dict[Shard, Keys] = {}
    sharded = {model._meta.model_name for model in SHARDED}
    for source in nodes:
        for key in source.keys("*"):
            assert key.startswith(b"{"), f"{key!r} carries no tag"
            tag, _, name = key.decode().removeprefix("{").partition("}")
            model_name, _, text = tag.partition(":")
            if model_name in sharded and not (text or tag.endswith(":")):
                assert name == f"$Shards:{model_name}", f"{key!r} is in no shard"
            shard = model_name, text if model_name in sharded else None
            found.setdefault(shard, []).append((source, key, name))
    return found


def check_shards(nodes: list[redis.Redis], target: redis.Redis) -> None:
    """Each shard by itself is as a single server would be, and registered if it has records."""
    registered = {
        model: {
            keys.shard_name(model._meta.model_name, member.decode())
            for node in nodes
            for key in node.keys(f"{{{model._meta.model_name}}}$Shards:*")
            for member in node.smembers(key)
        }
        for model in SHARDED
    }
    for (model_name, text), found in by_shard(nodes).items():
        for model in SHARDED:
            if model._meta.model_name == model_name and not found[0][2].startswith("$Shards:"):
                target.flushall()
                copy_shard(found, target)
                assert violations(target, model) == []
                if target.exists(f"$Class:{model_name}"):
                    assert f"{model_name}:{text}" in registered[model]


def copy_shard(found: Keys, target: redis.Redis) -> None:
    for source, key, name in found:
        copy_key(source, key, target, name)


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
