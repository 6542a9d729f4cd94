"""What queries, model classes and fields have elsewhere, and what is written here instead."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from popoto import KeyField, ListField, Model, SortedField
from tests.driver import Api


class Film(Model):
    title = KeyField()
    year = SortedField(type=int, default=2000)
    tags = ListField()


class AbstractFilm(Model):
    class Meta:
        abstract = True


F: Any = Film
M: Any = Model
ABSTRACT: Any = AbstractFilm


@pytest.mark.parametrize(
    ("slip", "told"),
    [
        (lambda: F.query.where(F.year == 1), r"'Query' object .* 'where'; here it is filter\("),
        (lambda: F.query.limit(1).filter_by(year=1), "'QueryBuilder' object .*filter"),
        (lambda: F.query.find_one(year=1), r"get\(field=value\)"),
        (lambda: F.query.sort("year"), "order_by"),
        (lambda: F.query.latest("year"), r"order_by\('-field'\).first\(\)"),
        (lambda: F.query.fetch, r"all\(\)"),
        (lambda: F.query.paginate(1), "slice"),
        (lambda: F.query.annotate, "group_count"),
        (lambda: F.query.union(F.query), "Q objects"),
        (lambda: F.query.none, r"filter\(pk__in=\[\]\)"),
        (lambda: F.query.create(title="a"), r"Film.create\(…\) does it"),
        (lambda: F.query.async_get_or_create(title="a"), r"Film.async_get_or_create\(…\) does it"),
        (lambda: F.query.save, r"record.save\(\)"),
        (lambda: F.query.filter(title="a").year, "a field of its records.*values_list"),
        (lambda: F.query.conut, "'Query' object has no attribute 'conut'$"),
        (lambda: F.filter(year=1), "Film.query.filter is there"),
        (lambda: F.all, "Film.query.all is there"),
        (lambda: F.find(year=1), r"of Film.query, filter\("),
        (lambda: F.yaer, "type object 'Film' has no attribute 'yaer'$"),
        (lambda: ABSTRACT.filter(year=1), "type object 'AbstractFilm' has no attribute 'filter'"),
        (lambda: M.filter(year=1), "type object 'Model' has no attribute 'filter'"),
        (lambda: M.query, "type object 'Model' has no attribute 'query'"),
        (lambda: F.year.in_([1]), r"filter\(year__in=\[…\]\)"),
        (lambda: F.year.desc, r"order_by\('-year'\)"),
        (lambda: F.tags.contains("a"), r"filter\(tags__contains='…'\)"),
        (lambda: F.year.nothing, "'SortedField' object has no attribute 'nothing'$"),
    ],
)
def test_a_name_of_elsewhere_tells_what_is_written_here(slip: Callable[[], Any], told: str) -> None:
    with pytest.raises(AttributeError, match=told):
        slip()


@pytest.mark.parametrize(
    ("slip", "told"),
    [
        (lambda: F.query.filter(year=1) | F.query.filter(year=2), "combine Q objects"),
        (lambda: F.query & F.query, "combine Q objects"),
        (lambda: F.query.filter(year=1) + F.query.filter(year=2), "combine Q objects"),
        (lambda: ~F.query.filter(year=1), r"exclude\(…\)"),
        (lambda: F.query.order_by(-F.year), r"order_by\('-year'\)"),
        (lambda: F.query["a"], r"a number or a slice, not by 'a'.*get\(…\)"),
        (lambda: F.query.filter()[1.5], "a number or a slice"),
    ],
)
def test_an_operator_of_elsewhere_tells_what_is_written_here(
    slip: Callable[[], Any], told: str
) -> None:
    with pytest.raises(TypeError, match=told):
        slip()


def test_a_query_of_all_is_compared_with_lists_by_its_records() -> None:
    assert Film.query == []
    film = Film.create(title="a")
    assert Film.query == [film]
    assert Film.query != []
    assert Film.query == Film.query.order_by("title")
    assert len({Film.query, Film.query}) == 1
    assert Film.query == Film.query
    assert Film.query != 5


def test_python_can_propose_names_of_much_the_same_letters() -> None:
    for holder, name in ((Film.query, "conut"), (Film, "yaer"), (Film.query.limit(1), "yaer")):
        with pytest.raises(AttributeError) as raised:
            getattr(holder, name)
        assert raised.value.name == name
        assert raised.value.obj is holder


def test_names_that_are_there_and_copies_go_on(api: Api) -> None:
    film = api(Film.create, title="a")
    assert not hasattr(Film, "nothing")
    assert not hasattr(Film.query, "nothing")
    assert getattr(Film.year, "nothing", 5) == 5
    assert copy.deepcopy(Film.query.filter(year=2000)).all() == [film]
    assert copy.copy(Film.query).all() == [film]
