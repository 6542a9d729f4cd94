"""Methods that a model's class defines itself are called wherever popoto 1.6 calls them."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from popoto import Field, IntField, KeyField, Model, ModelException
from tests.driver import Api


class Article(Model):
    name = KeyField()
    slug = Field(type=str)
    edits = IntField(default=0)
    _calls: ClassVar[list[str]] = []

    def save(self, *args: Any, **kwargs: Any) -> Any:
        self._calls.append("save")
        self.slug = self.name.lower()
        return super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        self._calls.append("delete")
        return super().delete(*args, **kwargs)

    @classmethod
    def create(cls, *args: Any, **kwargs: Any) -> Any:
        cls._calls.append("create")
        return super().create(*args, **kwargs)


@pytest.fixture(autouse=True)
def _no_calls_yet() -> None:
    Article._calls.clear()


def stored_slug(name: str, model: type[Article] | None = None) -> str:
    found = (model or Article).query.get(name=name)
    assert found is not None
    return found.slug


def test_create_saves_through_it(api: Api) -> None:
    api(Article.create, name="A")
    assert Article._calls == ["create", "save"]
    assert stored_slug("A") == "a"


def test_values_that_are_none_or_false_reach_an_own_create(api: Api) -> None:
    assert api(Article.create, name="A", edits=None).edits is None
    assert api(Article.create, name="B", edits=0).edits == 0


def test_create_refuses_an_existing_key_through_it_as_well(api: Api) -> None:
    api(Article.create, name="A")
    with pytest.raises(ModelException, match="already exists"):
        api(Article.create, name="A")
    api(Article.create, name="A", edits=3, overwrite=True)
    Article(name="A", edits=4).save()
    stored = Article.query.get(name="A")
    assert stored is not None
    assert stored.edits == 4


def test_get_or_create_and_update_or_create_go_through_both(api: Api) -> None:
    api(Article.get_or_create, name="A")
    api(Article.update_or_create, name="B", defaults={"edits": 1})
    api(Article.update_or_create, name="B", defaults={"edits": 2})
    assert Article._calls == ["create", "save", "create", "save", "save"]
    assert stored_slug("A") == "a"


def test_an_asyncio_call_without_twin_goes_through_it() -> None:
    article = Article(name="A")
    assert asyncio.run(article.async_save()) == 3
    assert stored_slug("A") == "a"
    assert asyncio.run(article.async_delete()) is True
    assert Article._calls == ["save", "delete"]
    asyncio.run(Article.async_bulk_create([Article(name="B")]))
    assert stored_slug("B") == "b"


def test_a_twin_of_its_own_is_called_instead() -> None:
    class Both(Article):
        async def async_save(self, *args: Any, **kwargs: Any) -> Any:
            self.slug = "async"
            return await super().async_save(*args, **kwargs)

    # `Both` inherits `save` and has a twin, which is what asyncio calls.
    asyncio.run(Both(name="A").async_save())
    assert stored_slug("A", Both) == "async"
    assert Article._calls == []
