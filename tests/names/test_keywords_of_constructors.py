"""Keywords that no field has: told at the caller's line, or refused; never dropped."""

from __future__ import annotations

import asyncio
import functools
import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

import popoto
from popoto import EventStreamMixin, IntField, KeyField, Model, ModelException, StringField
from popoto.exceptions import AlreadyExistsError, UnknownNameError
from popoto.models.base import TypedModel
from popoto.models.record.record import OWN_STATE
from tests.driver import Api


class User(Model):
    name = KeyField()
    mail = StringField()
    visits = IntField(default=0)
    _imported_by = "nobody"
    _note: str

    @property
    def domain(self) -> str:
        return (self.mail or "").partition("@")[2]

    @property
    def address(self) -> str:
        return self.mail

    @address.setter
    def address(self, value: str) -> None:
        self.mail = value.lower()

    def greet(self) -> str:
        return "Hello"

    @classmethod
    def nobody(cls) -> str:
        return "nobody"

    @staticmethod
    def rule() -> str:
        return "be kind"

    @functools.cached_property
    def greeting(self) -> str:
        return f"Hello {self.name}"


class Strict(User):
    class Meta:
        strict = True


class Typed(TypedModel):
    name: str = KeyField()


@pytest.fixture
def strict_process() -> Iterator[None]:
    popoto.configure(strict=True)
    yield
    popoto.configure(strict=False)


def created_in_a_transaction(model: Any, values: dict[str, Any]) -> Any:
    changes = popoto.transaction()
    try:
        return changes.create(model, name="ann", **values)
    finally:
        changes.discard()


