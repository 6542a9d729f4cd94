"""What memory writes is looked at before the first write (see `test_every_command`)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import RedisError

from popoto import (
    ConfidenceField,
    CoOccurrenceField,
    CyclicDecayField,
    KeyField,
    Model,
    ModelException,
    PredictionLedgerMixin,
    StringField,
    clock,
)
from popoto.cli import main
from tests.driver import Api
from tests.memory.every_operation import NOW, WRITES, remembered, replies
from tests.truth.everything import state
from tests.truth.remembering import Fact, fill
from tests.truth.test_every_command import told
from tests.truth.test_what_stands_in_the_way import connect
from tests.truth.traced import calls, is_write, traced, unproven

MODELS = "tests.cli.memories"


@pytest.mark.single_server("notes what scripts do under a key of one server")
@pytest.mark.parametrize("place", range(len(WRITES)), ids=[each[1] for each in WRITES])
def test_no_operation_leaves_anything_to_be_refused_after_its_first_write(
    redis_client: redis.Redis, api: Api, place: int
) -> None:
    memory = remembered(api)
    list(replies(api, memory, WRITES[:place]))
    with traced():
        list(replies(api, memory, WRITES[place : place + 1]))
    assert [told(each) for call in calls(redis_client) for each in unproven(call)] == []


# One kind of memory alone: nothing else looks at the same commands --------------------------------


class Near(Model):
    name = KeyField()
    tags = CoOccurrenceField(max_edges=2)


class Cause(Model):
    name = KeyField()
    tags = CoOccurrenceField(symmetric=False, max_edges=2)


class Guess(PredictionLedgerMixin, Model):
    name = KeyField()


class Belief(Model):
    name = KeyField()
    agent = StringField(default="a")
    sure = ConfidenceField(partition_by="agent")


class Season(Model):
    name = KeyField()
    rhythm = CyclicDecayField(cycles=[(100, 1.0)], pressure_rate=0.1)


def lived(model: Any) -> list[Any]:
    """Three records, all with what their one kind of memory keeps."""
    made = [model.create(name=name) for name in "abc"]
    a, b, c = (each.pk for each in made)
    if model in (Near, Cause):
        for source, target in ((a, b), (b, a), (b, c)):
            model.tags.link(model, source, target, 0.5)
        model.tags.strengthen(model, c, a, delta=0.5)
    for each in made:
        if model is Guess:
            model.record_prediction(each, {"x": 1})
            model.resolve_prediction(each, {"x": 0})
        if model is Belief:
            ConfidenceField.update_confidence(each, "sure", 0.9)
        if model is Season:
            each.strengthen_cycle("rhythm", 1.5)
    return made


def _move(api: Api, made: list[Any]) -> None:
    made[0].name = "moved"
    api(made[0].save, migrate_key=True)


def _change_partition(api: Api, made: list[Any]) -> None:
    if isinstance(made[0], Belief):
        made[0].agent = "b"
    api(made[0].save)


ALONE: dict[str, Callable[[Api, list[Any]], Any]] = {
    "move": _move,
    "save": _change_partition,
    "delete": lambda api, made: api(made[0].delete),
    "rebuild": lambda api, made: api(type(made[0]).rebuild_indexes),
}
#: What the server has lost when a rebuild begins, of each model.
LOST = {
    Near: ["$CoOccurrencF:Near:tags:Near:b"],
    Cause: ["$CoOccurrenceIn:Cause:tags:Cause:b"],
    Guess: ["$PL:Guess:errors:default"],
    Belief: [],
    Season: ["$CyclicDecayF:Season:rhythm:cycles", "$CyclicDecayF:Season:rhythm:pressure"],
}


def _lost(client: redis.Redis, model: Any, operation: object) -> list[Any]:
    """Records as they lived, of which the server has lost what a rebuild is to bring back."""
    client.flushall()
    made = lived(model)
    if operation is ALONE["rebuild"] and LOST[model]:
        client.delete(*LOST[model])
    return made


@pytest.mark.single_server("notes what scripts do under a key of one server")
@pytest.mark.parametrize("operation", ALONE.values(), ids=ALONE)
@pytest.mark.parametrize("model", LOST, ids=[each.__name__ for each in LOST])
def test_of_one_kind_of_memory_alone_nothing_is_left_to_be_refused(
    redis_client: redis.Redis, api: Api, model: Any, operation: Callable[[Api, list[Any]], Any]
) -> None:
    made = _lost(redis_client, model, operation)
    with traced():
        operation(api, made)
    asked = calls(redis_client)
    assert any(is_write(each) for call in asked for each in call)
    assert [told(each) for call in asked for each in unproven(call)] == []
    assert model.check_indexes()["total"] == 0


@pytest.mark.single_server("gives rights to a user of one server")
@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("model", LOST, ids=[each.__name__ for each in LOST])
def test_a_user_who_may_not_write_one_of_the_keys_writes_nothing_or_all(
    redis_client: redis.Redis, server_url: str, model: Any, name: str
) -> None:
    """The server lets the script begin, since another selector of this user has all keys."""
    api, operation = Api(is_async=False), ALONE[name]
    with clock.using(NOW):
        made = _lost(redis_client, model, operation)
        before = state(redis_client)
        operation(api, made)
        done = state(redis_client)
        made = _lost(redis_client, model, operation)
        with traced():
            operation(api, made)
        keys = {each.key for call in calls(redis_client) for each in call if each.key != b"\0"}
        for key in sorted(each for each in keys if before.get(each) != done.get(each)):
            made = _lost(redis_client, model, operation)
            others = [f"~{each.decode()}" for each in keys if each != key]
            redis_client.execute_command(
                *("ACL", "SETUSER", "limited", "reset", "on", ">pw", "~*", "&*", "+@read"),
                *("+@connection", "+evalsha", "+eval", "+time", f"(+@all {' '.join(others)})"),
            )
            connect(server_url, "limited")
            with contextlib.suppress(RedisError, ModelException):
                operation(api, made)
            connect(server_url, None)
            assert state(redis_client) in (before, done), key
    redis_client.acl_deluser("limited")
    api.close()


# Everything together ------------------------------------------------------------------------------


@pytest.mark.single_server("notes what scripts do under a key of one server")
def test_a_rebuild_that_mends_leaves_nothing_to_be_refused(redis_client: redis.Redis) -> None:
    fill()
    redis_client.delete("$WF:Fact:priority", "$PL:Fact:errors:default", "$RP:Fact:partitions")
    redis_client.zrem("$CoOccurrencF:Fact:near:Fact:three", "Fact:one")
    redis_client.delete("$CoOccurrenceIn:Fact:causes:Fact:one")
    redis_client.sadd("$CoOccurrenceIn:Fact:causes:Fact:one", "Fact:four")
    with traced():
        Fact.rebuild_indexes()
    asked = calls(redis_client)
    assert {"ZADD", "SREM", "SADD"} <= {
        each.name for call in asked for each in call if is_write(each)
    }
    assert [told(each) for call in asked for each in unproven(call)] == []


@pytest.mark.single_server("notes what scripts do under a key of one server")
def test_an_import_leaves_nothing_to_be_refused(tmp_path: Path, redis_client: redis.Redis) -> None:
    fill()
    for idea in ("idea", "plan", "goal"):
        Fact.near.link(Fact, "Fact:one", idea, 0.125)
    path = str(tmp_path / "facts")
    assert main(["export", MODELS, "--output", path]) == 0
    Fact.near.link(Fact, "Fact:one", "Fact:four", 0.5)
    for idea in ("idea", "plan", "goal"):
        Fact.near.unlink(Fact, "Fact:one", idea)
    with traced():
        assert main(["import", MODELS, path, "--existing", "replace"]) == 0
    asked = calls(redis_client)
    assert any(is_write(each) for call in asked for each in call)
    assert [told(each) for call in asked for each in unproven(call)] == []


@pytest.mark.single_server("notes what scripts do under a key of one server")
def test_a_check_and_an_export_write_nothing(tmp_path: Path, redis_client: redis.Redis) -> None:
    fill()
    with traced():
        assert Fact.check_indexes()["total"] == 0
        assert main(["export", MODELS, "--output", str(tmp_path / "facts")]) == 0
    assert [told(each) for call in calls(redis_client) for each in call if is_write(each)] == []
