"""No field has the name of a keyword of ours: one list, held to every signature."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

import popoto
from popoto import Field, GeoField, IntField, KeyField, Model, ModelException, Q, StringField
from popoto.models.query import Query, QueryBuilder
from popoto.models.record.field_names import RESERVED_NAMES
from popoto.models.transactions import Transaction
from tests.driver import Api

#: Calls whose further keywords are no fields: those of hooks, and lists by name.
OTHERWISE = {"save", "delete", "pre_save", "fuse", "keys", "__init__"}
#: Keywords of ours that give way to a field of their name.
GIVE_WAY = {"progress", "on_error"}


class Job(Model):
    name = KeyField()
    progress = IntField(default=0)
    on_error = StringField(default="")


def keywords_beside_fields() -> Iterator[tuple[str, str]]:
    """Call and keyword, of every call that takes fields by keyword too."""
    for owner in (Job, Query, QueryBuilder, Transaction, Q):
        for name, call in inspect.getmembers(owner, callable):
            if name.removeprefix("async_") in OTHERWISE or name.startswith("_"):
                continue
            parameters = inspect.signature(call).parameters.values()
            if any(each.kind is each.VAR_KEYWORD for each in parameters):
                for each in parameters:
                    if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY):
                        yield f"{owner.__name__}.{name}", each.name


def test_the_list_is_that_of_the_signatures() -> None:
    found = {keyword for _, keyword in keywords_beside_fields()}
    # What QueryBuilder.filter() takes out of its keywords stands in no signature, and Python binds
    # classes itself.
    assert found - GIVE_WAY == RESERVED_NAMES - {"cls"}
    assert found >= GIVE_WAY


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_a_field_of_such_a_name_is_refused(name: str) -> None:
    for body in ({name: Field()}, {"__annotations__": {name: str}}):
        with pytest.raises(ModelException, match=rf"Defined\.{name}.*"):
            type(Model)("Defined", (Model,), {"__module__": __name__, "key": KeyField(), **body})
    with pytest.raises(ModelException, match=name):
        Job._meta.add_field(name, Field())


GEO = ["radius", "radius_unit", "latitude", "longitude", "member", "with_distances"]


@pytest.mark.parametrize("suffix", GEO)
def test_a_field_named_like_a_query_keyword_of_another_is_refused(suffix: str) -> None:
    name = f"place_{suffix}"
    message = rf"Town\.{name}.*query keyword of the field 'place'"
    for body in (
        {"place": GeoField(), name: IntField()},
        {name: IntField(), "place": GeoField()},
    ):
        with pytest.raises(ModelException, match=message):
            type(Model)("Town", (Model,), body)


def test_such_a_clash_of_inherited_and_later_fields_is_refused_and_leaves_nothing() -> None:
    class Placed(Model):
        place = GeoField()

    with pytest.raises(ModelException, match="place_radius"):
        type(Model)("Town", (Placed,), {"place_radius": IntField()})
    with pytest.raises(ModelException, match="place_radius"):
        Placed._meta.add_field("place_radius", IntField())
    assert list(Placed._meta.explicit_fields) == ["place"]
    assert Placed._meta.field_of_parameter["place_radius"] == "place"


def test_keywords_of_query_keywords_of_users_own_fields_count_too() -> None:
    class Near(Field[Any]):
        def get_filter_query_params(self, field_name: str) -> set[str]:
            return {field_name, f"{field_name}_near"}

    with pytest.raises(ModelException, match="spot_near"):
        type(Model)("Town", (Model,), {"spot": Near(), "spot_near": IntField()})
    type(Model)("Town", (Model,), {"spot": Near(), "near_spot": IntField()})


@pytest.mark.parametrize(("name", "value"), [("progress", 50), ("on_error", "retry")])
def test_a_field_of_a_name_that_gives_way_works_everywhere(name: str, value: Any, api: Api) -> None:
    made = api(Job.create, name="a", **{name: value})
    assert getattr(api(Job.query.get, made.pk), name) == value
    api(Job.update_or_create, name="a", defaults={name: "1"})
    assert api(Job.query.count, **{name: "1"}) == 1
    assert api(Job.bulk_update, Job.query.filter(), **{name: value}) == 1
    assert api(Job.query.count, **{name: value}) == 1
    assert api(Job.query.filter().update, **{name: "2"}) == 1
    assert api(Job.raw_update, [made.pk], **{name: value}) == 1
    assert getattr(api(Job.query.get, made.pk), name) == value


def test_where_there_is_no_such_field_they_are_told_of_rows(api: Api) -> None:
    class Plain(Model):
        name = KeyField()
        size = IntField()

    api(Plain.create, name="a")
    told: list[int] = []
    assert api(Plain.bulk_update, Plain.query.filter(), progress=told.append, size=1) == 1
    assert told == [1]


def test_a_field_may_be_named_model(api: Api) -> None:
    class Car(Model):
        model = KeyField()

    with popoto.transaction() as together:
        together.create(Car, model="T")
    assert api(Car.query.get, model="T").pk == "Car:T"
