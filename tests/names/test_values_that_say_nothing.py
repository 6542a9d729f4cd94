"""Values in the wrong place, and flags that are none, are refused or told of."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from popoto import (
    BM25Field,
    ConfidenceField,
    DatetimeField,
    DecayingSortedField,
    Field,
    FloatField,
    IntField,
    KeyField,
    Model,
    ModelException,
    Publisher,
    Relationship,
    SortedField,
    StreamConsumer,
    StringField,
    Subscriber,
    clock,
    transaction,
)
from popoto.exceptions import UnknownNameError, UnsavedError
from popoto.recipes import ContextAssembler, SubconsciousMemory


class Person(Model):
    name = KeyField()
    age = IntField(null=True)
    note = StringField(default="")
    seen = DecayingSortedField()
    rank = SortedField(type=float, default=1.0)


class Letter(Model):
    name = KeyField()
    sender = Relationship(Person, null=True)


class Belief(Model):
    name = KeyField()
    agent_id = KeyField(default="ada")
    content = StringField(default="")
    words = BM25Field(source="content")
    relevance = FloatField(default=0.5)
    sure = ConfidenceField()
    apart = ConfidenceField(partition_by="agent_id")


@pytest.fixture
def ann() -> Any:
    return Person.create(name="ann", age=30)


@pytest.mark.parametrize("wrong", [["age"], "no", {"age": 1}, b"", ()])
@pytest.mark.parametrize("flag", ["ignore_errors", "skip_auto_now", "migrate_key", "recreate"])
def test_a_flag_of_a_save_is_true_or_false(ann: Any, flag: str, wrong: Any) -> None:
    ann.age = 31
    with pytest.raises(TypeError, match=rf"save\({flag}=…\) is True or False"):
        ann.save(**{flag: wrong})
    assert Person.query.get("ann").age == 30


def test_names_in_the_place_of_a_flag(ann: Any) -> None:
    ann.age = 31
    with pytest.raises(TypeError, match="ignore_errors"):
        ann.save(None, ["age"])
    with pytest.raises(TypeError, match="recreate"), transaction() as changes:
        changes.save(ann, recreate="no")  # type: ignore[arg-type]
    assert Person.query.get("ann").age == 30


@pytest.mark.asyncio
async def test_a_flag_of_a_save_with_asyncio() -> None:
    ann = await Person.async_create(name="ann")
    with pytest.raises(TypeError, match="migrate_key"):
        await ann.async_save(migrate_key="no")


def test_numbers_and_none_are_flags(ann: Any) -> None:
    ann.age = 31
    ann.save(ignore_errors=1, recreate=0, migrate_key=None)
    assert Person.query.get("ann").age == 31


CALLS: dict[str, Callable[[Any], Any]] = {
    "overwrite": lambda _: Person.create(name="ann", overwrite="no"),
    "keep": lambda _: Person.bulk_create([Person(name="bob")], keep="no"),
    "bulk recreate": lambda _: Person.bulk_create([Person(name="bob")], recreate="no"),
    "skip_none": lambda _: Person.query.get_many(["ann"], skip_none="no"),
    "flat": lambda _: Person.query.values_list("name", flat="no"),
    "relationships": lambda ann: ann.to_dict(relationships=["sender"]),
    "json": lambda ann: ann.to_dict(json="no"),
    "anew": lambda _: Person.reembed(anew="no"),
    "normalize": lambda _: Person.query.composite_score({"rank": 1}, normalize="no"),
    "explain": lambda _: Belief.query.recall("tea", explain="no"),
    "dry_run": lambda _: ConfidenceField.migrate_to_partitioned(Belief, "apart", dry_run="no"),
    "assess_quality": lambda _: ContextAssembler(Belief, {"words": 1}).assemble(
        {"words": "tea"}, assess_quality="no"
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_other_flags_are_true_or_false(ann: Any, call: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="is True or False"):
        call(ann)
    assert [person.age for person in Person.query.all()] == [30]


async def told_later(_: object) -> None: ...


@pytest.mark.parametrize("wrong", [True, "ignore", told_later])
@pytest.mark.parametrize("name", ["progress", "on_error"])
def test_who_is_told_of_rows_can_be_called(name: str, wrong: Any) -> None:
    with pytest.raises(TypeError, match=rf"{name}=…\) takes a plain function"):
        Person.bulk_create([Person(name="bob")], **{name: wrong})
    assert Person.query.count() == 0


def test_values_among_the_names_of_a_partial_save(ann: Any) -> None:
    with pytest.warns(UserWarning, match=r"save\(update_fields=\{'age': …\}\) names fields"):
        ann.save(update_fields={"age": 31})
    assert Person.query.get("ann").age == 30
    ann.age = 32
    ann.save(update_fields={"age": "32"})
    assert Person.query.get("ann").age == 32


def test_a_base_score_that_is_a_text(ann: Any) -> None:
    with pytest.warns(UserWarning, match="'note' holds no numbers"):
        assert Person.query.top_by_decay("seen", base_score_field="note") == [ann]


def test_rankings_of_what_can_be_no_key(ann: Any) -> None:
    with pytest.warns(UserWarning, match=r"fuse\(\): 'ann' is the key of no record"):
        assert Person.query.fuse(words=[("ann", 1.0)]) == []
    with pytest.warns(UserWarning, match="similarity_boost: 'ann' is the key of no record"):
        Person.query.composite_score({"rank": 1}, similarity_boost={"ann": 3})
    # A text among keys is what an edge may lead to.
    assert Person.query.fuse(words=[("tea", 2.0), (ann.pk, 1.0)]) == [ann]


def test_a_reference_to_a_record_of_another_model(ann: Any) -> None:
    with pytest.warns(UserWarning, match=r"Letter.sender refers to 'Letter:x', which is no key"):
        Letter.create(name="a", sender="Letter:x")
    assert Letter.create(name="b", sender="Person:ann").sender == ann

    class Note(Model):
        name = KeyField()
        sender = Relationship(Person, null=True)

        class Meta:
            strict = True

    with pytest.raises(UnsavedError, match="nothing was written"):
        Note.create(name="a", sender="Letter:x")
    assert Note.query.count() == 0


def test_an_update_to_a_record_of_another_model() -> None:
    letter = Letter.create(name="a")
    told = r"Letter.sender refers to 'Letter:{}', which is no key of Person"
    with pytest.warns(UserWarning, match=told.format("x")):
        Letter.query.update(sender="Letter:x")
    with pytest.warns(UserWarning, match=told.format("y")):
        Letter.bulk_update([letter], sender="Letter:y")
    with pytest.warns(UserWarning, match=told.format("z")):
        Letter.update_or_create(name="a", defaults={"sender": "Letter:z"})
    # What is stored already is not told of again.
    Letter.query.get("a").save()


@pytest.mark.parametrize("kind", [int, str, float, datetime.datetime, list])
def test_a_type_in_the_body_of_a_class_is_no_field(kind: type) -> None:
    with pytest.warns(UserWarning, match=f"Car.wheels = {kind.__name__} makes no field"):
        type(Model)("Car", (Model,), {"name": KeyField(), "wheels": kind, "__module__": "cars"})


@pytest.mark.parametrize(
    "field",
    [
        lambda: DatetimeField(default=datetime.datetime.now()),
        lambda: DatetimeField(default=datetime.datetime.now(datetime.UTC)),
        lambda: SortedField(type=float, default=time.time()),
    ],
)
def test_a_default_that_is_now(field: Callable[[], Field[Any]]) -> None:
    with pytest.warns(UserWarning, match="is the moment at which the class is made"):
        field()


def test_a_default_that_is_some_moment() -> None:
    DatetimeField(default=datetime.datetime(2020, 1, 1))
    DatetimeField(default=datetime.datetime.min)
    DatetimeField(default=datetime.datetime.now)
    FloatField(default=float("nan"))
    with clock.using(lambda: 1.0):
        FloatField(default=0.5)


def test_an_expiry_that_goes_past_a_transaction(ann: Any) -> None:
    # An older server has none for single fields, which makes no difference here.
    with transaction(), pytest.warns(UserWarning, match="no part of the transaction"):
        _expire(ann)


def _expire(record: Any) -> None:
    with suppress(ModelException):
        record.expire_field("age", 60)


def test_an_importance_that_the_model_lacks() -> None:
    with pytest.warns(UserWarning, match="did you mean 'relevance'"):
        SubconsciousMemory(Belief, "ada", importance_field="relevanc")
    SubconsciousMemory(Belief, "ada")


class News(Subscriber):
    sub_channel_names = ["news"]


def test_a_pattern_among_the_names_of_channels() -> None:
    class All(Subscriber):
        sub_channel_names = ["news.*"]

    with pytest.warns(UserWarning, match="patterns go into sub_channel_patterns"):
        All().close()
    News().close()


def test_channels_by_position() -> None:
    with pytest.warns(UserWarning, match="takes nothing by position"):
        News("sport").close()

    class Own(Subscriber):
        sub_channel_names = ["news"]

        def __init__(self, topic: str) -> None:
            super().__init__(topic)

    Own("sport").close()

    class Sender(Publisher):
        pass

    with pytest.warns(UserWarning, match=r"takes channel_name=… alone"):
        Sender("sport")


@pytest.mark.parametrize("wrong", ["", None, Person])
@pytest.mark.parametrize("name", ["stream_key", "group_name", "consumer_name"])
def test_a_consumer_without_names(name: str, wrong: Any) -> None:
    names: dict[str, Any] = {"stream_key": "s", "group_name": "g", "consumer_name": "c"}
    with pytest.raises(ValueError, match=f"{name} must be a text that is not empty"):
        StreamConsumer(**{**names, name: wrong}, handler=print)


def test_an_exact_number_of_dead_letters_that_is_not_told() -> None:
    with pytest.warns(UserWarning, match="has no effect without dead_letter_max_length"):
        StreamConsumer("s", "g", "c", print, dead_letter_exact=True)
    StreamConsumer("s", "g", "c", print, dead_letter_max_length=5, dead_letter_exact=True)


def test_strict_models_refuse_types_in_their_body() -> None:
    class Settings:
        strict = True

    body = {"name": KeyField(), "wheels": int, "Meta": Settings, "__module__": "cars"}
    with pytest.raises(UnknownNameError, match="makes no field"):
        type(Model)("StrictCar", (Model,), body)
