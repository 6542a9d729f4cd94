"""Scripts that the server has forgotten: what is sent once more."""

from __future__ import annotations

import pytest
import redis
from redis.exceptions import NoScriptError

from popoto.engine.batch import Batch
from popoto.engine.recovery import put_back, scripts_to_teach
from popoto.engine.request import Request, ScriptCall
from popoto.engine.run import run
from popoto.engine.scripts import COMMIT, QUERY, RECOUNT, Script


def commit(key: str) -> ScriptCall:
    batch = Batch()
    batch.set(key, 1)
    return batch.call()


FORGOTTEN = NoScriptError("NOSCRIPT")


def test_each_script_is_taught_once_and_only_what_failed_is_sent_again() -> None:
    query = ScriptCall(QUERY, ["q"], [])
    requests = [
        Request.of(commit("a"), ("GET", "x"), commit("b"), shard="T"),
        Request.of(query, commit("c"), shard="U"),
    ]
    replies = [b"done", b"value", FORGOTTEN, FORGOTTEN, FORGOTTEN]
    positions, commands = scripts_to_teach(requests, replies, is_cluster=True)
    assert positions == [2, 3, 4]
    assert [command[0] for command in commands] == ["EVAL", "EVAL", "EVALSHA"]
    assert [command[1] for command in commands] == [COMMIT.text, QUERY.text, COMMIT.digest]
    assert [command[3] for command in commands] == ["{T}b", "{U}q", "{U}c"]
    put_back(replies, positions, [b"2", b"3", b"4"])
    assert replies == [b"done", b"value", b"2", b"3", b"4"]


def test_a_script_of_the_users_own_is_not_ours_to_teach() -> None:
    request = Request.of(("EVALSHA", "0" * 40, 0), shard="T")
    assert scripts_to_teach([request], [FORGOTTEN], is_cluster=False) == ([], [])
    with pytest.raises(NoScriptError):
        run(request.plan())


def test_keys_have_no_tag_without_a_cluster() -> None:
    (position,), (command,) = scripts_to_teach(
        [Request.of(commit("a"), shard="T")], [FORGOTTEN], is_cluster=False
    )
    assert (position, command[3]) == (0, "a")


def test_several_calls_after_the_server_forgot(redis_client: redis.Redis) -> None:
    redis_client.script_flush()
    request = Request.of(commit("a"), ("SET", "b", 1), commit("c"), shard="T")
    replies = run(request.plan())
    assert [reply[0] if isinstance(reply, list) else reply for reply in replies] == [1, b"OK", 1]
    assert redis_client.mget("a", "b", "c") == [b"1"] * 3


@pytest.mark.parametrize("script", [COMMIT, QUERY, RECOUNT])
def test_the_digest_is_the_servers(redis_client: redis.Redis, script: Script) -> None:
    assert redis_client.script_load(script.text) == script.digest
    assert script.text not in repr(script)
