"""`ListField(max_length=n)`: a list of its own beside the record."""

from __future__ import annotations

import copy
import json
import operator
import pickle
from collections.abc import Callable, MutableSequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgpack
import pytest
import redis

from popoto import DictField, KeyField, ListField, Model, ModelException, StringField
from popoto.exceptions import ValidationError
from popoto.fields.shortcuts import CappedListProxy
from tests.driver import Api


class Diary(Model):
    name = KeyField()
    log = ListField(max_length=3)
    text = StringField()


KEY = "Diary:a::log"


def push(api: Api, proxy: Any, value: Any) -> Any:
    return api.run(proxy.async_push(value)) if api.is_async else proxy.push(value)


def stored(client: redis.Redis) -> list[Any]:
    return [msgpack.unpackb(each) for each in client.lrange(KEY, 0, -1)]


def test_it_is_kept_beside_the_hash(api: Api, redis_client: redis.Redis) -> None:
    api(Diary.create, name="a", log=["x", 1])
    assert stored(redis_client) == ["x", 1]
    assert set(redis_client.hkeys("Diary:a")) == {b"name", b"text"}


def test_elements_are_tagged_by_their_own_type(api: Api, redis_client: redis.Redis) -> None:
    values = [(1, 2), Decimal("1.5"), None]
    api(Diary.create, name="a", log=values)
    assert redis_client.lindex(KEY, 0) == bytes.fromhex(
        "82a95f5f7475706c655f5fc3ac61735f656e636f6461626c65920102"
    )
    assert api(Diary.query.get, name="a").log == values


def test_save_keeps_the_first_elements(api: Api, redis_client: redis.Redis) -> None:
    diary = Diary(name="a", log=[1, 2, 3, 4, 5])
    api(diary.save)
    assert diary.log == [1, 2, 3]
    assert stored(redis_client) == [1, 2, 3]


@pytest.mark.parametrize("value", ["x", None, {"n": 1}, (1, 2), [1], datetime(2020, 1, 1), {1}])
def test_push_writes_at_once(api: Api, redis_client: redis.Redis, value: Any) -> None:
    diary = api(Diary.create, name="a", log=["old"])
    assert push(api, diary.log, value) is None
    assert diary.log == [value, "old"]
    assert api(Diary.query.get, name="a").log == [value, "old"]
    assert api(Diary.query.all)[0].log == [value, "old"]


def test_push_is_capped(api: Api, redis_client: redis.Redis) -> None:
    diary = api(Diary.create, name="a")
    for number in range(5):
        push(api, diary.log, number)
    assert diary.log == [4, 3, 2]
    assert stored(redis_client) == [4, 3, 2]
    api(diary.save)
    assert stored(redis_client) == [4, 3, 2]


def test_push_needs_a_stored_record(api: Api, redis_client: redis.Redis) -> None:
    for diary in (Diary(), Diary(name="a")):
        with pytest.raises(ModelException, match="stored record"):
            push(api, diary.log, 1)
    diary = api(Diary.create, name="a")
    api(api(Diary.query.get, name="a").delete)
    with pytest.raises(ModelException, match="stored record"):
        push(api, diary.log, 1)
    assert redis_client.keys("*") == []


def test_push_of_a_value_that_has_no_stored_form(api: Api, redis_client: redis.Redis) -> None:
    diary = api(Diary.create, name="a", log=["x"])
    with pytest.raises(ModelException, match="cannot store"):
        push(api, diary.log, object())
    assert stored(redis_client) == ["x"]


def test_an_unlisted_or_untouched_list_is_left_alone(api: Api, redis_client: redis.Redis) -> None:
    api(Diary.create, name="a", log=["x"])
    first, second = api(Diary.query.all)[0], api(Diary.query.get, name="a")
    redis_client.lpush(KEY, msgpack.packb("outside"))
    first.text = second.text = "changed"
    api(first.save)
    api(second.save, update_fields=["text"])
    assert stored(redis_client) == ["outside", "x"]


def test_other_changes_are_written_by_save(api: Api, redis_client: redis.Redis) -> None:
    diary = api(Diary.create, name="a", log=["x"])
    diary.log.append("y")
    diary.log.extend(["z", "w"])
    assert stored(redis_client) == ["x"]
    api(diary.save)
    assert stored(redis_client) == ["x", "y", "z"]
    diary.log = ["new"]
    api(diary.save)
    assert isinstance(diary.log, CappedListProxy)
    assert stored(redis_client) == ["new"]


@pytest.mark.parametrize("empty", [None, [], ()])
def test_empty_reads_back_as_an_empty_list(api: Api, redis_client: redis.Redis, empty: Any) -> None:
    diary = api(Diary.create, name="a", log=["x"])
    diary.log = empty
    api(diary.save)
    assert redis_client.exists(KEY) == 0
    for found in (api(Diary.query.get, name="a"), api(Diary.query.all)[0], diary):
        assert found.log == []
        assert not found.log
        assert isinstance(found.log, CappedListProxy)


