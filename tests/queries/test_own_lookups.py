"""Fields that answer queries by a `filter_query` of their own, beside other conditions."""

from __future__ import annotations

from typing import Any

import pytest

from popoto import Field, IndexedField, KeyField, Model, Q, SortedField
from popoto.exceptions import QueryException
from tests.driver import Api

ASKED: list[dict[str, Any]] = []


class Sized(Field):
    """Knows the records whose text has at least so many letters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"type": str, **options})

    def get_filter_query_params(self, field_name: str) -> set[str]:
        return {f"{field_name}__longer"}

    @classmethod
    def filter_query(cls, model: Any, field_name: str, **params: Any) -> Any:
        ASKED.append(params)
        keys = ["Essay:a", b"Essay:b", "Essay:c", b"Essay:dd"]
        return keys[params[f"{field_name}__longer"] :]


class Mute(Sized):
    """Announces no keyword, so that nothing is asked of it."""

    def get_filter_query_params(self, field_name: str) -> set[str]:
        return set()


class Essay(Model):
    name = KeyField()
    kind = IndexedField()
    body = Sized()
    title = Mute()


@pytest.fixture(autouse=True)
def essays() -> None:
    ASKED.clear()
    for name in ("a", "b", "c", "dd"):
        Essay.create(name=name, kind=name[0], body=name, title=f"t{name}")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Q(body__longer=2), ["c", "dd"]),
        (Q(body__longer=4), []),
        (~Q(body__longer=2), ["a", "b"]),
        (Q(body__longer=3) | Q(kind="a"), ["a", "dd"]),
        (Q(body__longer=1) & ~Q(kind="c"), ["b", "dd"]),
        (Q(body__longer=1) & Q(title="tb"), ["b"]),
        (~(Q(body__longer=1) & ~Q(title="tb")), ["a", "b"]),
        (~(Q(body__longer=4) | Q(kind="a")), ["b", "c", "dd"]),
    ],
    ids=repr,
)
def test_their_answers_are_conditions_like_others(api: Api, condition: Q, expected: Any) -> None:
    assert [each.name for each in api(Essay.query.filter(condition).all)] == expected
    assert api(Essay.query.filter(condition).count) == len(expected)
    assert api(Essay.query.filter(condition).exists) is bool(expected)


def test_they_decide_for_one_record_too(api: Api) -> None:
    assert api(Essay.query.get, name="c", body__longer=2).name == "c"
    assert api(Essay.query.get, name="a", body__longer=2) is None
    assert api(Essay.query.get, name="a", body__longer=4) is None
    assert ASKED[0] == {"body__longer": 2}


def test_keywords_that_were_not_announced_are_unknown(api: Api) -> None:
    for lookup in ({"body": "a"}, {"body__shorter": 1}, {"body__longer": 1, "body__shorter": 1}):
        with pytest.raises(QueryException) as caught:
            api(Essay.query.filter(**lookup).all)
        (wrong,) = lookup.keys() - {"body__longer"}
        assert str(caught.value).startswith(f"Essay has no filter parameter {wrong!r} (close to ")
    assert ASKED == []


def test_a_field_that_announces_nothing_is_compared_as_it_is_stored(api: Api) -> None:
    assert [each.name for each in api(Essay.query.filter(title="tc").all)] == ["c"]
    assert ASKED == []


class Ranked(Field):
    """Answers with keys in an order of its own."""

    answer: Any = ()

    def get_filter_query_params(self, field_name: str) -> set[str]:
        return {f"{field_name}__like"}

    @classmethod
    def filter_query(cls, model: Any, field_name: str, **params: Any) -> Any:
        return cls.answer


class Poem(Model):
    name = KeyField()
    kind = IndexedField()
    lines = SortedField(type=int, default=0)
    text = Ranked()


@pytest.fixture
def poems() -> None:
    for place, name in enumerate(("a", "b", "c", "d")):
        Poem.create(name=name, kind="cd"[place // 2], lines=place)


@pytest.mark.usefixtures("poems")
def test_the_order_of_a_list_is_kept(api: Api) -> None:
    Ranked.answer = [b"Poem:d", "Poem:a", b"Poem:gone", b"Poem:c", b"Poem:a"]
    found = Poem.query.filter(text__like="x")
    assert [each.name for each in api(found.all)] == ["d", "a", "c"]
    assert [each.name for each in api(found.limit(2).all)] == ["d", "a"]
    assert [each.name for each in api(found.offset(1).all)] == ["a", "c"]
    assert api(found.first).name == "d"
    assert api(found.last).name == "c"
    assert [each.name for each in api(found.filter(kind="d").all)] == ["d", "c"]
    assert "in the order of the list" in str(api(found.explain))


@pytest.mark.usefixtures("poems")
def test_another_order_goes_before_that_of_a_list(api: Api) -> None:
    Ranked.answer = [b"Poem:d", b"Poem:a", b"Poem:c"]
    found = Poem.query.filter(text__like="x")
    assert [each.name for each in api(found.order_by("-name").all)] == ["d", "c", "a"]
    assert [each.name for each in api(found.filter(lines__gte=0).all)] == ["a", "c", "d"]
    assert [each.name for each in api(Poem.query.filter(~Q(text__like="x")).all)] == ["b"]


@pytest.mark.usefixtures("poems")
def test_a_set_has_no_order(api: Api) -> None:
    Ranked.answer = {b"Poem:d", b"Poem:a", b"Poem:c"}
    assert [each.name for each in api(Poem.query.filter(text__like="x").all)] == ["a", "c", "d"]
