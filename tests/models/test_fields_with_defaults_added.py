"""Records that were stored before their model had a field: they have its default."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from popoto import (
    IndexedField,
    IntField,
    KeyField,
    Model,
    ModelException,
    SortedField,
    StringField,
    UniqueField,
)
from tests.driver import Api


def define(**fields: Any) -> Any:
    return type(Model)("Tool", (Model,), {"name": KeyField(), "note": StringField(), **fields})


@pytest.fixture(autouse=True)
def tools() -> None:
    for name in ("a", "b"):
        define().create(name=name, note="old")


def loaded(api: Api, tool: Any) -> list[Any]:
    return [api(tool.query.get, name="a"), api(tool.query.filter(name="b").first)]


def test_they_can_be_saved_where_the_field_cannot_be_null(api: Api) -> None:
    tool = define(
        count=IntField(null=False, default=1),
        size=SortedField(type=float, default=2.5),
        made=IntField(null=False, default=lambda: 7),
    )
    for each in loaded(api, tool):
        each.note = "new"
        api(each.save)
        again = api(tool.query.get, name=each.name)
        assert (again.note, again.count, again.size, again.made) == ("new", 1, 2.5, 7)
        again.count = 5
        api(again.save)
        assert api(tool.query.get, name=each.name).count == 5


def test_they_cannot_where_there_is_no_default(api: Api) -> None:
    tool = define(count=IntField(null=False))
    for each in loaded(api, tool):
        with pytest.raises(ModelException, match=r"Tool\.count: invalid value None"):
            api(each.save)
        each.count = 3
        api(each.save)


def define_indexed() -> Any:
    return define(
        state=IndexedField(default="new"),
        size=SortedField(type=int, default=3),
        made=IndexedField(default=lambda: "computed"),
        Meta=type("Meta", (), {"indexes": ((("state", "note"), False),)}),
    )


def names(api: Api, tool: Any, **conditions: Any) -> list[str]:
    return sorted(each.name for each in api(tool.query.filter(**conditions).all))


def test_a_rebuild_puts_them_under_it(api: Api, redis_client: redis.Redis) -> None:
    tool = define_indexed()
    assert names(api, tool, state="new") == []
    assert api(tool.check_indexes)["total"] > 0
    assert api(tool.rebuild_indexes) == 2
    assert api(tool.check_indexes)["total"] == 0
    assert redis_client.smembers("$IndexF:Tool:state:new") == {b"Tool:a", b"Tool:b"}
    assert names(api, tool, state="new") == ["a", "b"]
    assert names(api, tool, state=None) == []
    assert names(api, tool, size__gte=3) == ["a", "b"]
    assert redis_client.exists("$IndexF:Tool:made:computed") == 0


def test_it_claims_nothing(api: Api, redis_client: redis.Redis) -> None:
    tool = define(code=UniqueField(default="x"))
    assert api(tool.rebuild_indexes) == 2
    assert redis_client.exists("$UniquF:Tool:code:x") == 0
    assert api(tool.check_indexes)["total"] == 0


def test_their_entries_follow_from_there(api: Api, redis_client: redis.Redis) -> None:
    tool = define_indexed()
    api(tool.rebuild_indexes)
    first, second = loaded(api, tool)
    first.state, first.size = "used", 4
    api(first.save)
    second.note = "other"
    api(second.save, update_fields=["note"])
    assert names(api, tool, state="new") == ["b"]
    assert names(api, tool, state="used") == ["a"]
    assert names(api, tool, size=3) == ["b"]
    assert api(tool.check_indexes)["total"] == 0
    third = api(tool.query.filter(name="b").first)
    third.name = "c"
    api(third.save, migrate_key=True)
    assert names(api, tool, state="new") == ["c"]
    assert api(tool.check_indexes)["total"] == 0
    assert api(tool.delete_all) == 2
    assert redis_client.keys("*Tool*") == []


def test_deleting_and_expiring_take_their_entries_along(
    api: Api, redis_client: redis.Redis
) -> None:
    tool = define_indexed()
    api(tool.rebuild_indexes)
    api(tool(name="a").delete)
    last = api(tool.query.get, name="b")
    last._ttl = -1
    api(last.save)
    assert api(tool.query.count) == 0
    assert redis_client.keys("*Tool*") == []
