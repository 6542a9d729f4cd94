"""What popoto 1.6 left in records, and other small print of keys and records."""

from __future__ import annotations

from enum import Enum

import msgpack
import pytest
import redis

from popoto import IndexedField, KeyField, Model, ModelException, StringField, UniqueField
from tests.driver import Api


class Note(Model):
    name = KeyField()
    text = StringField(max_length=3)


@pytest.mark.parametrize(("stored", "text"), [(5, "5"), (2.5, "2.5"), (True, "True")])
def test_a_number_that_1_6_left_in_a_text_field_reads_as_text(
    api: Api, redis_client: redis.Redis, stored: object, text: str
) -> None:
    Note(name="a").save()
    redis_client.hset("Note:a", "text", msgpack.packb(stored))
    for found in (api(Note.query.get, name="a"), Note.query.filter(name="a")[0]):
        assert found is not None
        assert found.text == text
        assert found.to_dict() == {"name": "a", "text": text}


class Colour(str, Enum):  # noqa: UP042 - str() of a StrEnum is its value already
    RED = "red"


class Level(int, Enum):
    HIGH = 3


class Paint(Model):
    colour = KeyField()
    level = KeyField(type=int, default=0)
    shade = IndexedField()
    code = UniqueField()


def test_members_of_enumerations_are_stored_and_found_as_their_values(
    api: Api, redis_client: redis.Redis
) -> None:
    paint = api(Paint.create, colour=Colour.RED, level=Level.HIGH, shade=Colour.RED, code="c")
    assert str(paint) == "Paint:red:3"
    assert redis_client.smembers("$IndexF:Paint:shade:red") == {b"Paint:red:3"}
    for colour in ("red", Colour.RED):
        assert Paint.query.get(colour=colour, level=Level.HIGH) == paint
        assert Paint.query.filter(shade=colour).count() == 1
    with pytest.raises(ModelException, match="already exists"):
        api(Paint.create, colour="blue", code="c")


class Person(Model):
    name = KeyField()
    first = StringField()
    last = StringField()

    @property
    def full(self) -> str:
        return f"{self.first} {self.last}"

    @full.setter
    def full(self, text: str) -> None:
        self.first, self.last = text.split()


def test_a_property_given_to_the_constructor_may_set_fields() -> None:
    person = Person(name="a", full="Ada Lovelace")
    assert (person.first, person.last) == ("Ada", "Lovelace")


def test_what_was_saved_last_can_be_assigned_as_in_1_6(redis_client: redis.Redis) -> None:
    paint = Paint.create(colour="red", shade="dark", code="c")
    paint._saved_field_values = {"colour": "red", "level": 0, "shade": "light", "code": None}
    assert paint._saved_field_values["shade"] == "light"
    paint.shade = "bright"
    paint.save()
    assert not redis_client.exists("$IndexF:Paint:shade:dark", "$IndexF:Paint:shade:light")
    assert redis_client.exists("$IndexF:Paint:shade:bright")
    paint._db_content = {b"shade": b"x"}
    assert paint._db_content == {b"shade": b"x"}
