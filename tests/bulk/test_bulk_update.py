"""`bulk_update` and `raw_update`: the named fields of many records, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

import pytest
import redis

from popoto import (
    DatetimeField,
    IndexedField,
    IntField,
    KeyField,
    KeyMutationError,
    ListField,
    Model,
    ModelException,
    SortedField,
    UniqueField,
)
from popoto.exceptions import BulkError, QueryException, RowError
from tests.driver import Api, RoundTrips
from tests.upkeep.zoo import state


class Task(Model):
    name = KeyField()
    status = IndexedField(default="new")
    rank = SortedField(type=float, default=0.0)
    code = UniqueField(type=str)
    effort = IntField(default=1)
    tags = ListField()
    latest = ListField(max_length=2)
    changed = DatetimeField(auto_now=True)


def fill(count: int = 4) -> list[Task]:
    return Task.bulk_create([Task(name=f"t{n}", code=f"c{n}") for n in range(count)])


def statuses() -> dict[str, str]:
    return {each.name: each.status for each in Task.query.all()}


@pytest.mark.parametrize("kind", [list, tuple, iter, lambda given: (each for each in given)])
def test_instances_in_any_iterable(api: Api, kind: Any) -> None:
    given = fill()
    assert api(Task.bulk_update, kind(given[:3]), status="done", rank=2) == 3
    assert statuses() == {"t0": "done", "t1": "done", "t2": "done", "t3": "new"}
    assert Task.query.filter(rank__gte=2).count() == 3
    assert [each.status for each in given] == ["done"] * 3 + ["new"]
    assert Task.check_indexes()["total"] == 0


def test_one_instance(api: Api) -> None:
    given = fill()
    assert api(Task.bulk_update, given[1], status="done") == 1
    assert statuses()["t1"] == "done"


def test_a_query(api: Api) -> None:
    fill()
    assert api(Task.bulk_update, Task.query.filter(status="new"), status="done", batch_size=3) == 4
    assert set(statuses().values()) == {"done"}
    assert api(Task.bulk_update, Task.query.filter(status="new"), status="done") == 0
    limited = Task.query.filter(order_by="-name", limit=2)
    assert api(Task.bulk_update, limited, status="last") == 2
    assert statuses() == {"t0": "done", "t1": "done", "t2": "last", "t3": "last"}
    assert api(Task.bulk_update, Task.query, effort=3) == 4
    by_value = Task.query.filter(order_by="effort", limit=1)
    assert api(Task.bulk_update, by_value, effort=9) == 1


@pytest.mark.parametrize("nothing", [[], None, iter(())])
def test_nothing_to_do(api: Api, nothing: Any) -> None:
    fill()
    assert api(Task.bulk_update, nothing, status="done") == 0
    assert api(Task.bulk_update, Task.query.filter(status="new")) == 0


def test_only_the_named_fields_are_written(api: Api) -> None:
    given = fill(2)
    other = Task.query.get(name="t0")
    other.effort = 50
    other.save()
    given[0].tags = ["unsaved"]
    assert api(Task.bulk_update, given, status="done") == 2
    found = Task.query.get(name="t0")
    assert (found.effort, found.tags, found.status) == (50, None, "done")


def test_the_time_of_the_change_is_written(api: Api, redis_client: redis.Redis) -> None:
    fill(1)
    before = Task.query.get(name="t0").changed
    api(Task.bulk_update, Task.query.all(), status="done")
    after = Task.query.get(name="t0").changed
    assert isinstance(after, datetime)
    assert after > before


def test_records_do_not_share_a_mutable_value(api: Api) -> None:
    given = fill(2)
    api(Task.bulk_update, given, tags=["a"], latest=["x", "y", "z"])
    given[0].tags.append("b")
    assert given[1].tags == ["a"]
    assert [list(each.latest) for each in Task.query.all()] == [["x", "y"]] * 2


def test_wrong_arguments_change_nothing(api: Api, redis_client: redis.Redis) -> None:
    given = fill()
    before = state(redis_client)
    with pytest.raises(ModelException, match="Unknown field 'colour'"):
        api(Task.bulk_update, given, colour="red")
    for name in ("ttl", "expire_at"):
        with pytest.raises(ModelException, match=rf"Unknown field '{name}'.*save\(ttl=…\)"):
            api(Task.bulk_update, given, **{name: 60})
    with pytest.raises(KeyMutationError, match="name"):
        api(Task.bulk_update, given, name="x")
    with pytest.raises(ModelException, match="effort"):
        api(Task.bulk_update, given, effort="much")
    with pytest.raises(ModelException, match="null"):
        api(Task.bulk_update, given, rank=None)
    with pytest.raises(ValueError, match="batch_size"):
        api(Task.bulk_update, given, batch_size=0, status="done")
    with pytest.raises(QueryException, match="values"):
        api(Task.bulk_update, Task.query.values("name"), status="done")
    assert state(redis_client) == before
    assert given[0].status == "new"


def test_a_value_that_must_be_unique_cannot_be_given_to_two(api: Api) -> None:
    given = fill()
    with pytest.raises(ModelException, match="unique"):
        api(Task.bulk_update, given, code="same")
    assert Task.query.filter(code="same").count() == 0
    assert api(Task.bulk_update, given[:1], code="same") == 1
    assert Task.query.filter(code="same").count() == 1
    assert Task.query.filter(code="c0").count() == 0


def test_a_record_that_is_gone_is_no_fragment_afterwards(
    api: Api, redis_client: redis.Redis
) -> None:
    given = fill()
    Task.query.get(name="t1").delete()
    with pytest.raises(BulkError, match="t1"):
        api(Task.bulk_update, given, status="done")
    assert set(statuses().values()) == {"new"}
    told: list[RowError] = []
    assert api(Task.bulk_update, given, on_error=told.append, status="done") == 3
    assert [error.position for error in told] == [1]
    assert not redis_client.exists("Task:t1")


def test_a_constructed_instance_stands_for_its_stored_record(api: Api) -> None:
    fill()
    assert api(Task.bulk_update, [Task(name="t2", code="ignored")], status="done") == 1
    found = Task.query.get(name="t2")
    assert (found.status, found.code) == ("done", "c2")
    with pytest.raises(ModelException, match="not stored"):
        api(Task.bulk_update, [Task(name="t9", code="c9")], status="done")


def test_progress_and_round_trips(
    api: Api, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    fill(100)
    Task.query.filter(status="new").all()  # the server may not know the script yet
    told: list[int] = []
    with round_trips() as seen:
        api(Task.bulk_update, Task.query.filter(status="new"), effort=2, progress=told.append)
    assert told == [100]
    assert seen.sends == 2


class Watched(Model):
    name = KeyField()
    code = UniqueField(type=str)
    effort = IntField(default=1)

    def pre_save(self, **kwargs: Any) -> Any:
        return not (self.name == "t1" and self.effort == 5)


@pytest.mark.parametrize("batch_size", [1, 2, 10])
def test_who_a_hook_keeps_from_being_saved_is_counted_and_who_is_refused_is_not(
    api: Api, redis_client: redis.Redis, batch_size: int
) -> None:
    rows = Watched.bulk_create([Watched(name=f"t{n}", code=f"c{n}") for n in range(5)])
    redis_client.delete("Watched:t0", "Watched:t3")
    refused: list[RowError] = []
    assert api(Watched.bulk_update, rows, batch_size, on_error=refused.append, effort=5) == 3
    assert [each.position for each in refused] == [0, 3]
    found = {each.name: each.effort for each in Watched.query.all()}
    assert found == {"t1": 1, "t2": 5, "t4": 5}


# raw_update ------------------------------------------------------------------------------


def test_raw_update_writes_values_and_nothing_else(api: Api, redis_client: redis.Redis) -> None:
    fill()
    before = Task.query.get(name="t0").changed
    keys = ["Task:t0", b"Task:t1", Task.query.get(name="t2").db_key]
    assert api(Task.raw_update, iter(keys), batch_size=2, status="raw", effort=5) == 3
    found = Task.query.get(name="t0")
    assert (found.status, found.effort, found.changed) == ("raw", 5, before)
    assert Task.query.filter(status="new").count() == 4
    assert Task.rebuild_indexes() == 4
    assert Task.query.filter(status="raw").count() == 3
    assert Task.query.filter(status="new").count() == 1


def test_raw_update_makes_no_fragments(api: Api, redis_client: redis.Redis) -> None:
    assert api(Task.raw_update, ["Task:none"], effort=5) == 1
    assert redis_client.keys() == []


@pytest.mark.parametrize(
    "values",
    [{"colour": 1}, {"effort": "much"}, {"tags": 5}, {"name": "x"}, {"latest": [1]}],
    ids=str,
)
def test_raw_update_refuses_what_does_not_fit(
    api: Api, redis_client: redis.Redis, values: dict[str, Any]
) -> None:
    fill()
    before = state(redis_client)
    with pytest.raises(ModelException):
        api(Task.raw_update, ["Task:t0"], **values)
    assert state(redis_client) == before


def test_raw_update_names_a_key_of_another_program_and_writes_nothing(
    api: Api, redis_client: redis.Redis
) -> None:
    fill()
    redis_client.set("Task:theirs", "another program's")
    keys = ["Task:t0", "Task:t1", "Task:theirs", "Task:t2"]
    with pytest.raises(BulkError) as caught:
        api(Task.raw_update, keys, effort=77)
    assert str(caught.value).startswith(
        "Task.raw_update: row 2: the key 'Task:theirs' holds a string where a hash belongs"
    )
    assert Task.query.filter(effort=77).count() == 0
    with pytest.raises(BulkError) as caught:
        api(Task.raw_update, keys, batch_size=1, effort=77)
    assert str(caught.value).startswith("Task.raw_update: row 2: the key 'Task:theirs' holds")
    assert caught.value.done == 2
    assert [each.name for each in Task.query.filter(effort=77).order_by("name")] == ["t0", "t1"]
    assert redis_client.get("Task:theirs") == b"another program's"


def test_raw_update_of_nothing(api: Api) -> None:
    assert api(Task.raw_update, [], effort=1) == 0
    assert api(Task.raw_update, ["Task:t0"]) == 0
    with pytest.raises(ValueError, match="batch_size"):
        api(Task.raw_update, ["Task:t0"], batch_size=0, effort=1)
    with pytest.raises(QueryException):
        api(Task.raw_update, ["Other:t0"], effort=1)
