"""What follows a failure, told by feeding outcomes to decisions: no server, nothing waits."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
import redis
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from popoto import redis_db
from popoto._connection import decisions, policy, redirections
from popoto._connection.decisions import Failure
from popoto._connection.resending import resend
from popoto._connection.resp import pack
from popoto._connection.routing import Topology
from popoto._connection.steps import (
    AGAIN,
    REFRESH,
    SEEK_PRIMARY,
    Ask,
    Pause,
    Send,
    Step,
    Steps,
    waiting,
)
from popoto._connection.waiting import Wait
from popoto.exceptions import NothingWrittenError, OutcomeUnknownError
from popoto.redis_db import POPOTO_REDIS_DB
from tests.connection.scripted import in_turn, scripted_server

URL = "redis://example:6379/0"
HERE, THERE, ELSEWHERE = ("here", 1), ("there", 2), ("elsewhere", 3)


class Told:
    """The steps that a decision asked for, and what it came to."""

    def __init__(self, decision: Steps[Any], outcomes: list[Any]) -> None:
        self.steps: list[Step] = []
        self.result: Any = None
        try:
            step = next(decision)
            while True:
                self.steps.append(step)
                outcome = None if isinstance(step, Pause) else outcomes.pop(0)
                if isinstance(outcome, Exception):
                    step = decision.throw(outcome)
                else:
                    step = decision.send(outcome)
        except StopIteration as stop:
            self.result = stop.value
        except Exception as error:  # noqa: BLE001
            self.result = error
        assert not outcomes, "it asked for less than the test has prepared"

    @property
    def deeds(self) -> list[Step]:
        return [step for step in self.steps if not isinstance(step, Pause)]


def tell(decision: Steps[Any], *outcomes: Any) -> Told:
    return Told(decision, list(outcomes))


LOADING = BusyLoadingError("the dataset")
LOST = Failure(redis.ConnectionError("closed"))
NOT_SENT = Failure(BrokenPipeError("closed"), sent=False)


# One server ------------------------------------------------------------------------------


def test_what_may_be_repeated_is_sent_three_times_at_most() -> None:
    decision = decisions.after_failure(LOST, URL, repeatable=True)
    assert tell(decision, LOST, [b"x"]).result == [b"x"]
    told = tell(decisions.after_failure(LOST, URL, repeatable=True), LOST, LOST)
    assert told.deeds == [AGAIN, AGAIN]
    assert type(told.result) is redis.ConnectionError
    assert told.result.__cause__ is LOST.error


def test_what_may_not_be_repeated_is_sent_again_only_if_it_was_not_sent() -> None:
    told = tell(decisions.after_failure(LOST, URL, repeatable=False))
    assert isinstance(told.result, OutcomeUnknownError)
    told = tell(decisions.after_failure(NOT_SENT, URL, repeatable=False), LOST)
    assert isinstance(told.result, OutcomeUnknownError)
    told = tell(decisions.after_failure(NOT_SENT, URL, repeatable=False), NOT_SENT, NOT_SENT)
    assert isinstance(told.result, NothingWrittenError)
    assert "before the command was sent whole" in str(told.result)
    assert told.result.__cause__ is NOT_SENT.error


GONE = NothingWrittenError(f"Cannot reach the server at {URL}. Nothing was sent.")
LATE = Failure(TimeoutError("timed out"))


def is_plain(error: Any) -> bool:
    """Whether it is an error of the connection that tells nothing of writing."""
    return (
        isinstance(error, redis.ConnectionError | redis.TimeoutError)
        and not isinstance(error, NothingWrittenError | OutcomeUnknownError)
        and "othing was" not in str(error)
    )


@pytest.mark.parametrize("error", [GONE, redis.AuthenticationError("no"), OSError("no")])
def test_no_connection_for_a_repetition_says_nothing_of_the_time_before(error: Any) -> None:
    told = tell(decisions.after_failure(LOST, URL, repeatable=True), error)
    assert is_plain(told.result)
    assert told.result.__cause__ is LOST.error
    told = tell(decisions.after_failure(NOT_SENT, URL, repeatable=False), error)
    assert told.result is error
    told = tell(decisions.after_failure(NOT_SENT, URL, repeatable=True), LOST, error)
    assert is_plain(told.result)
    told = tell(decisions.after_failure(LOST, URL, repeatable=True), NOT_SENT, NOT_SENT)
    assert is_plain(told.result)


def test_what_took_too_long_is_not_sent_again() -> None:
    told = tell(decisions.after_failure(LATE, URL, repeatable=True))
    assert isinstance(told.result, redis.TimeoutError)
    assert is_plain(told.result)
    told = tell(decisions.after_failure(LOST, URL, repeatable=True), LATE)
    assert isinstance(told.result, redis.TimeoutError)
    # Of what has not been sent whole nobody is busy.
    half = Failure(TimeoutError("timed out"), sent=False)
    assert tell(decisions.after_failure(half, URL, repeatable=False), [b"x"]).result == [b"x"]
    for error in (redis.TimeoutError("late"), TimeoutError("late")):
        told = tell(decisions.after_client_error(cast(Any, error), URL, repeatable=True))
        assert isinstance(told.result, redis.TimeoutError)
        assert is_plain(told.result)


def test_a_stranger_is_told_so_whatever_was_sent() -> None:
    stranger = Failure(redis.AuthenticationError("wants a password"))
    told = tell(decisions.after_failure(stranger, URL, repeatable=False))
    assert told.result is stranger.error


def test_a_client_without_connection_says_nothing_of_the_time_before() -> None:
    error = redis.ConnectionError("closed")
    told = tell(decisions.after_client_error(error, URL, repeatable=True), GONE)
    assert is_plain(told.result)
    assert told.result.__cause__ is error
    told = tell(decisions.after_client_error(LOADING, URL, repeatable=False), GONE)
    assert isinstance(told.result, NothingWrittenError)
    assert "nothing was written" in str(told.result)
    assert "Nothing was sent" not in str(told.result)
    told = tell(decisions.after_client_error(LOADING, URL, repeatable=True), GONE)
    assert is_plain(told.result)
    told = tell(decisions.after_client_error(LOADING, URL, repeatable=False), error)
    assert isinstance(told.result, OutcomeUnknownError)


@pytest.mark.parametrize(
    "decide",
    [
        lambda repeatable: decisions.until_loaded([LOADING], repeatable=repeatable),
        lambda repeatable: decisions.after_refusal(
            LOADING, has_sentinels=False, repeatable=repeatable
        ),
    ],
)
def test_a_server_that_goes_away_while_it_loads_wrote_nothing(
    decide: Callable[[bool], Steps[Any]],
) -> None:
    told = tell(decide(False), GONE)
    assert isinstance(told.result, NothingWrittenError)
    assert "nothing was written" in str(told.result)
    assert "Nothing was sent" not in str(told.result)
    assert is_plain(tell(decide(True), GONE).result)
    unknown = OutcomeUnknownError("lost")
    assert tell(decide(False), unknown).result is unknown


def test_a_client_repeats_as_often() -> None:
    error = redis.ConnectionError("closed")
    told = tell(decisions.after_client_error(error, URL, repeatable=True), error, error)
    assert told.deeds == [AGAIN, AGAIN]
    assert type(told.result) is redis.ConnectionError
    told = tell(decisions.after_client_error(error, URL, repeatable=False))
    assert isinstance(told.result, OutcomeUnknownError)


def test_a_client_waits_for_a_server_that_loads_with_writes_too() -> None:
    decision = decisions.after_client_error(LOADING, URL, repeatable=False)
    told = tell(decision, LOADING, LOADING, LOADING, 7)
    assert told.deeds == [AGAIN] * 4
    assert told.result == 7
    pauses = [step.seconds for step in told.steps if isinstance(step, Pause)]
    assert 0 < pauses[0] < pauses[3]


@pytest.mark.parametrize(
    "error", [NothingWrittenError("no"), redis.AuthenticationError("no"), ResponseError("no")]
)
def test_a_client_that_was_told_more_than_a_lost_reply_hands_it_on(error: Any) -> None:
    told = tell(decisions.after_client_error(error, URL, repeatable=True))
    assert told.result is error
    assert told.steps == []


def test_a_refused_connection_is_tried_three_times() -> None:
    refused = redis.ConnectionError("Connection refused")
    assert tell(decisions.connect_again(refused, URL, 5), refused, None).result is None
    told = tell(decisions.connect_again(refused, URL, 5), refused, refused)
    assert isinstance(told.result, NothingWrittenError)
    assert told.result.__cause__ is refused
    assert tell(decisions.connect_again(refused, URL, 0)).steps == []


def test_what_a_server_says_at_the_door_is_not_asked_again() -> None:
    wrong = redis.AuthenticationError("invalid password")
    told = tell(decisions.connect_again(wrong, URL, 5))
    assert told.result is wrong
    told = tell(decisions.connect_again(redis.ConnectionError("refused"), URL, 5), wrong)
    assert told.result is wrong


def test_patience_with_a_loading_server_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = itertools.count(step=2)
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    replies: list[Any] = [LOADING, LOADING]
    told = tell(decisions.until_loaded(replies), replies, replies)
    assert told.result is replies
    told = tell(decisions.after_refusal(LOADING, has_sentinels=False), [LOADING], [LOADING])
    assert told.result is LOADING
    told = tell(decisions.after_client_error(LOADING, URL, repeatable=True), LOADING, LOADING)
    assert told.result is LOADING


def test_commands_of_which_one_was_answered_are_not_sent_again() -> None:
    replies: list[Any] = [LOADING, b"OK"]
    told = tell(decisions.until_loaded(replies))
    assert told.result is replies
    told = tell(decisions.until_loaded([LOADING, LOADING]), [LOADING, LOADING], replies)
    assert told.deeds == [AGAIN, AGAIN]
    assert told.result is replies


def test_only_sentinels_know_another_primary() -> None:
    demoted = ReadOnlyError("You can't write against a read only replica.")
    told = tell(decisions.after_refusal(demoted, has_sentinels=False))
    assert told.result is demoted
    assert told.steps == []
    told = tell(decisions.after_refusal(demoted, has_sentinels=True), None, [LOADING], [b"OK"])
    assert told.deeds == [SEEK_PRIMARY, AGAIN, AGAIN]
    assert told.result == b"OK"


def test_what_a_demoted_primary_says_of_replicas_does_not_count() -> None:
    demoted = ReadOnlyError("You can't write against a read only replica.")
    replies: list[Any] = [demoted, 0]
    wait = Wait(1)
    told = tell(resend([("SET", "a", 1)], replies, repeatable=False, wait=wait), None, [b"OK", 2])
    assert told.deeds == [SEEK_PRIMARY, waiting(Send(pack([("SET", "a", 1)]), 1, False), wait)]
    assert replies == [b"OK", 2]


# A cluster -------------------------------------------------------------------------------


@pytest.fixture
def topology() -> Topology:
    known = Topology([HERE, THERE])
    known.learn([[0, 8000, [b"here", 1]], [8001, 16383, [b"there", 2]]], HERE)
    return known


ASKED = Ask(HERE, b"command", 1, repeatable=True, blocks_for=2.0)
Follow = Callable[..., Told]


@pytest.fixture
def follow(topology: Topology) -> Follow:
    """What follows an outcome of a command for slot 7, which `HERE` serves."""

    def following(outcome: Any, *more: Any) -> Told:
        deadline = time.monotonic() + 5
        return tell(redirections.follow(topology, 7, ASKED, outcome, deadline), *more)

    return following


def test_a_moved_slot_is_asked_for_where_it_is_now(follow: Follow, topology: Topology) -> None:
    told = follow(MovedError("7 elsewhere:3"), [b"x"])
    assert told.steps == [Ask(ELSEWHERE, b"command", 1, repeatable=True, blocks_for=2.0)]
    assert told.result == b"x"
    assert topology.node(7) == ELSEWHERE
    assert topology.stale


def test_a_slot_on_the_move_is_asked_for_once(follow: Follow, topology: Topology) -> None:
    told = follow(AskError("7 elsewhere:3"), [b"OK", TryAgainError("wait")], None, [b"x"])
    asking, pause, refresh, again = told.steps
    assert isinstance(asking, Ask)
    assert isinstance(pause, Pause)
    assert (asking.address, asking.count) == (ELSEWHERE, 2)
    assert asking.data.endswith(b"ASKING\r\ncommand")
    assert (refresh, again) == (REFRESH, ASKED)
    assert topology.node(7) == HERE
    assert not topology.stale


@pytest.mark.parametrize("name", ["", "?"])
def test_a_node_that_tells_no_name_is_where_the_one_is_that_was_asked(
    topology: Topology, follow: Follow, name: str
) -> None:
    assert follow(MovedError(f"7 {name}:3"), [b"x"]).steps[0] == Ask(
        ("here", 3), b"command", 1, repeatable=True, blocks_for=2.0
    )
    for unnamed in (name.encode(), None):
        topology.learn([[0, 16383, [unnamed, 9]]], HERE)
        assert topology.primaries == (("here", 9),)


def test_nodes_that_do_not_agree_are_asked_again_later(follow: Follow, topology: Topology) -> None:
    """Each sends on to the other, as for a moment after a failover or a slot that moved."""
    to_and_fro = [MovedError("7 there:2"), MovedError("7 here:1")] * 3
    told = follow(to_and_fro[0], *([one] for one in to_and_fro[1:]), None, [b"x"])
    asked, (pause, refresh, again) = told.steps[:-3], told.steps[-3:]
    assert [step.address for step in asked if isinstance(step, Ask)] == [THERE, HERE] * 2 + [THERE]
    assert isinstance(pause, Pause)
    assert (refresh, again) == (REFRESH, replace(ASKED, address=THERE))
    assert told.result == b"x"


@pytest.mark.parametrize("repeatable", [True, False])
def test_redirections_end(topology: Topology, repeatable: bool) -> None:
    asked = replace(ASKED, repeatable=repeatable)
    moved = [MovedError(f"7 elsewhere:{n}") for n in range(6)]
    decision = redirections.follow(topology, 7, asked, moved[0], time.monotonic())
    told = tell(decision, *([one] for one in moved[1:]))
    assert isinstance(told.result, redis.ConnectionError)
    assert isinstance(told.result, NothingWrittenError) is not repeatable
    assert "do not agree who serves slot 7" in str(told.result)
    assert "elsewhere:5" in str(told.result)
    assert "Nothing was sent" not in str(told.result)


def test_a_node_lost_after_the_last_redirection_makes_the_map_stale(
    follow: Follow, topology: Topology
) -> None:
    asked = [AskError(f"7 elsewhere:{n}") for n in range(redirections.REDIRECTIONS)]
    lost = OutcomeUnknownError("lost")
    told = follow(asked[0], *([one] for one in asked[1:]), lost)
    assert told.result is lost
    assert topology.stale


def test_a_node_that_is_gone_is_looked_for(follow: Follow, topology: Topology) -> None:
    gone = NothingWrittenError("Cannot reach the server.")
    told = follow(Failure(gone), None, [b"x"])
    assert told.deeds == [REFRESH, ASKED]
    assert told.result == b"x"
    assert topology.stale
    told = follow(Failure(gone), None, gone, None, gone)
    assert told.deeds == [REFRESH, ASKED] * 2
    assert told.result is gone


def test_a_redirection_that_leads_nowhere_wrote_nothing(topology: Topology, follow: Follow) -> None:
    told = follow(MovedError("7 there:2"), GONE, None, GONE, None, GONE)
    assert is_plain(told.result)
    write = replace(ASKED, repeatable=False)
    deadline = time.monotonic() + 5
    for refusal in (MovedError("7 there:2"), ClusterDownError("down")):
        outcomes: list[Any] = [None, GONE, None, GONE]
        if isinstance(refusal, MovedError):
            outcomes = [GONE, *outcomes]
        decision = redirections.follow(topology, 7, write, refusal, deadline)
        told = tell(decision, *outcomes)
        assert isinstance(told.result, NothingWrittenError)
        assert "nothing was written" in str(told.result)
        assert "Nothing was sent" not in str(told.result)
    # A node that was never reached has been sent nothing.
    told = tell(
        redirections.follow(topology, 7, write, Failure(GONE), deadline), None, GONE, None, GONE
    )
    assert told.result is GONE


def test_commands_for_several_nodes_of_which_one_is_gone() -> None:
    unknown = OutcomeUnknownError("lost")
    unasked, moved = redirections.UNASKED, MovedError("7 there:2")

    def told(*errors: Any, replies: list[Any], repeatable: bool = False) -> Any:
        return redirections.of_several(*errors, replies=replies, repeatable=repeatable)

    assert told(GONE, replies=[unasked, moved]) is GONE
    for reply in (None, b"OK", ResponseError("WRONGTYPE")):
        found = told(GONE, replies=[unasked, reply])
        assert isinstance(found, OutcomeUnknownError)
        assert "othing was" not in str(found)
        assert is_plain(told(GONE, replies=[reply, unasked], repeatable=True))
    assert told(GONE, unknown, replies=[unasked, unasked]) is unknown


def test_a_reply_that_a_node_lost_is_not_asked_of_another(
    follow: Follow, topology: Topology
) -> None:
    lost = OutcomeUnknownError("lost")
    told = follow(Failure(lost))
    assert told.result is lost
    assert told.steps == []
    assert topology.stale
    topology.stale = False
    assert follow(MovedError("7 there:2"), lost).result is lost
    assert topology.stale


@pytest.mark.parametrize(
    ("error", "is_stale"),
    [(ClusterDownError("down"), True), (TryAgainError("wait"), False), (LOADING, False)],
)
def test_what_will_be_ready_soon_is_waited_for(
    follow: Follow, topology: Topology, error: Any, is_stale: bool
) -> None:
    told = follow(error, None, [error], None, [b"x"])
    assert told.deeds == [REFRESH, ASKED] * 2
    assert isinstance(told.steps[0], Pause)
    assert told.result == b"x"
    assert topology.stale is is_stale


def test_an_error_of_the_command_itself_is_its_reply(follow: Follow) -> None:
    wrong = ResponseError("WRONGTYPE")
    assert follow(wrong).result is wrong
    assert follow(MovedError("7 there:2"), [wrong]).result is wrong


def test_a_transaction_follows_its_slot_and_is_refused_whole(topology: Topology) -> None:
    commands = [("INCR", "{a}1"), ("INCR", "{a}2")]
    moved = MovedError("15495 elsewhere:3")
    refused = [b"OK", moved, moved, redis.exceptions.ExecAbortError("discarded")]
    carried_out = [b"OK", b"QUEUED", b"QUEUED", [1, 1]]
    told = tell(redirections.transact(topology, commands), None, refused, carried_out)
    assert [step.address for step in told.steps if isinstance(step, Ask)] == [THERE, ELSEWHERE]
    assert told.steps[0] is REFRESH
    assert not any(step.repeatable for step in told.steps if isinstance(step, Ask))
    assert told.result == [1, 1]
    wrong = ResponseError("unknown command")
    answers = [b"OK", wrong, b"QUEUED", redis.exceptions.ExecAbortError("discarded")]
    assert tell(redirections.transact(topology, commands), None, answers).result is wrong
    told = tell(redirections.transact(topology, commands), None, refused, GONE)
    assert isinstance(told.result, NothingWrittenError)
    assert "Nothing was sent" not in str(told.result)
    assert tell(redirections.transact(topology, commands), None, GONE).result is GONE


@pytest.mark.parametrize("why", [AskError("7 there:2"), TryAgainError("x"), ClusterDownError("x")])
@pytest.mark.parametrize("patience", [0.0, 5.0])
@pytest.mark.parametrize("migration_timeout", [0.0, 5.0])
def test_a_transaction_is_tried_again_for_as_long_as_its_reason_takes(
    why: redis.ResponseError,
    patience: float,
    migration_timeout: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(policy, "PATIENCE", patience)
    topology = Topology([HERE], migration_timeout)
    topology.learn([[0, 16383, [b"here", 1]]], HERE)
    decision = redirections.transact(topology, [("INCR", "a")])
    next(decision)
    next(decision)
    if migration_timeout if isinstance(why, (AskError, TryAgainError)) else patience:
        assert isinstance(decision.send([b"OK", why, b"aborted"]), Pause)
    else:
        with pytest.raises(type(why)):
            decision.send([b"OK", why, b"aborted"])


def test_a_transaction_asks_anew_who_serves_its_slot_of_a_cluster_that_was_down(
    topology: Topology,
) -> None:
    decision = redirections.transact(topology, [("INCR", "{a}1")])
    next(decision)
    next(decision)
    assert not topology.stale
    assert isinstance(decision.send([b"OK", ClusterDownError("down"), b"aborted"]), Pause)
    assert topology.stale
    assert next(decision) is REFRESH


def test_an_answer_to_a_transaction_that_is_none(topology: Topology) -> None:
    decision = redirections.transact(topology, [("INCR", "{a}1")])
    next(decision)
    next(decision)
    with pytest.raises(redis.RedisError, match="Unexpected answer to EXEC"):
        decision.send([b"OK", b"QUEUED", 1])


def test_a_transaction_refused_before_its_slot_is_nobodys_was_sent(topology: Topology) -> None:
    decision = redirections.transact(topology, [("INCR", "{a}1")])
    next(decision)
    next(decision)
    assert isinstance(decision.send([b"OK", TryAgainError("wait"), b"aborted"]), Pause)
    assert next(decision) is REFRESH
    topology.learn([], HERE)
    with pytest.raises(NothingWrittenError, match="nothing was written"):
        next(decision)


def test_a_transaction_waits_for_nodes_that_do_not_agree(
    topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = [("INCR", "{a}1")]
    refused = [b"OK", MovedError("15495 elsewhere:3"), redis.exceptions.ExecAbortError("no")]
    often = [refused] * (redirections.REDIRECTIONS + 1)
    told = tell(redirections.transact(topology, commands), None, *often, None, [b"OK", b"Q", [1]])
    assert [type(step) for step in told.steps[-3:]] == [Pause, type(REFRESH), Ask]
    assert told.result == [1]
    # After the pause as many are followed at once as before it.
    told = tell(redirections.transact(topology, commands), None, *often, None, *often, None, GONE)
    assert [type(step) for step in told.deeds].count(Ask) == 2 * len(often) + 1
    assert "nothing was written" in str(told.result)
    monkeypatch.setattr(policy, "PATIENCE", 0.0)
    told = tell(redirections.transact(topology, commands), None, *often)
    assert isinstance(told.result, NothingWrittenError)
    assert "do not agree who serves slot 15495" in str(told.result)


def test_nodes_are_asked_in_turn_until_one_knows() -> None:
    topology = Topology([HERE, THERE])
    slots = [[0, 16383, [b"there", 2]]]
    told = tell(redirections.learn_nodes(topology, URL), ResponseError("no cluster"), [slots])
    assert [step.address for step in told.steps if isinstance(step, Ask)] == [HERE, THERE]
    assert all(step.repeatable for step in told.steps if isinstance(step, Ask))
    assert topology.primaries == (THERE,)
    assert not topology.stale


def test_what_was_known_of_the_nodes_is_kept_while_none_answers(topology: Topology) -> None:
    gone = NothingWrittenError("Cannot reach the server.")
    topology.stale = True
    assert tell(redirections.learn_nodes(topology, URL), gone, gone).result is None
    assert set(topology.primaries) == {HERE, THERE}
    assert topology.stale
    told = tell(redirections.learn_nodes(Topology([HERE]), URL), gone)
    assert isinstance(told.result, NothingWrittenError)
    assert URL in str(told.result)
    told = tell(redirections.learn_nodes(Topology([HERE]), URL), [[]])
    assert "no node serves slots" in str(told.result)


# Both sides do what is decided -----------------------------------------------------------

BUSY = b"-LOADING the dataset\r\n"


LOADS = [BUSY, BUSY, b"+1\r\n", *[BUSY] * 4, b"+2\r\n", b"+3\r\n", BUSY, b"+4\r\n"]


def test_a_loading_server_is_waited_for() -> None:
    with scripted_server(in_turn(b"GET", *LOADS)) as port:
        redis_db.set_REDIS_DB_settings(host="127.0.0.1", port=port)
        connection = redis_db.connection()
        assert connection.call(("GET", "a"), repeatable=False) == b"1"
        both = [("GET", "a"), ("GET", "b")]
        assert connection.call_many(both, repeatable=False) == [b"2", b"3"]
        assert POPOTO_REDIS_DB.get("a") == b"4"


async def test_a_task_waits_for_a_loading_server() -> None:
    with scripted_server(in_turn(b"GET", *LOADS)) as port:
        redis_db.set_REDIS_DB_settings(host="127.0.0.1", port=port)
        connection = await redis_db.async_connection()
        assert await connection.call(("GET", "a"), repeatable=False) == b"1"
        both = [("GET", "a"), ("GET", "b")]
        assert await connection.call_many(both, repeatable=False) == [b"2", b"3"]
        client = await redis_db.get_async_redis_db()
        assert await client.get("a") == b"4"
        await client.aclose()


def sentinel_of(*ports: int) -> Callable[[list[bytes]], bytes | None]:
    """A sentinel that names these primaries, one at each question."""
    waiting = list(ports)

    def answer(command: list[bytes]) -> bytes | None:
        if command[:2] != [b"SENTINEL", b"MASTERS"]:
            return None
        state = {"name": "main", "ip": "127.0.0.1", "port": waiting[0], "flags": "master"}
        state |= {"num-other-sentinels": 0, "quorum": 1}
        if len(waiting) > 1:
            waiting.pop(0)
        words = [str(word).encode() for pair in state.items() for word in pair]
        return b"*1\r\n*%d\r\n" % len(words) + b"".join(
            b"$%d\r\n%b\r\n" % (len(word), word) for word in words
        )

    return answer


async def test_a_demoted_primary_is_left_for_the_one_that_the_sentinels_name() -> None:
    demoted = b"-READONLY You can't write against a read only replica.\r\n"
    refusing = in_turn(b"SET", demoted, demoted)
    taking = in_turn(b"SET", b"+OK\r\n", b"+OK\r\n")
    with scripted_server(refusing) as old, scripted_server(taking) as new:
        for is_async in (False, True):
            with scripted_server(sentinel_of(old, new)) as sentinel:
                redis_db.set_REDIS_DB_settings(url=f"redis+sentinel://127.0.0.1:{sentinel}/main")
                if is_async:
                    own = await redis_db.async_connection()
                    assert await own.call(("SET", "a", 1), repeatable=False) == b"OK"
                    await own.close()
                else:
                    connection = redis_db.connection()
                    assert connection.call(("SET", "a", 1), repeatable=False) == b"OK"
