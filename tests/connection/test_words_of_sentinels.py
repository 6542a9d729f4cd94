"""What sentinels say and what is believed: told by hand, with a clock of the test's own."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic
from typing import Any

import pytest
import redis
from redis.exceptions import AskError, MovedError, ReadOnlyError, ResponseError, TryAgainError
from redis.sentinel import Sentinel

from popoto import redis_db
from popoto._connection import policy, redirections, sentinels
from popoto._connection.routing import Topology
from popoto._connection.sentinels import Patience, Watch, Word, is_unlike_a_word, word
from popoto._connection.steps import REFRESH, Ask, AskSentinels, Pause, Step, carry_out
from popoto._connection.waiting import Wait
from popoto.engine import replication
from popoto.engine.batch import Batch
from popoto.engine.request import Request
from popoto.exceptions import ConfigurationError, NothingWrittenError, OutcomeUnknownError
from tests.cluster_nodes import free_ports
from tests.connection.scripted import in_turn, scripted_server
from tests.driver import Api

OLD, NEW = ("old", 1), ("new", 2)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> Watch:
    watch = Watch(clock)
    watch.take([Word(3, OLD)])
    return watch


# Which word counts -----------------------------------------------------------------------


def test_a_word_is_good_for_a_fifth_of_a_second(watch: Watch, clock: Clock) -> None:
    clock.now += 0.19
    assert not watch.is_due()
    clock.now += 0.02
    assert watch.is_due()
    assert not watch.take([Word(3, OLD)])
    assert not watch.is_due()


def test_the_word_of_the_highest_epoch_counts(watch: Watch) -> None:
    watch.take([Word(3, OLD), Word(4, NEW), Word(3, OLD)])
    assert watch.address == NEW
    # Later the one that knew does not answer, and the others have not heard yet.
    watch.take([Word(3, OLD), Word(3, OLD)])
    assert watch.address == NEW
    watch.take([Word(4, OLD)])
    assert watch.address == OLD


def test_sentinels_that_were_set_up_anew_begin_at_zero(watch: Watch) -> None:
    watch.take([Word(0, OLD)])
    watch.take([Word(1, NEW)])
    assert watch.address == NEW
    watch.forget()
    assert watch.address is None
    assert watch.is_due()
    watch.take([Word(0, OLD)])
    assert watch.address == OLD


def test_silence_changes_nothing(watch: Watch) -> None:
    assert not watch.take([])
    assert watch.address == OLD
    assert not watch.is_due()


def test_a_failover_is_waited_for(watch: Watch, clock: Clock) -> None:
    under_way = [Word(3, OLD, is_failing_over=True), Word(3, OLD)]
    clock.now += 0.3
    assert watch.take(under_way)
    assert watch.is_due()  # for whoever comes meanwhile
    clock.now += 1
    assert watch.take(under_way)
    assert not watch.take([Word(4, NEW), Word(3, OLD)])
    assert watch.address == NEW


def test_a_failover_that_does_not_end_is_waited_for_once(watch: Watch, clock: Clock) -> None:
    under_way = [Word(3, OLD, is_failing_over=True)]
    assert watch.take(under_way)
    clock.now += sentinels.HELD
    assert not watch.take(under_way)
    assert not watch.is_due()
    clock.now += 60
    assert not watch.take(under_way)
    # It was given up; the next one is waited for again.
    assert not watch.take([Word(3, OLD)])
    assert watch.take(under_way)


def test_a_failover_away_from_another_primary_is_not_ours(watch: Watch) -> None:
    watch.take([Word(4, NEW)])
    assert not watch.take([Word(4, NEW), Word(3, OLD, is_failing_over=True)])


def test_patience_with_one_that_does_not_answer(clock: Clock) -> None:
    patience = Patience()
    patience.failed(clock.now)
    assert not patience.is_over(clock.now)
    for seconds in (1, 2, 4, 8, 16, 30, 30):
        patience.failed(clock.now)
        assert patience.is_over(clock.now + seconds - 0.1)
        clock.now += seconds
        assert not patience.is_over(clock.now)
    patience.answered()
    patience.failed(clock.now)
    assert not patience.is_over(clock.now)


def test_confirming_asks_until_the_failover_is_over(watch: Watch) -> None:
    decision = sentinels.confirm_primary(watch)
    assert next(decision) == AskSentinels(is_brief=True)
    assert isinstance(decision.send([Word(3, OLD, is_failing_over=True)]), Pause)
    assert next(decision) == AskSentinels(is_brief=True)
    with pytest.raises(StopIteration):
        decision.send([Word(4, NEW)])


def test_without_a_primary_sentinels_are_given_longer() -> None:
    decision = sentinels.confirm_primary(Watch())
    assert next(decision) == AskSentinels(is_brief=True)
    assert decision.send([]) == AskSentinels(is_brief=False)
    with pytest.raises(StopIteration):
        decision.send([])


# What is said ----------------------------------------------------------------------------

STATE = {"name": "main", "ip": "old", "port": "1", "flags": "master", "config-epoch": "7"}
NAMED_NEW = [b"new", b"2"]


def flat(**changes: str) -> list[bytes]:
    return [each.encode() for pair in (STATE | changes).items() for each in pair]


@pytest.mark.parametrize("form", ["one", "among others", "RESP3"])
def test_forms_of_a_word(form: str) -> None:
    described: dict[str, Any] = {
        "one": flat(),
        "among others": [flat(name="other"), flat()],
        "RESP3": {name.encode(): value.encode() for name, value in STATE.items()},
    }
    assert word([described[form], [b"old", b"1"]], "main") == Word(7, OLD)


def test_the_new_primary_is_named_before_it_is_described() -> None:
    state = flat(flags="master,failover_in_progress")
    assert word([state, [b"old", b"1"]], "main") == Word(7, OLD, is_failing_over=True)
    assert word([state, NAMED_NEW], "main") == Word(7, NEW)
    assert word([flat(flags="master,o_down,failover_in_progress"), NAMED_NEW], "main") == Word(
        7, NEW
    )


def test_a_sentinel_that_says_no_more_than_it_describes() -> None:
    assert word([flat(), ResponseError("unknown subcommand")], "main") == Word(7, OLD)
    assert word([flat(), None], "main") == Word(7, OLD)


@pytest.mark.parametrize("flags", ["s_down,master", "o_down,master", "slave", "master,s_down"])
def test_a_primary_that_is_down_is_none(flags: str) -> None:
    assert word([flat(flags=flags), [b"old", b"1"]], "main") is None


def test_words_that_are_none() -> None:
    unknown = ResponseError("ERR No such master with that name")
    assert word([unknown, None], "main") is None
    assert word([flat(name="other"), None], "main") is None
    assert word([flat(), None], "main", least_others=1) is None
    assert word([flat(**{"num-other-sentinels": "1"}), None], "main", least_others=1) is not None


def test_who_does_not_tell_about_one_service_is_asked_about_all() -> None:
    assert is_unlike_a_word([ResponseError("NOPERM this user has no permissions")])
    assert is_unlike_a_word([b"OK"])
    assert not is_unlike_a_word([ResponseError("ERR No such master with that name")])
    assert not is_unlike_a_word([flat()])


# Sentinels and servers that answer as a test wants it ------------------------------------


class Told:
    """Sentinels that all say the same, which a test may change."""

    def __init__(self) -> None:
        self.host, self.port = "127.0.0.1", 0
        self.flags = "master"
        self.lists_all = False

    def answer(self, command: list[bytes]) -> bytes | None:
        if command[0].upper() != b"SENTINEL":
            return None
        if command[1] == b"GET-MASTER-ADDR-BY-NAME":
            return bulk([self.host, str(self.port)])
        state = flat(ip=self.host, port=str(self.port), flags=self.flags)
        if command[1] == b"MASTERS":
            return b"*1\r\n" + bulk(state)
        return b"-NOPERM no permissions\r\n" if self.lists_all else bulk(state)


def bulk(words: list[Any]) -> bytes:
    parts = [each if isinstance(each, bytes) else each.encode() for each in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts)


@contextmanager
def sentinels_that_say(told: Told, number: int = 2) -> Iterator[str]:
    with ExitStack() as stack:
        ports = [stack.enter_context(scripted_server(told.answer)) for _ in range(number)]
        places = ",".join(f"127.0.0.1:{port}" for port in ports)
        yield f"redis+sentinel://{places}/main"


def call_many(api: Api, *commands: Any, wait: Wait | None = None) -> list[Any]:
    if not api.is_async:
        return redis_db.connection().call_many(commands, repeatable=False, wait=wait)

    async def later() -> list[Any]:
        own = await redis_db.async_connection()
        return await own.call_many(commands, repeatable=False, wait=wait)

    return api.run(later())


DEMOTED = b"-READONLY You can't write against a read only replica.\r\n"


def test_what_a_demoted_primary_refuses_of_many_goes_to_the_new_one(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentinels, "FRESH", 60.0)  # a refusal is reason enough to ask again
    told = Told()

    def old(command: list[bytes]) -> bytes | None:
        told.port = second
        return {b"SET": DEMOTED, b"GET": b"$1\r\n1\r\n", b"WAIT": b":2\r\n"}.get(command[0])

    new = in_turn(b"WAIT", b":1\r\n")
    with scripted_server(old) as first, scripted_server(new) as second:
        for wait, expected in ((None, []), (Wait(2, 5), [1])):
            told.port = first
            with sentinels_that_say(told) as url:
                redis_db.set_REDIS_DB_settings(url=url)
                replies = call_many(api, ("GET", "a"), ("SET", "a", 1), wait=wait)
                assert replies == [b"1", b"OK", *expected]


def test_a_primary_that_stays_demoted_is_an_error_of_its_command(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "PATIENCE", 0.2)
    told = Told()
    answers: Callable[[list[bytes]], bytes | None] = lambda command: (  # noqa: E731
        {b"SET": DEMOTED, b"GET": b"$1\r\n1\r\n", b"WAIT": b":1\r\n"}.get(command[0])
    )
    with scripted_server(answers) as told.port, sentinels_that_say(told) as url:
        redis_db.set_REDIS_DB_settings(url=url)
        first, second = call_many(api, ("GET", "a"), ("SET", "a", 1))
        assert first == b"1"
        assert isinstance(second, ReadOnlyError)


def test_what_the_new_primary_does_not_answer_is_an_error_of_its_command(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the commands before it their callers are to hear that they were carried out."""
    monkeypatch.setattr(sentinels, "FRESH", 60.0)
    told = Told()

    def old(command: list[bytes]) -> bytes | None:
        told.port = second
        return {b"SET": DEMOTED, b"INCR": b":1\r\n"}.get(command[0])

    def new(command: list[bytes]) -> bytes | None:
        if command[0] == b"SET":
            raise OSError("it never answers")
        return None

    with scripted_server(old) as first, scripted_server(new) as second:
        told.port = first
        with sentinels_that_say(told) as url:
            redis_db.set_REDIS_DB_settings(url=f"{url}?socket_timeout=0.2")
            replies = call_many(api, ("INCR", "n"), ("SET", "a", 1))
    assert replies[0] == 1
    assert isinstance(replies[1], OutcomeUnknownError)


