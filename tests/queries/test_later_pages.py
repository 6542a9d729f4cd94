"""Records of a large result that are read later than the first ones: as they are then."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from popoto import IndexedField, IntField, KeyField, ListField, Model, SortedField
from popoto.exceptions import QueryException


class Page(Model):
    number = KeyField(type=int)
    shelf = IndexedField(default="a")
    words = IntField(null=True)
    notes = ListField(max_length=3)


class Tome(Model):
    number = KeyField(type=int)
    weight = SortedField(type=int)
    place = SortedField(type=int)


@pytest.fixture(autouse=True)
def pages() -> None:
    Page.bulk_create([Page(number=n, words=n, notes=[f"n{n}"]) for n in range(6)])


def results(builder: Any) -> tuple[list[Any], Any]:
    """The first chunk of a result, and the iterator that reads the rest."""
    rest = builder.iterator(chunk_size=2)
    return [next(rest), next(rest)], rest


@pytest.mark.parametrize("conditions", [{}, {"shelf": "a"}], ids=str)
def test_they_are_read_whole(conditions: dict[str, str]) -> None:
    first, rest = results(Page.query.filter(**conditions))
    found = [*first, *rest]
    assert [(page.number, page.words, list(page.notes)) for page in found] == [
        (n, n, [f"n{n}"]) for n in range(6)
    ]


def test_a_limit_and_an_offset_are_those_of_all_pages() -> None:
    """Python decides what matches, as such numbers share scores."""
    Tome.bulk_create([Tome(number=n, weight=2**60 + n, place=n) for n in range(2200)])
    found = Tome.query.filter(weight__gte=2**60 + 2).order_by("place").offset(3).limit(1500)
    assert [tome.number for tome in found] == list(range(5, 1505))


@pytest.mark.parametrize("conditions", [{}, {"shelf": "a"}], ids=str)
def test_one_that_is_gone_by_then_is_left_out(
    redis_client: redis.Redis, conditions: dict[str, str]
) -> None:
    _, rest = results(Page.query.filter(**conditions))
    Page.query.get(number=3).delete()
    redis_client.delete("Page:4")
    assert [page.number for page in rest] == [2, 5]


@pytest.mark.parametrize("names", [("words",), ("number", "words"), ("notes",)], ids=str)
def test_a_record_that_lacks_what_is_read_is_not_taken_for_one_that_is_gone(
    redis_client: redis.Redis, names: tuple[str, ...]
) -> None:
    redis_client.hdel("Page:5", "words")
    _, rest = results(Page.query.filter(values=names))
    Page.query.get(number=3).delete()
    every = {"words": [2, 4, None], "number": [2, 4, 5], "notes": [["n2"], ["n4"], ["n5"]]}
    assert [tuple(row[name] for name in names) for row in rest] == list(
        zip(*(every[name] for name in names), strict=True)
    )


def test_a_key_of_another_program_in_its_place_is_told(redis_client: redis.Redis) -> None:
    _, rest = results(Page.query.filter())
    redis_client.set("Page:4", "no hash")
    assert next(rest).number == 2
    assert next(rest).number == 3
    with pytest.raises(QueryException, match="'Page:4' is a string instead of a hash"):
        next(rest)