def test_delete_takes_the_list_along(api: Api, redis_client: redis.Redis) -> None:
    api(Diary.create, name="a", log=["x"])
    api(api(Diary.query.all)[0].delete)
    assert redis_client.keys("*") == []


def test_a_list_comes_to_another_instance_as_a_copy() -> None:
    first = Diary(name="a", log=["x"])
    second = Diary(name="b", log=first.log)
    second.log.append("y")
    assert first.log == ["x"]
    assert second.log == ["x", "y"]


def test_it_behaves_like_a_list() -> None:
    log = Diary(log=["a", "b", "c"]).log
    assert isinstance(log, MutableSequence)
    assert (len(log), log[0], log[-1], log[1:]) == (3, "a", "c", ["b", "c"])
    assert list(log) == ["a", "b", "c"]
    assert repr(log) == "['a', 'b', 'c']"
    assert (log == ["a", "b", "c"], log == Diary(log=["a", "b", "c"]).log) == (True, True)
    assert log != ["a"]
    assert "b" in log
    assert log.index("c") == 2
    log[0] = "z"
    log.insert(1, "y")
    log.remove("b")
    log.reverse()
    assert log.pop() == "z"
    assert log == ["c", "y"]
    del log[0]
    assert log == ["y"]


def test_it_is_a_list(redis_client: redis.Redis) -> None:
    log: Any = Diary(log=["b", "a"]).log
    assert isinstance(log, list)
    assert json.dumps({"log": log}) == '{"log": ["b", "a"]}'
    assert msgpack.packb(log) == msgpack.packb(["b", "a"])
    plain = ["b", "a"]
    assert (plain == log, log == plain, log != plain[:1], log < ["c"]) == (True,) * 4
    match log:
        case [first, *rest]:
            assert (first, rest) == ("b", ["a"])
        case _:
            pytest.fail("no list")
    with pytest.raises(TypeError, match="unhashable"):
        hash(log)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda log: operator.add(log, ["c"]), ["b", "a", "c"]),
        (lambda log: operator.add(["c"], log), ["c", "b", "a"]),
        (lambda log: log + log, ["b", "a", "b", "a"]),
        (lambda log: log * 2, ["b", "a", "b", "a"]),
        (lambda log: 2 * log, ["b", "a", "b", "a"]),
        (lambda log: log[:1], ["b"]),
        (lambda log: log.copy(), ["b", "a"]),
        (copy.copy, ["b", "a"]),
        (copy.deepcopy, ["b", "a"]),
        (lambda log: pickle.loads(pickle.dumps(log)), ["b", "a"]),
        (sorted, ["a", "b"]),
    ],
)
def test_what_is_made_of_it_is_a_plain_list(
    made: Callable[[Any], Any], expected: list[str], redis_client: redis.Redis
) -> None:
    diary = Diary.create(name="a", log=["b", "a"])
    result = made(diary.log)
    assert (type(result), result) == (list, expected)
    result.append("of the copy alone")
    diary.save()
    assert stored(redis_client) == ["b", "a"]


def assign_a_part(log: list[Any]) -> None:
    log[1:1] = [7, 8, 9]


def delete_a_part(log: list[Any]) -> None:
    del log[:2]


def add_in_place(log: list[Any]) -> None:
    log += [7, 8]


def multiply_in_place(log: list[Any]) -> None:
    log *= 2


@pytest.mark.parametrize(
    "change",
    [
        lambda log: log.append(7),
        lambda log: log.extend([7, 8]),
        lambda log: log.insert(0, 7),
        lambda log: log.pop(),
        lambda log: log.remove(1),
        lambda log: log.clear(),
        lambda log: log.sort(),
        lambda log: log.sort(key=lambda number: -number),
        lambda log: log.reverse(),
        lambda log: log.__setitem__(0, 7),
        assign_a_part,
        delete_a_part,
        add_in_place,
        multiply_in_place,
    ],
)
def test_every_change_of_a_list_is_written_by_save_up_to_the_cap(
    api: Api, redis_client: redis.Redis, change: Callable[[list[Any]], Any]
) -> None:
    diary = api(Diary.create, name="a", log=[2, 3, 1])
    plain = [2, 3, 1]
    change(plain)
    change(diary.log)
    assert diary.log == plain
    assert stored(redis_client) == [2, 3, 1]
    api(diary.save)
    assert diary.log == api(Diary.query.get, name="a").log == plain[:3]
    assert stored(redis_client) == plain[:3]


def test_changes_by_an_operator_are_those_of_the_attribute(api: Api) -> None:
    diary = api(Diary.create, name="a", log=[1])
    log = diary.log
    diary.log += [2]
    diary.log *= 2
    assert diary.log is log
    diary.log = operator.add([0], diary.log)
    api(diary.save)
    push(api, diary.log, 9)
    assert api(Diary.query.get, name="a").log == [9, 0, 1]


