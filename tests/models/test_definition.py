"""Defining a model: which class attributes become fields, which stay, which are refused."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from typing import Any

import pytest

from popoto import (
    AutoKeyField,
    Expression,
    Field,
    IndexedField,
    IntField,
    KeyField,
    Model,
    ModelBase,
    ModelException,
    SortedField,
    StringField,
)
from tests.driver import Api


def define(name: str, /, **body: Any) -> Any:
    return ModelBase(name, (Model,), body)


# Class attributes -----------------------------------------------------------------------


def test_fields_stay_readable_on_the_class_and_build_expressions() -> None:
    class Shelf(Model):
        name = KeyField()
        price = SortedField(type=float)

    assert isinstance(Shelf.price, SortedField)
    assert isinstance(Shelf.price > 3, Expression)
    assert isinstance(Shelf.price == 3, Expression)
    assert isinstance(Shelf.price.between(1, 5), Expression)


def test_public_fields_are_explicit_and_private_ones_hidden() -> None:
    class Shelf(Model):
        name = KeyField()
        _secret = StringField()

    assert list(Shelf._meta.explicit_fields) == ["name"]
    assert list(Shelf._meta.hidden_fields) == ["_secret"]
    assert Shelf._meta.field_names == ["name", "_secret"]


def test_a_hidden_field_is_stored_and_indexed_but_not_shown(api: Api) -> None:
    class Shelf(Model):
        name = KeyField()
        _tag = IndexedField()

    api(Shelf.create, name="a", _tag="x")
    found = api(Shelf.query.get, name="a")
    assert found._tag == "x"
    assert "_tag" not in found.to_dict()
    assert api(Shelf.query.count, _tag="x") == 1


class Watched:
    """A descriptor that is asked when the attribute is set."""

    def __set__(self, instance: object, value: object) -> None: ...


class Forgotten:
    """A descriptor that is asked when the attribute is deleted."""

    def __delete__(self, instance: object) -> None: ...


def test_methods_properties_and_nested_classes_are_kept() -> None:
    class Shelf(Model):
        name = KeyField()

        class Inner:
            pass

        def shout(self) -> str:
            return self.name.upper()

        @property
        def loud(self) -> str:
            return self.shout()

        @functools.cached_property
        def cached(self) -> str:
            return self.loud + "!"

        watched = Watched()
        forgotten = Forgotten()

        @staticmethod
        def one() -> int:
            return 1

        @classmethod
        def cls_name(cls) -> str:
            return cls.__name__

    shelf = Shelf(name="a")
    assert (shelf.shout(), shelf.loud, shelf.cached) == ("A", "A", "A!")
    assert (Shelf.one(), Shelf.cls_name(), Shelf.Inner.__name__) == (1, "Shelf", "Inner")
    assert Shelf._meta.field_names == ["name"]


def test_a_private_plain_attribute_is_kept_and_not_stored() -> None:
    class Shelf(Model):
        name = KeyField()
        _max_books = 5

    assert Shelf._max_books == 5
    assert Shelf._meta.field_names == ["name"]


@pytest.mark.parametrize("value", [5, "text", None, ["a"], 2.5])
def test_a_public_plain_attribute_is_refused(value: object) -> None:
    with pytest.raises(ModelException, match="must inherit from class Field"):
        define("Shelf", name=KeyField(), size=value)


def test_a_field_class_in_place_of_a_field_is_refused() -> None:
    with pytest.raises(ModelException, match=r"KeyField\(\)"):
        define("Shelf", name=KeyField)


def test_names_with_two_leading_underscores_pass_untouched() -> None:
    field = StringField()
    shelf = define("Shelf", name=KeyField(), __note=field, __size=3)
    assert vars(shelf)["__note"] is field
    assert vars(shelf)["__size"] == 3
    assert shelf._meta.field_names == ["name"]


def test_meta_is_read_and_taken_away() -> None:
    class Shelf(Model):
        name = KeyField()

        class Meta:
            ttl = 60

    assert not hasattr(Shelf, "Meta")
    assert Shelf._meta.ttl == 60


# Names ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Size", "Ärger", "9x"])
def test_a_field_name_starts_with_a_lowercase_letter_or_underscore(name: str) -> None:
    with pytest.raises(ModelException, match="must start with a lowercase letter"):
        define("Shelf", **{"key": KeyField(), name: Field()})


@pytest.mark.parametrize("name", ["limit", "order_by", "values"])
def test_names_of_query_modifiers_are_reserved(name: str) -> None:
    with pytest.raises(ModelException, match="reserved"):
        define("Shelf", **{"key": KeyField(), name: Field()})


@pytest.mark.parametrize(
    "name",
    ["query", "objects", "pk", "db_key", "save", "delete", "create", "load", "is_valid", "to_dict",
     "pre_save", "_meta", "_ttl", "_redis_key", "get_info", "async_save", "_options", "_settings"],
)  # fmt: skip
def test_names_of_the_model_api_are_refused(name: str) -> None:
    with pytest.raises(ModelException, match=name):
        define("Shelf", **{"key": KeyField(), name: Field()})


def test_a_name_with_a_lookup_separator_is_refused() -> None:
    with pytest.raises(ModelException, match="two underscores"):
        define("Shelf", key=KeyField(), a__b=Field())


def test_a_field_knows_its_name() -> None:
    shelf = define("Shelf", key=KeyField(), size=Field())
    assert shelf.size.name == "size"


def test_unknown_keywords_of_a_field_are_ignored_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="max_lenght.*max_length"):
        field = Field(type=str, max_lenght=3)
    assert field.max_length is None
    with pytest.warns(UserWarning, match="query|units"):
        Field(type=str, query=True, units="km")


# Meta ----------------------------------------------------------------------------------


def with_meta(**options: Any) -> Any:
    return define("Shelf", key=KeyField(), a=IntField(), b=Field(), Meta=type("Meta", (), options))


def test_meta_defaults() -> None:
    meta = define("Shelf", key=KeyField())._meta
    assert (meta.order_by, meta.ttl, meta.indexes, meta.abstract) == (None, None, (), False)


@pytest.mark.parametrize("order_by", ["a", "-a", "key"])
def test_order_by_names_a_field(order_by: str) -> None:
    assert with_meta(order_by=order_by)._meta.order_by == order_by


def test_order_by_an_unknown_field_is_refused() -> None:
    with pytest.raises(ModelException, match="does not exist"):
        with_meta(order_by="-missing")


@pytest.mark.parametrize("order_by", [3, ["a"], b"a"])
def test_order_by_must_be_text(order_by: object) -> None:
    with pytest.raises(ModelException):
        with_meta(order_by=order_by)


@pytest.mark.parametrize("ttl", [1, 10**9, None])
def test_ttl_may_be_any_positive_integer(ttl: int | None) -> None:
    assert with_meta(ttl=ttl)._meta.ttl == ttl


@pytest.mark.parametrize("ttl", [0, -5, "5", 2.5, True])
def test_ttl_must_be_a_positive_integer(ttl: object) -> None:
    with pytest.raises(ModelException, match="must be a positive integer"):
        with_meta(ttl=ttl)


@pytest.mark.parametrize(
    ("indexes", "text"),
    [
        ("a", "must be a tuple or list"),
        ({"a": 1}, "must be a tuple or list"),
        ((("a", "b"),), "must be a tuple/list"),
        ((("a",),), "must be a 2-tuple"),
        ((("a", "b", True),), "must be a 2-tuple"),
        (("ab",), "must be a 2-tuple"),
        ((("a", True),), "must be a tuple/list"),
        (((("a",), 1),), "must be boolean"),
        (((("a", "missing"), True),), "Unknown field"),
    ],
)
def test_wrong_indexes_are_refused(indexes: object, text: str) -> None:
    with pytest.raises(ModelException, match=text):
        with_meta(indexes=indexes)


def test_indexes_may_be_lists_or_none() -> None:
    assert with_meta(indexes=[[["a", "b"], True]])._meta.indexes == ((("a", "b"), True),)
    assert with_meta(indexes=None)._meta.indexes == ()


def test_other_meta_options_have_no_effect_and_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"Meta\.anything"):
        with_meta(anything=1)


# Abstract models and inheritance ----------------------------------------------------------


class Named(Model):
    name = KeyField()
    note = StringField(default="none")

    class Meta:
        abstract = True
        order_by = "name"
        ttl = 500


def test_an_abstract_model_cannot_be_instantiated() -> None:
    with pytest.raises(ModelException, match="abstract"):
        Named(name="a")


def test_fields_and_options_of_an_abstract_base_are_inherited(api: Api) -> None:
    class Box(Named):
        size = IntField()

    assert Box._meta.field_names == ["name", "note", "size"]
    assert not Box._meta.abstract
    assert (Box._meta.order_by, Box._meta.ttl) == ("name", 500)
    api(Box.create, name="a", size=3)
    found = api(Box.query.get, name="a")
    assert (found.pk, found.note, found.size) == ("Box:a", "none", 3)


def test_fields_of_a_concrete_base_are_inherited_and_records_stay_apart(api: Api) -> None:
    class Vehicle(Model):
        plate = KeyField()
        wheels = IndexedField(type=int)

    class Truck(Vehicle):
        load_limit = IntField()

    api(Vehicle.create, plate="v", wheels=4)
    api(Truck.create, plate="t", wheels=4, load_limit=9)
    assert [each.pk for each in api(Vehicle.query.filter(wheels=4).all)] == ["Vehicle:v"]
    assert [each.pk for each in api(Truck.query.filter(wheels=4).all)] == ["Truck:t"]
    assert Vehicle.wheels.value_set_prefix == "$IndexF:Vehicle:wheels:"


def test_fields_of_a_plain_mixin_are_inherited() -> None:
    class Timed:
        seconds = IntField(default=5)

    class Race(Timed, Model):
        name = KeyField()

    assert set(Race._meta.field_names) == {"name", "seconds"}
    assert Race(name="a").seconds == 5


def test_a_subclass_overrides_a_field_and_an_option() -> None:
    class Box(Named):
        note = StringField(default="own")

        class Meta:
            ttl = 7

    assert Box(name="a").note == "own"
    assert (Box._meta.ttl, Box._meta.order_by) == (7, "name")


def test_fields_come_in_the_order_of_the_bases() -> None:
    class A(Model):
        a = KeyField()

    class B(A):
        b = Field()

    class C(B):
        c = Field()

    assert C._meta.field_names == ["a", "b", "c"]


def test_parents_and_base_meta() -> None:
    class Box(Named):
        pass

    assert Box._meta.parents == [Named]
    assert Box._meta.base_meta is Named._meta
    assert Named._meta.base_meta is None


def test_a_model_combines_with_an_abstract_base_class() -> None:
    class Sends(ABC):
        @abstractmethod
        def send(self) -> str: ...

    class Order(Model, Sends):
        key = KeyField()

        def send(self) -> str:
            return self.key

    class Reply(Sends, Model):
        key = KeyField()

        def send(self) -> str:
            return self.key

    assert Order(key="a").send() == "a"
    assert Reply(key="b").send() == "b"


# Automatic keys ---------------------------------------------------------------------------


def test_a_model_without_key_gets_one_when_its_class_is_made() -> None:
    class Event(Model):
        what = Field()

    assert Event._meta.field_names == ["what", "_auto_key"]
    assert isinstance(Event._meta.fields["_auto_key"], AutoKeyField)
    assert Event._meta.key_field_names == {"_auto_key"}
    assert Event._meta.auto_field_names == {"_auto_key"}
    first, second = Event(), Event()
    assert first._auto_key != second._auto_key
    assert len(first._auto_key) == 32


def test_a_process_that_only_reads_finds_records_by_their_automatic_key(api: Api) -> None:
    class Event(Model):
        what = Field()

    created = api(Event.create, what="x")

    class Event(Model):  # type: ignore[no-redef]
        what = Field()

    (found,) = api(Event.query.filter(what="x").all)
    assert found.pk == created.pk
    found.what = "y"
    assert api(found.save) == 0
    assert api(Event.query.count) == 1
    assert api(found.delete) is True


def test_an_inherited_automatic_key_gives_way_to_a_real_one() -> None:
    class Event(Model):
        what = Field()

    class Keyed(Event):
        code = KeyField()

    assert Keyed._meta.key_field_names == {"code"}


# Model itself ----------------------------------------------------------------------------------


def test_model_itself_is_no_model() -> None:
    assert not hasattr(Model, "_meta")
    assert not hasattr(Model, "query")
    with pytest.raises(ModelException, match="derive a class"):
        Model()
