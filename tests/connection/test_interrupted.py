"""Signal handlers that raise, as Ctrl-C does, leave the process and its connections in order."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence

import hiredis
import pytest
import redis

from popoto import redis_db
from popoto._connection.connections import DirectConnection
from popoto._connection.resp import pack
from popoto.testing.faults import FaultProxy
from tests.driver import engine

pytestmark = pytest.mark.skipif(engine() == "cluster", reason="redis-py's own connections there")

_INTERRUPTED = """
import signal
from popoto._connection.resp import pack

def interrupt(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
numbers = [2000, 1.5] * 50_000
for _ in range(3):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.002)
        while True:
            pack([("ZADD", "key", *numbers)])
    except KeyboardInterrupt:
        print("interrupted")
"""


def test_an_interruption_while_a_command_is_made_ends_no_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED], capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stdout.split()) == (0, ["interrupted"] * 3)


def test_no_number_is_handed_to_hiredis(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    pack_command = hiredis.pack_command

    def spy(command: Sequence[object]) -> bytes:
        seen.extend(command)
        return pack_command(command)  # type: ignore[arg-type]

    monkeypatch.setattr("popoto._connection.resp._pack_one", spy)
    monkeypatch.setattr(hiredis, "pack_command", spy)
    pack([("SET", "a", 1), ("SET", b"a", 2.5)])
    pack([("SET", "a", 10**30)])
    client = redis_db.get_REDIS_DB()
    client.set("b", 3)
    client.pipeline().set("c", 4.5).zadd("d", {"e": 6}).execute()
    assert seen
    assert {type(each) for each in seen} == {str, bytes}
    assert client.mget("b", "c") == [b"3", b"4.5"]


def _ask(client: redis.Redis) -> object:
    return client.echo("interrupted")


def _ask_in_pipeline(client: redis.Redis) -> object:
    return client.pipeline(transaction=False).echo("interrupted").echo("x").execute()


def _ask_in_transaction(client: redis.Redis) -> object:
    return client.pipeline().echo("interrupted").execute()


@pytest.mark.parametrize("ask", [_ask, _ask_in_pipeline, _ask_in_transaction])
def test_a_reply_that_nobody_has_read_is_not_that_of_the_next_command(
    ask: Callable[[redis.Redis], object], proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = redis_db.get_REDIS_DB()
    client.ping()

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    proxy.delay(0.05, b"interrupted", of_replies=True)
    with monkeypatch.context() as patch:
        patch.setattr(DirectConnection, "read_response", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ask(client)
    assert client.echo("next") == b"next"
    assert redis_db.connection().call(("ECHO", "ours"), repeatable=True) == b"ours"


def test_connections_are_kept_where_every_reply_was_read(proxy: FaultProxy) -> None:
    client = redis_db.get_REDIS_DB()
    client.ping()
    accepted = proxy.accepted
    _ask(client)
    _ask_in_pipeline(client)
    _ask_in_transaction(client)
    with pytest.raises(redis.ResponseError):
        client.pipeline().set("a", "b").incr("a").execute()
    with pytest.raises(redis.ResponseError):
        client.incr("a")
    with client.pipeline() as pipeline:
        pipeline.watch("a")
        pipeline.get("a")
    redis_db.connection().call(("PING",), repeatable=True)
    assert proxy.accepted == accepted
