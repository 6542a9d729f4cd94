"""A request was sent, and something went wrong then: what is told, and what is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator
from typing import Any, cast

import pytest
import redis

from popoto import (
    ConfidenceField,
    IndexedField,
    IntField,
    KeyField,
    Model,
    SortedField,
    StringField,
    redis_db,
)
from popoto.exceptions import (
    NothingWrittenError,
    OutcomeUnknownError,
    OutcomeUnknownTimeoutError,
    PartlyWrittenError,
)
from popoto.models.writing import carrying
from popoto.models.writing.lateness import see_through
from popoto.redis_db import POPOTO_REDIS_DB
from popoto.testing.faults import FaultProxy
from tests.connection.two_calls import TwoCalls
from tests.driver import Api
from tests.truth.oracle import violations


class Berth(Model):
    name = KeyField()
    kind = IndexedField(default="quay")
    depth = SortedField(type=int, default=0)
    ships = IntField(default=0)
    text = StringField(default="")


class Memory(Model):
    name = KeyField()
    agent = StringField()
    certainty = ConfidenceField(partition_by="agent")


class Pier(Model):
    """A model that saves in a way of its own."""

    name = KeyField()

    def save(self, *args: Any, **kwargs: Any) -> Any:
        return super().save(*args, **kwargs)


@pytest.fixture
def proxy(server_url: str) -> Iterator[FaultProxy]:
    with FaultProxy(server_url) as proxy:
        redis_db.set_REDIS_DB_settings(host="127.0.0.1", port=proxy.port)
        yield proxy
        redis_db.set_REDIS_DB_settings()


def lose_patience(proxy: FaultProxy) -> None:
    """Wait for no reply for long: what is to succeed comes before, on a busy machine too."""
    redis_db.set_REDIS_DB_settings(host="127.0.0.1", port=proxy.port, socket_timeout=1)


@pytest.fixture
def berth(api: Api, proxy: FaultProxy) -> Berth:
    return api(Berth.create, name="a")


def changed(berth: Berth, **values: Any) -> Berth:
    for name, value in values.items():
        setattr(berth, name, value)
    return berth


Write = Callable[[Api, Berth], Any]
WRITES: dict[str, Write] = {
    "save": lambda api, berth: api(changed(berth, kind="pier").save),
    "save of a text": lambda api, berth: api(changed(berth, text="x").save),
    "partial save": lambda api, berth: api(
        changed(berth, kind="pier").save, update_fields=["kind"]
    ),
    "create": lambda api, berth: api(Berth.create, name="b"),
    "delete": lambda api, berth: api(berth.delete),
    "increment": lambda api, berth: api(berth.atomic_increment, "ships", 1),
    "increment of a sorted field": lambda api, berth: api(berth.atomic_increment, "depth", 1),
    "bulk_create": lambda api, berth: api(Berth.bulk_create, [Berth(name="b"), Berth(name="c")]),
    "bulk_update": lambda api, berth: api(Berth.bulk_update, [berth], kind="pier"),
    "bulk_delete": lambda api, berth: api(Berth.bulk_delete, [berth]),
    "raw_update": lambda api, berth: api(Berth.raw_update, [berth.db_key.redis_key], text="x"),
    "rebuild": lambda api, berth: api(Berth.rebuild_indexes),
}
#: What the writing request of one that reads before has in it.
MARKS = {"rebuild": b"SADD"}
READS: dict[str, Write] = {
    "get": lambda api, berth: api(Berth.query.get, name="a"),
    "count": lambda api, berth: api(Berth.query.count, kind="quay"),
    "filter": lambda api, berth: api(Berth.query.all),
    "refresh": lambda api, berth: api(berth.refresh),
}


def assert_in_doubt(error: BaseException) -> None:
    assert isinstance(error, OutcomeUnknownError)
    assert isinstance(error, redis.ConnectionError)
    assert "othing was" not in str(error)
    assert "may or may not" in str(error) or "Look at the stored data" in str(error)


def assert_plain(error: BaseException) -> None:
    assert isinstance(error, redis.ConnectionError | redis.TimeoutError)
    assert not isinstance(error, NothingWrittenError | OutcomeUnknownError)
    assert "othing was" not in str(error)
    assert "stored data" not in str(error)


# Writes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITES)
def test_a_write_whose_server_goes_away_is_in_doubt(
    api: Api, proxy: FaultProxy, berth: Berth, name: str
) -> None:
    proxy.lose_reply(MARKS.get(name, b"EVALSHA"), then=proxy.refuse)
    with pytest.raises(redis.ConnectionError) as caught:
        WRITES[name](api, berth)
    assert_in_doubt(caught.value)


@pytest.mark.parametrize("name", WRITES)
def test_a_write_to_a_server_that_falls_silent_is_in_doubt(
    api: Api, proxy: FaultProxy, berth: Berth, name: str
) -> None:
    lose_patience(proxy)
    proxy.stall(MARKS.get(name, b"EVALSHA"), times=5)
    with pytest.raises(redis.TimeoutError) as caught:
        WRITES[name](api, berth)
    assert_in_doubt(caught.value)
    assert isinstance(caught.value, OutcomeUnknownTimeoutError)
    # It is not asked for long: the call is given up once.
    assert proxy.sent(b"$3\r\nSET\r\n") <= 1


def test_a_write_whose_reply_is_lost_again_and_again_is_in_doubt(
    api: Api, proxy: FaultProxy, berth: Berth, redis_client: redis.Redis
) -> None:
    proxy.lose_reply(b"EVALSHA", times=3)
    with pytest.raises(OutcomeUnknownError):
        api(changed(berth, kind="pier").save)
    assert redis_client.hget("Berth:a", "kind") == b"\xa4pier"


@pytest.mark.parametrize("name", ["save", "bulk_update"])
def test_a_write_seen_to_be_stored_whose_result_nobody_is_left_to_tell_is_in_doubt(
    api: Api, proxy: FaultProxy, berth: Berth, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def seen_and_then_nobody(*arguments: Any, **more: Any) -> Generator[Any, Any, None]:
        yield from see_through(*arguments, **more)
        proxy.refuse()
        proxy.drop_connections()

    monkeypatch.setattr(carrying, "see_through", seen_and_then_nobody)
    proxy.lose_reply(b"HSET")
    with pytest.raises(OutcomeUnknownError) as caught:
        WRITES[name](api, berth)
    assert_in_doubt(caught.value)
    assert not isinstance(caught.value, PartlyWrittenError)


@pytest.mark.parametrize(
    "refusal",
    ["NOPERM this user has no permissions", "NOAUTH Authentication required.", "ERR unknown"],
)
def test_a_write_seen_to_be_stored_whose_result_is_refused_then_is_in_doubt(
    api: Api, proxy: FaultProxy, berth: Berth, redis_client: redis.Redis, refusal: str
) -> None:
    """Its user has lost rights in between, or has another password since."""

    def refuse() -> None:
        proxy.answer(f"-{refusal}\r\n".encode(), b"EVALSHA", after=1)

    proxy.lose_reply(b"EVALSHA", then=refuse)
    with pytest.raises(OutcomeUnknownError) as caught:
        api(changed(berth, kind="pier").save)
    assert_in_doubt(caught.value)
    assert redis_client.hget("Berth:a", "kind") == b"\xa4pier"


def test_replies_that_go_on_being_lost_after_a_look_are_in_doubt(
    api: Api, proxy: FaultProxy, berth: Berth
) -> None:
    def lose_the_next_commit() -> None:
        proxy.lose_reply(b"$Late:Berth:", then=lambda: proxy.lose_reply(b"HSET"))

    proxy.lose_reply(b"HSET")
    for _ in range(5):
        proxy.lose_reply(b"HSET")
    with pytest.raises(OutcomeUnknownError):
        api(changed(berth, kind="pier").save)
    assert proxy.sent(b"HSET") == 4


@pytest.mark.parametrize("api_kind", ["threads", "tasks"])
def test_a_save_that_another_writer_took_back_is_not_repeated(
    proxy: FaultProxy, redis_client: redis.Redis, server_url: str, api_kind: str
) -> None:
    """It was acknowledged to the other one, and our value is back where it was."""
    berth = Berth.create(name="a")

    def take_back() -> None:
        with redis_db.using(server_url):
            other = Berth.query.get(name="a")
            assert other.kind == "pier"
            changed(other, kind="quay").save()

    proxy.lose_reply(b"EVALSHA", then=take_back)
    changed(berth, kind="pier")
    save = berth.save if api_kind == "threads" else lambda: asyncio.run(berth.async_save())
    with pytest.raises(OutcomeUnknownError):
        save()
    assert redis_client.hget("Berth:a", "kind") == b"\xa4quay"
    assert violations(redis_client, Berth) == []


HELD: dict[str, tuple[Write, Write]] = {
    "save": (
        WRITES["save"],
        lambda api, berth: api(changed(berth, kind="quay").save),
    ),
    "save of a text": (
        WRITES["save of a text"],
        lambda api, berth: api(changed(berth, text="").save),
    ),
    "bulk_update": (
        WRITES["bulk_update"],
        lambda api, berth: api(Berth.bulk_update, [berth], kind="quay"),
    ),
    "raw_update": (
        WRITES["raw_update"],
        lambda api, berth: api(Berth.raw_update, [berth.db_key.redis_key], text=""),
    ),
    "increment": (
        WRITES["increment"],
        lambda api, berth: api(berth.refresh),
    ),
    "delete": (
        WRITES["delete"],
        lambda api, berth: api(berth.refresh),
    ),
}


@pytest.mark.parametrize("name", HELD)
def test_a_write_that_arrives_late_undoes_nothing(
    api: Api, proxy: FaultProxy, berth: Berth, redis_client: redis.Redis, name: str
) -> None:
    first, second = HELD[name]
    before = redis_client.hgetall("Berth:a")
    lose_patience(proxy)
    held = proxy.hold(b"EVALSHA")
    with pytest.raises(OutcomeUnknownTimeoutError):
        first(api, berth)
    second(api, berth)
    held.deliver()
    assert redis_client.hgetall("Berth:a") == before
    assert violations(redis_client, Berth) == []


def test_a_creation_that_arrives_late_creates_nothing(
    api: Api, proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    lose_patience(proxy)
    held = proxy.hold(b"EVALSHA")
    with pytest.raises(OutcomeUnknownTimeoutError):
        api(Berth.create, name="b")
    assert api(Berth.query.get, name="b") is None
    held.deliver()
    assert redis_client.keys("*Berth:*") == redis_client.keys("$Late:Berth:*")


def test_what_was_given_up_is_remembered_for_an_hour(
    api: Api, proxy: FaultProxy, berth: Berth, redis_client: redis.Redis
) -> None:
    proxy.lose_reply(b"EVALSHA")
    with pytest.raises(OutcomeUnknownError):
        api(changed(berth, text="x").save)
    (key,) = redis_client.keys("$Late:*")
    assert 3590 < redis_client.ttl(key) <= 3600


def test_writes_that_go_well_leave_nothing_behind(
    api: Api, berth: Berth, redis_client: redis.Redis
) -> None:
    api(changed(berth, kind="pier").save)
    api(Berth.bulk_create, [Berth(name="b"), Berth(name="c")])
    assert redis_client.keys("$Late:*") == []


@pytest.mark.parametrize("name", ["kind", "text"])
def test_the_old_value_is_written_again_after_a_save_in_doubt(
    api: Api, proxy: FaultProxy, berth: Berth, redis_client: redis.Redis, name: str
) -> None:
    before = getattr(berth, name)
    proxy.lose_reply(b"EVALSHA", times=3)
    with pytest.raises(OutcomeUnknownError):
        api(changed(berth, **{name: "other"}).save)
    assert getattr(api(Berth.query.get, name="a"), name) == "other"
    api(changed(berth, **{name: before}).save)
    assert getattr(api(Berth.query.get, name="a"), name) == before
    assert violations(redis_client, Berth) == []


def test_what_was_loaded_again_is_no_more_in_doubt(
    api: Api, proxy: FaultProxy, berth: Berth, redis_client: redis.Redis
) -> None:
    proxy.lose_reply(b"EVALSHA", times=3)
    with pytest.raises(OutcomeUnknownError):
        api(changed(berth, text="other").save)
    redis_client.hset("Berth:a", "text", b"\xa0")
    api(berth.refresh)
    redis_client.hset("Berth:a", "text", b"\xa5other")
    api(changed(berth, kind="pier").save)
    assert api(Berth.query.get, name="a").text == "other"


async def test_a_task_that_is_cancelled_leaves_its_save_in_doubt(
    proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    redis_db.set_REDIS_DB_settings(host="127.0.0.1", port=proxy.port)
    berth = await Berth.async_create(name="a")
    silent = proxy.stall(b"EVALSHA")
    task = asyncio.create_task(changed(berth, text="x").async_save())
    await asyncio.to_thread(silent.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await changed(berth, text="").async_save()
    assert redis_client.hget("Berth:a", "text") == b"\xa0"


# Of several steps, some were carried out ----------------------------------------------------


def test_a_batch_that_cannot_be_sent_does_not_deny_the_one_before(
    api: Api, proxy: FaultProxy
) -> None:
    def leave(*_: Any) -> None:
        proxy.refuse()
        proxy.drop_connections()

    rows = [Berth(name=str(number)) for number in range(4)]
    with pytest.raises(PartlyWrittenError, match="2 rows were written before that") as told:
        api(Berth.bulk_create, rows, batch_size=2, progress=leave)
    assert "Nothing was sent" not in str(told.value)


def test_rows_that_save_themselves_do_not_deny_those_before(api: Api, proxy: FaultProxy) -> None:
    api(Berth.create, name="warm")

    class Last(Pier):
        def save(self, *args: Any, **kwargs: Any) -> Any:
            if self.name == "b":
                proxy.refuse()
                proxy.drop_connections()
            return super().save(*args, **kwargs)

    with pytest.raises(PartlyWrittenError, match="1 rows were written before that") as told:
        api(Last.bulk_create, [Last(name="a"), Last(name="b")])
    assert "Nothing was sent" not in str(told.value)


def test_a_write_that_was_refused_and_finds_nobody_then_wrote_nothing(
    api: Api, proxy: FaultProxy, berth: Berth
) -> None:
    """Another writer was faster at the first try."""
    failure = (b":1", b"$5\r\nholds", b"$7\r\nBerth:a", b"$4\r\nkind", b"$6\r\n\xa5other")
    told = b"*%d\r\n%b\r\n" % (len(failure), b"\r\n".join(failure))
    proxy.answer(b"*2\r\n:2\r\n" + told, b"EVALSHA", last=True, then=proxy.refuse)
    with pytest.raises(NothingWrittenError):
        api(changed(berth, kind="pier").save)


def test_so_did_a_change_beside_a_record(api: Api, proxy: FaultProxy) -> None:
    """Memory fields have a script of their own, which is a commit as well."""
    memory = api(Memory.create, name="a", agent="x")
    failure = (b":1", b"$5\r\nholds", b"$8\r\nMemory:a", b"$5\r\nagent", b"$2\r\n\xa1y")
    told = b"*%d\r\n%b\r\n" % (len(failure), b"\r\n".join(failure))
    proxy.answer(b"*2\r\n:2\r\n" + told, b"EVALSHA", last=True, then=proxy.refuse)
    with pytest.raises(NothingWrittenError):
        api(ConfidenceField.update_confidence, memory, "certainty", 0.9)


NOSCRIPT = b"-NOSCRIPT No matching script.\r\n"
DONE = b"*1\r\n:1\r\n"


def test_a_script_that_nobody_is_left_to_learn_was_not_carried_out(
    api: Api, proxy: FaultProxy, berth: Berth
) -> None:
    proxy.answer(NOSCRIPT, b"EVALSHA", last=True, then=proxy.refuse)
    with pytest.raises(NothingWrittenError, match="nothing was written") as caught:
        api(changed(berth, text="x").save)
    assert "Nothing was sent" not in str(caught.value)


def test_a_query_that_nobody_is_left_to_learn_says_nothing_of_writing(
    api: Api, proxy: FaultProxy, berth: Berth
) -> None:
    proxy.answer(NOSCRIPT, b"EVALSHA", last=True, then=proxy.refuse)
    with pytest.raises(redis.ConnectionError) as caught:
        api(Berth.query.filter(kind="quay").count)
    assert_plain(caught.value)


@pytest.mark.parametrize(
    ("replies", "is_known"),
    [((NOSCRIPT, DONE), False), ((DONE, NOSCRIPT), False), ((NOSCRIPT, NOSCRIPT), True)],
)
def test_calls_of_which_one_was_carried_out_are_in_doubt(
    api: Api, proxy: FaultProxy, berth: Berth, replies: tuple[bytes, ...], is_known: bool
) -> None:
    proxy.answer(b"".join(replies), b"EVALSHA", last=True, then=proxy.refuse)
    with pytest.raises(redis.ConnectionError) as caught:
        api(TwoCalls("Berth:a", "Berth:b").write)
    assert isinstance(caught.value, NothingWrittenError) is is_known
    assert "Nothing was sent" not in str(caught.value)
    if not is_known:
        assert_in_doubt(caught.value)


async def test_tasks_that_share_a_pipeline_are_told_for_themselves(
    proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    berths = [await Berth.async_create(name=name) for name in "ab"]
    proxy.answer(DONE + NOSCRIPT, b"EVALSHA", last=True, then=proxy.refuse)
    saves = (changed(berth, text="x").async_save() for berth in berths)
    first, second = await asyncio.gather(*saves, return_exceptions=True)
    assert first == 0
    assert isinstance(second, NothingWrittenError)
    assert "Nothing was sent" not in str(second)


async def test_of_tasks_that_share_a_pipeline_the_reads_are_told_of_no_writing(
    proxy: FaultProxy,
) -> None:
    berth = await Berth.async_create(name="a")  # perhaps with the text of a script
    lose_patience(proxy)
    before = proxy.sent(b"HGETALL") + proxy.sent(b"HMGET")
    for lose in (
        lambda: proxy.stall(b"EVALSHA", times=3),
        lambda: proxy.lose_reply(b"EVALSHA", then=proxy.refuse),
    ):
        lose()
        saved, found = await asyncio.gather(
            changed(berth, text="x").async_save(),
            Berth.query.async_get(name="a"),
            return_exceptions=True,
        )
        assert_in_doubt(cast("BaseException", saved))
        assert_plain(cast("BaseException", found))
    assert proxy.sent(b"HGETALL") + proxy.sent(b"HMGET") <= before + 2


# Reads -------------------------------------------------------------------------------------

ASKS = {"get": b"HMGET", "count": b"EVALSHA", "filter": b"EVALSHA", "refresh": b"HMGET"}


@pytest.mark.parametrize("name", READS)
def test_a_read_whose_server_goes_away_says_so_and_no_more(
    api: Api, proxy: FaultProxy, berth: Berth, name: str
) -> None:
    proxy.lose_reply(ASKS[name], then=proxy.refuse)
    with pytest.raises(redis.ConnectionError) as caught:
        READS[name](api, berth)
    assert_plain(caught.value)


@pytest.mark.parametrize("name", READS)
def test_a_read_that_takes_too_long_is_asked_once(
    api: Api, proxy: FaultProxy, berth: Berth, name: str
) -> None:
    lose_patience(proxy)
    silence = proxy.stall(ASKS[name], times=3)
    with pytest.raises(redis.TimeoutError) as caught:
        READS[name](api, berth)
    assert_plain(caught.value)
    assert silence.happened == 1


def test_a_read_of_redis_py_that_takes_too_long_is_asked_once(proxy: FaultProxy) -> None:
    lose_patience(proxy)
    silence = proxy.stall(b"GET", times=3)
    with pytest.raises(redis.TimeoutError) as caught:
        POPOTO_REDIS_DB.get("x")
    assert_plain(caught.value)
    assert silence.happened == 1


async def test_a_read_of_redis_py_in_a_task_that_takes_too_long_is_asked_once(
    proxy: FaultProxy,
) -> None:
    lose_patience(proxy)
    client = await redis_db.get_async_redis_db()
    silence = proxy.stall(b"GET", times=3)
    with pytest.raises(redis.TimeoutError) as caught:
        await client.get("x")
    assert_plain(caught.value)
    assert silence.happened == 1


def test_redis_py_in_use_denies_nothing_either(proxy: FaultProxy) -> None:
    proxy.lose_reply(b"INCR", then=proxy.refuse)
    with pytest.raises(OutcomeUnknownError):
        POPOTO_REDIS_DB.pipeline().incr("n").execute()


def test_a_read_of_redis_py_that_nobody_is_left_to_answer(proxy: FaultProxy) -> None:
    proxy.lose_reply(b"GET", then=proxy.refuse)
    with pytest.raises(redis.ConnectionError) as caught:
        POPOTO_REDIS_DB.get("n")
    assert_plain(caught.value)
