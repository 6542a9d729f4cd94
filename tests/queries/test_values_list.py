"""`values_list`: tuples of fields, or with `flat` the values of one field."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
import redis

from popoto import IntField, KeyField, Model, QueryException, SortedField, StringField
from tests.driver import Api


class Song(Model):
    name = KeyField()
    length = SortedField(type=int)
    plays = IntField()
    words = StringField()


@pytest.fixture
def songs(redis_client: redis.Redis) -> None:
    for number, name in enumerate(("Delta", "Alba", "Circa", "Bolero")):
        Song.create(name=name, length=number * 60, plays=number or None, words="la " * 10_000)


def names(builder: Any) -> Any:
    return builder.values_list("name", flat=True)


@pytest.mark.usefixtures("songs")
def test_flat_gives_the_values_themselves_in_the_order_of_the_query(api: Api) -> None:
    query = Song.query.order_by("-length")
    assert api(names(query).all) == ["Bolero", "Circa", "Alba", "Delta"]
    assert api(names(query.limit(2)).all) == ["Bolero", "Circa"]
    assert api(names(query.offset(1).limit(2)).all) == ["Circa", "Alba"]
    assert api(names(Song.query.filter(length__gt=60)).all) == ["Circa", "Bolero"]
    assert api(Song.query.values_list(Song.name, flat=True).all) == [
        "Alba",
        "Bolero",
        "Circa",
        "Delta",
    ]
    assert api(names(query).first) == "Bolero"
    assert api(names(query).last) == "Delta"
    assert api(names(query).count) == 4
    # The order of a field that is not among the values, which may be null.
    plays = Song.query.order_by("plays").values_list("plays", flat=True)
    assert api(plays.all) == [None, 1, 2, 3]
    assert api(Song.query.filter(name="none").values_list("name", flat=True).all) == []


@pytest.mark.usefixtures("songs")
def test_flat_values_are_used_like_other_results() -> None:
    found = names(Song.query.order_by("length"))
    assert [*found] == list(found.iterator(chunk_size=3)) == ["Delta", "Alba", "Circa", "Bolero"]
    assert (found[1], found[1:3], "Alba" in found) == ("Alba", ["Alba", "Circa"], True)
    assert names(Song.query.filter()).computed_sort(lambda name: name[-1]).all() == [
        "Alba",
        "Circa",
        "Delta",
        "Bolero",
    ]

    async def collected() -> tuple[list[str], list[str]]:
        return [name async for name in names(Song.query.order_by("length"))], await found

    in_turn, awaited = asyncio.run(collected())
    assert in_turn == awaited == ["Delta", "Alba", "Circa", "Bolero"]


@pytest.mark.usefixtures("songs")
def test_values_of_one_query_do_for_another(api: Api) -> None:
    short = names(Song.query.filter(length__lt=100))
    assert api(Song.query.filter(name__in=short.all()).count) == 2


@pytest.mark.usefixtures("songs")
def test_flat_takes_one_field(api: Api) -> None:
    with pytest.raises(TypeError, match=r"values_list\(flat=True\) gives the values of one field"):
        cast("Any", Song.query).values_list("name", "plays", flat=True)
    with pytest.raises(TypeError, match="got 2"):
        cast("Any", Song.query.filter(name="Alba")).values_list("name", "plays", flat=True)
    with pytest.raises(QueryException, match="values_list needs"):
        cast("Any", Song.query).values_list(flat=True)
    with pytest.raises(QueryException, match="'nmae'"):
        api(Song.query.values_list("nmae", flat=True).all)
    # Tuples are what is meant without it, also of one field.
    assert api(Song.query.filter(name="Alba").values_list("name", flat=False).all) == [("Alba",)]
    assert api(Song.query.filter(name="Alba").values_list("name", "plays").all) == [("Alba", 1)]


@pytest.mark.usefixtures("songs")
def test_the_last_shape_that_was_asked_for_counts() -> None:
    query = Song.query.filter(name="Alba")
    assert names(query).values("name").all() == [{"name": "Alba"}]
    assert names(query).values_list("name").all() == [("Alba",)]
    assert names(query.values_list("plays")).all() == ["Alba"]
    assert names(query).values().all() == [Song.query.get(name="Alba")]
    assert (names(query).sum("plays"), names(query).max("plays")) == (1, 1)


@pytest.mark.usefixtures("songs")
def test_only_the_named_fields_are_transferred(api: Api, redis_client: redis.Redis) -> None:
    def sent() -> int:
        return cast("dict[str, int]", redis_client.info("stats"))["total_net_output_bytes"]

    before = sent()
    assert len(api(Song.query.order_by("length").values_list("plays", flat=True).all)) == 4
    assert len(api(Song.query.values_list("plays", "name").all)) == 4
    assert sent() - before < 30_000  # of 120,000 bytes that the songs have
