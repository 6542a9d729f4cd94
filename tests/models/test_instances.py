"""Constructing instances, and what an instance knows about its stored record."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from popoto import (
    AutoKeyField,
    DictField,
    Field,
    IntField,
    KeyField,
    ListField,
    Model,
    ModelException,
    Relationship,
    StringField,
)
from popoto.fields.shortcuts import CappedListProxy
from tests.driver import Api, RoundTrips


class Person(Model):
    name = KeyField()


class Note(Model):
    name = KeyField()
    text = StringField()
    size = IntField(default=int)
    tags = ListField(default=["a"])
    data = DictField(default=dict)
    log = ListField(max_length=3)
    owner = Relationship(model=Person)


class Lease(Model):
    name = KeyField()

    class Meta:
        ttl = 100


# Construction --------------------------------------------------------------------------


def test_positional_arguments_are_a_type_error() -> None:
    with pytest.raises(TypeError):
        Note("a")


def test_an_instance_needs_no_values_and_no_server(round_trips: Any) -> None:
    with round_trips() as seen:
        note = Note()
        Note(name="a", owner=Person(name="p"))
    assert isinstance(seen, RoundTrips)
    assert seen.sends == 0
    assert (note.name, note.text) == (None, None)


def test_every_keyword_becomes_an_attribute() -> None:
    with pytest.warns(UserWarning, match="foo"):
        note = Note(name="a", foo=1, _ttl=9)
    assert (note.foo, note._ttl) == (1, 9)
    note.anything = [1]
    assert note.anything == [1]


def test_defaults_are_made_for_each_instance() -> None:
    first, second = Note(), Note()
    assert (first.size, first.data, first.tags) == (0, {}, ["a"])
    first.tags.append("b")
    first.data["x"] = 1
    assert (second.tags, second.data) == (["a"], {})
    assert Note().tags == ["a"]


def test_a_callable_default_is_called_once_per_instance() -> None:
    calls: list[int] = []

    def make() -> int:
        calls.append(1)
        return len(calls)

    class Counted(Model):
        name = KeyField()
        number = IntField(default=make)

    assert [Counted().number, Counted().number] == [1, 2]
    assert Counted(number=9).number == 9


def test_an_explicit_none_stays_none() -> None:
    assert Note(size=None).size is None

    class Auto(Model):
        uid = AutoKeyField()

    assert Auto(uid=None).uid is None
    assert Auto(uid=None)._redis_key is None


def test_capped_lists_are_proxies() -> None:
    assert isinstance(Note().log, CappedListProxy)
    assert Note(log=["x"]).log == ["x"]


def test_ttl_of_meta_is_the_default() -> None:
    assert (Lease()._ttl, Lease()._expire_at) == (100, None)
    assert Lease(_ttl=5)._ttl == 5
    assert Lease(_ttl=None)._ttl is None
    assert (Note()._ttl, Note()._expire_at) == (None, None)


# Relationships ----------------------------------------------------------------------------


def test_a_related_instance_is_kept() -> None:
    person = Person(name="p")
    assert Note(owner=person).owner is person


def test_a_key_becomes_the_instance_it_names(api: Api) -> None:
    api(Person.create, name="p")
    assert Note(owner="Person:p").owner == Person(name="p")


@pytest.mark.parametrize("nothing", [None, "", 0, False])
def test_a_falsy_reference_is_none(api: Api, nothing: object) -> None:
    api(Person.create, name="only")
    assert Note(owner=nothing).owner is None


@pytest.mark.parametrize("wrong", [5, ["x"], object(), "nocolon"])
def test_another_reference_is_refused(wrong: object) -> None:
    with pytest.raises(ModelException, match="expects model instance or redis_key"):
        Note(owner=wrong)


def test_a_missing_target_reads_as_none_and_its_key_survives_a_save(api: Api) -> None:
    note = api(Note.create, name="a", owner="Person:gone")
    assert note.owner is None
    for found in (api(Note.query.get, name="a"), api(Note.query.all)[0]):
        found.text = "changed"
        api(found.save)
    (again,) = api(Note.query.all)
    assert again.owner == "Person:gone"
    assert api(Note.query.count, owner="Person:gone") == 1


# Bookkeeping --------------------------------------------------------------------------------


def test_a_fresh_instance_knows_nothing_of_the_server() -> None:
    note = Note(name="a")
    assert (note._redis_key, note._is_persisted) == ("Note:a", False)
    assert (note._saved_field_values, note._db_content) == ({}, {})
    assert note.obsolete_redis_key is None
    assert Note()._redis_key is None


def test_a_saved_instance_knows_what_was_written(api: Api) -> None:
    note = Note(name="a", text="t", log=[1])
    api(note.save)
    assert (note._redis_key, note._is_persisted) == ("Note:a", True)
    saved = note._saved_field_values
    assert (saved["name"], saved["text"], saved["size"]) == ("a", "t", 0)
    assert saved["log"] == [1]
    assert note._db_content[b"name"] == b"\xa1a"
    assert set(note._db_content) == {b"name", b"text", b"size", b"tags", b"data", b"owner"}


def test_a_partial_save_notes_only_the_listed_fields(api: Api) -> None:
    note = Note(name="a", text="t", size=1)
    api(note.save)
    note.text, note.size = "u", 2
    api(note.save, update_fields=["text"])
    assert (note._saved_field_values["text"], note._saved_field_values["size"]) == ("u", 1)


def test_a_loaded_instance_knows_its_record(api: Api) -> None:
    api(Lease.create, name="a")
    api(Note.create, name="a", text="t")
    for found in (api(Note.query.get, name="a"), api(Note.query.all)[0]):
        assert (found._redis_key, found._is_persisted, found._db_content) == ("Note:a", True, {})
        assert found._saved_field_values["name"] == "a"
        assert found._saved_field_values["text"] == "t"
        assert found.obsolete_redis_key is None
    lease = api(Lease.query.get, name="a")
    assert (lease._ttl, lease._expire_at) == (100, None)


def test_a_deleted_instance_can_be_saved_again(api: Api) -> None:
    note = api(Note.create, name="a", text="t", log=[1])
    api(note.delete)
    assert (note._saved_field_values, note._db_content, note._is_persisted) == ({}, {}, False)
    assert (note.name, note.text, note.log) == ("a", "t", [1])
    assert api(note.save) == 6
    assert api(Note.query.get, name="a").log == [1]


def test_a_class_with_an_init_of_its_own(api: Api) -> None:
    class Own(Model):
        name = KeyField()
        size = Field(type=int)

        def __init__(self, **values: Any) -> None:
            super().__init__(**values)
            self.extra = (self.name, self.size)

    api(Own.create, name="a", size=2)
    for found in (api(Own.query.get, name="a"), api(Own.query.all)[0]):
        assert found.extra == ("a", 2)
        found.size = 3
        assert api(found.save) == 0
        # Once it is loaded, it may be initialised again.
        Own.__init__(found, name="b", size=5)
        assert (found.name, found.size, found.extra) == ("b", 5, ("b", 5))
    assert api(Own.query.get, name="a").size == 3


def test_expire_at_may_be_given_to_the_constructor() -> None:
    moment = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
    note = Note(name="a", _expire_at=moment)
    assert note._expire_at == moment
