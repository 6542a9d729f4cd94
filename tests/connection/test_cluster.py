"""Three primaries: commands reach the node of their keys, whatever the slots do meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import redis
from redis.exceptions import RedisClusterException

from popoto import redis_db
from popoto.exceptions import ConfigurationError, NothingWrittenError
from popoto.redis_db import POPOTO_REDIS_DB
from tests.cluster_nodes import move_slot, node

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.usefixtures("on_the_cluster"),
]

SCRIPT = "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])"


def test_commands_reach_the_nodes_of_their_keys(ports: list[int]) -> None:
    connection = redis_db.connection()
    assert connection.is_cluster
    for number in range(50):
        connection.call(("SET", f"k{number}", number), repeatable=False)
    assert connection.call(("GET", "k7"), repeatable=True) == b"7"
    commands = [("GET", f"k{number}") for number in range(50)]
    assert connection.call_many(commands, repeatable=True) == [b"%d" % n for n in range(50)]
    held = [len(list(one.scan_iter())) for one in map(node, ports)]
    assert sum(held) == 50
    assert all(held)
    assert len(connection.per_node()) == 3
    assert sorted(redis_db.scan_keys("k*")) == sorted(b"k%d" % n for n in range(50))


def test_scripts_are_routed_by_their_keys() -> None:
    connection = redis_db.connection()
    commands = [("EVAL", SCRIPT, 1, f"k{number}", number) for number in range(20)]
    assert connection.call_many(commands, repeatable=False) == [b"%d" % n for n in range(20)]
    absent = connection.call_many(
        [("EVALSHA", "0" * 40, 1, "a"), ("SET", "a", 1)], repeatable=False
    )
    assert isinstance(absent[0], redis.exceptions.NoScriptError)
    assert absent[1] == b"OK"


async def test_async_commands_reach_the_nodes_of_their_keys() -> None:
    connection = await redis_db.async_connection()
    assert connection.is_cluster
    await asyncio.gather(
        *(connection.call(("SET", f"k{n}", n), repeatable=False) for n in range(200))
    )
    commands = [("GET", f"k{number}") for number in range(200)]
    replies = await connection.call_many(commands, repeatable=True)
    assert replies == [b"%d" % n for n in range(200)]
    assert len(await redis_db.async_scan_keys("k*")) == 200
    assert len(await connection.per_node()) == 3
    with pytest.raises(redis.ResponseError):
        await connection.call(("INCRBY", "k1", "x"), repeatable=False)


def test_direct_use() -> None:
    assert redis_db.check_connection()
    for number in range(20):
        POPOTO_REDIS_DB.set(f"k{number}", number)
    assert POPOTO_REDIS_DB.get("k3") == b"3"
    assert len(list(POPOTO_REDIS_DB.scan_iter("k*"))) == 20
    pipeline = POPOTO_REDIS_DB.pipeline(transaction=False)
    for number in range(20):
        pipeline.incr(f"k{number}")
    assert pipeline.execute() == list(range(1, 21))
    assert POPOTO_REDIS_DB.pipeline().incr("{a}1").hset("{a}2", "f", "v").hgetall(
        "{a}2"
    ).execute() == [1, 1, {b"f": b"v"}]
    with pytest.raises(RedisClusterException, match="one hash slot"):
        POPOTO_REDIS_DB.pipeline().incr("a").incr("b").execute()
    with pytest.raises(redis.ResponseError):
        POPOTO_REDIS_DB.pipeline(transaction=False).lpush("k1", "x").execute()


async def test_direct_use_async() -> None:
    client = await redis_db.get_async_redis_db()
    assert await redis_db.async_check_connection()
    await client.set("a", 1)
    assert await client.get("a") == b"1"
    assert await client.pipeline(transaction=False).incr("a").incr("b").execute() == [2, 1]
    assert await client.pipeline().incr("{a}1").incr("{a}2").execute() == [1, 1]
    assert sorted([key async for key in client.scan_iter()]) == [b"a", b"b", b"{a}1", b"{a}2"]


async def test_a_slot_that_moved_is_followed(ports: list[int]) -> None:
    connection = redis_db.connection()
    other = await redis_db.async_connection()
    slot = redis.crc.key_slot(b"moving")
    connection.call(("SET", "moving", 1), repeatable=False)
    await other.call(("GET", "moving"), repeatable=True)
    owner = next(port for port in ports if _serves(port, b"moving"))
    target = next(port for port in ports if port != owner)
    try:
        connection.call(("DEL", "moving"), repeatable=False)
        move_slot(slot, owner, target, ports)
        assert connection.call(("SET", "moving", 2), repeatable=False) == b"OK"
        assert await other.call(("GET", "moving"), repeatable=True) == b"2"
        assert connection.call_many([("GET", "moving"), ("GET", "a")], repeatable=True)[0] == b"2"
        assert POPOTO_REDIS_DB.get("moving") == b"2"
    finally:
        with node(target) as client:
            client.delete("moving")
        move_slot(slot, target, owner, ports)
    assert connection.call_many([("INCR", "moving")], repeatable=False) == [1]
    assert POPOTO_REDIS_DB.pipeline().incr("moving").execute() == [2]


def test_a_slot_on_the_move_is_asked_for_at_both_ends(ports: list[int]) -> None:
    connection = redis_db.connection()
    slot = redis.crc.key_slot(b"asking")
    connection.call(("GET", "asking"), repeatable=True)
    owner = next(port for port in ports if _serves(port, b"asking"))
    target = next(port for port in ports if port != owner)
    with node(owner) as source, node(target) as destination:
        names = [one.execute_command("CLUSTER MYID").decode() for one in (source, destination)]
        destination.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", names[0])
        source.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", names[1])
        try:
            assert connection.call(("INCR", "asking"), repeatable=False) == 1
            assert connection.call_many([("INCR", "asking")], repeatable=False) == [2]
        finally:
            destination.flushall()
            destination.execute_command("CLUSTER SETSLOT", slot, "STABLE")
            source.execute_command("CLUSTER SETSLOT", slot, "STABLE")


@pytest.fixture(params=["hostname", "unknown-endpoint"])
def nameless(request: pytest.FixtureRequest, ports: list[int]) -> Iterator[None]:
    """Nodes that tell "?" or nothing for a name: each is where the one is that was asked."""
    setting = "cluster-preferred-endpoint-type"
    for port in ports:
        with node(port) as client:
            client.config_set(setting, request.param)
    yield
    for port in ports:
        with node(port) as client:
            client.config_set(setting, "ip")


@pytest.mark.usefixtures("nameless")
async def test_nodes_without_a_name_are_found_and_followed(ports: list[int]) -> None:
    connection = redis_db.connection()
    other = await redis_db.async_connection()
    assert await other.call(("GET", "moving"), repeatable=True) is None
    addresses = {f"(node 127.0.0.1:{port})" for port in ports}
    assert {one.url.partition(" ")[2] for one in connection.per_node()} == addresses
    # As if the first node had served everything until a moment ago: the rest is redirected.
    everything = [[0, 16383, [b"127.0.0.1", ports[0]]]]
    for is_async in (False, True):
        connection.topology.learn(everything, ("127.0.0.1", ports[0]))
        for number in range(10):
            command = ("SET", f"k{number}", int(is_async))
            if is_async:
                assert await other.call(command, repeatable=False) == b"OK"
            else:
                assert connection.call(command, repeatable=False) == b"OK"
    commands = [("GET", f"k{number}") for number in range(10)]
    assert connection.call_many(commands, repeatable=True) == [b"1"] * 10


def test_no_cluster_there() -> None:
    redis_db.set_REDIS_DB_settings(url="redis+cluster://127.0.0.1:1,127.0.0.1:2")
    with pytest.raises(NothingWrittenError, match="REDIS_URL"):
        redis_db.connection().call(("SET", "a", 1), repeatable=False)
    with pytest.raises(NothingWrittenError):
        POPOTO_REDIS_DB.get("a")
    with pytest.raises(ConfigurationError, match="database 0"):
        redis_db.set_REDIS_DB_settings(url="redis+cluster://127.0.0.1:1/3")


def _serves(port: int, key: bytes) -> bool:
    with node(port) as client:
        try:
            client.get(key)
        except redis.ResponseError:
            return False
        return True
