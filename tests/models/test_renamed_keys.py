"""Records whose key fields were renamed, added or removed since are found, reported and deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from popoto import (
    AutoKeyField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    SortedField,
    UniqueField,
)
from tests.driver import Api


def first() -> type[Any]:
    class Page(Model):
        slug = KeyField()

    return Page


def first_with_more() -> type[Any]:
    class Page(Model):
        slug = KeyField()
        kind = IndexedField(default="a")
        mark = UniqueField(type=str)
        size = SortedField(type=int, default=1)
        last = ListField(max_length=2)

    return Page


def renamed() -> type[Any]:
    class Page(Model):
        path = KeyField()

    return Page


def renamed_with_more() -> type[Any]:
    class Page(Model):
        path = KeyField()
        kind = IndexedField(default="a")
        mark = UniqueField(type=str)
        size = SortedField(type=int, default=1)
        last = ListField(max_length=2)

    return Page


def another_type() -> type[Any]:
    class Page(Model):
        number = IntField(key=True)

    return Page


def one_more() -> type[Any]:
    class Page(Model):
        slug = KeyField()
        language = KeyField(default="en")
        kind = IndexedField(default="a")

    return Page


def none_any_more() -> type[Any]:
    class Page(Model):
        kind = IndexedField(default="a")

    return Page


def automatic() -> type[Any]:
    class Page(Model):
        number = AutoKeyField()
        size = SortedField(type=int, default=1)

    return Page


EARLIER = [first, first_with_more]
LATER = [renamed, renamed_with_more, another_type, one_more, none_any_more, automatic]
Definition = Callable[[], type[Any]]

earlier = pytest.mark.parametrize("earlier", EARLIER, ids=lambda each: each.__name__)
later = pytest.mark.parametrize("later", LATER, ids=lambda each: each.__name__)


def stored(api: Api, earlier: Definition, number: int = 3) -> None:
    model = earlier()
    for each in range(number):
        values = {"mark": str(each)} if earlier is first_with_more else {}
        api(model.create, slug=f"s{each}", **values)


@earlier
@later
def test_delete_all_leaves_nothing(
    api: Api, redis_client: redis.Redis, earlier: Definition, later: Definition
) -> None:
    stored(api, earlier)
    assert api(later().delete_all) == 3
    assert redis_client.keys("*") == []


@earlier
@later
def test_each_record_can_be_deleted(
    api: Api, redis_client: redis.Redis, earlier: Definition, later: Definition
) -> None:
    stored(api, earlier)
    page = later()
    found = api(page.query.all)
    assert sorted(each.pk for each in found) == ["Page:s0", "Page:s1", "Page:s2"]
    assert sorted(map(str, found)) == ["Page:s0", "Page:s1", "Page:s2"]
    assert len(set(found)) == 3
    assert [api(each.delete) for each in found] == [True] * 3
    assert not [key for key in redis_client.keys("*") if key.startswith(b"Page")]
    assert api(page.query.count) == 0
    api(page.rebuild_indexes)
    assert redis_client.keys("*") == []


def test_their_lists_go_with_them(api: Api, redis_client: redis.Redis) -> None:
    model = first_with_more()
    for slug in ("a", "b"):
        api(model.create, slug=slug, mark=slug, last=["x", "y"])
    page = renamed_with_more()
    assert api(api(page.query.all)[0].delete) is True
    assert len(redis_client.keys("*::last")) == 1
    assert api(page.delete_all) == 1
    assert redis_client.keys("*") == []


@earlier
@later
def test_queries_and_bulk_operations_delete_them(
    api: Api, redis_client: redis.Redis, earlier: Definition, later: Definition
) -> None:
    stored(api, earlier, 4)
    page = later()
    found = api(page.query.all)
    assert api(page.bulk_delete, found[:2]) == 2
    assert api(page.query.filter().delete) == 2
    assert not [key for key in redis_client.keys("*") if key.startswith(b"Page")]


@earlier
@later
def test_a_check_reports_them(
    api: Api, redis_client: redis.Redis, earlier: Definition, later: Definition
) -> None:
    stored(api, earlier)
    page = later()
    found = api(page.check_indexes)
    assert found["unidentified_records"] == 3
    assert found["total"] >= 3
    api(page.rebuild_indexes)
    # Nothing is given up by a rebuild: what they are is for their owner to say.
    assert api(page.check_indexes)["unidentified_records"] == 3
    assert redis_client.scard("$Class:Page") == 3
    api(page.delete_all)
    healthy = api(page.check_indexes)
    assert healthy["total"] == 0
    assert "unidentified_records" not in healthy


@pytest.mark.parametrize("model", [first, first_with_more])
def test_records_in_order_are_not_reported(api: Api, model: Definition) -> None:
    stored(api, model)
    assert "unidentified_records" not in api(model().check_indexes)


@earlier
def test_they_move_to_keys_of_the_new_field(api: Api, earlier: Definition) -> None:
    stored(api, earlier, 2)
    page = renamed() if earlier is first else renamed_with_more()
    for each in api(page.query.all):
        each.path = each.pk.partition(":")[2]
        api(each.save, migrate_key=True)
    assert sorted(each.path for each in api(page.query.all)) == ["s0", "s1"]
    assert api(page.query.get, path="s1").pk == "Page:s1"
    assert api(page.rebuild_indexes) == 2
    assert api(page.check_indexes)["total"] == 0


@earlier
def test_they_move_to_other_keys(api: Api, redis_client: redis.Redis, earlier: Definition) -> None:
    stored(api, earlier, 2)
    page = renamed() if earlier is first else renamed_with_more()
    for each in api(page.query.all):
        each.path = "to-" + each.pk.partition(":")[2]
        api(each.save, migrate_key=True)
    assert sorted(each.path for each in api(page.query.all)) == ["to-s0", "to-s1"]
    assert not redis_client.exists("Page:s0", "Page:s1")


def test_a_record_created_meanwhile_stays(api: Api, redis_client: redis.Redis) -> None:
    stored(api, first)
    model = first()

    def another(done: int) -> None:
        if not redis_client.exists("Page:new"):
            first().create(slug="new")

    assert api(model.delete_all, progress=another) == 3
    assert [each.slug for each in api(model.query.all)] == ["new"]
    assert api(model.check_indexes)["total"] == 0
