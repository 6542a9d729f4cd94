"""A server that takes no writes, or knows nobody: nothing was written, and the error says why."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from popoto import IndexedField, KeyField, Model, StringField, redis_db
from popoto._connection import policy, refusals
from popoto.exceptions import (
    NothingWrittenError,
    OutcomeUnknownError,
    PartlyRefusedError,
    PartlyWrittenError,
    RefusedMemoryError,
)
from popoto.models.writing import carrying, joining
from popoto.redis_db import POPOTO_REDIS_DB
from popoto.testing.faults import FaultProxy
from tests.connection.scripted import scripted_server
from tests.connection.two_calls import TwoCalls
from tests.driver import Api
from tests.truth.oracle import records, violations


class Berth(Model):
    name = KeyField()
    kind = IndexedField(default="quay")
    text = StringField(default="")


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "PATIENCE", 0.05)


REFUSALS: dict[bytes, type[redis.RedisError]] = {
    b"-OOM command not allowed when used memory > 'maxmemory'.": OutOfMemoryError,
    b"-OOM command not allowed. script: 1f0, on @user_script:9.": OutOfMemoryError,
    b"-READONLY You can't write against a read only replica.": ReadOnlyError,
    b"-LOADING Redis is loading the dataset in memory": BusyLoadingError,
    b"-MASTERDOWN Link with MASTER is down": MasterDownError,
    b"-CLUSTERDOWN The cluster is down": ClusterDownError,
    b"-TRYAGAIN Multiple keys request during rehashing of slot": TryAgainError,
    b"-MISCONF Redis is configured to save RDB snapshots": ResponseError,
    b"-NOREPLICAS Not enough good replicas to write.": ResponseError,
    b"-BUSY Redis is busy running a script.": ResponseError,
}


@pytest.mark.usefixtures("short_patience")
@pytest.mark.parametrize("line", REFUSALS)
def test_a_refused_write_wrote_nothing_and_is_what_redis_py_calls_it(
    api: Api, proxy: FaultProxy, line: bytes
) -> None:
    berth = api(Berth.create, name="a")
    proxy.answer(line + b"\r\n", b"EVALSHA", times=20)
    berth.kind = "pier"
    with pytest.raises(NothingWrittenError, match="nothing was written") as caught:
        api(berth.save)
    assert isinstance(caught.value, REFUSALS[line])
    told = pickle.loads(pickle.dumps(caught.value))
    assert (type(told), str(told)) == (type(caught.value), str(caught.value))


@pytest.mark.usefixtures("short_patience")
@pytest.mark.parametrize("line", REFUSALS)
def test_a_refused_read_says_nothing_of_writing(api: Api, proxy: FaultProxy, line: bytes) -> None:
    api(Berth.create, name="a")
    proxy.answer(line + b"\r\n", b"EVALSHA", times=20)
    with pytest.raises(REFUSALS[line]) as caught:
        api(Berth.query.count, kind="quay")
    assert not isinstance(caught.value, NothingWrittenError)


@pytest.mark.parametrize(
    "line", [b"-BUSYGROUP Consumer Group name already exists", b"-WRONGTYPE Operation", b"-ERR OOM"]
)
def test_other_errors_of_a_write_promise_nothing(api: Api, proxy: FaultProxy, line: bytes) -> None:
    proxy.answer(line + b"\r\n", b"EVALSHA")
    with pytest.raises(ResponseError) as caught:
        api(Berth.create, name="a")
    assert not isinstance(caught.value, NothingWrittenError)


OOM = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
DONE = b"*1\r\n:1\r\n"


@pytest.mark.parametrize(
    ("replies", "is_known"), [((OOM, OOM), True), ((DONE, OOM), False), ((OOM, DONE), False)]
)
def test_of_several_commands_the_refused_ones_are_not_written(
    api: Api, proxy: FaultProxy, replies: tuple[bytes, ...], is_known: bool
) -> None:
    proxy.answer(b"".join(replies), b"EVALSHA")
    with pytest.raises(OutOfMemoryError) as caught:
        api(TwoCalls("Berth:a", "Berth:b").write)
    assert isinstance(caught.value, NothingWrittenError) is is_known


def test_a_server_whose_memory_is_full(api: Api, redis_client: redis.Redis) -> None:
    """The change of an indexed field makes sets shorter too, which a full server takes."""
    berth = api(Berth.create, name="a")
    before = records(redis_client, Berth)
    redis_client.config_set("maxmemory", 1)
    try:
        berth.kind, berth.text = "pier", "x" * 1000
        for write in (
            lambda: api(berth.save),
            lambda: api(Berth.create, name="b"),
            lambda: api(Berth.bulk_create, [Berth(name="b"), Berth(name="c")]),
        ):
            with pytest.raises(NothingWrittenError) as caught:
                write()
            assert isinstance(caught.value, OutOfMemoryError)
    finally:
        redis_client.config_set("maxmemory", 0)
    assert records(redis_client, Berth) == before
    assert violations(redis_client, Berth) == []


BULK: dict[str, Callable[[Api, list[Berth], Callable[[int], object]], Any]] = {
    "bulk_create": lambda api, rows, full: api(
        Berth.bulk_create, rows, batch_size=2, progress=full
    ),
    "bulk_create, collecting": lambda api, rows, full: api(
        Berth.bulk_create, rows, batch_size=2, progress=full, on_error=pytest.fail
    ),
    "bulk_update": lambda api, rows, full: api(
        Berth.bulk_update, rows, batch_size=2, progress=full, kind="pier"
    ),
    "bulk_delete": lambda api, rows, full: api(
        Berth.bulk_delete, rows, batch_size=2, progress=full
    ),
}


@pytest.mark.usefixtures("short_patience")
@pytest.mark.parametrize(
    ("way", "line"),
    [
        *(("bulk_create", line) for line in REFUSALS),
        *((way, line) for way in BULK for line in list(REFUSALS)[:2]),
    ],
)
def test_a_batch_that_is_refused_says_what_is_stored(
    api: Api, proxy: FaultProxy, line: bytes, way: str
) -> None:
    rows = [Berth(name=str(number)) for number in range(5)]
    if way.startswith("bulk_create"):
        api(Berth.create, name="warm")
    else:
        api(Berth.bulk_create, rows)
    seen: list[int] = []

    def fill(done: int) -> None:
        seen.append(done)
        if done == 4:
            proxy.answer(line + b"\r\n", b"EVALSHA", times=20)

    with pytest.raises(PartlyWrittenError, match="4 rows were written before that") as caught:
        BULK[way](api, rows, fill)
    assert seen == [2, 4]
    error = caught.value
    assert isinstance(error, REFUSALS[line])
    assert not isinstance(error, NothingWrittenError)
    assert (error.done, error.stored) == (4, [])
    # redis-py takes the words away for which it has a class.
    assert line.decode().partition(" ")[2].rstrip(".") in str(error)
    assert "nothing was written" not in str(error)
    told = pickle.loads(pickle.dumps(error))
    assert (type(told), str(told), told.done) == (type(error), str(error), 4)


def test_emptying_that_is_refused_says_what_is_gone(api: Api, proxy: FaultProxy) -> None:
    api(Berth.bulk_create, [Berth(name=str(number)) for number in range(300)])

    def fill(_: int) -> None:
        # It looks before it writes.
        proxy.answer(b"-NOREPLICAS Not enough good replicas to write.\r\n", b"SREM")

    with pytest.raises(PartlyRefusedError, match="rows were written before that") as caught:
        api(Berth.delete_all, batch_size=20, progress=fill)
    assert caught.value.done == 300 - api(Berth.query.count) > 0


@pytest.mark.parametrize("way", ["raw_update", "renew_ttl"])
def test_bulk_writes_without_progress_say_it_too(api: Api, proxy: FaultProxy, way: str) -> None:
    api(Berth.bulk_create, [Berth(name=str(number)) for number in range(5)])
    write = {
        "raw_update": lambda: api(
            Berth.raw_update, [f"Berth:{number}" for number in range(5)], batch_size=2, text="x"
        ),
        "renew_ttl": lambda: api(Berth.query.order_by("name").renew_ttl, 60, batch_size=2),
    }[way]
    proxy.answer(b"-MISCONF No disk.\r\n", b"\r\nBerth:4\r\n")
    with pytest.raises(PartlyRefusedError, match="4 rows were written before that") as caught:
        write()
    assert caught.value.done == 4


def test_a_part_that_is_refused_says_which_rows_of_its_batch_are_stored(
    api: Api, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is too large for one call is written in parts, of which a later one is refused."""
    monkeypatch.setattr(joining, "MOST_ARGUMENTS", 100)
    api(Berth.create, name="warm")
    rows = [Berth(name=f"{number:02}") for number in range(20)]
    take, writes = carrying._Work._take, 0

    def take_and_fill(self: Any, call: Any, reply: Any) -> Any:
        nonlocal writes
        writes += 1
        if writes == 2:
            redis_client.config_set("maxmemory", 1)
        return take(self, call, reply)

    monkeypatch.setattr(carrying._Work, "_take", take_and_fill)
    try:
        with pytest.raises(OutOfMemoryError) as caught:
            api(Berth.bulk_create, rows)
    finally:
        redis_client.config_set("maxmemory", 0)
    error = caught.value
    assert isinstance(error, PartlyWrittenError)
    assert 0 < error.done < 20
    assert error.stored == list(range(error.done))
    assert f"of the batch under way these: 0-{error.done - 1}" in str(error)
    stored = sorted(each.name for each in api(Berth.query.all))
    assert stored == [*(row.name for row in rows[: error.done]), "warm"]


