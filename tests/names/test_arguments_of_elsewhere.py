"""Arguments that fields have elsewhere, numbers that are none, related records not saved yet."""

from __future__ import annotations

import warnings
from decimal import Decimal
from typing import Any

import pytest

import popoto
from popoto import (
    AutoKeyField,
    F,
    Field,
    IntField,
    KeyField,
    Model,
    Q,
    Relationship,
    StringField,
)
from popoto.exceptions import UnknownNameError
from tests.driver import Api


@pytest.mark.parametrize(
    ("keyword", "told"),
    [
        ("choices", r"a field of an Enum.*Field\(type=Colour\)"),
        ("required", "null=False demands a value"),
        ("primary_key", "a KeyField"),
        ("validators", r"is_valid\(\) of the model"),
        ("min_length", r"is_valid\(\) of the model"),
        ("ge", r"is_valid\(\) of the model"),
        ("backref", "related_name"),
        ("auto_now", "DatetimeField"),
        ("default_factory", "default may be a function"),
        ("help_text", "leave it out"),
        ("db_column", "under its own name"),
        ("db_index", "did you mean 'indexed'"),
        ("quite_another", "keywords are type, key"),
    ],
)
def test_a_keyword_of_elsewhere_tells_what_is_written_here(keyword: str, told: str) -> None:
    with pytest.warns(UserWarning, match=f"ignores the unknown keyword '{keyword}'; .*{told}"):
        Field(**{keyword: 1})


ANY_F: Any = F


@pytest.mark.parametrize("wrong", [5, None, "", ["stock"], StringField])
def test_a_stored_number_is_that_of_a_field(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"F\(\) takes a field or its name.*got"):
        F(wrong)


@pytest.mark.parametrize("wrong", ["x", None, [1], {}])
def test_what_is_taken_from_a_stored_number_is_a_number(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"F\('stock'\): what is taken away is a number, got"):
        ANY_F("stock") - wrong
    for right in (1, 1.5, Decimal("0.5"), True):
        assert ANY_F("stock") + right is not None
        assert right + ANY_F("stock") - right is not None


class Crew(Model):
    name = AutoKeyField()


class Port(Model):
    name = KeyField(null=True)


class Boat(Model):
    name = KeyField()
    size = IntField(default=1)
    crew = Relationship(Crew)
    port = Relationship(Port)


def test_a_related_record_that_is_not_saved_is_told_of(api: Api) -> None:
    told = r"Boat.crew: .* is not saved, or was deleted: save it first, or give its key"
    unsaved: Any = Crew()
    for query in (
        lambda: Boat.query.filter(crew=unsaved),
        lambda: Boat.query.exclude(crew=unsaved),
        lambda: Boat.query.filter(crew__in=[unsaved]),
        lambda: Boat.query.filter(Q(crew=unsaved)),
    ):
        with pytest.warns(UserWarning, match=told):
            api(query().all)
    with pytest.warns(UserWarning, match=r"Boat.port: .* is not saved"):
        api(Boat.query.filter(port=Port()).all)
    popoto.configure(strict=True)
    try:
        with pytest.raises(UnknownNameError, match=told):
            api(Boat.query.filter(crew=unsaved).all)
    finally:
        popoto.configure(strict=False)


def test_a_related_record_whose_key_is_known_need_not_be_loaded(api: Api) -> None:
    crew = api(Crew.create)
    api(Port.create, name="home")
    boat = api(Boat.create, name="a", crew=crew, port="Port:home")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert api(Boat.query.filter(crew=crew, port=Port(name="home")).all) == [boat]