WAYS: dict[str, Callable[[Any, Api, dict[str, Any]], Any]] = {
    "constructor": lambda model, api, values: model(**values),
    "create": lambda model, api, values: api(model.create, name="ann", **values),
    "transaction": lambda model, api, values: created_in_a_transaction(model, values),
    "get_or_create": lambda model, api, values: api(
        model.get_or_create, defaults=values, name="ann"
    ),
    "update_or_create": lambda model, api, values: api(
        model.update_or_create, defaults=values, name="ann"
    ),
    "lookup with the key": lambda model, api, values: api(
        model.get_or_create, name="ann", **values
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("is_stored", [False, True])
def test_a_keyword_that_no_field_has_is_told_once_and_not_stored(
    way: str, is_stored: bool, api: Api
) -> None:
    if is_stored:
        User(name="ann").save()
    with pytest.warns(UserWarning, match="mial") as seen, suppress(AlreadyExistsError):
        WAYS[way](User, api, {"mial": "a@b.c"})
    (warning,) = seen
    assert all(word in str(warning.message) for word in ("User", "'mial'", "not stored", "'mail'"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("is_stored", [False, True])
def test_a_strict_model_refuses_it_and_writes_nothing(way: str, is_stored: bool, api: Api) -> None:
    if is_stored:
        Strict(name="ann", mail="x@y.z").save()
    with pytest.raises(UnknownNameError, match=r"'mial'.*'mail'") as caught:
        WAYS[way](Strict, api, {"mial": "a@b.c"})
    assert isinstance(caught.value, ModelException)
    assert isinstance(caught.value, TypeError)
    assert Strict.query.count() == is_stored


def test_a_lookup_without_the_key_is_refused(api: Api) -> None:
    with pytest.raises(popoto.QueryException, match="mial"):
        api(User.get_or_create, mial="a@b.c")
    with pytest.raises(UnknownNameError, match="mial"):
        api(Strict.get_or_create, mial="a@b.c")


def test_the_process_can_be_strict(strict_process: None) -> None:
    class Lenient(User):
        class Meta:
            strict = False

    with pytest.raises(UnknownNameError):
        User(mial="a@b.c")
    with pytest.warns(UserWarning, match="mial"):
        Lenient(mial="a@b.c")


def test_a_typed_model_is_strict_unless_it_says_otherwise() -> None:
    class Derived(Typed):
        pass

    class Lenient(Typed):
        class Meta:
            strict = False

    wrong: dict[str, Any] = {"nmae": "ann"}
    for model in (Typed, Derived):
        with pytest.raises(UnknownNameError, match="'name'"):
            model(**wrong)
    with pytest.warns(UserWarning, match="nmae"):
        Lenient(**wrong)


def test_the_value_is_a_plain_attribute_all_the_same() -> None:
    with pytest.warns(UserWarning, match="mial"):
        assert User(mial="a@b.c").mial == "a@b.c"


def test_a_warning_points_at_the_line_of_the_caller() -> None:
    def line(_: object) -> int:
        frame = inspect.currentframe()
        assert frame is not None
        assert frame.f_back is not None
        return frame.f_back.f_lineno

    async def create_in_a_task() -> None:
        await asyncio.gather(User.async_create(name="b", mial=1))

    for call in (User, User.create):
        with pytest.warns(UserWarning, match="mial") as seen:
            called = line(call(name="a", mial=1))
        assert (seen[0].filename, seen[0].lineno) == (__file__, called)
    with pytest.warns(UserWarning, match="mial") as seen:
        asyncio.run(create_in_a_task())
    assert "asyncio" not in seen[0].filename


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("address", "A@B.C", lambda user: (user.mail, user.address) == ("a@b.c", "a@b.c")),
        ("greeting", "Hi", lambda user: user.greeting == "Hi"),
        ("_imported_by", "me", lambda user: user._imported_by == "me"),
        ("_note", "new", lambda user: user._note == "new"),
        ("_ttl", 9, lambda user: user._ttl == 9),
    ],
)
def test_what_the_class_has_is_set(name: str, value: Any, read: Callable[[Any], bool]) -> None:
    for model in (User, Strict):
        assert read(model(**{"name": "ann", name: value}))


@pytest.mark.parametrize(
    "name", ["domain", "pk", "db_key", "save", "query", "greet", "nobody", "rule"]
)
def test_what_cannot_be_set_is_told_and_ignored(name: str) -> None:
    with pytest.warns(UserWarning, match=f"'{name}'.*ignored"):
        user = User(name="ann", mail="a@b.c", **{name: "other"})
    assert getattr(user, name) != "other"
    user.save()
    with pytest.raises(UnknownNameError, match=name):
        Strict(**{name: "other"})


@pytest.mark.parametrize("name", sorted({*OWN_STATE, "__class__", "__dict__"}))
def test_nobody_gives_a_record_what_it_knows_of_the_server(name: str, api: Api) -> None:
    User.create(name="bob", mail="b@b.c")
    given = {"_redis_key": "User:bob", "_is_persisted": True}.get(name, {"mail": b"x"})
    with pytest.warns(UserWarning, match=f"'{name}'.*ignored"):
        user = api(User.create, name="ann", mail="a@b.c", **{name: given})
    assert user.pk == "User:ann"
    assert [each.mail for each in User.query.order_by("name")] == ["a@b.c", "b@b.c"]
    with pytest.raises(UnknownNameError, match=name):
        Strict(**{name: given})


@pytest.mark.parametrize("name", sorted(OWN_STATE))
def test_no_field_has_the_name_of_what_a_record_knows(name: str) -> None:
    with pytest.raises(ModelException, match=f"'{name}' is a name of the Model API"):
        type("Wrong", (Model,), {"name": KeyField(), name: StringField()})


@pytest.mark.parametrize(
    ("slip", "meant"),
    [("overwrit", "overwrite"), ("defualts", "defaults"), ("pipline", "pipeline")],
)
def test_keywords_of_the_call_are_proposed(slip: str, meant: str, api: Api) -> None:
    with pytest.warns(UserWarning, match=f"did you mean '{meant}'"):
        api(User.create, name="ann", **{slip: True})


def test_an_update_ignores_a_property_that_cannot_be_set(api: Api) -> None:
    User(name="ann", mail="a@b.c").save()
    with pytest.warns(UserWarning, match="domain"):
        user, created = api(
            User.update_or_create, name="ann", defaults={"domain": "x", "visits": 2, "address": "X"}
        )
    assert (created, user.domain, user.mail, user.visits) == (False, "", "x", 2)


def test_a_name_like_an_option_of_instances_is_proposed() -> None:
    with pytest.warns(UserWarning, match="did you mean '_ttl'"):
        User(name="ann", _tll=5)


def test_methods_of_the_class_may_take_keywords_of_their_own(api: Api) -> None:
    class Invited(Strict):
        def __init__(self, *, greets: bool = False, **values: Any) -> None:
            super().__init__(**values)
            if greets:
                self.mail = "hello"

        @classmethod
        def create(cls, *arguments: Any, tells: bool = False, **values: Any) -> Any:
            return super().create(*arguments, **values)

    api(Invited.create, name="a", greets=True, tells=True)
    found, created = api(Invited.get_or_create, name="a", defaults={"tells": True, "greets": True})
    assert (found.mail, created) == ("hello", False)


def test_a_condition_of_the_lookup_is_no_value_of_a_new_record(api: Api) -> None:
    for name, lookup in (
        ("ann", {"name": "ann", "name__in": ["ann"]}),
        ("cid", {"name__startswith": "b"}),
    ):
        defaults = {"mail": "x", "name": name}
        user, created = api(User.get_or_create, defaults=defaults, **lookup)
        assert (created, user.mail) == (True, "x")
        assert not any("__" in name for name in vars(user))


def test_known_keywords_are_silent(api: Api) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        api(User.create, name="ann", mail="a@b.c", visits=1)
        api(User.get_or_create, name="ann", defaults={"mail": "x"})
        api(User.update_or_create, name="ann", defaults={"mail": "x"})


# Values without a name ---------------------------------------------------------------------


class Seat(Model):
    row = KeyField()
    number = KeyField(type=int)


class OwnInit(Seat):
    def __init__(self, row: Any, **values: Any) -> None:
        super().__init__(row, **values)


class Noted(EventStreamMixin, Model):
    name = KeyField()


@pytest.mark.parametrize(
    ("construct", "words"),
    [
        (lambda: Seat("a", 7), r"keyword, as Seat\(row='a', number=7\), got 'a', 7"),  # type: ignore[arg-type]
        (lambda: Seat({"row": "a"}), r"Seat takes values by keyword"),  # type: ignore[arg-type]
        (lambda: OwnInit("a"), r"OwnInit takes values by keyword, as OwnInit\(row='a'\)"),
        (lambda: Noted("x"), r"Noted takes values by keyword, as Noted\(name='x'\)"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_a_constructor_names_the_keywords_of_what_stands_by_itself(
    construct: Callable[[], Any], words: str
) -> None:
    with pytest.raises(TypeError, match=words):
        construct()


def test_other_calls_say_that_values_have_keywords(api: Api) -> None:
    for call in (Seat.get_or_create, Seat.update_or_create):
        with pytest.raises(TypeError, match=r"Seat\.\w+: defaults must be a dict .*by keyword"):
            api(call, "a")
    for call in (Seat.create, Seat(row="a", number=1).save):
        with pytest.raises(TypeError, match=r"pipeline must be .* given by keyword"):
            api(call, "a")
    assert api(Seat.query.count) == 0
    (stored,) = api(Seat.bulk_create, Seat(row="a", number=1))
    assert api(Seat.query.get, row="a", number=1) == stored
