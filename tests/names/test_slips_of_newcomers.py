"""What other libraries taught a newcomer to write, and what Python takes without a word."""

from __future__ import annotations

import dataclasses
from typing import Any

import pydantic
import pytest

from popoto import (
    AutoKeyField,
    IntField,
    KeyField,
    Model,
    ModelException,
    StringField,
)
from popoto.exceptions import UnknownNameError, ValidationError
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


# What other libraries read or call in the body of a class -----------------------------------------


def made(**body: Any) -> Any:
    return type(Model)("Thing", (Model,), {"__module__": __name__, "name": KeyField(), **body})


def validated(self: Any, key: str, value: object) -> object:
    return value


validated.__sa_validators__ = (("name",), {})


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("__tablename__", "things", "Meta.name"),
        ("__table_args__", (), r"Meta.unique_together"),
        ("__mapper_args__", {}, "Meta.version_field"),
        ("__post_init__", lambda _: None, r"__init__\(\) that calls super"),
        ("model_post_init", lambda *_: None, r"pre_save\(\)"),
        ("check", pydantic.field_validator("name")(lambda _, value: value), r"is_valid\(\)"),
        ("check", pydantic.model_validator(mode="after")(lambda each: each), r"is_valid\(\)"),
        ("full", pydantic.computed_field(property(lambda _: 1)), "a property"),
        ("check", validated, r"pre_save\(\)"),
    ],
)
def test_what_another_library_reads_is_told_of(name: str, value: Any, remedy: str) -> None:
    with pytest.warns(UserWarning, match=f"Thing.{name}: popoto does not read.*{remedy}"):
        made(**{name: value})
    options = {"__qualname__": "Meta", "strict": True}
    with pytest.raises(UnknownNameError, match=f"Thing.{name}: popoto does not read"):
        made(**{name: value, "Meta": type("Meta", (), options)})


def test_what_the_class_calls_itself_is_not_told_of() -> None:
    class Thing(Model):
        name = KeyField()
        _adapter = pydantic.TypeAdapter(int)

        def __init__(self, **values: Any) -> None:
            super().__init__(**values)
            self.__post_init__()

        def __post_init__(self) -> None:
            self._made = True

    assert Thing(name="a")._made


def test_hooks_that_yield_are_refused() -> None:
    def pre_save(self: Any, **_: Any) -> Any:
        self.name = "b"
        yield True

    async def is_valid(self: Any, null_check: bool = True) -> Any:
        yield self.name

    with pytest.raises(ModelException, match=r"Thing.pre_save has a yield"):
        made(pre_save=pre_save)
    with pytest.raises(ModelException, match=r"Thing.is_valid .* define it without async"):
        made(is_valid=is_valid)


@pytest.mark.parametrize("result", [{}, 0, "", None, []])
def test_a_falsy_result_of_pre_save_is_told_of(api: Api, result: Any) -> None:
    thing = made(pre_save=lambda *_, **__: result)
    with pytest.warns(UserWarning, match=r"pre_save\(\) returns .*, so nothing is saved"):
        assert api(thing(name="a").save) is False
    assert thing.query.get("a") is None


# Names that are taken twice -----------------------------------------------------------------------


def test_a_field_that_is_lost_in_the_body_is_told_of() -> None:
    with pytest.warns(UserWarning, match=r"defined twice in the class.*is dropped") as seen:

        class Thing(Model):
            name = KeyField()
            size = IntField()
            size = StringField()  # type: ignore[assignment]  # noqa: PIE794
            area = IntField()
            brief = IntField()
            del brief
            again = again_too = IntField(default=1)

            def area(self) -> int:  # type: ignore[no-redef]  # noqa: F811
                return 1

    told = [str(each.message) for each in seen]
    assert len(told) == 2
    assert "Thing.size is defined twice in the class, so the first, the IntField" in told[0]
    assert "Thing.area" in told[1]
    assert Thing._meta.field_names == ["name", "size", "again", "again_too"]


def test_what_takes_the_place_of_a_field_of_a_finished_class_is_told_of() -> None:
    thing = made(size=IntField(default=3))
    with pytest.warns(UserWarning, match=r"Thing.size = 5: 'size' is a field .* its IntField"):
        thing.size = 5
    with pytest.warns(UserWarning, match=r"Thing.size = .*StringField.*: 'size' is a field"):
        thing.size = StringField()
    assert thing(name="a").size == 3
    thing.other = 5
    thing.size = thing._meta.by_name["size"]
    thing._meta.add_field("more", IntField(default=1))


# Attributes of records ----------------------------------------------------------------------------


class Parcel(Model):
    name = KeyField()
    weight_in_kg = IntField(default=0)
    id_ = StringField(default="")


@pytest.mark.parametrize(
    ("slip", "remedy"),
    [
        ("weightInKg", "did you mean 'weight_in_kg'"),
        ("Name", "did you mean 'name'"),
        ("ID", "did you mean 'id_'"),
        ("ttl", r"write save\(ttl=…\), or set '_ttl'"),
        ("expire_at", r"write save\(expire_at=…\), or set '_expire_at'"),
    ],
)
def test_attributes_of_another_spelling_are_told_of(api: Api, slip: str, remedy: str) -> None:
    parcel = Parcel.create(name="a")
    setattr(parcel, slip, 5)
    with pytest.warns(UserWarning, match=rf"attribute '{slip}', which is no field.*{remedy}"):
        api(parcel.save)


def test_attributes_that_the_class_knows_are_not_told_of(api: Api) -> None:
    thing = made(_ttl_of_cache=5, ttl=property(lambda _: 5), expire_at=IntField(default=0))
    record = thing(name="a")
    record.expire_at = 7
    record._name = record._ttl = None
    api(record.save)
    assert thing.query.get("a").expire_at == 7


def test_values_for_a_field_that_was_assigned_to_a_finished_class_are_told_of(api: Api) -> None:
    thing = made()
    thing.size = IntField(default=3)
    record = thing(name="a")
    record.size = 5
    with pytest.warns(UserWarning, match=r"'size', which is no field.*Thing._meta.add_field"):
        api(record.save)
    thing._meta.add_field("size", thing.size)
    api(record.save)
    assert thing.query.get("a").size == 5