@pytest.mark.parametrize(
    "duplicated", [copy.copy, copy.deepcopy, lambda record: pickle.loads(pickle.dumps(record))]
)
def test_the_list_of_a_duplicate_is_its_own(api: Api, duplicated: Callable[[Diary], Diary]) -> None:
    diary = api(Diary.create, name="a", log=["x"])
    twin = duplicated(diary)
    push(api, twin.log, "y")
    assert (twin.log, diary.log) == (["y", "x"], ["x"])
    assert api(Diary.query.get, name="a").log == ["y", "x"]
    api(twin.save)
    assert api(Diary.query.get, name="a").log == ["y", "x"]


class Marked:
    __slots__ = ("mark",)


class Note(Marked, Model):
    name = KeyField()


@pytest.mark.parametrize(
    "duplicated", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))]
)
def test_a_duplicate_keeps_what_stands_in_slots(duplicated: Callable[[Any], Any]) -> None:
    note: Any = Note(name="a")
    note.mark = "seen"
    assert duplicated(note).mark == "seen"
    assert duplicated(note).name == "a"


def test_it_is_stored_in_other_fields_as_a_list(api: Api) -> None:
    class Archive(Model):
        name = KeyField()
        lines = ListField()
        parts = DictField()

    log = Diary(log=["x", (1, 2)]).log
    archive = api(Archive.create, name="a", lines=log, parts={"log": log})
    assert type(archive.lines) is list
    found = api(Archive.query.get, name="a")
    assert (found.lines, found.parts) == (["x", (1, 2)], {"log": ["x", (1, 2)]})
    log.append("y")
    assert archive.lines == ["x", (1, 2)]


def test_values_and_to_dict_are_plain_lists(api: Api) -> None:
    api(Diary.create, name="a", log=["x"])
    assert api(Diary.query.filter(name="a", values=("log",)).all) == [{"log": ["x"]}]
    shown = api(Diary.query.get, name="a").to_dict()["log"]
    assert (shown, type(shown)) == (["x"], list)


def test_several_records_cost_no_further_round_trips(api: Api, round_trips: Any) -> None:
    for name in "abc":
        api(Diary.create, name=name, log=[name])
    keys = [f"Diary:{name}" for name in "abc"]
    api(Diary.query.all)
    with round_trips() as seen:
        assert [each.log for each in api(Diary.query.get_many, redis_keys=keys)] == [
            ["a"],
            ["b"],
            ["c"],
        ]
    assert seen.sends == 1
    with round_trips() as seen:
        assert [each.log for each in api(Diary.query.all)] == [["a"], ["b"], ["c"]]
    assert seen.sends == 1


def test_a_long_list_is_stored_whole(api: Api, redis_client: redis.Redis) -> None:
    class Archive(Model):
        name = KeyField()
        entries = ListField(max_length=30_000)

    archive = api(Archive.create, name="a", entries=list(range(25_000)))
    assert redis_client.llen("Archive:a::entries") == 25_000
    assert api(Archive.query.get, name="a").entries == list(range(25_000))
    archive.entries = list(range(9_000))
    api(archive.save)
    assert api(Archive.query.all)[0].entries == list(range(9_000))


@pytest.mark.parametrize("wrong", [{"a": 1}, object(), 5])
def test_what_is_no_list_is_refused_by_name_in_a_stored_record_too(api: Api, wrong: Any) -> None:
    diary = api(Diary.create, name="a", log=["x"])
    diary.log = wrong
    with pytest.raises(ValidationError, match=r"Diary.log: invalid value"):
        api(diary.save)
    assert api(Diary.query.get, name="a").log == ["x"]


NO_LISTS = ["abc", b"ab", {"a": 1}, 5, 1.5, 0, "", b"", False]


@pytest.mark.parametrize("wrong", NO_LISTS)
def test_what_is_no_list_is_refused_by_a_new_record_as_by_an_uncapped_field(
    api: Api, wrong: Any
) -> None:
    for name in ("log", "entries"):
        with pytest.raises(ValidationError, match=rf"{name}: invalid value .* expected list"):
            Chronicle(name="a", **{name: wrong})


@pytest.mark.parametrize("wrong", [0, "", b"", False, {}])
def test_nothing_of_another_type_is_no_empty_list(api: Api, wrong: Any) -> None:
    api(Chronicle.create, name="a")
    found = api(Chronicle.query.filter(name="a").first)
    found.log = wrong
    with pytest.raises(ValidationError, match=r"log: invalid value .* expected list"):
        api(found.save, update_fields=["log"])


def test_a_default_that_is_no_list_is_refused_by_name() -> None:
    class Wrong(Model):
        name = KeyField()
        log = ListField(max_length=3, default="abc")

    with pytest.raises(ValidationError, match=r"Wrong.log: invalid value 'abc'"):
        Wrong(name="a")


class Chronicle(Model):
    name = KeyField()
    log = ListField(max_length=3)
    entries = ListField()
