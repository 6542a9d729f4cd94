"""Annotated fields: the annotation stands for `type=`, and must not contradict the field."""

import datetime
from typing import Any, assert_type

import pytest

from popoto import (
    Field,
    GeoField,
    KeyField,
    ListField,
    Model,
    ModelException,
    Relationship,
    SortedField,
)
from popoto.models.base import TypedModel
from tests.driver import Api


class Owner(TypedModel):
    name: str = KeyField()


class Restaurant(TypedModel):
    branch: int = KeyField()
    rating: float = SortedField()
    price: SortedField[int] = SortedField()
    opened: SortedField[datetime.date] = SortedField()
    note: str | None = Field(null=True)
    code: Field[bytes | None] = Field(null=True)
    tags: list[str] = ListField()
    place: GeoField.Coordinates = GeoField()
    owner: Owner | None = Relationship(model=Owner)
    rival: Relationship[Owner] = Relationship(model=Owner)


def types_of(model: type[Model]) -> dict[str, type]:
    return {name: field.type for name, field in model._meta.fields.items()}


def test_an_annotation_stands_for_the_type_of_values() -> None:
    assert types_of(Restaurant) == {
        "branch": int,
        "rating": float,
        "price": int,
        "opened": datetime.date,
        "note": str,
        "code": bytes,
        "tags": list,
        "place": tuple,
        "owner": str,
        "rival": str,
    }


def test_annotated_fields_keep_values_of_their_types(api: Api) -> None:
    opened = datetime.date(2024, 5, 1)
    api(Restaurant.create, branch=7, rating=4.5, price=30, opened=opened, code=b"\x00\xff")
    (found,) = api(Restaurant.query.filter(Restaurant.price > 20, Restaurant.rating > 4).all)
    assert (found.branch, found.price, found.opened, found.code) == (7, 30, opened, b"\x00\xff")


def refused(annotation: Any, field: Any) -> pytest.ExceptionInfo[ModelException]:
    annotations = {"rating": annotation}
    body = {"__module__": __name__, "__annotations__": annotations, "rating": field}
    with pytest.raises(ModelException, match="make the two agree") as caught:
        type(Model)("Contradiction", (Model,), body)
    return caught


@pytest.mark.parametrize(
    ("annotation", "field", "words"),
    [
        (SortedField[int], SortedField(type=float), ("int", "float")),
        (SortedField[str], SortedField(), ("str", "float")),
        (KeyField[str], SortedField(), ("KeyField", "SortedField")),
        (KeyField, Field(), ("KeyField", "Field")),
        ("SortedField[int]", SortedField(type=float), ("int", "float")),
        (int, Field(type=str), ("int", "str")),
    ],
)
def test_an_annotation_that_contradicts_its_field_is_refused(
    annotation: Any, field: Any, words: tuple[str, ...]
) -> None:
    message = str(refused(annotation, field).value)
    assert all(word in message for word in ("Contradiction.rating", *words))


def test_a_more_general_field_class_is_no_contradiction() -> None:
    class Dish(Model):
        name: Field[str] = KeyField()
        price: Field[float] = SortedField()

    assert types_of(Dish)["price"] is float
    assert list(Dish._meta.key_names) == ["name"]


def test_a_typed_model_is_a_model() -> None:
    assert issubclass(TypedModel, Model)
    assert not hasattr(TypedModel, "_meta")
    assert_type(Owner(name="Ann").name, str)


@pytest.mark.parametrize("decided", [True, False])
def test_a_comparison_that_was_decided_already_is_no_condition(decided: bool) -> None:
    for take in (
        Restaurant.query.filter,
        Restaurant.query.exclude,
        Restaurant.query.count,
        Restaurant.query.filter().filter,
    ):
        with pytest.raises(TypeError, match=r"Model\.rating > 4") as caught:
            take(decided)
        assert "&" in str(caught.value)


def test_a_condition_joins_a_bool_on_neither_side() -> None:
    expression: Any = Restaurant.price > 4
    for wrong in (
        lambda: expression & True,
        lambda: True & expression,
        lambda: False | expression,
        lambda: (expression | expression) | False,
        lambda: True & (expression & expression),
    ):
        with pytest.raises(TypeError):
            wrong()
