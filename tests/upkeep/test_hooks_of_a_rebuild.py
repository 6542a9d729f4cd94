"""`rebuild_indexes` calls the hooks of fields that keep something of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

from popoto import Field, KeyField, ListField, Model, Relationship
from popoto.models.upkeep import rebuilding
from tests.driver import Api, RoundTrips
from tests.interference import before_each_commit

from .test_while_others_write import at_the

Counter = Callable[[], AbstractContextManager[RoundTrips]]

called: list[tuple[str, str, Any]] = []


class Spoken(Field[str]):
    """Keeps who said what, unless it is nothing."""

    @classmethod
    def on_save(
        cls,
        model_instance: Any,
        field_name: str,
        field_value: Any,
        pipeline: Any = None,
        **kwargs: Any,
    ) -> Any:
        called.append((model_instance.name, field_name, field_value))
        if field_value:
            pipeline.hset("spoken", model_instance.name, field_value)
        return pipeline


class Listed(ListField):
    """Keeps how many there are."""

    @classmethod
    def on_save(cls, model_instance: Any, *args: Any, **kwargs: Any) -> Any:
        value = kwargs["field_value"]
        return kwargs["pipeline"].hset("listed", model_instance.name, len(value))


class Speaker(Model):
    name = KeyField()
    text = Spoken()
    notes = Listed(max_length=5)
    more = ListField(max_length=5)


@pytest.fixture(autouse=True)
def speakers(redis_client: redis.Redis) -> Iterator[None]:
    for number, name in enumerate("abcde"):
        Speaker.create(name=name, text=f"I am {name}", notes=["x"] * number)
    Speaker.create(name="silent")
    # One that was written before the field was there.
    redis_client.hdel("Speaker:e", "text")
    redis_client.delete("spoken", "listed")
    called.clear()
    yield
    called.clear()


@pytest.mark.parametrize("batch_size", [1, 2, 1000])
def test_each_record_hands_its_own_values_over(
    api: Api, redis_client: redis.Redis, batch_size: int
) -> None:
    assert api(Speaker.rebuild_indexes, batch_size=batch_size) == 6
    expected = {name.encode(): f"I am {name}".encode() for name in "abcd"}
    assert redis_client.hgetall("spoken") == expected
    sizes = {name.encode(): b"%d" % number for number, name in enumerate("abcde")}
    assert redis_client.hgetall("listed") == sizes | {b"silent": b"0"}
    assert sorted(called) == sorted(
        [(name, "text", f"I am {name}") for name in "abcd"]
        + [(name, "text", None) for name in ("e", "silent")]
    )


def change() -> None:
    found = Speaker.load(name="a")
    assert found is not None
    found.text = "another"
    found.save()


def test_what_a_faster_writer_has_handed_over_stays(
    api: Api, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever the record changes, the hook's own entry is that of the new value."""
    for number in range(1, 12):
        redis_client.hset("spoken", "a", "before")
        with monkeypatch.context() as patch:
            before_each_commit(patch, at_the(number, change))
            api(Speaker.rebuild_indexes)
        found = Speaker.load(name="a")
        assert found is not None
        assert redis_client.hget("spoken", "a") == found.text.encode()
        found.text = f"I am number {number}"
        found.save()


def test_a_record_that_goes_meanwhile_leaves_nothing(
    api: Api, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 12):
        Speaker(name="a", text="hello").save()
        redis_client.delete("spoken")

        def remove() -> None:
            Speaker(name="a").delete()
            redis_client.delete("spoken")

        with monkeypatch.context() as patch:
            before_each_commit(patch, at_the(number, remove))
            api(Speaker.rebuild_indexes)
        if not redis_client.exists("Speaker:a"):
            assert not redis_client.hexists("spoken", "a")


COUNT = "return redis.call('HINCRBY', KEYS[1], ARGV[1], 1)"


class Counted(Field[str]):
    """Counts, with a script of its own, how often a value was saved of a record of someone."""

    @classmethod
    def on_save(cls, model_instance: Any, *args: Any, **kwargs: Any) -> Any:
        called.append((model_instance.name, "by", model_instance.by))
        return kwargs["pipeline"].eval(COUNT, 1, "counted", kwargs["field_value"])


class Speech(Model):
    name = KeyField()
    text = Counted(default="hm")
    by = Relationship(Speaker)


def test_commands_that_no_script_may_call_follow(
    api: Api, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        Speech.create(name=name, text=name, by="Speaker:a")
    redis_client.delete("counted")
    called.clear()
    api(Speech.rebuild_indexes)
    assert redis_client.hgetall("counted") == {b"a": b"1", b"b": b"1"}
    # A hook is handed references as keys: following them is not for a rebuild to pay.
    assert sorted(called) == [("a", "by", "Speaker:a"), ("b", "by", "Speaker:a")]

    def change(*_: Any) -> None:
        redis_client.hset("Speech:a", "text", b"\xa1x")

    monkeypatch.setattr(rebuilding, "call_save_hooks", meanwhile(change))
    api(Speech.rebuild_indexes)
    assert redis_client.hgetall("counted") == {b"a": b"1", b"b": b"2"}


def meanwhile(change: Callable[[], None]) -> Callable[..., None]:
    """Calls the hooks, and lets another writer be faster than what they queue."""
    call = rebuilding.call_save_hooks

    def watched(*arguments: Any) -> None:
        call(*arguments)
        change()

    return watched


def test_hooks_that_queue_nothing_cost_nothing(api: Api, round_trips: Counter) -> None:
    class Silent(Field[str]):
        @classmethod
        def on_save(cls, *args: Any, **kwargs: Any) -> None:
            called.append(("", "", ""))

    class Quiet(Model):
        name = KeyField()
        text = Silent()

    for name in "abc":
        Quiet.create(name=name)
    called.clear()
    with round_trips() as seen:
        api(Quiet.rebuild_indexes)
    assert len(called) == 3
    assert seen.commands["evalsha"] + seen.commands["eval"] < 8
