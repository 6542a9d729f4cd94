"""What is written to the results of a query is written to those that match then, and no other.

Each test has another writer who changes a record between the query and the commit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from popoto import (
    CASCADE,
    PROTECT,
    BooleanField,
    GeoField,
    IndexedField,
    IntField,
    KeyField,
    Model,
    Q,
    Relationship,
    SortedField,
    StringField,
    UniqueField,
)
from popoto.exceptions import ProtectedError
from popoto.models.writing import cascading
from tests.driver import Api
from tests.interference import before_each_commit
from tests.truth.oracle import violations


class Bay(Model):
    name = KeyField()


class Job(Model):
    name = KeyField()
    state = IndexedField(default="done")
    note = StringField(default="old")
    rank = SortedField(type=int, default=1)
    ticket = UniqueField()
    count = IntField(default=1)
    place = GeoField()
    kept = BooleanField(default=False)
    bay = Relationship(Bay)


class Mine(Model):
    name = KeyField()
    state = IndexedField(default="done")


class Report(Model):
    name = KeyField()
    mine = Relationship(Mine, on_delete=CASCADE)


class Shaft(Model):
    name = KeyField()
    state = IndexedField(default="old")
    below = Relationship("self", on_delete=PROTECT)


class Lease(Model):
    name = KeyField()
    state = IndexedField(default="idle")
    note = StringField(default="a")

    class Meta:
        ttl = 1000


class Own(Model):
    name = KeyField()
    state = IndexedField(default="done")

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        return super().delete(*args, **kwargs)


def before_call(number: int, patch: pytest.MonkeyPatch, work: Callable[[], object]) -> None:
    """Do it before one of the calls of a script, the first of which is the query."""
    calls = iter(range(1, 1000))
    before_each_commit(patch, lambda: next(calls) == number and work())


def once_found(patch: pytest.MonkeyPatch, work: Callable[[], object]) -> None:
    """Do it when the query has its results, before anything is written."""
    before_call(2, patch, work)


def job(name: str = "a", **values: Any) -> Job:
    return Job.create(name=name, ticket=f"t-{name}", place=(1.0, 1.0), **values)


def change(**values: Any) -> None:
    """As another process does."""
    Job.query.filter(name="a").update(**values)


QUERIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "an indexed value": (Q(state="done"), {"state": "new"}),
    "an unindexed value": (Q(note="old"), {"note": "new"}),
    "a range": (Q(rank__lt=5), {"rank": 9}),
    "a unique value": (Q(ticket="t-a"), {"ticket": "t-x"}),
    "a place": (Q(place_latitude=1, place_longitude=1, place_radius=5), {"place": (60.0, 1.0)}),
    "one of two": (Q(note="old") | Q(count=7), {"note": "new"}),
    "not": (~Q(kept=True), {"kept": True}),
    "null": (Q(bay__isnull=True), {"bay": "Bay:b"}),
}


@pytest.mark.parametrize("what", QUERIES)
@pytest.mark.parametrize("how", ["delete", "bulk_delete"])
def test_what_does_not_match_any_more_is_not_deleted(
    api: Api, monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis, what: str, how: str
) -> None:
    condition, values = QUERIES[what]
    Bay.create(name="b")
    job()
    query = Job.query.filter(condition)
    assert query.count() == 1
    once_found(monkeypatch, lambda: change(**values))
    assert (api(query.delete) if how == "delete" else api(Job.bulk_delete, query)) == 0
    assert Job.query.get(name="a") is not None
    assert violations(redis_client, Job) == []


def test_what_others_change_besides_keeps_nothing_from_being_deleted(
    api: Api, monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    job()
    once_found(monkeypatch, lambda: change(rank=4, note="new", ticket="t-x"))
    assert api(Job.query.filter(state="done", rank__lt=5, count=1).delete) == 1
    assert redis_client.keys() == []


def test_the_others_go_and_are_counted(
    api: Api, monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    for name in "abcde":
        job(name)

    def others() -> None:
        change(state="new")
        Job.query.get(name="b").delete()

    once_found(monkeypatch, others)
    assert api(Job.query.filter(state="done").delete) == 3
    assert [each.name for each in Job.query.all()] == ["a"]
    assert violations(redis_client, Job) == []


def test_what_is_created_again_meanwhile_is_another_record(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    job()

    def another() -> None:
        Job.query.get(name="a").delete()
        job(state="new")

    once_found(monkeypatch, another)
    assert api(Job.query.filter(state="done").delete) == 0
    assert Job.query.get(name="a").state == "new"


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
@pytest.mark.parametrize("call", [2, 3])
def test_one_that_stays_keeps_those_that_depend_on_it(
    api: Api, monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis, call: int
) -> None:
    """The first commit is the second call; who depends on them is known before the next one."""
    for name in "ab":
        Report.create(name=name, mine=Mine.create(name=name))
    before_call(call, monkeypatch, close_mine)
    assert api(Mine.query.filter(state="done").delete) == 1
    assert [each.name for each in Report.query.all()] == ["a"]
    assert violations(redis_client, Mine, Report) == []


def close_mine() -> None:
    Mine.query.filter(name="a").update(state="closed")


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
@pytest.mark.parametrize("is_late", [False, True])
def test_also_where_they_are_too_many_for_its_commit(
    api: Api, monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis, is_late: bool
) -> None:
    monkeypatch.setattr(cascading, "MOST_TOGETHER", 2)
    first, second = Mine.create(name="a"), Mine.create(name="b")
    for number in range(6):
        Report.create(name=f"r{number}", mine=(first, second)[number % 2])
    if is_late:
        find, turns = cascading.find_relatives, iter(range(100))

        def finding(*arguments: Any, **more: Any) -> Any:
            found = yield from find(*arguments, **more)
            if next(turns) == 0:
                close_mine()
            return found

        monkeypatch.setattr(cascading, "find_relatives", finding)
    else:
        before_call(2, monkeypatch, close_mine)
    assert api(Mine.query.filter(state="done").delete) == 1
    assert {each.name for each in Report.query.all()} == {"r0", "r2", "r4"}
    assert violations(redis_client, Mine, Report) == []


@pytest.mark.parametrize("call", [1, 2])
def test_one_that_stays_protects_what_it_refers_to(
    api: Api, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Whether it is the query that misses it, or the commit."""
    top = Shaft.create(name="top")
    Shaft.create(name="deep", below=top)
    before_call(call, monkeypatch, lambda: Shaft.query.filter(name="deep").update(state="new"))
    with pytest.raises(ProtectedError):
        api(Shaft.query.filter(state="old").delete)
    assert Shaft.query.count() == 2


