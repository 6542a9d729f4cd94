"""`Model.query` itself is asked what a builder is asked."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from popoto import IndexedField, KeyField, Model, QueryException, Relationship, SortedField
from popoto.models.query import Query, QueryBuilder
from tests.driver import Api, RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]

#: Of one query two builders may have the same results; `Model.query` is one object, which
#: equals itself alone and can stand in sets.
OF_RESULTS = {"__eq__", "__hash__"}


def names(cls: type) -> set[str]:
    """What a class says of itself or has from ours: public names, and those of operators."""
    return {
        name
        for base in cls.__mro__
        if base.__module__.startswith("popoto")
        for name in vars(base)
        if not name.startswith("_") or (name.startswith("__") and callable(vars(base)[name]))
    }


def test_it_has_every_name_that_a_builder_has() -> None:
    assert names(QueryBuilder) - names(Query) <= OF_RESULTS


@pytest.mark.parametrize("name", sorted(names(QueryBuilder) - OF_RESULTS - {"__init__"}))
def test_it_takes_what_a_builder_takes(name: str) -> None:
    theirs, ours = (
        inspect.signature(getattr(cls, name)).parameters for cls in (QueryBuilder, Query)
    )
    assert {each.replace(annotation="") for each in theirs.values()} <= {
        each.replace(annotation="") for each in ours.values()
    }


class City(Model):
    name = KeyField()


class Film(Model):
    title = KeyField()
    genre = IndexedField()
    year = SortedField(type=int, null=True)
    city = Relationship(City)


TITLES = ["Alien", "Brazil", "Clue", "Dune"]


@pytest.fixture
def films(api: Api) -> list[Film]:
    rome = api(City.create, name="Rome")
    return api(
        Film.bulk_create,
        [Film(title=title, genre=title[0], year=len(title), city=rome) for title in TITLES],
    )


def titles(found: Any) -> list[str]:
    return [film.title for film in found]


def test_it_is_built_on(api: Api, films: list[Film]) -> None:
    query = Film.query
    assert titles(api(query.offset(2).all)) == TITLES[2:]
    assert titles(api(query.offset(1).limit(2).all)) == TITLES[1:3]
    assert (
        titles(api(query.computed_sort(lambda film: film.title, reverse=True).all)) == TITLES[::-1]
    )
    assert titles(api(query.order_by("-year", "title").all)) == ["Brazil", "Alien", "Clue", "Dune"]
    assert titles(api(query.order_by("year", nulls="first").limit(1).all)) == ["Clue"]
    # What is built leaves it as it was.
    assert titles(api(query.all)) == TITLES


@pytest.mark.usefixtures("films")
@pytest.mark.parametrize("name", ["select_related", "prefetch_related"])
def test_related_records_come_along(api: Api, round_trips: Counter, name: str) -> None:
    with round_trips() as seen:
        found = api(getattr(Film.query, name)("city").all)
        assert [film.city.name for film in found] == ["Rome"] * 4
    assert seen.sends == 2


@pytest.mark.usefixtures("films")
def test_it_has_a_length_places_and_members(round_trips: Counter) -> None:
    query = Film.query
    with round_trips() as seen:
        assert len(query) == 4
        assert bool(query) is True
    assert (seen.sends, seen.commands["hmget"]) == (2, 0)
    with round_trips() as seen:
        assert query[0].title == "Alien"
        assert query[3].title == "Dune"
        assert titles(query[1:3]) == TITLES[1:3]
        assert titles(query[2:]) == TITLES[2:]
    assert seen.sends == 4
    assert query[-1].title == "Dune"
    assert titles(query[::-1]) == TITLES[::-1]
    with pytest.raises(IndexError):
        query[4]
    assert Film(title="Clue") in query
    assert Film(title="Jaws") not in query
    assert "Clue" not in query


def test_nothing_stored_is_false_and_has_no_length(round_trips: Counter) -> None:
    with round_trips() as seen:
        assert not Film.query
        assert len(Film.query) == 0
    assert seen.sends == 2
    assert list(Film.query) == Film.query[:3] == []


@pytest.mark.usefixtures("films")
def test_it_is_iterated_over_and_awaited(api: Api) -> None:
    query = Film.query
    assert titles(query.iterator(chunk_size=3)) == titles(list(query)) == TITLES

    async def everything() -> list[Film]:
        assert titles([film async for film in query.async_iterator(2)]) == TITLES
        assert titles([film async for film in query]) == TITLES
        found: list[Film] = await query
        return found

    assert titles(api.run(everything())) == TITLES
    with pytest.raises(ValueError, match="chunk_size"):
        next(query.iterator(chunk_size=0))
    with pytest.raises(ValueError, match="chunk_size"):
        api.run(anext(query.async_iterator(chunk_size=0)))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_it_tells_its_model() -> None:
    assert repr(Film.query) == "<Query Film>"
    assert Film.query == Film.objects
    assert Film.query != City.query
    assert len({Film.query, Film.objects, City.query}) == 2


@pytest.mark.usefixtures("films")
def test_offsets_and_names_are_checked_as_a_builder_does(api: Api) -> None:
    for builder in (Film.query.offset(-1), Film.query.order_by("colour")):
        with pytest.raises(QueryException):
            api(builder.all)
    with pytest.raises(TypeError, match="computed_sort needs a function"):
        Film.query.computed_sort("title")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
