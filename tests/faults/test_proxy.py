"""Each fault that can be ordered, seen by a plain client; what reaches the server, and what not."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from popoto.exceptions import ConfigurationError
from popoto.testing.faults import FaultProxy


@pytest.fixture
def proxy(server_url: str) -> Iterator[FaultProxy]:
    with FaultProxy(server_url, seed=1) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[redis.Redis]:
    """A client that neither waits long nor tries twice."""
    once = Retry(NoBackoff(), 0)
    with redis.Redis(port=proxy.port, socket_timeout=0.3, retry=once) as client:
        client.ping()
        yield client


@pytest.fixture
def raw(proxy: FaultProxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as connection:
        yield connection


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(4096), b""))


def test_without_orders_everything_passes(client: redis.Redis, proxy: FaultProxy) -> None:
    client.set("a", "x" * 200_000)
    assert client.get("a") == b"x" * 200_000
    with client.pipeline() as pipeline:
        for number in range(100):
            pipeline.incrby("n", number)
        assert pipeline.execute()[-1] == 4950
    assert proxy.commands[-1] == (b"EXEC",)
    assert proxy.sent("INCRBY") == 100
    assert proxy.sent(b"99") == 1
    assert proxy.sent(lambda words: words[0] == b"SET") == 1
    assert proxy.accepted == 1


def test_subscribers_hear_of_what_is_published(client: redis.Redis) -> None:
    with client.pubsub() as channel:
        channel.subscribe("news", "weather")
        told = [channel.get_message(timeout=5) for _ in range(2)]
        client.publish("news", "a")
        assert [each["type"] for each in told if each] == ["subscribe", "subscribe"]
        message = channel.get_message(timeout=5)
        assert message is not None
        assert message["data"] == b"a"


def test_resp3_with_its_pushed_messages(proxy: FaultProxy, redis_client: redis.Redis) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as connection:
        connection.sendall(b"HELLO 3\r\n")
        connection.recv(4096)
        connection.sendall(b"CLIENT TRACKING on\r\n")
        assert connection.recv(4096) == b"+OK\r\n"
        connection.sendall(b"GET a\r\n")
        assert connection.recv(4096) == b"_\r\n"
        redis_client.set("a", 1)
        assert connection.recv(4096).startswith(b">2\r\n")
        proxy.lose_reply("GET")
        connection.sendall(b"GET a\r\n")
        assert connection.recv(4096) == b""


def test_what_is_pushed_is_no_reply(proxy: FaultProxy, redis_client: redis.Redis) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as connection:
        for line in (b"HELLO 3\r\n", b"CLIENT TRACKING on\r\n", b"GET a\r\n"):
            connection.sendall(line)
            connection.recv(4096)
        proxy.lose_reply("BLPOP")
        connection.sendall(b"BLPOP list 0\r\n")
        while not redis_client.info("clients")["blocked_clients"]:
            pass
        redis_client.set("a", 1)
        assert connection.recv(4096).startswith(b">2\r\n")
        redis_client.rpush("list", 1)
        assert read_all(connection) == b""


def test_a_lost_reply(client: redis.Redis, proxy: FaultProxy, redis_client: redis.Redis) -> None:
    lost = proxy.lose_reply("SET")
    with pytest.raises(redis.ConnectionError):
        client.set("a", 1)
    assert lost.happened == 1
    assert redis_client.get("a") == b"1"
    client.set("a", 2)
    assert redis_client.get("a") == b"2"


def test_only_the_reply_that_is_meant_is_lost(raw: socket.socket, proxy: FaultProxy) -> None:
    proxy.lose_reply(b"two")
    raw.sendall(b"ECHO one\r\nECHO two\r\nECHO three\r\n")
    assert read_all(raw) == b"$3\r\none\r\n"


def test_a_part_of_a_reply(raw: socket.socket, proxy: FaultProxy) -> None:
    proxy.lose_reply("ECHO", keep_bytes=6)
    raw.sendall(b"ECHO abcdef\r\n")
    assert read_all(raw) == b"$6\r\nab"


def test_what_is_done_before_the_client_notices(
    client: redis.Redis, proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    seen: list[bytes | None] = []
    proxy.lose_reply("SET", then=lambda: seen.append(redis_client.get("a")))
    with pytest.raises(redis.ConnectionError):
        client.set("a", 1)
    assert seen == [b"1"]
    proxy.cut("SET", then=proxy.refuse)
    for _ in range(2):
        with pytest.raises(redis.ConnectionError):
            client.set("a", 2)
    proxy.accept()
    assert client.get("a") == b"1"


def test_a_command_that_does_not_arrive(
    client: redis.Redis, proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    cut = proxy.cut("SET")
    with pytest.raises(redis.ConnectionError):
        client.set("a", 1)
    assert cut.happened == 1
    assert redis_client.get("a") is None
    assert proxy.sent("SET") == 1


def test_what_came_before_a_cut_is_answered(
    raw: socket.socket, proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    proxy.cut("SET", after=1)
    raw.sendall(b"SET a 1\r\nSET b 2\r\nSET c 3\r\n")
    assert read_all(raw) == b"+OK\r\n"
    assert redis_client.keys("*") == [b"a"]


def test_a_part_of_a_command_is_not_carried_out(
    raw: socket.socket, proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    proxy.cut("SET", keep_bytes=20)
    raw.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n")
    assert read_all(raw) == b""
    assert redis_client.get("a") is None


def test_a_large_command_is_cut_off_while_it_is_being_sent(
    raw: socket.socket, proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    cut = proxy.cut(b"large", keep_bytes=100)
    with pytest.raises(OSError, match=r"pipe|reset"):
        raw.sendall(b"*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$30000000\r\n" + b"x" * 30_000_000)
    assert cut.happened == 1
    assert redis_client.get("large") is None


def test_large_commands_are_counted_like_others(client: redis.Redis, proxy: FaultProxy) -> None:
    cut = proxy.cut(b"large", after=1)
    client.set("large", "x" * 1_000_000)
    with pytest.raises(redis.ConnectionError):
        client.set("large", "y" * 1_000_000)
    assert cut.happened == 1
    assert client.strlen("large") == 1_000_000


@pytest.mark.parametrize("order", [FaultProxy.cut, FaultProxy.lose_reply])
def test_a_reset(raw: socket.socket, proxy: FaultProxy, order: object) -> None:
    order(proxy, "PING", reset=True)  # type: ignore[operator]
    raw.sendall(b"PING\r\n")
    with pytest.raises(ConnectionResetError):
        read_all(raw)


def test_all_connections_are_dropped(raw: socket.socket, proxy: FaultProxy) -> None:
    raw.sendall(b"PING\r\n")
    assert raw.recv(100) == b"+PONG\r\n"
    proxy.drop_connections()
    assert read_all(raw) == b""
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as other:
        other.sendall(b"PING\r\n")
        assert other.recv(100) == b"+PONG\r\n"
        proxy.drop_connections(reset=True)
        with pytest.raises(ConnectionResetError):
            read_all(other)


def test_silence(client: redis.Redis, proxy: FaultProxy, redis_client: redis.Redis) -> None:
    silent = proxy.stall("SET")
    with pytest.raises(redis.TimeoutError):
        client.set("a", 1)
    assert silent.happened == 1
    assert redis_client.get("a") == b"1"
    assert client.get("a") == b"1"


def test_silence_lasts_as_long_as_the_connection(raw: socket.socket, proxy: FaultProxy) -> None:
    proxy.stall("SET")
    raw.sendall(b"SET a 1\r\nPING\r\n")
    raw.settimeout(0.2)
    with pytest.raises(TimeoutError):
        raw.recv(100)


def test_half_closed_connections_still_send(
    raw: socket.socket, proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    closed = proxy.half_close("PING")
    raw.sendall(b"PING\r\n")
    assert read_all(raw) == b"+PONG\r\n"
    closed.wait()
    raw.sendall(b"SET a 1\r\n")
    deadline = time.monotonic() + 10
    while redis_client.get("a") != b"1":
        assert time.monotonic() < deadline


def test_a_reply_in_drops(raw: socket.socket, proxy: FaultProxy) -> None:
    proxy.drip("ECHO", size=4, seconds=0.02)
    raw.sendall(b"ECHO abcdefgh\r\nPING\r\n")
    pieces = list(iter(lambda: raw.recv(100), b"+PONG\r\n"))
    assert pieces == [b"$8\r\n", b"abcd", b"efgh", b"\r\n"]
    with pytest.raises(ValueError, match="size must be 1 or more"):
        proxy.drip(size=0)


@pytest.mark.parametrize("of_replies", [True, False])
def test_a_delay(
    raw: socket.socket, proxy: FaultProxy, redis_client: redis.Redis, of_replies: bool
) -> None:
    delay = proxy.delay(0.5, "SET", of_replies=of_replies)
    start = time.monotonic()
    raw.sendall(b"SET a 1\r\n")
    delay.wait()
    assert redis_client.get("a") == (b"1" if of_replies else None)
    assert raw.recv(100) == b"+OK\r\n"
    assert time.monotonic() - start >= 0.5


def test_what_is_held_back_arrives_after_its_client_has_gone(
    client: redis.Redis, proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    held = proxy.hold("SET")
    with pytest.raises(redis.TimeoutError):
        client.set("a", 1)
    client.close()
    assert redis_client.get("a") is None
    held.deliver()
    assert redis_client.get("a") == b"1"


def test_what_is_held_back_goes_on_when_all_is_calm(raw: socket.socket, proxy: FaultProxy) -> None:
    held = proxy.hold("PING")
    raw.sendall(b"PING\r\n")
    held.wait()
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as other:
        other.sendall(b"ECHO x\r\n")  # somebody else's passes meanwhile
        assert other.recv(100) == b"$1\r\nx\r\n"
    proxy.calm()
    assert raw.recv(100) == b"+PONG\r\n"


def test_answers_of_its_own(
    raw: socket.socket, proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    proxy.answer(b"-OOM no\r\n", "SET")
    raw.sendall(b"ECHO one\r\nSET a 1\r\nECHO two\r\n")
    expected = b"$3\r\none\r\n-OOM no\r\n$3\r\ntwo\r\n"
    found = b""
    while len(found) < len(expected):
        found += raw.recv(100)
    assert found == expected
    assert redis_client.get("a") is None


def test_several_answers_and_an_end(raw: socket.socket, proxy: FaultProxy) -> None:
    proxy.answer(b":1\r\n*1\r\n:2\r\n:3", "INCR", last=True, then=proxy.refuse)
    raw.sendall(b"INCR a\r\nECHO one\r\nECHO two\r\nECHO three\r\n")
    assert read_all(raw) == b":1\r\n*1\r\n:2\r\n:3"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port), 1)


def test_how_often_and_when(client: redis.Redis, proxy: FaultProxy) -> None:
    failures: list[int] = []
    fault = proxy.cut("INCRBY", times=2, after=1)
    for number in range(5):
        try:
            client.incr("n")
        except redis.ConnectionError:
            failures.append(number)
    assert failures == [1, 2]
    assert fault.happened == 2
    assert client.get("n") == b"3"


def test_faults_come_in_the_order_of_their_orders(client: redis.Redis, proxy: FaultProxy) -> None:
    proxy.answer(b"+first\r\n", "ECHO")
    proxy.answer(b"+second\r\n")
    assert [client.echo("x") for _ in range(3)] == [b"first", b"second", b"x"]


def test_cancelled_faults_befall_nothing(client: redis.Redis, proxy: FaultProxy) -> None:
    proxy.cut("SET", times=None).cancel()
    client.set("a", 1)
    proxy.cut("SET", times=None)
    proxy.calm()
    client.set("a", 1)


def test_chances_are_those_of_the_seed(server_url: str) -> None:
    def met(seed: int) -> list[bool]:
        with (
            FaultProxy(server_url, seed=seed) as proxy,
            redis.Redis(port=proxy.port) as client,
        ):
            client.ping()
            proxy.answer(b"+met\r\n", "ECHO", times=None, chance=0.3)
            return [client.echo("x") == b"met" for _ in range(200)]

    assert met(5) == met(5)
    assert 30 < sum(met(5)) < 90
    assert met(5) != met(6)


def test_waiting_for_what_does_not_come(proxy: FaultProxy) -> None:
    with pytest.raises(TimeoutError, match="No command has met 'hold' of 'SET'"):
        proxy.hold("SET").deliver(0.01)


def test_from_asyncio(server_url: str, redis_client: redis.Redis) -> None:
    async def run() -> None:
        async with (
            FaultProxy(server_url) as proxy,
            redis.asyncio.Redis(port=proxy.port, retry=None) as client,
        ):
            await client.ping()
            proxy.lose_reply("SET")
            with pytest.raises(redis.ConnectionError):
                await client.set("a", 1)

    asyncio.run(run())
    assert redis_client.get("a") == b"1"


def test_a_server_that_is_gone_ends_connections() -> None:
    with (
        FaultProxy("redis://127.0.0.1:1") as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), 5) as connection,
    ):
        assert read_all(connection) == b""


def test_nothing_is_left_when_it_ends(server_url: str) -> None:
    before = threading.active_count()
    with FaultProxy(server_url) as proxy, redis.Redis(port=proxy.port) as client:
        client.ping()
        held = proxy.hold("ECHO")
        with socket.create_connection(("127.0.0.1", proxy.port), 5) as connection:
            connection.sendall(b"*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n")
            held.wait()
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port), 1)


def test_its_address_has_what_the_servers_has(server_url: str) -> None:
    with FaultProxy("redis://ann:s%2Fc@localhost:6379/3") as proxy:
        assert proxy.url == f"redis://ann:s%2Fc@127.0.0.1:{proxy.port}/3"
    with FaultProxy(server_url) as proxy:
        assert proxy.url == f"redis://127.0.0.1:{proxy.port}/0"


@pytest.mark.parametrize(
    "url", ["rediss://localhost", "redis+cluster://localhost", "embedded://", "nothing"]
)
def test_what_it_cannot_lead_to(url: str) -> None:
    with pytest.raises(ConfigurationError):
        FaultProxy(url)
