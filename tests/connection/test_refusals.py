"""A server that takes no writes, or knows nobody: nothing was written, and the error says why."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

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
from popoto.exceptions import NothingWrittenError, OutcomeUnknownError
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


def test_a_batch_that_is_refused_does_not_deny_the_one_before(
    api: Api, redis_client: redis.Redis
) -> None:
    rows = [Berth(name=str(number)) for number in range(4)]
    try:
        with pytest.raises(OutOfMemoryError) as caught:
            api(
                Berth.bulk_create,
                rows,
                batch_size=2,
                progress=lambda *_: redis_client.config_set("maxmemory", 1),
            )
    finally:
        redis_client.config_set("maxmemory", 0)
    assert not isinstance(caught.value, NothingWrittenError)
    assert api(Berth.query.count) == 2


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
