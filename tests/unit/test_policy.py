"""Which commands may be repeated, and what a failure is called."""

from __future__ import annotations

import time
from typing import Any

import pytest
import redis
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    MaxConnectionsError,
    ResponseError,
    WatchError,
)

from popoto._connection import policy
from popoto.exceptions import NothingWrittenError, OutcomeUnknownError, OutcomeUnknownTimeoutError

URL = "redis://there"

#: What is repeated although the server's own list does not call it read-only.
READ_ALL_THE_SAME = {"PING", "ECHO", "PUBSUB", "ROLE", "TIME", "LASTSAVE", "INFO", "COMMAND"}
READS = [
    "BITFIELD_RO",
    "COMMAND",
    "ECHO",
    "GEORADIUS_RO",
    "GEORADIUSBYMEMBER_RO",
    "INFO",
    "LASTSAVE",
    "MEMORY",
    "OBJECT",
    "PING",
    "PUBSUB",
    "ROLE",
    "SORT_RO",
    "SUBSTR",
    "TIME",
    "TOUCH",
    "XINFO",
    "GET",
    "HGETALL",
    "MGET",
    "SMEMBERS",
    "EVAL_RO",
]
FAMILIES = [
    *("CLIENT ID", "CLIENT INFO", "CLIENT LIST", "CLUSTER INFO", "CLUSTER NODES"),
    *("CLUSTER SHARDS", "CLUSTER SLOTS", "CONFIG GET", "SCRIPT EXISTS", "SCRIPT LOAD"),
]
WRITES = [
    "SET",
    "INCR",
    "DEL",
    "EVAL",
    "EVALSHA",
    "XADD",
    "EXPIRE",
    "FLUSHALL",
    "GETDEL",
    "GETEX",
    "CONFIG",
    "CLIENT",
    "SCRIPT",
    "CLUSTER",
    "FT.PROFILE",
    "PUBLISH",
    "LPOP",
    "SPOP",
    "HSET",
    "RENAME",
    "UNLINK",
]


@pytest.mark.parametrize("name", READS)
def test_reads_are_reads_in_every_spelling(redis_client: redis.Redis, name: str) -> None:
    assert policy.is_read((name, "k"))
    assert policy.is_read((name.lower().encode(), b"k"))
    if name == "EVAL_RO" or name in READ_ALL_THE_SAME:
        return
    (known,) = redis_client.execute_command("COMMAND", "INFO", name).values()
    flags = {str(flag) for flag in known["flags"]}
    assert "write" not in flags


@pytest.mark.parametrize("family", FAMILIES)
def test_reads_of_a_family_are_told_by_their_second_word(family: str) -> None:
    first, second = family.split()
    assert policy.is_read((first, second, "x"))
    assert policy.is_read((family, "x"))
    assert policy.is_read((first.lower().encode(), second.lower().encode()))


def test_a_command_of_two_words_is_the_same_in_one() -> None:
    for name in ("MEMORY USAGE", "OBJECT ENCODING", "XINFO STREAM", b"pubsub channels"):
        assert policy.is_read((name, "k"))


@pytest.mark.parametrize("name", WRITES)
def test_what_may_change_something_is_no_read(name: str) -> None:
    assert not policy.is_read((name,))
    assert not policy.is_read((name, "SET", "x"))
    assert not policy.is_read((f"{name} SET", "x"))


@pytest.mark.parametrize("error", [TimeoutError(), redis.TimeoutError("late")])
@pytest.mark.parametrize("repeatable", [True, False])
def test_a_time_out_says_so(error: Exception, repeatable: bool) -> None:
    found = policy.lost_reply(error, URL, repeatable=repeatable)
    assert isinstance(found, redis.TimeoutError)
    assert isinstance(found, OutcomeUnknownTimeoutError) is not repeatable
    assert f"No reply came in time from {URL}: " in str(found)
    assert ("may or may not have been carried out" in str(found)) is not repeatable


