"""What nodes of a cluster answer while slots and nodes move: told here by a proxy, one by one.

The cluster is one server behind the proxy, which says that it serves every slot.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.crc import key_slot

from popoto import redis_db
from popoto._connection import policy
from popoto.exceptions import NothingWrittenError, OutcomeUnknownError
from popoto.redis_db import POPOTO_REDIS_DB
from popoto.testing.faults import FaultProxy
from tests.cluster_nodes import free_ports
from tests.driver import Api

#: Errors after which the same node is asked again, since nothing was carried out.
PASSING = {
    "tryagain": b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
    "down": b"-CLUSTERDOWN The cluster is down\r\n",
    "loading": b"-LOADING Redis is loading the dataset in memory\r\n",
}


def slots_at(*spans: tuple[int, int, int]) -> bytes:
    """The reply to CLUSTER SLOTS: (first, last, port) of each span, on this machine."""
    lines = [b"*%d\r\n" % len(spans)]
    for first, last, port in spans:
        lines.append(b"*3\r\n:%d\r\n:%d\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n" % (first, last, port))
    return b"".join(lines)


def tell_slots(proxy: FaultProxy, reply: bytes, times: int = 1) -> None:
    """So often, and then that it serves all of them."""
    proxy.calm()
    proxy.answer(reply, b"SLOTS", times=times)
    proxy.answer(slots_at((0, 16383, proxy.port)), b"SLOTS", times=None)


@pytest.fixture
def proxies(server_url: str) -> Iterator[list[FaultProxy]]:
    """Two ways to the one server; the first serves all slots."""
    with FaultProxy(server_url) as first, FaultProxy(server_url) as second:
        for proxy in (first, second):
            proxy.answer(slots_at((0, 16383, first.port)), b"SLOTS", times=None)
        redis_db.set_REDIS_DB_settings(url=f"redis+cluster://127.0.0.1:{first.port}")
        yield [first, second]
        redis_db.set_REDIS_DB_settings()


def call(api: Api, *command: Any, repeatable: bool = False) -> Any:
    if not api.is_async:
        return redis_db.connection().call(command, repeatable=repeatable)

    async def later() -> Any:
        return await (await redis_db.async_connection()).call(command, repeatable=repeatable)

    return api.run(later())


def call_many(api: Api, *commands: tuple[Any, ...]) -> list[Any]:
    if not api.is_async:
        return redis_db.connection().call_many(commands, repeatable=False)

    async def later() -> list[Any]:
        return await (await redis_db.async_connection()).call_many(commands, repeatable=False)

    return api.run(later())


def in_a_transaction(api: Api, key: str) -> list[Any]:
    if not api.is_async:
        return POPOTO_REDIS_DB.pipeline().incr(key).execute()

    async def later() -> list[Any]:
        return await (await redis_db.get_async_redis_db()).pipeline().incr(key).execute()

    return api.run(later())


def moved(key: str, proxy: FaultProxy) -> bytes:
    return b"-MOVED %d 127.0.0.1:%d\r\n" % (key_slot(key.encode()), proxy.port)


@pytest.mark.parametrize("reply", PASSING.values(), ids=PASSING)
def test_what_passes_is_waited_for(api: Api, proxies: list[FaultProxy], reply: bytes) -> None:
    proxies[0].answer(reply, b"INCR", times=2)
    assert call(api, "INCR", "n") == 1
    proxies[0].answer(reply, b"INCR")
    assert call_many(api, ("INCR", "n")) == [2]
    proxies[0].answer(b"+OK\r\n" + reply + b"-EXECABORT discarded\r\n", b"MULTI", times=2)
    assert in_a_transaction(api, "n") == [3]


def test_a_slot_that_moved_is_followed_and_asked_about(api: Api, proxies: list[FaultProxy]) -> None:
    first, second = proxies
    call(api, "GET", "n")
    first.answer(moved("n", second), b"INCR")
    assert call(api, "INCR", "n") == 1
    assert second.accepted == 1
    # The nodes were asked who serves what, and the first says that it is still its own.
    first.answer(b":99\r\n", b"INCR")
    assert call(api, "INCR", "n") == 99


def test_a_slot_on_the_move_is_asked_for_once(api: Api, proxies: list[FaultProxy]) -> None:
    first, second = proxies
    ask = b"-ASK %d 127.0.0.1:%d\r\n" % (key_slot(b"n"), second.port)
    first.answer(ask, b"INCR")
    second.answer(b"+OK\r\n:7\r\n", b"ASKING")
    assert call(api, "INCR", "n") == 7
    first.answer(b":99\r\n", b"INCR")
    assert call(api, "INCR", "n") == 99


def test_some_commands_of_many_are_redirected(api: Api, proxies: list[FaultProxy]) -> None:
    """Only what was not carried out is sent again."""
    first, second = proxies
    first.answer(b":5\r\n" + moved("b", second) + b":6\r\n", b"INCR")
    assert call_many(api, ("INCR", "a"), ("INCR", "b"), ("INCR", "a")) == [5, 1, 6]


def test_a_transaction_follows_its_slot(api: Api, proxies: list[FaultProxy]) -> None:
    first, second = proxies
    refused = b"+OK\r\n" + moved("n", second) + b"-EXECABORT Transaction discarded\r\n"
    first.answer(refused, b"MULTI")
    assert in_a_transaction(api, "n") == [1]
    assert second.accepted == 1


def refused_transaction(key: str, proxy: FaultProxy) -> bytes:
    return b"+OK\r\n" + moved(key, proxy) + b"-EXECABORT Transaction discarded\r\n"


def test_nodes_that_do_not_agree_are_waited_for(api: Api, proxies: list[FaultProxy]) -> None:
    """Each sends on to the other, more often than the waiting takes redirections."""
    first, second = proxies
    for proxy, other in ((first, second), (second, first)):
        proxy.answer(moved("n", other), b"INCR", times=10)
    assert call(api, "INCR", "n") == 1
    for proxy, other in ((first, second), (second, first)):
        proxy.answer(refused_transaction("n", other), b"MULTI", times=10)
    assert in_a_transaction(api, "n") == [2]
    for proxy, other in ((first, second), (second, first)):
        proxy.answer(moved("n", other), b"INCR", times=10)
    assert call_many(api, ("INCR", "n")) == [3]


def test_nodes_that_never_agree_are_an_error(
    api: Api, proxies: list[FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "PATIENCE", 0.1)
    first, _ = proxies
    first.answer(moved("n", first), b"INCR", times=None)
    first.answer(refused_transaction("n", first), b"MULTI", times=None)
    for ask in (
        lambda: call(api, "INCR", "n"),
        lambda: call_many(api, ("INCR", "n")),
        lambda: in_a_transaction(api, "n"),
    ):
        with pytest.raises(NothingWrittenError, match="do not agree who serves slot"):
            ask()
    assert call(api, "GET", "n") is None


def test_a_node_that_is_gone_is_asked_about(api: Api, proxies: list[FaultProxy]) -> None:
    """Nothing was sent to it, so the command goes to whom the others name instead."""
    first, _ = proxies
    (nobody,) = free_ports(1)
    tell_slots(first, slots_at((0, 16383, nobody)))
    assert call(api, "INCR", "n") == 1


def test_a_node_that_stays_gone_is_an_error(api: Api, proxies: list[FaultProxy]) -> None:
    first, _ = proxies
    (nobody,) = free_ports(1)
    tell_slots(first, slots_at((0, 16383, nobody)), times=20)
    with pytest.raises(NothingWrittenError):
        call(api, "INCR", "n")


def test_a_slot_that_nobody_serves_is_an_error(api: Api, proxies: list[FaultProxy]) -> None:
    first, _ = proxies
    tell_slots(first, slots_at((0, 10, first.port)), times=20)
    with pytest.raises(NothingWrittenError, match="No node of the cluster serves slot"):
        call(api, "INCR", "n")


@pytest.mark.parametrize(
    "reply",
    [
        b"-ERR This instance has cluster support disabled\r\n",
        b"+OK\r\n",
        b"*1\r\n:1\r\n",
        b"*1\r\n*3\r\n:0\r\n:1\r\n:2\r\n",
        b"*1\r\n*3\r\n$1\r\n0\r\n:1\r\n*2\r\n$1\r\nh\r\n:1\r\n",
    ],
)
def test_an_answer_that_tells_no_slots_is_an_error(
    api: Api, proxies: list[FaultProxy], reply: bytes
) -> None:
    first, _ = proxies
    tell_slots(first, reply, times=20)
    with pytest.raises(NothingWrittenError):
        call(api, "INCR", "n")


def test_a_connection_that_fails_makes_the_nodes_be_asked(
    api: Api, proxies: list[FaultProxy], redis_client: redis.Redis
) -> None:
    first, second = proxies
    call(api, "GET", "n")
    first.lose_reply(b"INCR")
    with pytest.raises(OutcomeUnknownError):
        call(api, "INCR", "n")
    assert redis_client.get("n") == b"1"
    tell_slots(first, slots_at((0, 16383, second.port)))
    assert call(api, "INCR", "n") == 2
    assert second.accepted == 1


def test_many_commands_whose_connection_fails(
    api: Api, proxies: list[FaultProxy], redis_client: redis.Redis
) -> None:
    first, second = proxies
    call(api, "GET", "n")
    first.lose_reply(b"INCR")
    with pytest.raises(OutcomeUnknownError):
        call_many(api, ("INCR", "n"), ("INCR", "n"))
    assert redis_client.get("n") == b"2"
    tell_slots(first, slots_at((0, 16383, second.port)))
    assert call_many(api, ("INCR", "n")) == [3]
    assert second.accepted == 1


def test_what_replicas_have_is_said_by_the_node_that_carries_it_out(
    api: Api, proxies: list[FaultProxy]
) -> None:
    first, second = proxies
    call(api, "GET", "n")
    first.answer(moved("n", second) + b":9\r\n", b"INCR")
    assert waited_for(api, ("INCR", "n")) == [1, 0]


def waited_for(api: Api, *commands: tuple[Any, ...]) -> list[Any]:
    wait = redis_db.Wait(2, 0.01)
    if not api.is_async:
        return redis_db.connection().call_many(commands, repeatable=False, wait=wait)

    async def later() -> list[Any]:
        connection = await redis_db.async_connection()
        return await connection.call_many(commands, repeatable=False, wait=wait)

    return api.run(later())
