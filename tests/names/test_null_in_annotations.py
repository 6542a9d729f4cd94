"""None in an annotation: the field may be null then, or its class cannot be and says so."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal, Optional  # noqa: F401 - Literal stands in texts

import pytest

from popoto import (
    AutoKeyField,
    ConfidenceField,
    CyclicDecayField,
    DecayingSortedField,
    Field,
    IndexedField,
    IntField,
    KeyField,
    Model,
    ModelException,
    SortedField,
    SortedKeyField,
    StringField,
    UniqueField,
    UniqueKeyField,
)
from popoto.exceptions import UniquenessError
from popoto.models.base import TypedModel
from tests.driver import Api


class Runner(TypedModel):
    name: str = KeyField()
    age: int | None = SortedField()
    best: Optional[float] = SortedField()  # noqa: UP045 - as many write it
    joined: SortedField[datetime.date | None] = SortedField()
    rank: Annotated[int | None, SortedField(partition_by="name")]
    number: int = SortedField(default=0)
    any_number: Any = SortedField(default=0.0)
    held: int | None = SortedField(null=False, default=0)


def test_a_sorted_field_may_be_null_where_its_annotation_says_so(api: Api) -> None:
    fields = Runner._meta.fields
    assert {name for name, field in fields.items() if field.null} == {
        *("age", "best", "joined", "rank"),
    }
    assert fields["joined"].type is datetime.date
    api(Runner.create, name="ann")
    api(Runner.create, name="bob", age=30)
    assert [each.name for each in api(Runner.query.filter(age=None).all)] == ["ann"]
    assert [each.name for each in api(Runner.query.order_by("-age").all)] == ["bob", "ann"]


def test_a_derived_model_may_say_it_anew() -> None:
    class Veteran(Runner):
        age: int
        number: int | None
        name: str | None

    fields = Veteran._meta.fields
    assert (fields["age"].null, fields["number"].null, fields["name"].null) == (False, True, True)
    assert Runner._meta.fields["age"].null


def class_with(annotation: Any, field: Field[Any]) -> type[Model]:
    body = {
        "__module__": __name__,
        "__annotations__": {"name": str, "mail": annotation},
        "name": KeyField(),
        "mail": field,
    }
    return type(Model)("Annotated", (Model,), body)


NEVER_NULL = {
    "unique": UniqueField,
    "unique key": UniqueKeyField,
    "auto key": AutoKeyField,
    "sorted key": lambda: SortedKeyField(type=int),
    "decaying": DecayingSortedField,
    "cyclic": CyclicDecayField,
}


@pytest.mark.parametrize("kind", NEVER_NULL)
def test_a_field_that_is_never_null_is_not_annotated_so(kind: str) -> None:
    field: Any = NEVER_NULL[kind]()
    for annotation in (
        field.type | None,
        f"{field.type.__name__} | None",
        Optional[field.type],  # noqa: UP045
        Annotated[field.type | None, "detail"],
    ):
        with pytest.raises(ModelException, match=r"Annotated\.mail.*cannot be null: .*Leave out"):
            class_with(annotation, NEVER_NULL[kind]())
    for annotation in (field.type, Any, object):
        assert class_with(annotation, NEVER_NULL[kind]())._meta.fields["mail"].null is False


def test_what_may_be_anything_says_nothing() -> None:
    assert class_with(Any, KeyField())._meta.fields["mail"].null
    assert not class_with(Any, SortedField())._meta.fields["mail"].null


def test_none_further_inside_counts_too() -> None:
    annotation = Annotated[int | None, "detail"] | float
    assert class_with(annotation, SortedField())._meta.fields["mail"].null
    with pytest.raises(ModelException, match="cannot be null"):
        class_with(annotation, DecayingSortedField())


def test_none_among_texts_counts_too() -> None:
    with pytest.raises(ModelException, match="cannot be null"):
        class_with("Literal['a', None]", UniqueField())
    assert class_with("Literal['a', None]", IndexedField())._meta.fields["mail"].null


@pytest.mark.parametrize("annotation", ["Nowhere | None", "Optional[Nowhere]", Optional["Nowhere"]])  # type: ignore[name-defined]  # noqa: F821
def test_none_counts_beside_a_name_that_only_checkers_know(annotation: Any) -> None:
    with pytest.raises(ModelException, match="cannot be null"):
        class_with(annotation, UniqueField())
    assert class_with(annotation, SortedField())._meta.fields["mail"].null
    assert class_with("Nowhere", UniqueField())._meta.fields["mail"].null is False
    assert class_with("Nowhere", SortedField())._meta.fields["mail"].null is False


@pytest.mark.parametrize(
    "make", [lambda: UniqueField(null=True), lambda: class_with(str | None, UniqueField())]
)
def test_the_refusal_of_a_unique_field_names_what_does_it(make: Any) -> None:
    with pytest.raises(ModelException, match=r"null.*StringField\(unique=True\)"):
        make()


class Member(Model):
    name = KeyField()
    mail: str | None = StringField(unique=True)
    number = IntField(unique=True)


def test_what_it_names_is_unique_where_there_is_a_value(api: Api) -> None:
    for name in "abc":
        api(Member.create, name=name)
    ann = api(Member.create, name="ann", mail="ann@example.org", number=1)
    for wrong in ({"mail": "ann@example.org"}, {"number": 1}):
        with pytest.raises(UniquenessError, match="already exists"):
            api(Member.create, name="bob", **wrong)
    assert api(Member.query.count, mail=None) == api(Member.query.count, mail__isnull=True) == 3
    assert api(Member.query.get, mail="ann@example.org") == ann
    ann.mail = ann.number = None
    api(ann.save)
    api(Member.create, name="bob", mail="ann@example.org", number=1)
    assert api(Member.query.count, mail__isnull=False) == 1
    assert api(Member.query.get, number=1).name == "bob"


def test_the_fields_of_memory_that_may_be_null_stay_so() -> None:
    model = class_with(float | None, ConfidenceField())
    assert model._meta.fields["mail"].null
