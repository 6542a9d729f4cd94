"""Groups, retries, dead letters, and that nothing wedges a consumer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis

from popoto import EventStreamMixin, KeyField, Model, StreamConsumer, redis_db
from popoto.streams.consumer import Entry
from tests.messaging.waiting import until

STREAM = "stream:work"


class Worker:
    """A handler that notes its calls, and fails as long as `fails` says so."""

    def __init__(self, fails: Callable[[dict[str, str]], bool] = lambda fields: False) -> None:
        self.calls: list[list[Entry]] = []
        self.fails = fails

    async def __call__(self, entries: list[Entry]) -> None:
        self.calls.append(entries)
        for _, fields in entries:
            if self.fails(fields):
                raise ValueError(f"bad: {fields}")

    @property
    def batches(self) -> list[list[str]]:
        return [[fields["n"] for _, fields in entries] for entries in self.calls]


def consumer(handler: Any, name: str = "one", **options: Any) -> StreamConsumer:
    return StreamConsumer(
        STREAM, "group", name, handler, **{"block_ms": 0, "claim_timeout_ms": 0, **options}
    )


def add(client: redis.Redis, *numbers: object) -> None:
    for number in numbers:
        client.xadd(STREAM, {"n": str(number)})


def pending(client: redis.Redis) -> int:
    return int(client.xpending(STREAM, "group")["pending"])


async def process(worker: StreamConsumer) -> int | str:
    """One batch: how many, or the name of the error."""
    try:
        return await worker.process_batch()
    except ValueError as error:
        return str(error)


def test_arguments_become_attributes() -> None:
    handler = Worker()
    made = StreamConsumer("s", "g", "c", handler)
    assert (made.stream_key, made.group_name, made.consumer_name) == ("s", "g", "c")
    assert made.handler is handler
    assert (made.batch_size, made.block_ms, made.max_retries) == (50, 5000, 3)
    assert (made.claim_timeout_ms, made.dead_letter_max_length) == (180000, None)
    assert (made._running, made._group_ensured) == (False, False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"block_ms": -1},
        {"max_retries": -1},
        {"claim_timeout_ms": -1},
        {"dead_letter_max_length": -1},
    ],
    ids=str,
)
def test_numbers_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        consumer(Worker(), **wrong)


async def test_entries_are_handed_over_once_as_text(redis_client: redis.Redis) -> None:
    add(redis_client, 1, 2, 3)
    worker = Worker()
    one = consumer(worker, batch_size=2)
    assert [await one.process_batch() for _ in range(3)] == [2, 1, 0]
    assert worker.batches == [["1", "2"], ["3"]]
    first_id, fields = worker.calls[0][0]
    assert redis_client.xrange(STREAM)[0][0] == first_id.encode()
    assert fields == {"n": "1"}
    assert pending(redis_client) == 0


async def test_the_group_is_made_once_also_without_a_stream(redis_client: redis.Redis) -> None:
    one = consumer(Worker())
    assert await one.process_batch() == 0
    assert one._group_ensured
    assert [group["name"] for group in redis_client.xinfo_groups(STREAM)] == [b"group"]
    one._group_ensured = False
    assert await one.process_batch() == 0
    assert await consumer(Worker(), "two").process_batch() == 0


async def test_other_errors_of_making_the_group_are_raised(redis_client: redis.Redis) -> None:
    redis_client.set(STREAM, "no stream")
    with pytest.raises(
        redis.ResponseError, match="the key 'stream:work' holds a string where a stream"
    ):
        await consumer(Worker()).process_batch()


async def test_a_group_shares_entries(redis_client: redis.Redis) -> None:
    add(redis_client, *range(10))
    worker = Worker()
    members = [consumer(worker, str(n), batch_size=1, claim_timeout_ms=9999) for n in range(5)]
    for _ in range(2):
        await asyncio.gather(*(member.process_batch() for member in members))
    assert sorted(worker.batches) == [[str(n)] for n in range(10)]


async def test_a_plain_handler_serves(redis_client: redis.Redis) -> None:
    add(redis_client, 1)
    seen: list[Entry] = []
    assert await consumer(seen.extend).process_batch() == 1
    assert len(seen) == 1
    assert pending(redis_client) == 0


async def test_bytes_that_are_no_utf8_do_not_wedge_it(redis_client: redis.Redis) -> None:
    redis_client.xadd(STREAM, {b"\xff": b"a\xfe", b"n": "é".encode()})
    worker = Worker()
    assert await consumer(worker).process_batch() == 1
    fields = worker.calls[0][0][1]
    assert fields["n"] == "é"
    assert [
        (name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape"))
        for name, value in fields.items()
    ] == [(b"\xff", b"a\xfe"), (b"n", "é".encode())]


# ── Failing ──────────────────────────────────────────────────────────────────


async def test_a_failed_batch_stays_pending_and_is_tried_again(redis_client: redis.Redis) -> None:
    add(redis_client, 1, 2)
    worker = Worker(lambda fields: True)
    one = consumer(worker)
    with pytest.raises(ValueError, match="bad"):
        await one.process_batch()
    assert pending(redis_client) == 2
    worker.fails = lambda fields: False
    assert await one.process_batch() == 2
    assert worker.batches == [["1", "2"], ["1", "2"]]
    assert pending(redis_client) == 0
    assert redis_client.exists(f"dead:{STREAM}") == 0


@pytest.mark.single_server("on a cluster dead letters stay in the slot of their stream")
@pytest.mark.parametrize("max_retries", [0, 1, 3])
async def test_after_the_last_retry_it_is_a_dead_letter(
    max_retries: int, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client.xadd(STREAM, {"n": "1", "raw": b"\xff"})
    worker = Worker(lambda fields: True)
    one = consumer(worker, max_retries=max_retries, clock=lambda: 1234.5)
    for _ in range(max_retries + 1):
        assert "bad" in str(await process(one))
    assert redis_client.exists(f"dead:{STREAM}") == 0
    assert await process(one) == 0
    assert len(worker.calls) == max_retries + 1
    assert pending(redis_client) == 0
    ((_, letter),) = redis_client.xrange(f"dead:{STREAM}")
    ((original, _),) = redis_client.xrange(STREAM)
    assert letter == {
        b"n": b"1",
        b"raw": b"\xff",
        b"original_stream": STREAM.encode(),
        b"original_id": original,
        b"failure_count": str(max_retries).encode(),
        b"last_error": f"Exceeded max_retries ({max_retries})".encode(),
        b"dead_letter_ts": b"1234.5",
    }
    assert f"dead:{STREAM}" in caplog.text
    assert await process(one) == 0


@pytest.mark.single_server("on a cluster dead letters stay in the slot of their stream")
async def test_deliveries_to_others_count_as_tries(redis_client: redis.Redis) -> None:
    add(redis_client, 1)
    redis_client.xgroup_create(STREAM, "group", id="0")
    redis_client.xreadgroup("group", "dead one", {STREAM: ">"})
    (entry,) = redis_client.xpending_range(STREAM, "group", "-", "+", 1)
    for _ in range(3):
        redis_client.xclaim(STREAM, "group", "dead one", 0, [entry["message_id"]])
    worker = Worker()
    assert await consumer(worker).process_batch() == 0
    assert worker.calls == []
    assert redis_client.xlen(f"dead:{STREAM}") == 1


@pytest.mark.single_server("on a cluster dead letters stay in the slot of their stream")
async def test_one_bad_entry_takes_no_good_ones_along(redis_client: redis.Redis) -> None:
    add(redis_client, 1, "bad", 3)
    worker = Worker(lambda fields: fields["n"] == "bad")
    one = consumer(worker, max_retries=2)
    results = [await process(one) for _ in range(5)]
    assert results[3:] == [0, 0]
    assert worker.batches == [["1", "bad", "3"], ["1", "bad", "3"], ["1"], ["bad"], ["3"]]
    assert [letter[b"n"] for _, letter in redis_client.xrange(f"dead:{STREAM}")] == [b"bad"]
    assert pending(redis_client) == 0


async def test_new_entries_are_handled_beside_failing_ones(redis_client: redis.Redis) -> None:
    add(redis_client, "bad")
    worker = Worker(lambda fields: fields["n"] == "bad")
    one = consumer(worker)
    await process(one)
    add(redis_client, 2)
    assert "bad" in str(await process(one))
    assert worker.batches == [["bad"], ["bad"], ["2"]]
    assert pending(redis_client) == 1


async def test_entries_of_a_consumer_that_died_are_taken_over(redis_client: redis.Redis) -> None:
    add(redis_client, 1, 2)
    redis_client.xgroup_create(STREAM, "group", id="0")
    redis_client.xreadgroup("group", "dead one", {STREAM: ">"})
    patient, worker = Worker(), Worker()
    assert await consumer(patient, claim_timeout_ms=60_000).process_batch() == 0
    assert await consumer(worker).process_batch() == 2
    assert worker.batches == [["1", "2"]]


async def test_many_blocked_entries_hide_no_abandoned_ones(redis_client: redis.Redis) -> None:
    add(redis_client, *range(6))
    redis_client.xgroup_create(STREAM, "group", id="0")
    redis_client.xreadgroup("group", "other", {STREAM: ">"})
    entries = redis_client.xpending_range(STREAM, "group", "-", "+", 6)
    ids = [entry["message_id"] for entry in entries]
    redis_client.xclaim(STREAM, "group", "other", 0, ids[4:], idle=100_000)
    worker = Worker()
    one = consumer(worker, batch_size=2, claim_timeout_ms=60_000)
    assert await one.process_batch() == 2
    assert worker.batches == [["4", "5"]]


@pytest.mark.single_server("on a cluster dead letters stay in the slot of their stream")
async def test_two_consumers_bury_and_retry_each_entry_once(redis_client: redis.Redis) -> None:
    add(redis_client, *range(20))
    worker = Worker(lambda fields: True)
    members = [consumer(worker, str(n), max_retries=0) for n in range(4)]
    await asyncio.gather(*map(process, members))
    await asyncio.gather(*map(process, members))
    assert redis_client.xlen(f"dead:{STREAM}") == 20


async def test_failed_entries_that_were_trimmed_away_are_given_up(
    redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    add(redis_client, 1, 2)
    worker = Worker(lambda fields: True)
    one = consumer(worker, max_retries=0)
    await process(one)
    redis_client.xtrim(STREAM, maxlen=0, approximate=False)
    assert await process(one) == 0
    assert pending(redis_client) == 0
    assert "does not hold any more" in caplog.text
    assert redis_client.exists(f"dead:{STREAM}") == 0

    add(redis_client, 3)
    again = consumer(worker, max_retries=3)
    await process(again)
    redis_client.xtrim(STREAM, maxlen=0, approximate=False)
    assert await process(again) == 0
    assert pending(redis_client) == 0


@pytest.mark.single_server("on a cluster dead letters stay in the slot of their stream")
@pytest.mark.parametrize("exact", [True, False])
async def test_the_dead_letter_stream_is_trimmed(exact: bool, redis_client: redis.Redis) -> None:
    add(redis_client, *range(300))
    worker = Worker(lambda fields: True)
    one = consumer(
        worker, max_retries=0, batch_size=300, dead_letter_max_length=5, dead_letter_exact=exact
    )
    await process(one)
    await process(one)
    length = redis_client.xlen(f"dead:{STREAM}")
    assert (length == 5) if exact else (5 <= length < 300)


@pytest.mark.single_server("on a cluster dead letters stay in the slot of their stream")
async def test_new_entries_go_on_when_dead_letters_cannot_be_written(
    redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client.set(f"dead:{STREAM}", "no stream")
    add(redis_client, "bad")
    worker = Worker(lambda fields: fields["n"] == "bad")
    one = consumer(worker, max_retries=0)
    await process(one)
    add(redis_client, 2)
    assert await process(one) == 1
    assert "WRONGTYPE" in caplog.text
    assert pending(redis_client) == 1


@pytest.mark.single_server("on a cluster dead letters stay in the slot of their stream")
async def test_what_is_refused_half_way_is_not_lost(redis_client: redis.Redis) -> None:
    """Here by a stream that has one id left."""
    redis_client.xadd(f"dead:{STREAM}", {"n": "0"}, id=f"{2**64 - 1}-{2**64 - 2}")
    add(redis_client, 1, 2, 3)
    worker = Worker(lambda fields: fields["n"] != "4")
    one = consumer(worker, max_retries=0)
    await process(one)
    add(redis_client, 4)
    redis_client.xreadgroup("group", "dead one", {STREAM: ">"})
    (*_, last) = redis_client.xpending_range(STREAM, "group", "-", "+", 9)
    redis_client.xclaim(STREAM, "group", "dead one", 0, [last["message_id"]], retrycount=0)
    for _ in range(2):
        await process(one)
        letters = [letter[b"n"] for _, letter in redis_client.xrange(f"dead:{STREAM}")]
        assert letters == [b"0", b"1"]
        left = redis_client.xpending_range(STREAM, "group", "-", "+", 9)
        assert [entry["message_id"] for entry in left] == [
            key for key, _ in redis_client.xrange(STREAM)[1:3]
        ]
    assert worker.batches[-1] == ["4"]


async def test_it_begins_anew_when_the_stream_was_deleted(redis_client: redis.Redis) -> None:
    worker = Worker()
    one = consumer(worker)
    await one.process_batch()
    redis_client.delete(STREAM)
    add(redis_client, 1)
    assert await one.process_batch() == 1
    assert worker.batches == [["1"]]


async def test_a_cancelled_batch_stays_pending(redis_client: redis.Redis) -> None:
    add(redis_client, 1)
    started = asyncio.Event()

    async def slow(entries: list[Entry]) -> None:
        started.set()
        await asyncio.sleep(60)

    task = asyncio.ensure_future(consumer(slow).process_batch())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pending(redis_client) == 1


# ── Running ──────────────────────────────────────────────────────────────────


async def test_it_runs_until_it_is_stopped(redis_client: redis.Redis) -> None:
    add(redis_client, 1, 2, 3)
    worker = Worker()
    one = consumer(worker, batch_size=1)

    async def handle(entries: list[Entry]) -> None:
        assert one._running
        await worker(entries)
        if len(worker.calls) == 3:
            one.stop()

    one.handler = handle
    async with asyncio.timeout(120):
        await one.run()
    assert not one._running
    assert worker.batches == [["1"], ["2"], ["3"]]
    assert pending(redis_client) == 0


async def test_errors_are_logged_and_followed_by_a_pause(
    redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    add(redis_client, 1)
    pauses: list[float] = []
    worker = Worker(lambda fields: len(pauses) == 0)

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def handle(entries: list[Entry]) -> None:
        await worker(entries)
        one.stop()

    one = consumer(handle, sleep=sleep)
    async with asyncio.timeout(120):
        await one.run()
    assert pauses == [1.0]
    assert "bad" in caplog.text
    assert len(worker.calls) == 2


async def test_without_blocking_it_rests_when_there_is_nothing() -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        one.stop()

    one = consumer(Worker(), sleep=sleep)
    async with asyncio.timeout(120):
        await one.run()
    assert pauses == [0.1]


async def test_waiting_longer_than_the_socket_timeout_is_no_error(server_url: str) -> None:
    redis_db.set_REDIS_DB_settings(
        unix_socket_path=server_url.removeprefix("unix://"), socket_timeout=0.02
    )
    assert await consumer(Worker(), block_ms=60).process_batch() == 0


async def test_a_waiting_consumer_gets_an_entry_at_once(redis_client: redis.Redis) -> None:
    worker = Worker()
    one = consumer(worker, block_ms=10_000)
    batch = asyncio.ensure_future(one.process_batch())
    await until(lambda: redis_client.info("clients")["blocked_clients"] == 1)
    add(redis_client, 1)
    assert await batch == 1


def test_it_runs_without_an_event_loop(redis_client: redis.Redis) -> None:
    add(redis_client, 1, 2)
    worker = Worker()
    one = consumer(worker, batch_size=1)
    assert one.process_batch_sync() == 1
    thread = threading.Thread(target=one.run_sync)
    thread.start()
    while len(worker.calls) < 2:
        threading.Event().wait(0.001)
    one.stop()
    thread.join(120)
    assert worker.batches == [["1"], ["2"]]


@pytest.mark.parametrize("name", ["run_sync", "process_batch_sync"])
async def test_inside_an_event_loop_the_sync_calls_are_refused(name: str) -> None:
    with pytest.raises(RuntimeError, match="event loop"):
        getattr(consumer(Worker()), name)()


def test_it_uses_the_connection_that_is_configured(server_url: str) -> None:
    redis_db.set_REDIS_DB_settings(host="localhost", port=1)
    with pytest.raises(redis.ConnectionError):
        consumer(Worker()).process_batch_sync()
    redis_db.set_REDIS_DB_settings(unix_socket_path=server_url.removeprefix("unix://"))
    assert consumer(Worker()).process_batch_sync() == 0


@pytest.mark.single_server("a consumer names its stream, which has a hash tag on a cluster")
async def test_it_takes_the_events_of_models() -> None:
    class Sale(EventStreamMixin, Model):
        name = KeyField()
        _stream_name = "work"

    sale = await Sale.async_create(name="a")
    await sale.async_delete()
    worker = Worker()
    assert await consumer(worker).process_batch() == 2
    assert [fields["op"] for _, fields in worker.calls[0]] == ["create", "delete"]


def test_a_handler_may_be_any_callable() -> None:
    for handler in (Worker(), lambda entries: None):
        assert consumer(handler).process_batch_sync() == 0