def test_commands_are_held_back_for_a_while_at_most(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentinels, "HELD", 1.0)
    monkeypatch.setattr(sentinels, "FRESH", 0.0)
    told = Told()
    answers = in_turn(b"SET", *[b"+OK\r\n"] * 9)
    with scripted_server(answers) as told.port, sentinels_that_say(told) as url:
        redis_db.set_REDIS_DB_settings(url=url)
        call_many(api, ("SET", "a", 1))
        told.flags = "master,failover_in_progress"
        start = monotonic()
        call_many(api, ("SET", "a", 1))
        assert monotonic() - start >= 1.0
        start = monotonic()
        call_many(api, ("SET", "a", 1))
        assert monotonic() - start < 1.0


def test_a_sentinel_that_tells_about_all_services_alone(api: Api) -> None:
    told = Told()
    told.lists_all = True
    with scripted_server(in_turn(b"SET", b"+OK\r\n")) as told.port, sentinels_that_say(told) as url:
        redis_db.set_REDIS_DB_settings(url=url)
        assert call_many(api, ("SET", "a", 1)) == [b"OK"]


def test_no_sentinel_knows_a_primary(api: Api) -> None:
    told = Told()
    told.flags = "master,o_down"
    with sentinels_that_say(told) as url:
        redis_db.set_REDIS_DB_settings(url=url)
        with pytest.raises(NothingWrittenError, match="No primary found for 'main'"):
            call_many(api, ("SET", "a", 1))
    redis_db.set_REDIS_DB_settings(url="redis+sentinel://127.0.0.1:1/main")
    with pytest.raises(NothingWrittenError, match=r"127\.0\.0\.1:1: "):
        call_many(api, ("SET", "a", 1))


