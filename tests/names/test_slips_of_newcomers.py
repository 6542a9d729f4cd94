"""What other libraries taught a newcomer to write, and what Python takes without a word."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from popoto import (
    AutoKeyField,
    IntField,
    KeyField,
    Model,
    ModelException,
    StringField,
)
from popoto.exceptions import ValidationError
from tests.driver import Api


@pytest.mark.parametrize("keywords", [{"table": True}, {"index": True, "strict": True}])
def test_keywords_of_a_class_statement_go_into_meta(keywords: dict[str, Any]) -> None:
    with pytest.raises(ModelException, match=r"class Page\(.*=….*go into an inner class Meta"):

        class Page(Model, **keywords):
            name = KeyField()


def test_keywords_that_a_base_takes_go_there() -> None:
    class Base(Model):
        name = KeyField()
        _kind = ""

        def __init_subclass__(cls, kind: str = "", **keywords: Any) -> None:
            super().__init_subclass__(**keywords)
            cls._kind = kind

    class Page(Base, kind="leaf"):
        pass

    assert Page._kind == "leaf"


class Author(Model):
    name = KeyField()


@pytest.mark.parametrize("annotation", [Author, Author | None])
def test_records_are_referred_to_by_a_relationship(annotation: Any) -> None:
    body = {"__annotations__": {"author": annotation}, "name": KeyField(), "__module__": __name__}
    with pytest.raises(ModelException, match=r"give it Relationship\(Author\), annotate"):
        type(Model)("Book", (Model,), body)


def test_a_typed_field_has_its_type() -> None:
    with pytest.warns(UserWarning, match=r"IntField\(type=.*str.*has no effect.*of type int"):
        assert IntField(type=str).type is int
    assert IntField(type=int).type is int


def test_keys_that_are_made_are_texts() -> None:
    class Counted(Model):
        number: int = AutoKeyField()

    with pytest.raises(ValidationError, match="makes texts, and this is 5"):
        Counted(number=5)


class Sized:
    size: int = 5
    _own: int = 6


class Box(Sized, Model):
    name = KeyField()


def test_annotations_of_a_plain_class_without_fields_store_nothing() -> None:
    words = r"Box\(size=…\): Sized\.size is no field.*derive that from Model"
    with pytest.warns(UserWarning, match=words):
        box = Box(name="a", size=7)
    assert box.size == 7
    assert Box(name="a", _own=1)._own == 1


def test_a_field_that_was_only_assigned_is_not_stored() -> None:
    class Shelf(Model):
        name = KeyField()

    model: Any = Shelf
    model.place = IntField()
    with pytest.warns(UserWarning, match=r"Shelf\(place=…\): the IntField .*_meta\.add_field"):
        Shelf(name="a", place=3)
    Shelf._meta.add_field("place", model.place)
    assert Shelf(name="a", place=3).to_dict() == {"name": "a", "place": 3}


class Forgetful(Model):
    name = KeyField()
    note = StringField(default="")

    def pre_save(self, **kwargs: Any) -> Any:
        super().pre_save(**kwargs)
        return False if self.note == "on purpose" else None


def test_a_hook_that_forgets_to_return_is_told(api: Api) -> None:
    with pytest.warns(UserWarning, match=r"Forgetful\.pre_save\(\) returns None, so nothing is"):
        assert api(Forgetful(name="a").save) is False
    assert api(Forgetful(name="a", note="on purpose").save) is False
    assert api(Forgetful.query.count) == 0


def test_what_was_never_constructed_says_so(api: Api) -> None:
    class Own(Model):
        name = KeyField()

        def __init__(self, **values: Any) -> None:
            self.name = values.get("name")

    @dataclasses.dataclass
    class Data(Model):
        name: str = KeyField()

    for instance in (Own(name="a"), Data("a")):  # type: ignore[arg-type]
        name = type(instance).__name__
        for call in (instance.save, instance.delete, instance.refresh):
            with pytest.raises(ModelException, match=rf"{name}\.__init__\(\) does not call super"):
                api(call)


@pytest.mark.parametrize("size", [0, "a", 1.5, True])
def test_chunks_have_a_size(size: Any) -> None:
    with pytest.raises(ValueError, match="chunk_size must be an int of 1 or more"):
        list(Author.query.filter().iterator(chunk_size=size))
