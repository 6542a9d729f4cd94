"""Keywords of `save`, `delete`, `load` and their twins that nobody takes are refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import popoto
from popoto import Field, IntField, KeyField, Model, QueryException, StringField
from popoto.exceptions import UnknownNameError
from popoto.models.writing.keywords import OWN
from tests.driver import Api


class Page(Model):
    name = KeyField()
    text = StringField()
    views = IntField(default=0)


def in_a_transaction(method: str) -> Callable[[Any, dict[str, Any]], Any]:
    return lambda page, keywords: getattr(popoto.transaction(), method)(page, **keywords)


@pytest.mark.parametrize("method", ["save", "delete"])
@pytest.mark.parametrize("name", ["update_field", "expectd", "commit", "force"])
def test_a_keyword_that_nobody_takes_is_refused_and_nothing_written(
    method: str, name: str, api: Api
) -> None:
    api(Page.create, name="a", text="old")
    page = api(Page.query.get, name="a")
    page.text = "new"
    with pytest.raises(UnknownNameError, match=f"Page.{method}.*'{name}'") as caught:
        api(getattr(page, method), **{name: ["text"]})
    assert isinstance(caught.value, TypeError)
    with pytest.raises(UnknownNameError, match=name):
        in_a_transaction(method)(page, {name: ["text"]})
    assert Page.query.get(name="a").text == "old"


def test_the_nearest_keyword_is_proposed() -> None:
    for wrong, right in (("update_field", "update_fields"), ("expectd", "expected")):
        with pytest.raises(UnknownNameError, match=f"did you mean '{right}'"):
            Page(name="a").save(**{wrong: ["text"]})


@pytest.mark.parametrize("method", ["save", "delete"])
def test_the_keywords_that_are_known_are_those_of_the_signature(method: str) -> None:
    for name in (method, f"async_{method}"):
        parameters = inspect.signature(getattr(Page, name)).parameters.values()
        assert {
            each.name
            for each in parameters
            if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY) and each.name != "self"
        } == OWN[method]


class Audited(Page):
    def pre_save(self, *, author: str = "", **kwargs: Any) -> Any:
        self.text = f"by {author}"
        return super().pre_save(**kwargs)


class Loud(Field[str]):
    heard: list[Any] = []

    @classmethod
    def on_save(
        cls, model_instance: Any, field_name: str, field_value: Any, pipeline: Any = None, **kw: Any
    ) -> Any:
        cls.heard.append(kw.get("reason"))
        return pipeline

    @classmethod
    def on_delete(
        cls, model_instance: Any, field_name: str, field_value: Any, pipeline: Any = None, **kw: Any
    ) -> Any:
        cls.heard.append(kw.get("reason"))
        return pipeline


class Heard(Page):
    motto = Loud()


class StrictlyHeard(Heard):
    class Meta:
        strict = True


def test_a_hook_takes_keywords_of_its_own(api: Api) -> None:
    page = Audited(name="a")
    api(page.save, author="ann")
    assert Audited.query.get(name="a").text == "by ann"
    Loud.heard.clear()
    heard = Heard(name="a")
    api(heard.save, reason="why")
    api(heard.delete, reason="so")
    assert Loud.heard == ["why", "so"]


def test_what_looks_like_a_keyword_of_ours_is_told_though_a_hook_takes_all(api: Api) -> None:
    page = Heard(name="a")
    with pytest.warns(UserWarning, match="did you mean 'update_fields'"):
        api(page.save, update_field=["text"])
    strict = StrictlyHeard(name="a")
    with pytest.raises(UnknownNameError, match="did you mean 'expected'"):
        api(strict.save, expectd=["text"])
    assert StrictlyHeard.query.count() == 0


def test_a_save_of_the_models_own_takes_what_it_likes(api: Api) -> None:
    class Own(Page):
        def save(self, *arguments: Any, note: str = "", **keywords: Any) -> Any:
            self.text = note
            return super().save(*arguments, **keywords)

    page = Own(name="a")
    api(page.save, note="mine")
    assert Own.query.get(name="a").text == "mine"
    with pytest.raises(UnknownNameError):
        api(page.save, nte="mine")


# Reading ------------------------------------------------------------------------------------


def test_an_unknown_name_in_a_load_is_refused(api: Api) -> None:
    api(Page.create, name="a")
    for lookup in ({"nmae": "a"}, {"name": "a", "nmae": "a"}, {"db_key": "Page:a", "nmae": "a"}):
        with pytest.raises(QueryException, match="nmae"):
            api(Page.load, **lookup)
        with pytest.raises(QueryException, match="nmae"):
            api(Page.query.get, **lookup)


def test_conditions_beside_a_key_must_hold(api: Api) -> None:
    api(Page.create, name="a", views=3)
    assert api(Page.load, "Page:a", views=3).name == "a"
    assert api(Page.load, "Page:a", views=4) is None
    assert api(Page.query.get, "Page:a", Page.views == 4) is None


def test_keywords_that_keys_do_not_take_are_told(api: Api) -> None:
    with pytest.warns(UserWarning, match="cleen"):
        assert api(Page.query.keys, cleen=True) == []