def test_a_first_batch_that_is_refused_is_no_other_than_a_save(
    api: Api, redis_client: redis.Redis
) -> None:
    redis_client.config_set("maxmemory", 1)
    try:
        with pytest.raises(RefusedMemoryError, match="nothing was written"):
            api(Berth.bulk_create, [Berth(name=str(number)) for number in range(4)], batch_size=2)
    finally:
        redis_client.config_set("maxmemory", 0)


def test_a_refused_write_in_direct_use_is_as_redis_py_has_it(redis_client: redis.Redis) -> None:
    redis_client.config_set("maxmemory", 1)
    try:
        with pytest.raises(OutOfMemoryError):
            POPOTO_REDIS_DB.set("a", 1)
        with pytest.raises(NothingWrittenError):
            redis_db.connection().call(("SET", "a", 1), repeatable=False)
    finally:
        redis_client.config_set("maxmemory", 0)


# A password ----------------------------------------------------------------------------------

CUT_OFF = b"-ERR Protocol error: unauthenticated multibulk length\r\n"
NOAUTH = b"-NOAUTH Authentication required.\r\n"


@pytest.fixture
def guarded() -> Iterator[int]:
    """The port of a server that wants a password, as it answers to commands."""

    def answer(command: list[bytes]) -> bytes | None:
        if command[0] == b"CLIENT":
            return None
        return CUT_OFF if len(command) > 10 else NOAUTH

    with scripted_server(answer) as port:
        yield port
        redis_db.set_REDIS_DB_settings()