def test_a_sentinel_that_is_silent_is_told_of(api: Api) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        redis_db.set_REDIS_DB_settings(url=f"redis+sentinel://{place}/main?socket_timeout=0.2")
        with pytest.raises(NothingWrittenError, match=rf"{place}: \w"):
            call_many(api, ("SET", "a", 1))


def test_a_primary_that_cannot_be_reached_is_asked_about_at_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentinels, "FRESH", 60.0)
    told = Told()

    def answer(command: list[bytes]) -> bytes | None:
        reply = told.answer(command)
        if command[1:2] == [b"GET-MASTER-ADDR-BY-NAME"]:
            told.port = second
        return reply

    with scripted_server(in_turn(b"SET", b"+OK\r\n")) as second, ExitStack() as stack:
        (told.port,) = free_ports(1)
        sentinel = stack.enter_context(scripted_server(answer))
        redis_db.set_REDIS_DB_settings(url=f"redis+sentinel://127.0.0.1:{sentinel}/main")
        assert call_many(api, ("SET", "a", 1)) == [b"OK"]


def test_a_manager_of_ones_own_may_name_the_address_itself(api: Api) -> None:
    told = Told()
    with scripted_server(in_turn(b"SET", b"+OK\r\n")) as told.port, ExitStack() as stack:
        told.host = "192.0.2.1"  # nobody is there
        port = stack.enter_context(scripted_server(told.answer))
        manager = Sentinel([("127.0.0.1", port)], force_master_ip="127.0.0.1")
        redis_db.set_REDIS_DB_settings(connection_pool=manager.master_for("main").connection_pool)
        assert call_many(api, ("SET", "a", 1)) == [b"OK"]