@pytest.mark.parametrize("repeatable", [True, False])
def test_a_lost_connection_says_so(repeatable: bool) -> None:
    found = policy.lost_reply(ConnectionResetError("reset by peer."), URL, repeatable=repeatable)
    assert isinstance(found, redis.ConnectionError)
    assert not isinstance(found, redis.TimeoutError)
    assert isinstance(found, OutcomeUnknownError) is not repeatable
    text = f"The connection failed before the reply came from {URL}: reset by peer"
    assert str(found).startswith(text)
    assert ".." not in str(found)


def test_an_error_without_words_is_named() -> None:
    assert "EOFError" in str(policy.lost_reply(EOFError(), URL, repeatable=True))
    assert "EOFError" in str(policy.connect_failure(EOFError(), URL))


def test_a_server_that_cannot_be_reached_comes_with_advice() -> None:
    found = policy.connect_failure(OSError("refused."), URL)
    assert isinstance(found, NothingWrittenError)
    assert str(found).startswith(f"Cannot reach the server at {URL}: refused. Nothing was sent.")
    assert "REDIS_URL=embedded://" in str(found)


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (redis.ConnectionError("x"), True),
        (redis.TimeoutError("x"), True),
        (OSError("x"), True),
        (NothingWrittenError("x"), False),
        (AuthenticationError("x"), False),
        (AuthorizationError("x"), False),
        (BusyLoadingError("x"), False),
        (MaxConnectionsError("x"), False),
        (ResponseError("x"), False),
        (ValueError("x"), False),
    ],
)
def test_who_was_reached_and_is_unwilling_is_no_failure_to_connect(
    error: Exception, is_one: bool
) -> None:
    assert policy.is_connect_failure(error) is is_one


def test_pauses_before_connecting_again() -> None:
    soon, late = time.monotonic() + 60, time.monotonic() - 1
    refused = redis.ConnectionError("refused")
    for attempt, longest in enumerate((0.05, 0.15)):
        pauses = [policy.connect_pause(refused, attempt, soon) for _ in range(50)]
        assert all(pause is not None and longest / 2 <= pause <= longest for pause in pauses)
        assert len(set(pauses)) > 1
        assert policy.connect_pause(refused, attempt, late) is None
        assert policy.connect_pause(refused, attempt, time.monotonic() + longest / 9) is None
    assert policy.connect_pause(refused, 2, soon) is None
    for error in (redis.TimeoutError("x"), TimeoutError(), AuthenticationError("x")):
        assert policy.connect_pause(error, 0, soon) is None
    # A server that loads is waited for as long as there is time.
    assert policy.connect_pause(BusyLoadingError("x"), 9, soon) is not None


@pytest.mark.parametrize(
    ("attempt", "longest"), [(0, 0.02), (1, 0.04), (4, 0.32), (5, 0.5), (9, 0.5)]
)
def test_pauses_for_a_server_that_will_be_ready(attempt: int, longest: float) -> None:
    soon = time.monotonic() + 60
    pauses = [policy.waiting_pause(attempt, soon) for _ in range(50)]
    assert all(pause is not None and longest / 2 <= pause <= longest for pause in pauses)
    assert len(set(pauses)) > 1
    assert policy.waiting_pause(attempt, time.monotonic()) is None
    assert policy.waiting_pause(attempt, time.monotonic() + longest / 9) is None


@pytest.mark.parametrize("cause", [redis.ConnectionError("gone"), redis.TimeoutError("late")])
def test_a_broken_watch_that_is_a_lost_connection(cause: Exception) -> None:
    """Callers take a WatchError as the invitation to do it again, which would be wrong here."""
    found = policy.broken_watch(_raised_while(cause), URL)
    assert isinstance(found, OutcomeUnknownError | OutcomeUnknownTimeoutError)


def test_a_broken_watch_that_is_one() -> None:
    error: Any = WatchError("changed")
    assert policy.broken_watch(error, URL) is error
    assert isinstance(policy.broken_watch(_raised_while(ValueError()), URL), WatchError)


def _raised_while(cause: Exception) -> WatchError:
    try:
        try:
            raise cause
        except type(cause):
            raise WatchError("watched") from None
    except WatchError as error:
        return error
