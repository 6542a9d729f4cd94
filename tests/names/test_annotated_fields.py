# Annotations are written in every way that users write them.
# ruff: noqa: UP007, UP037, UP042, UP045
"""An annotation without a field makes one; what no field can hold is refused."""

from __future__ import annotations

import datetime
import enum
import functools
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    NewType,
    Optional,
    TypedDict,
    TypeVar,
    Union,
)

import pytest

from popoto import (
    DictField,
    Field,
    FloatField,
    IntField,
    KeyField,
    ListField,
    Model,
    ModelException,
    Relationship,
    SortedField,
    StringField,
)
from popoto.exceptions import ValidationError
from popoto.models.base import TypedModel
from popoto.models.query import Query
from tests.driver import Api


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


UserId = NewType("UserId", str)
T = TypeVar("T")


class Address(TypedDict):
    street: str


class Person(TypedModel):
    name: str
    age: int = 3
    mail: str | None
    tags: list[str] = []
    seen: datetime.datetime | None = None
    uid: UserId = UserId("u")
    mood: Literal["good", "bad"] = "good"
    color: Color = Color.RED
    key: Annotated[uuid.UUID | None, "of the other system"] = None
    made: float = functools.partial(float, "1.5")  # type: ignore[assignment]


class Plain(Model):
    title = KeyField()
    name: str
    size: "int" = 3
    shelf = StringField()
    note: "Optional[str]"
    price: Union[float, int, None] = 2
    _private: int = 5
    _declared: str
    limit_of_all: ClassVar[int] = 9
    fixed: Final = 7
    final: Final[int]
    of_all: ClassVar[int]
    query: ClassVar[Query[Any]]  # type: ignore[assignment]


def types_of(model: type[Model]) -> dict[str, tuple[type, bool]]:
    return {name: (field.type, field.null) for name, field in model._meta.explicit_fields.items()}


def test_annotations_make_fields() -> None:
    assert types_of(Person) == {
        "name": (str, False),
        "age": (int, False),
        "mail": (str, True),
        "tags": (list, False),
        "seen": (datetime.datetime, True),
        "uid": (str, False),
        "mood": (str, False),
        "color": (Color, False),
        "key": (uuid.UUID, True),
        "made": (float, False),
    }
    assert types_of(Plain) == {
        "title": (str, True),
        "name": (str, False),
        "size": (int, False),
        "shelf": (str, True),
        "note": (str, True),
        "price": (float, True),
    }


def test_they_are_stored_with_their_defaults(api: Api) -> None:
    made = api(Person.create, name="ann", mail="a@b.c")
    made.tags.append("mine")
    found = api(Person.query.get, made.pk)
    assert found.to_dict() == {
        "name": "ann",
        "age": 3,
        "mail": "a@b.c",
        "tags": [],
        "seen": None,
        "uid": "u",
        "mood": "good",
        "color": Color.RED,
        "key": None,
        "made": 1.5,
    }
    assert api(Person.query.filter(age=3, name="ann").count) == 1


def test_without_none_in_the_annotation_a_value_is_needed(api: Api) -> None:
    with pytest.raises(ValidationError, match=r"Person\.name.*null"):
        api(Person.create, mail="x")
    with pytest.raises(ValidationError, match=r"Person\.age.*null"):
        api(Person.create, name="a", age=None)
    api(Person.create, name="a", mail=None)


def test_values_are_converted_and_refused_as_in_every_field() -> None:
    assert Person(age="5").age == 5  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match=r"Person\.age"):
        Person(age="five")  # type: ignore[arg-type]


def test_what_is_about_the_class_stays_there() -> None:
    assert (Plain.limit_of_all, Plain.fixed, Plain._private) == (9, 7, 5)
    assert isinstance(Plain.query, Query)
    assert not hasattr(Plain, "_declared")


def test_derived_models_have_them_and_may_say_more() -> None:
    class Base(Model):
        code: str = KeyField()
        size: int = 3
        extra = Field()

        class Meta:
            abstract = True

    class Derived(Base):
        code: str
        size: int = 4
        extra: int | None
        more: bool = True

    assert isinstance(Derived._meta.fields["code"], KeyField)
    assert types_of(Derived) == {
        "code": (str, False),
        "size": (int, False),
        "extra": (int, True),
        "more": (bool, False),
    }
    assert (Base._meta.fields["size"].default, Derived().size) == (3, 4)
    with pytest.raises(ModelException, match=r"size.*make the two agree"):

        class Wrong(Base):
            size: str


def test_a_field_may_stand_in_annotated() -> None:
    class Tagged(Model):
        name: Annotated[str, KeyField()]
        score: Annotated[int, SortedField()] = 3

    assert isinstance(Tagged._meta.fields["name"], KeyField)
    assert isinstance(Tagged._meta.fields["score"], SortedField)
    assert Tagged(name="a").pk == "Tagged:a"
    assert (Tagged._meta.fields["score"].type, Tagged().score) == (int, 3)


