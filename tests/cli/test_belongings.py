"""What memory fields and mixins keep beside records is exported and imported without loss."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from popoto import ConfidenceField, ObservationProtocol, RecallProposal
from popoto.cli import main
from tests.cli.memories import Coin, Fact
from tests.cli.running import exported, imported
from tests.truth.remembering import fill, remember

MODELS = "tests.cli.memories"


def state(client: redis.Redis) -> dict[bytes, Any]:
    """Everything that is on the server; sorted sets and sets as such, streams with their ids."""
    readers: dict[bytes, Any] = {
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"list": lambda key: client.lrange(key, 0, -1),
        b"string": client.get,
        b"stream": client.xrange,
    }
    keys: list[bytes] = client.keys("*")
    return {key: readers[client.type(key)](key) for key in keys}


def ends(client: redis.Redis) -> dict[bytes, int]:
    keys: list[bytes] = client.keys("*")
    return {key: client.pexpiretime(key) for key in keys if client.pexpiretime(key) > 0}


def lines(text: str) -> dict[str, dict[str, Any]]:
    return {each["key"]: each for each in map(json.loads, text.splitlines())}


def survives(path: Path, client: redis.Redis) -> None:
    """Export, empty the server, import: the same keys with the same bytes, and the same file."""
    before, text, moments = state(client), exported(path, MODELS), ends(client)
    client.flushall()
    assert imported(path, MODELS) == 0
    assert state(client) == before
    assert ends(client) == moments
    assert exported(path.with_suffix(".again"), MODELS) == text


def test_everything_beside_records_survives_to_the_byte(
    tmp_path: Path, redis_client: redis.Redis
) -> None:
    fill()
    survives(tmp_path / "facts", redis_client)
    assert Fact.check_indexes()["total"] == 0
    fact: Any = Fact.query.get(name="one")
    assert fact.access_count == 2
    assert ConfidenceField.get_confidence_data(fact, "worth")["contradictions"] == 1
    assert dict(Fact.near.get_linked(Fact, fact.pk)) == {"Fact:three": 0.5, "Fact:t{&#58;}wo": 0.25}


def test_what_files_call_it_stays_as_it_is(tmp_path: Path) -> None:
    """Files of earlier versions are imported by these names."""
    fill()
    assert lines(exported(tmp_path / "facts", MODELS))["Fact:one"]["beside"].keys() == {
        *("certainty", "worth", "season:cycles", "season:pressure", "near"),
        *("$RP", "$PL:meta", "$PL:errors", "$WF"),
        *("$AT:Fact:staged:*", "$AT:Fact:access_log:*", "$AT:Fact:meta:*"),
    }


def test_edges_survive_whatever_is_at_their_other_end(
    tmp_path: Path, redis_client: redis.Redis
) -> None:
    fill()
    Fact.near.link(Fact, "Fact:one", "idea", 0.75)
    Fact.causes.link(Fact, "Fact:one", "plan", 0.125)
    # In both directions.
    Fact.causes.link(Fact, "Fact:one", "Fact:t{&#58;}wo", 0.5)
    # Of a kind that has one weight, but has been left with two.
    redis_client.zadd("$CoOccurrencF:Fact:near:Fact:one", {"Fact:three": 0.875})
    redis_client.zadd("$CoOccurrencF:Fact:near:Fact:t{&#58;}wo", {"Fact:one": 0.0625})
    survives(tmp_path / "facts", redis_client)
    assert Fact.check_indexes()["total"] == 0


def test_an_import_upon_itself_changes_nothing(tmp_path: Path, redis_client: redis.Redis) -> None:
    fill()
    path = tmp_path / "facts"
    text, before = exported(path, MODELS), state(redis_client)
    for _ in range(2):
        assert imported(path, MODELS, "--existing", "replace") == 0
        assert state(redis_client) == before
    assert imported(path, MODELS, "--existing", "skip") == 0
    assert exported(path, MODELS) == text


def test_a_line_that_replaces_a_record_replaces_what_it_has(
    tmp_path: Path, redis_client: redis.Redis
) -> None:
    plain = Fact.create(name="one", agent="b", weight=0.2)
    other = Fact.create(name="t:wo", weight=0.2)
    path = tmp_path / "facts"
    exported(path, MODELS)
    before = state(redis_client)
    plain.delete()
    again = remember("one", agent="a", weight=0.9)
    Fact.near.link(Fact, again.pk, other.pk)
    Fact.causes.link(Fact, again.pk, other.pk)
    ObservationProtocol.on_context_used([again, other], {again.pk: "acted"})
    assert imported(path, MODELS, "--existing", "replace") == 0
    after = state(redis_client)
    # It lists partitions that proposals were ever in, and texts that anybody ever had.
    for key in (b"$RP:Fact:partitions", b"$Values:Fact:agent"):
        after.pop(key, None)
        before.pop(key, None)
    assert after == before
    assert Fact.check_indexes()["total"] == 0


def test_with_an_end_everything_ends_at_once(tmp_path: Path, redis_client: redis.Redis) -> None:
    fact = Fact(name="short", weight=0.9)
    fact._ttl = timedelta(hours=1)
    fact.save()
    fact.on_read()
    fact.confirm_access()
    fact.on_read()
    # An import rounds the end of a record up, to the next second.
    moment = redis_client.pexpiretime(fact.pk) // 1000 * 1000
    for key in ends(redis_client):
        redis_client.pexpireat(key, moment)
    path = tmp_path / "facts"
    exported(path, MODELS)
    redis_client.flushall()
    assert imported(path, MODELS) == 0
    assert ends(redis_client) == {
        f"{stem}{fact.pk}".encode(): moment
        for stem in ("", *(f"$AT:Fact:{kind}:" for kind in ("staged", "access_log", "meta")))
    }


def test_reads_that_wait_to_be_confirmed_are_forgotten_when_they_were_to_be(
    tmp_path: Path, redis_client: redis.Redis
) -> None:
    fact = Fact.create(name="read", weight=0.9)
    fact.on_read()
    staged = f"$AT:Fact:staged:{fact.pk}"
    redis_client.pexpire(staged, 5_000_000)
    survives(tmp_path / "facts", redis_client)
    assert set(ends(redis_client)) == {staged.encode()}


def test_a_record_that_a_filter_would_drop_by_now_is_kept_with_the_priority_that_it_had(
    tmp_path: Path, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    Fact.create(name="low", weight=0.3)
    Fact.create(name="high", weight=0.9)
    monkeypatch.setattr(Fact, "_wf_min_threshold", 0.5)
    redis_client.zadd("$WF:Fact:priority", {"Fact:low": 0.75})
    redis_client.zrem("$WF:Fact:priority", "Fact:high")
    survives(tmp_path / "facts", redis_client)


def test_a_file_of_before_is_imported_as_ever(tmp_path: Path, redis_client: redis.Redis) -> None:
    fill()
    path = tmp_path / "facts"
    text = exported(path, MODELS)
    old = [
        {name: part for name, part in line.items() if name != "beside"}
        for line in lines(text).values()
    ]
    path.write_text("\n".join(map(json.dumps, old)))
    redis_client.flushall()
    assert imported(path, MODELS) == 0
    assert Fact.check_indexes()["total"] == 0
    fact: Any = Fact.query.get(name="one")
    assert ConfidenceField.get_confidence_data(fact, "worth")["evidence_count"] == 0
    assert RecallProposal.get_pending(Fact) == []
    # As in any save.
    assert redis_client.zscore("$WF:Fact:priority", fact.pk) == 0.9


def test_evidence_goes_into_the_partition_of_its_record(
    tmp_path: Path, redis_client: redis.Redis
) -> None:
    fact = remember("one", agent="a", weight=0.9)
    learned = ConfidenceField.get_confidence(fact, "certainty")
    path = tmp_path / "facts"
    text = exported(path, MODELS)
    path.write_text(text.replace('"agent": "a"', '"agent": "z:9"'))
    redis_client.flushall()
    assert imported(path, MODELS) == 0
    moved: Any = Fact.query.get(name="one")
    assert ConfidenceField.get_confidence(moved, "certainty") == learned
    assert Fact.check_indexes()["total"] == 0
    assert not redis_client.exists("$ConfidencF:Fact:certainty:data:a")


def test_keys_of_every_type_survive(tmp_path: Path, redis_client: redis.Redis) -> None:
    Coin.create(name="b:c")
    bare = Coin.create(name="bare")
    key = "$Note:Coin:b{&#58;}c"
    redis_client.set(f"{key}:text", b"\xff\0")
    redis_client.hset(f"{key}:hash", mapping={"$a": "1", "b": b"\xfe"})
    redis_client.rpush(f"{key}:list", "x", "x", b"\xfd")
    redis_client.sadd(f"{key}:set", "m", b"\xfc")
    redis_client.zadd(f"{key}:zset", {"m": 1.5, "n": float("inf")})
    redis_client.xadd(f"{key}:stream", {"f": "v", "g": ""}, id="5-1")
    redis_client.xadd(f"{key}:stream", {"f": "w"}, id="5-2")
    survives(tmp_path / "coins", redis_client)
    assert lines(exported(tmp_path / "coins", MODELS))[bare.pk]["beside"] == {}


@pytest.mark.parametrize(
    ("beside", "told"),
    [
        ([], '"beside" is no object'),
        ({"colour": 1}, "'colour' cannot be read"),
        ({"worth": 0.5}, "'worth' cannot be read: it is bytes"),
        ({"$WF": "high"}, "'$WF' cannot be read: it is a number"),
        ({"near": [["Fact:a", "heavy"]]}, "'near' cannot be read: it is a list of pairs"),
        ({"near": [1]}, "'near' cannot be read: it is a list of pairs"),
        ({"$RP": {"x": 1}}, "'$RP' cannot be read: it is a list of pairs"),
        ({"worth": {"$bytes": "%"}}, "'worth' cannot be read: $bytes: no base64"),
        ({"$AT:Fact:meta:*": 5}, "cannot be read: it is no object"),
        ({"$AT:Fact:meta:*": {}}, "one list of parts"),
        ({"$AT:Fact:meta:*": {"hash": 5}}, "one list of parts"),
        ({"$AT:Fact:meta:*": {"hash": [1]}}, "no hash has the parts [1]"),
        ({"$AT:Fact:meta:*": {"tree": []}}, "no tree has the parts"),
        ({"$AT:Fact:meta:*": {"list": [], "expires": "soon"}}, "no moment"),
    ],
)
def test_a_line_that_says_it_wrongly_is_reported_and_left_out(
    tmp_path: Path,
    redis_client: redis.Redis,
    capsys: pytest.CaptureFixture[str],
    beside: object,
    told: str,
) -> None:
    path = tmp_path / "facts"
    line = {"model": "Fact", "fields": {"name": "a", "weight": 0.9}, "beside": beside}
    path.write_text(json.dumps(line))
    assert main(["import", MODELS, str(path)]) == 1
    assert told in capsys.readouterr().err
    assert redis_client.keys("*") == []