@pytest.mark.parametrize("database", [0, 1])
def test_a_server_that_wants_a_password_is_told_from_others(
    api: Api, guarded: int, database: int
) -> None:
    redis_db.set_REDIS_DB_settings(url=f"redis://127.0.0.1:{guarded}/{database}")
    for ask in (
        lambda: api(Berth.create, name="a"),
        lambda: api(Berth.query.get, name="a"),
        lambda: api(TwoCalls("Berth:a", "Berth:b").write),
        lambda: POPOTO_REDIS_DB.get("a"),
        lambda: POPOTO_REDIS_DB.sadd("a", *range(20)),
    ):
        with pytest.raises(redis.AuthenticationError, match="wants a password") as caught:
            ask()
        assert "redis://:password@host" in str(caught.value)
        assert not isinstance(caught.value, OutcomeUnknownError)


async def test_direct_use_in_a_task_wants_a_password_too(guarded: int) -> None:
    redis_db.set_REDIS_DB_settings(url=f"redis://127.0.0.1:{guarded}/0")
    client = await redis_db.get_async_redis_db()
    for ask in (lambda: client.get("a"), lambda: client.sadd("a", *range(20))):
        with pytest.raises(redis.AuthenticationError, match="wants a password"):
            await ask()
    await client.aclose()


def test_a_server_that_hangs_up_on_strangers_was_no_lost_reply(
    api: Api, proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    """It closes the connection after the first of several commands."""
    proxy.answer(CUT_OFF, b"EVALSHA", last=True, then=proxy.refuse)
    with pytest.raises(redis.AuthenticationError, match="wants a password"):
        api(TwoCalls("Berth:a", "Berth:b").write)


def test_what_was_said_once_is_not_said_again() -> None:
    refused = refusals.refused(ReadOnlyError("a replica."), repeatable=False)
    assert str(refused) == "a replica; nothing was written"
    assert refusals.refused(refused, repeatable=False) is refused


def test_a_wrong_password_is_no_missing_one() -> None:
    wrong = redis.AuthenticationError("invalid username-password pair or user is disabled.")
    assert refusals.with_remedy(wrong) is wrong