def test_methods_and_properties_keep_their_annotations() -> None:
    class Mixed:
        @property
        def channel(self) -> str:
            return "news"

    class Shop(Mixed, Model):
        name: str = KeyField()
        channel: str
        total: int
        upper: str

        @property
        def total(self) -> int:  # type: ignore[no-redef]
            return 5

        @functools.cached_property
        def upper(self) -> str:  # type: ignore[no-redef]
            return self.name.upper()

    assert list(Shop._meta.explicit_fields) == ["name"]
    shop = Shop(name="a")
    assert (shop.total, shop.upper, shop.channel) == (5, "A", "news")


def test_a_plain_class_with_fields_is_read_as_a_model_is() -> None:
    class Timed:
        seconds: int = Field()
        note = StringField()
        laps: int = 1
        begun: datetime.datetime | None

    class Described:
        comment: str

    class Race(Timed, Described, Model):
        name: str = KeyField()

    assert types_of(Race) == {
        "seconds": (int, True),
        "note": (str, True),
        "laps": (int, False),
        "begun": (datetime.datetime, True),
        "name": (str, False),
    }
    assert Race().laps == 1
    assert Timed.laps == 1


# Refused --------------------------------------------------------------------------------------


class Other(Model):
    name = KeyField()


def define(annotation: Any, *value: Any) -> Any:
    body: dict[str, Any] = {"__module__": __name__, "key": KeyField()}
    body["__annotations__"] = {"thing": annotation}
    if value:
        body["thing"] = value[0]
    return type(Model)("Defined", (Model,), body)


UNSTORABLE = [
    int | str,
    Optional[Union[int, str]],
    object,
    Any,
    complex,
    type,
    Callable[[], None],
    Sequence[str],
    Mapping[str, int],
    Address,
    T,
    Other,
    Other | None,
    Literal["a", 1],
    range,
    enum.Enum,
    "NotThere",
    "list[NotThere]",
]


@pytest.mark.parametrize("annotation", UNSTORABLE, ids=str)
def test_a_type_that_no_field_holds_is_refused(annotation: Any) -> None:
    with pytest.raises(ModelException, match=r"Defined\.thing is annotated.*ClassVar"):
        define(annotation)


@pytest.mark.parametrize("annotation", [int | str, complex, Sequence[str], Address, Color], ids=str)
@pytest.mark.parametrize("field", [Field, KeyField])
def test_a_field_does_not_take_it_for_text(annotation: Any, field: Any) -> None:
    if annotation is Color:
        assert define(annotation, field())._meta.fields["thing"].type is Color
        return
    with pytest.raises(ModelException, match=r"Defined\.thing.*make the two agree"):
        define(annotation, field())


@pytest.mark.parametrize("annotation", [uuid.UUID, Color, datetime.timedelta, complex], ids=str)
def test_a_field_of_texts_is_not_annotated_otherwise(annotation: Any) -> None:
    with pytest.raises(ModelException, match="make the two agree"):
        define(annotation, StringField())


class Mood(str, enum.Enum):
    GOOD = "good"


class PointField(Field[Any]):
    def format_value_pre_save(self, field_value: Any, **kwargs: Any) -> Any:
        return str(field_value)


@pytest.mark.parametrize(
    ("annotation", "field"),
    [
        (Address, DictField()),
        (Mapping[str, int], DictField()),
        (Sequence[str], ListField()),
        (Mood, StringField()),
        (int | str, IntField()),
        (int | float, FloatField()),
        (int | float, SortedField()),
        (float | None, SortedField()),
        (Other | str | None, Relationship(Other)),
        (complex, PointField()),
        (Any, Field(type=int)),
        ("NotThere", Field()),
        (Literal["a", "b"], KeyField()),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Field) else str(each),
)
def test_an_annotation_may_say_more_or_less_than_its_field(annotation: Any, field: Any) -> None:
    kind = field.type
    assert define(annotation, field)._meta.fields["thing"].type is kind


@pytest.mark.parametrize(
    ("annotation", "default"),
    [(int, "x"), (int, 1.5), (datetime.date, "today"), (Color, "green"), (list[str], "abc")],
)
def test_a_default_that_does_not_fit_is_refused(annotation: Any, default: Any) -> None:
    with pytest.raises(ModelException, match=r"Defined\.thing: invalid default"):
        define(annotation, default)


@pytest.mark.parametrize("name", ["limit", "save", "pk", "Thing", "a__b", "pipeline"])
def test_a_name_that_no_field_can_have_is_refused(name: str) -> None:
    with pytest.raises(ModelException, match=name):
        type(Model)("Defined", (Model,), {"__annotations__": {name: str}, "__module__": __name__})


def test_a_public_value_without_annotation_is_refused_as_before() -> None:
    with pytest.raises(ModelException, match="must inherit from class Field"):
        type(Model)("Defined", (Model,), {"size": 3})


def test_decimals_and_sets_too() -> None:
    assert define(Decimal, "1.5")().thing == Decimal("1.5")
    assert define(set[int], {1})().thing == {1}


@pytest.mark.parametrize("name", ["final", "of_all"])
def test_what_is_no_field_and_has_no_value_is_told_of_where_it_is_given(name: str) -> None:
    with pytest.warns(
        UserWarning, match=f"Plain has no field '{name}', so the value is not stored"
    ):
        Plain(title="a", **{name: 3})
