"""What stands where a name or a type is expected is refused by what is wrong, hashable or not."""

from __future__ import annotations

from typing import Any

import pytest

from popoto import (
    AutoKeyField,
    Field,
    GeoField,
    IndexedField,
    IntField,
    KeyField,
    Model,
    Relationship,
    SortedField,
)
from popoto.exceptions import ModelException, QueryException
from tests.driver import Api

NO_NAMES: list[Any] = [["a"], {"a": 1}, {1}, 5, None, bytearray(b"a")]


class Town(Model):
    name = KeyField()
    size = IntField(default=0)
    place = GeoField()
    twin = Relationship("self")


@pytest.mark.parametrize("wrong", [*NO_NAMES, list[int]])
@pytest.mark.parametrize("kind", [Field, KeyField, IndexedField, SortedField])
def test_what_is_no_type_is_no_valid_type(kind: Any, wrong: Any) -> None:
    with pytest.raises(ModelException, match=rf"is not a valid .*{kind.__name__}"):
        kind(type=wrong)


@pytest.mark.parametrize("wrong", NO_NAMES)
def test_what_is_no_strategy_is_told_the_strategies(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"Invalid strategy .* 'uuid4', 'ulid', 'ksuid'"):
        AutoKeyField(strategy=wrong)


@pytest.mark.parametrize("wrong", NO_NAMES)
def test_what_is_no_name_of_a_field(api: Api, wrong: Any) -> None:
    town = api(Town.create, name="a", place=(1, 2))
    town.size = 5
    with pytest.raises(ModelException, match="Unknown field"):
        api(town.save, update_fields=["size", wrong])
    with pytest.raises(QueryException, match="Town has no Relationship"):
        api(Town.query.filter(name="a").select_related(wrong).all)
    with pytest.raises(QueryException, match="place_radius_unit must be one of m, km, ft, mi"):
        api(Town.query.count, place=(1, 2), place_radius_unit=wrong)
    assert town.to_dict(include=["name", wrong]) == {"name": "a"}
    assert "name" in town.to_dict(exclude=[wrong])
    assert api(Town.query.get, name="a").size == 0


@pytest.mark.parametrize("wrong", [5, None, (1, 2), b"size"])
def test_defaults_are_told_by_the_names_of_fields(api: Api, wrong: Any) -> None:
    api(Town.create, name="a")
    for call in (Town.get_or_create, Town.update_or_create):
        for name in ("a", "b"):
            with pytest.raises(TypeError, match="is no name"):
                api(call, name=name, defaults={"size": 3, wrong: 1})
    assert [(town.name, town.size) for town in api(Town.query.all)] == [("a", 0)]
