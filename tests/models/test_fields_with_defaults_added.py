"""Records that were stored before their model had a field: they have its default."""

from __future__ import annotations

from typing import Any

import pytest

from popoto import (
    IntField,
    KeyField,
    Model,
    ModelException,
    SortedField,
    StringField,
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
