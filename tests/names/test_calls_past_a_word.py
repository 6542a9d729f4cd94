"""Calls that say something which nobody would hear are answered, and not passed over."""

from __future__ import annotations

import datetime
import warnings
from typing import Any

import pytest

import popoto
from popoto import (
    Field,
    GeoField,
    IntField,
    KeyField,
    Model,
    Relationship,
    SortedField,
    StringField,
    clock,
)
from popoto.exceptions import ConfigurationError, QueryException, UnknownNameError
from popoto.stores.default import get_default_store, set_default_store
from popoto.stores.filesystem import FilesystemStore
from popoto.testing.faults import FaultProxy, crashes
from tests.driver import Api


class Guest(Model):
    name = KeyField()
    age = IntField(default=1)


class Chair(Model):
    row = KeyField()
    number = KeyField(type=int)


class Forgetful(Model):
    """Its `save` calls no other, and says nothing of it."""

    name = KeyField()

    def save(self, *arguments: Any, **options: Any) -> Any:
        return None


class Refusing(Model):
    name = KeyField()

    def save(self, *arguments: Any, **options: Any) -> Any:
        return False


class Silent(Model):
    """Its `save` forgets to tell what the stock one has answered, and a hook refuses."""

    name = KeyField()

    def pre_save(self, **options: Any) -> Any:
        return self.name != "no" and super().pre_save(**options)

    def save(self, *arguments: Any, **options: Any) -> Any:
        super().save(*arguments, **options)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (("Guest:n1", "Guest:n2"), {}),
        (("n1",), {"db_key": "Guest:n2"}),
        ((1,), {"db_key": "Guest:n2"}),
        (("Guest:n1",), {"redis_key": "Guest:n2"}),
        ((), {"db_key": "Guest:n1", "redis_key": "Guest:n2"}),
        ((), {"db_key": b"Guest:n1", "redis_key": "Guest:n2"}),
    ],
)
def test_two_keys_are_one_too_many(
    api: Api, given: Any, named: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that popoto 1.6 takes counts, as its tests say."""
    for name in ("n1", "n2"):
        Guest.create(name=name)
    with pytest.warns(UserWarning, match=r"get\(\) takes one key.*get\(name=…\)"):
        assert api(Guest.query.get, *given, **named).name == "n2"
    monkeypatch.setattr(Guest._meta, "strict", True)
    with pytest.raises(UnknownNameError, match="takes one key"):
        api(Guest.query.get, *given, **named)


@pytest.mark.parametrize(("given", "named"), [(("n1", "n2"), {}), (("n1",), {"db_key": "n2"})])
def test_two_values_are_no_key(api: Api, given: Any, named: Any) -> None:
    with pytest.raises(QueryException, match="takes one key, got 'n2' and 'n1'"):
        api(Guest.query.get, *given, **named)


def test_one_key_twice_is_one(api: Api) -> None:
    guest = Guest.create(name="n1")
    assert api(Guest.query.get, "Guest:n1", db_key=b"Guest:n1", redis_key=guest) == guest
    assert api(Guest.query.get, None, "Guest:n1") == guest
    with pytest.raises(QueryException, match=r"get\(number=…, row=…\)|get\(row=…, number=…\)"):
        api(Chair.query.get, "a", "b")


def test_changes_of_a_query_have_names(api: Api) -> None:
    Guest.create(name="n1")
    for query in (Guest.query, Guest.query.filter(name="n1")):
        with pytest.raises(TypeError, match=r"Guest: update\(\) takes values by keyword.*\*\*"):
            api(query.update, {"age": 5})
    assert Guest.query.get("n1").age == 1


@pytest.mark.parametrize("given", [("x",), (True,)])
def test_another_server_is_no_matter_of_a_query(given: Any) -> None:
    for query in (Guest.query, Guest.query.filter(name="n1")):
        using: Any = query.using
        for named in ({}, {"replica": True}):
            with pytest.raises(TypeError, match=r"redis_db.using\(url\)"):
                using(*given, **named)
        for wrong in (1, "yes", None):
            with pytest.raises(TypeError, match="replica=True or replica=False"):
                using(replica=wrong)


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        (StringField, (100,), r"StringField\(max_length=100\)"),
        (IntField, (3,), r"IntField\(default=3\)"),
        (KeyField, (str,), r"KeyField\(type=str\)"),
        (SortedField, (float,), r"SortedField\(type=float\)"),
        (GeoField, (1, 2), r"GeoField\(default=1\)"),
        (Field, (int,), r"Field\(type=int\)"),
    ],
)
def test_options_of_fields_have_names(kind: Any, given: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        kind(*given)


def test_fields_that_take_something_by_place_still_do() -> None:
    class Own(StringField):
        def __init__(self, length: int, **options: Any) -> None:
            super().__init__(max_length=length, **options)

    assert Own(5).max_length == 5
    assert Relationship(Guest).model is Guest


@pytest.mark.parametrize(
    ("given", "named"),
    [((), {}), ((5,), {}), ((None,), {}), (("a", "b"), {}), ((), {"who": "a"})],
)
def test_who_acts_is_checked_where_it_is_said(given: Any, named: Any) -> None:
    with pytest.raises(TypeError, match=r"actor|acting_as"):
        popoto.acting_as(*given, **named)
    with pytest.raises(ValueError, match="empty"):
        popoto.acting_as("")
    with pytest.raises(TypeError, match="wait_for_replicas"):
        popoto.wait_for_replicas()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_a_save_that_stores_nothing_is_told_of(api: Api) -> None:
    for call in (
        lambda: api(Forgetful.create, name="a"),
        lambda: api(Forgetful.get_or_create, name="a"),
        lambda: api(Forgetful.bulk_create, [Forgetful(name="a")]),
    ):
        with pytest.warns(UserWarning, match=r"Forgetful: the save\(\).*super\(\).save\(\)"):
            call()
    assert Forgetful.query.count() == 0


def test_a_save_that_says_so_or_was_refused_is_not(api: Api) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        api(Refusing.create, name="a")
        api(Silent.create, name="yes")
        api(Silent.create, name="no")
    assert [each.name for each in Silent.query.all()] == ["yes"]


def test_a_path_beside_a_store_is_told_of(tmp_path: Any) -> None:
    store = FilesystemStore(tmp_path / "texts")
    try:
        with pytest.warns(UserWarning, match="nothing reads the content_path"):
            popoto.configure(content_path=tmp_path / "vectors", content_store=store)
        assert get_default_store() is store
    finally:
        set_default_store(None)


@pytest.mark.parametrize(("replicas", "timeout"), [("x", 1), (-1, 1), (True, 1), (1, 0), (1, "x")])
def test_replicas_to_wait_for_are_checked_where_they_are_said(replicas: Any, timeout: Any) -> None:
    with pytest.raises(ConfigurationError):
        popoto.wait_for_replicas(replicas, timeout)


def test_a_moment_is_checked_where_it_is_said() -> None:
    wrong: Any
    for wrong in ("x", True, None, datetime.datetime(2026, 1, 1)):
        with pytest.raises(TypeError, match=r"seconds since 1970.*timestamp"):
            clock.using(wrong)
    with pytest.raises(ValueError, match="finite"):
        clock.using(float("nan"))
    with clock.using(5):
        assert clock.now() == 5.0


def nothing() -> None:
    """What a child process does."""


@pytest.mark.parametrize(("times", "within"), [(0, 1.0), (-1, 1.0), (1, 0.0), (1, float("nan"))])
def test_crashes_that_could_not_happen_are_refused(times: int, within: float) -> None:
    with pytest.raises(ValueError, match="times of 1 or more"):
        list(crashes(nothing, times=times, within=within))


@pytest.mark.parametrize(
    ("order", "given", "options"),
    [
        ("delay", (-1,), {}),
        ("delay", ("x",), {}),
        ("delay", (float("inf"),), {}),
        ("lose_reply", (5,), {}),
        ("lose_reply", ("GET",), {"times": -2}),
        ("cut", ("GET",), {"times": -1}),
        ("cut", ("GET",), {"chance": 3}),
        ("cut", ("GET",), {"chance": -0.5}),
        ("stall", ("GET",), {"after": -2}),
        ("answer", ("text",), {}),
    ],
)
def test_faults_that_could_not_happen_are_refused(
    server_url: str, order: str, given: Any, options: Any
) -> None:
    with FaultProxy(server_url) as proxy, pytest.raises((TypeError, ValueError)):
        getattr(proxy, order)(*given, **options)