def test_a_manager_of_ones_own_may_want_more_sentinels(api: Api) -> None:
    told = Told()
    with scripted_server(in_turn(b"SET")) as told.port, ExitStack() as stack:
        port = stack.enter_context(scripted_server(told.answer))
        manager = Sentinel([("127.0.0.1", port)], min_other_sentinels=1)
        redis_db.set_REDIS_DB_settings(connection_pool=manager.master_for("main").connection_pool)
        with pytest.raises(NothingWrittenError, match="No primary found"):
            call_many(api, ("SET", "a", 1))


# Waiting for replicas ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:1/0",
        "unix:///nowhere.sock",
        "redis+cluster://127.0.0.1:1",
        "redis+sentinel://127.0.0.1:1/main",
        "embedded://",
    ],
)
async def test_every_kind_of_url_can_wait_for_replicas(url: str) -> None:
    redis_db.set_REDIS_DB_settings(url=f"{url}?wait_for_replicas=2&replica_timeout=0.25")
    assert redis_db.connection().wait == Wait(2, 0.25)
    assert (await redis_db.async_connection()).wait == Wait(2, 0.25)
    redis_db.set_REDIS_DB_settings(url=url)
    assert redis_db.connection().wait is None
    assert (await redis_db.async_connection()).wait is None


def waited(replicas: int, *replies: int, commits: int = 0) -> Request:
    commands = [Batch().call() for _ in range(commits)] or [("SET", "a", 1)]
    request = Request.of(*commands, shard="a", replicates=True)
    for reply in replies:
        replication.heard([request], Wait(replicas), reply)
    return request


def test_a_commit_that_was_refused_lacks_nothing() -> None:
    refused, refused_all, done = [0, 1, b"holds"], [2, [1, b"holds"]], [1]
    assert replication.missing(waited(1, 0, commits=1), [refused]) is None
    assert replication.missing(waited(1, 0, commits=2), [refused_all, refused]) is None
    assert replication.missing(waited(1, 0, commits=2), [refused, done]) is not None