def test_what_no_batch_has_found_has_a_say(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came to match before all keys are asked for, as several batches need, and is in none."""
    for name in "abc":
        Shaft.create(name=name)
    top = Shaft.create(name="d")
    before_call(2, monkeypatch, lambda: Shaft.create(name="e", below=top))
    with pytest.raises(ProtectedError):
        api(Shaft.query.filter(state="old").order_by("name").delete, batch_size=3)
    assert sorted(each.name for each in Shaft.query.all()) == ["d", "e"]


def test_of_a_delete_of_its_own_a_model_decides_itself(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    Own.create(name="a")
    assert api(Own.query.filter(state="done").delete) == 1
    assert Own.query.count() == 0


@pytest.mark.parametrize("values", [{"state": "busy"}, {"note": "b"}])
def test_the_time_of_what_does_not_match_any_more_is_not_renewed(
    api: Api, monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis, values: dict[str, str]
) -> None:
    lease = Lease.create(name="a")
    Lease.create(name="b")
    redis_client.expire(str(lease.pk), 50)
    query = Lease.query.filter(state="idle", note="a")

    def other() -> None:
        Lease.query.filter(name="a").update(**values)
        redis_client.expire(str(lease.pk), 50)

    once_found(monkeypatch, other)
    assert api(query.renew_ttl, 5000) == 1
    assert redis_client.ttl(str(lease.pk)) <= 50


def test_the_time_of_what_still_matches_is_renewed(
    api: Api, monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    lease = Lease.create(name="a")
    once_found(monkeypatch, lambda: Lease.query.filter(name="a").update(state="ill"))
    assert api(Lease.query.filter(state__startswith="i").renew_ttl, 5000) == 1
    assert redis_client.ttl(str(lease.pk)) > 4000


def test_what_has_come_to_another_subject_is_not_erased(
    api: Api, monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    job("a", note="ann")
    job("b", note="ann")
    calls = iter(range(1, 1000))
    work = lambda: Job.query.filter(name="a").update(note="bob")  # noqa: E731
    # What is found by walking is deleted by the next commit.
    before_each_commit(monkeypatch, lambda: next(calls) == 2 and work())
    api(Job.erase, note="ann")
    assert [each.name for each in Job.query.all()] == ["a"]
    assert violations(redis_client, Job) == []