def test_the_fewest_replicas_of_all_count() -> None:
    assert waited(2, 2, 1).replicas == 1
    assert waited(2, 1, 2).replicas == 1
    found = replication.missing(waited(3, 1), [b"OK"])
    assert found is not None
    assert found.replicas == 1
    assert replication.missing(waited(3, 3), [b"OK"]) is None


# A slot on its way -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "seconds"),
    [(TryAgainError("rehashing"), 30), (redis.exceptions.ClusterDownError("down"), 5)],
)
def test_keys_on_their_way_are_waited_for_longer_than_a_cluster_that_is_down(
    monkeypatch: pytest.MonkeyPatch, error: Exception, seconds: int
) -> None:
    topology = Topology([OLD], 30.0)
    topology.learn([[0, 16383, [b"old", 1]]], OLD)
    passing = itertools.count(1000)  # every look at the clock comes a second later
    monkeypatch.setattr(policy.time, "monotonic", lambda: float(next(passing)))
    asked = Ask(OLD, b"command", 1, repeatable=True)
    decision = redirections.follow(topology, 7, asked, error, 1005.0, 1030.0)
    waited: list[float] = []

    def perform(step: Step) -> Any:
        return [error] if isinstance(step, Ask) else None

    monkeypatch.setattr(policy.time, "sleep", waited.append)
    result = carry_out(decision, perform)
    assert len(waited) == seconds
    assert waited[0] < 0.021
    assert max(waited) <= 0.5
    assert type(result) is type(error)


@pytest.mark.parametrize("answers", [[b"OK", TryAgainError("x"), b"aborted"], [TryAgainError("x")]])
def test_a_transaction_waits_for_keys_on_their_way(answers: list[Any]) -> None:
    topology = Topology([OLD], 30.0)
    topology.learn([[0, 16383, [b"old", 1]]], OLD)
    decision = redirections.transact(topology, [("INCR", "a")])
    assert next(decision) is REFRESH
    assert isinstance(next(decision), Ask)
    assert isinstance(decision.send(answers), Pause)
    assert next(decision) is REFRESH
    assert isinstance(next(decision), Ask)
    with pytest.raises(StopIteration) as end:
        decision.send([b"OK", b"QUEUED", [1]])
    assert end.value.value == [1]


def test_a_transaction_that_is_refused_at_its_end_follows_its_slot() -> None:
    topology = Topology([OLD], 30.0)
    topology.learn([[0, 16383, [b"old", 1]]], OLD)
    decision = redirections.transact(topology, [("INCR", "a")])
    next(decision)
    next(decision)
    asked = decision.send([b"OK", b"QUEUED", MovedError("15495 new:2")])
    assert isinstance(asked, Ask)
    assert asked.address == NEW


def test_keys_on_their_way_are_asked_for_at_both_ends_as_often_as_need_be() -> None:
    topology = Topology([OLD], 30.0)
    topology.learn([[0, 16383, [b"old", 1]]], OLD)
    asked = Ask(OLD, b"command", 1, repeatable=True)
    later = monotonic() + 30
    answers: list[Any] = [AskError("7 new:2"), TryAgainError("x")] * 20
    decision = redirections.follow(topology, 7, asked, answers.pop(), later, later)
    step: Any = next(decision)
    while answers:
        step = decision.send([answers.pop(0)] if isinstance(step, Ask) else None)
    while not isinstance(step, Ask):
        step = next(decision)
    with pytest.raises(StopIteration) as end:
        decision.send([b"x"])
    assert end.value.value == b"x"


@pytest.mark.parametrize("given", ["-1", "soon", "inf", "nan"])
def test_a_migration_timeout_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(ConfigurationError):
        redis_db.set_REDIS_DB_settings(url=f"redis+cluster://127.0.0.1:1?migration_timeout={given}")


def test_only_a_cluster_has_a_migration_timeout() -> None:
    with pytest.raises(ConfigurationError, match="knows no option of that name"):
        redis_db.set_REDIS_DB_settings(url="redis://127.0.0.1:1?migration_timeout=1")
