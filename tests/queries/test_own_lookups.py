"""Fields that answer queries by a `filter_query` of their own, beside other conditions."""

from __future__ import annotations

from typing import Any

import pytest

from popoto import (
    Field,
    GeoField,
    IndexedField,
    KeyField,
    Model,
    Q,
    Relationship,
    SortedField,
    SortedKeyField,
    StringField,
    UniqueField,
)
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
    for lookup in ({"body__shorter": 1}, {"body__longer": 1, "body__shorter": 1}):
        with pytest.raises(QueryException) as caught:
            api(Essay.query.filter(**lookup).all)
        (wrong,) = lookup.keys() - {"body__longer"}
        assert str(caught.value).startswith(f"Essay has no filter parameter {wrong!r} (close to ")
    assert ASKED == []


def test_a_field_that_announces_nothing_is_compared_as_it_is_stored(api: Api) -> None:
    assert [each.name for each in api(Essay.query.filter(title="tc").all)] == ["c"]
    assert ASKED == []


def test_equality_that_was_not_announced_is_compared_as_it_is_stored(api: Api) -> None:
    assert [each.name for each in api(Essay.query.filter(body="b").all)] == ["b"]
    assert api(Essay.query.filter(body="b").count) == 1
    assert ASKED == []
    assert [each.name for each in api(Essay.query.filter(body="b", body__longer=1).all)] == ["b"]
    assert api(Essay.query.filter(body="a", body__longer=1).all) == []
    assert ASKED == [{"body__longer": 1}, {"body__longer": 1}]


def test_one_keyword_twice_is_asked_twice(api: Api) -> None:
    twice = Essay.query.filter(body__longer=1).filter(body__longer=3)
    assert [each.name for each in api(twice.all)] == ["dd"]
    assert [each.name for each in api(Essay.query.filter(body__longer=3, kind="d").all)] == ["dd"]
    assert ASKED == [{"body__longer": 1}, {"body__longer": 3}, {"body__longer": 3}]


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


def asks_what_it_extends(base: type[Any]) -> Any:
    """A field that notes what it is asked, and answers what the class that it extends does."""

    class Extended(base):
        @classmethod
        def filter_query(cls, model: Any, field_name: str, **params: Any) -> Any:
            ASKED.append(params)
            return super().filter_query(model, field_name, **params)

    return Extended


class Region(Model):
    name = KeyField()
    note = StringField(default="cold")
    within = Relationship("self")


class Stall(Model):
    name = asks_what_it_extends(KeyField)()
    kind = asks_what_it_extends(IndexedField)()
    code = asks_what_it_extends(UniqueField)()
    size = asks_what_it_extends(SortedField)(type=int)
    price = asks_what_it_extends(SortedField)(type=int, partition_by="kind")
    place = asks_what_it_extends(GeoField)()
    region = asks_what_it_extends(Relationship)(Region)
    note = StringField()


class Visit(Model):
    stall = KeyField()
    day = asks_what_it_extends(SortedKeyField)(type=int, partition_by="stall")


@pytest.fixture
def stalls() -> Region:
    region = Region.create(name="north")
    for number, name in enumerate("abcd"):
        Stall.create(
            name=name,
            kind="xy"[number % 2],
            code=f"c{number}",
            size=9 - number,
            price=number,
            place=(number, number),
            region=region if number else None,
            note=name,
        )
        Visit.create(stall="a", day=number)
    ASKED.clear()
    return region


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"name": "a"}, "a"), ({"name__in": ["a", "c"]}, "ac"), ({"kind": "x"}, "ac"),
        ({"kind__startswith": "y"}, "bd"), ({"kind": "x", "name": "c"}, "c"), ({"code": "c1"}, "b"),
        ({"size__gt": 6}, "cba"), ({"size__gt": 6, "note": "b"}, "b"), ({"size": 9}, "a"),
        ({"size__gte": 6, "size__lt": 8}, "dc"), ({"price__gte": 0, "kind": "x"}, "ac"),
        ({"price__lt": 3, "kind__in": ["x", "y"]}, "abc"), ({"region__isnull": True}, "a"),
        ({"place": (0, 0), "place_radius": 200, "place_radius_unit": "km"}, "ab"),
        ({"place_latitude": 1, "place_longitude": 1}, "b"), ({"region__name": "north"}, "bcd"),
        ({"region__note": "cold"}, "bcd"), ({"region__within__name": "all"}, ""),
    ],
    ids=repr,
)  # fmt: skip
@pytest.mark.usefixtures("stalls")
def test_a_field_that_extends_another_may_ask_that(
    api: Api, condition: dict[str, Any], expected: str
) -> None:
    query = Stall.query.filter(**condition)
    assert "".join(each.name for each in api(query.all)) == expected
    assert api(query.count) == len(expected)
    left_out = {each.name for each in api(Stall.query.filter(~Q(**condition)).all)}
    assert left_out == set("abcd") - set(expected)


def test_relationships_that_extend_the_lookup_are_asked(api: Api, stalls: Region) -> None:
    assert [each.name for each in api(Stall.query.filter(region=stalls).all)] == ["b", "c", "d"]
    (asked,) = ASKED
    assert asked == {"region": stalls}


@pytest.mark.usefixtures("stalls")
def test_sorted_fields_are_told_all_conditions(api: Api) -> None:
    """Other fields hear of their own alone."""
    found = Stall.query.filter(price__gt=0, note="b").filter(kind="y")
    assert [each.name for each in api(found.all)] == ["b"]
    told = {"price__gt": 0, "note": "b", "kind": "y"}
    assert sorted(ASKED, key=len) == [{"kind": "y"}, told]
    assert [each.name for each in api(Stall.query.filter(Q(price__gt=0) | Q(size=9), kind="y").all)]
    assert {"kind": "y", "price__gt": 0} in ASKED
    assert [each.day for each in api(Visit.query.filter(stall="a", day__gt=1).all)] == [2, 3]


@pytest.mark.usefixtures("stalls")
def test_a_sorted_field_is_asked_twice_for_one_keyword(api: Api) -> None:
    twice = Stall.query.filter(size__between=(6, 8)).filter(size__between=(7, 9))
    assert [each.size for each in api(twice.all)] == [7, 8]


@pytest.mark.usefixtures("stalls")
def test_a_partition_that_nobody_names_is_missed(api: Api) -> None:
    with pytest.raises(QueryException, match="kind"):
        api(Stall.query.filter(price__gt=0).all)


@pytest.mark.usefixtures("stalls")
def test_the_class_method_answers_what_the_index_says() -> None:
    """Of a sorted field in the order of the values, of others as a set."""
    assert IndexedField.filter_query(Stall, "kind", kind="x") == {b"Stall:a", b"Stall:c"}
    assert KeyField.filter_query(Stall, "name", name__in=["a"]) == {b"Stall:a"}
    found = SortedField.filter_query(Stall, "size", size__gt=7, note="a")
    assert found == [b"Stall:b", b"Stall:a"]
    assert SortedField.filter_query(Stall, "price", price__gt=0, kind="x") == [b"Stall:c"]
    assert ASKED == []
    with pytest.raises(QueryException, match="not allowed on base Field"):
        StringField.filter_query(Stall, "note", note="a")


# Under a partition that is required ---------------------------------------------------------


class Own(Model):
    name = KeyField()
    agent = asks_what_it_extends(IndexedField)()
    kind = asks_what_it_extends(IndexedField)()
    code = asks_what_it_extends(UniqueField)()
    size = asks_what_it_extends(SortedField)(type=int)
    rank = asks_what_it_extends(SortedField)(type=int, partition_by="agent")
    place = asks_what_it_extends(GeoField)()
    home = asks_what_it_extends(Relationship)(Region)

    class Meta:
        require_partition = ("agent",)


class Keyed(Model):
    agent = KeyField()
    name = KeyField()
    kind = asks_what_it_extends(IndexedField)()

    class Meta:
        require_partition = ("agent",)


class Answering(IndexedField):
    """Notes what the index says, and answers all that it is told to."""

    said: list[Any] = []
    more: set[bytes] = set()

    @classmethod
    def filter_query(cls, model: Any, field_name: str, **params: Any) -> Any:
        cls.said.append(super().filter_query(model, field_name, **params))
        return cls.said[-1] | cls.more


@pytest.fixture
def owned() -> Region:
    region = Region.create(name="south")
    for number, name in enumerate("abcd"):
        of = "xy"[number % 2]
        Own.create(
            name=name, agent=of, kind="k", code=f"c{number}", size=number, rank=number,
            place=(number, number), home=region,
        )  # fmt: skip
        Keyed.create(agent=of, name=name, kind="k")
    ASKED.clear()
    return region


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"kind": "k"}, "ac"), ({"kind__startswith": "k"}, "ac"), ({"code": "c2"}, "c"),
        ({"size__gte": 1}, "c"), ({"rank__gte": 1}, "c"), ({"code": "c1"}, ""),
        ({"place": (0, 0), "place_radius": 9000, "place_radius_unit": "km"}, "ac"),
        ({"home__name": "south"}, "ac"), ({"kind": "k", "size__lt": 2}, "a"), ({}, "ac"),
    ],
    ids=repr,
)  # fmt: skip
@pytest.mark.usefixtures("owned")
def test_it_asks_its_index_within_the_partition_that_the_query_has_fixed(
    api: Api, condition: dict[str, Any], expected: str
) -> None:
    found = Own.query.filter(agent="x", **condition)
    assert "".join(each.name for each in api(found.all)) == expected
    assert api(found.count) == len(expected)
    with pytest.raises(QueryException, match="require_partition"):
        api(Own.query.filter(**condition).all)


@pytest.mark.usefixtures("owned")
def test_the_partition_may_be_fixed_anywhere_in_the_query(api: Api) -> None:
    nested = Own.query.filter(Q(agent="x", size=0) | Q(agent="x", size=2), kind="k")
    assert [each.name for each in api(nested.all)] == ["a", "c"]
    by_key = Keyed.query.filter(pk__in=["Keyed:x:a", "Keyed:y:b"], kind="k")
    assert [each.name for each in api(by_key.all)] == ["a", "b"]
    assert [each.name for each in api(Keyed.query.filter(agent="y", kind="k").all)] == ["b", "d"]


class Told(Model):
    name = KeyField()
    agent = IndexedField()
    kind = Answering()

    class Meta:
        require_partition = ("agent",)


def test_no_other_partition_is_told_nor_found_by_what_it_widens(api: Api) -> None:
    for number, name in enumerate("abcd"):
        Told.create(name=name, agent="xy"[number % 2], kind="kl"[number // 2])
    Answering.said, Answering.more = [], {b"Told:b", b"Told:c"}
    assert [each.name for each in api(Told.query.filter(kind="k", agent="x").all)] == ["a", "c"]
    assert Answering.said == [{b"Told:a"}]
    with pytest.raises(QueryException, match="require_partition"):
        IndexedField.filter_query(Told, "kind", kind="k")
    assert IndexedField.filter_query(Told, "kind", kind="k", agent="x") == {b"Told:a"}


# Distances --------------------------------------------------------------------------------------


class Around(GeoField):
    """Looks twice as far, leaves some out, or answers by itself."""

    answers: Any = None
    asks: bool = True

    @classmethod
    def filter_query(cls, model: Any, field_name: str, **params: Any) -> Any:
        if not cls.asks:
            return cls.answers
        wider = {**params, f"{field_name}_radius": params[f"{field_name}_radius"] * 2}
        found = super().filter_query(model, field_name, **wider)
        return found if cls.answers is None else found - cls.answers


class Kiosk(Model):
    name = KeyField()
    place = Around()


@pytest.fixture
def kiosks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, degrees in {"d": 0, "a": 1, "c": 2, "b": 3, "e": 20}.items():
        Kiosk.create(name=name, place=(0, degrees))
    monkeypatch.setattr(Around, "answers", None)
    monkeypatch.setattr(Around, "asks", True)


#: Some 111 km are a degree.
HERE: dict[str, Any] = {"place": (0, 0), "place_radius": 180, "place_radius_unit": "km"}


def distances(api: Api, **more: Any) -> dict[str, Any]:
    found = Kiosk.query.filter(**HERE, **more)
    rows = api(found.all)
    assert [each.name for each in api(found.limit(2).all)] == [each.name for each in rows[:2]]
    return {each.name: round(vars(each).get("_geo_distance", -1)) for each in rows}


@pytest.mark.usefixtures("kiosks")
def test_what_it_widens_is_told_by_distance(api: Api) -> None:
    wanted = {"d": 0, "a": 111, "c": 222, "b": 334}
    assert list(distances(api)) == list(wanted)
    assert list(distances(api, place_with_distances=True).items()) == list(wanted.items())
    (last,) = api(Kiosk.query.filter(**HERE, place_with_distances=True, name="b").all)
    assert last._geo_distance_unit == "km"


@pytest.mark.usefixtures("kiosks")
def test_what_it_narrows_is_told_by_distance(api: Api) -> None:
    Around.answers = {b"Kiosk:a"}
    found = distances(api, place_with_distances=True)
    assert list(found.items()) == [("d", 0), ("c", 222), ("b", 334)]


@pytest.mark.usefixtures("kiosks")
def test_what_it_finds_by_itself_is_told_by_the_distance_from_what_was_asked(api: Api) -> None:
    """What lies in no circle comes last."""
    Around.asks, Around.answers = False, {b"Kiosk:e", b"Kiosk:a", b"Kiosk:d"}
    found = distances(api, place_with_distances=True)
    assert list(found.items()) == [("d", 0), ("a", 111), ("e", -1)]
    Around.answers = [b"Kiosk:e", b"Kiosk:a", b"Kiosk:d"]
    assert list(distances(api)) == ["e", "a", "d"]
    assert list(distances(api, place_with_distances=True)) == ["d", "a", "e"]


@pytest.mark.usefixtures("kiosks")
def test_distances_from_nowhere_are_refused(api: Api) -> None:
    Around.asks, Around.answers = False, {b"Kiosk:e", b"Kiosk:a"}
    asked = {"place_radius": 3, "place_with_distances": True}
    with pytest.raises(QueryException, match=r"Kiosk\.place: .*super\(\)\.filter_query"):
        api(Kiosk.query.filter(**asked).all)
    assert [each.name for each in api(Kiosk.query.filter(place_radius=3).all)] == ["a", "e"]


class Announced(Field):
    """Announces a lookup that nothing answers."""

    def get_filter_query_params(self, field_name: str) -> set[str]:
        return {f"{field_name}__near"}


def test_an_announced_lookup_that_nothing_answers_is_refused_by_what_is_missing(api: Api) -> None:
    class Stall(Model):
        name = KeyField()
        place = Announced()

    with pytest.raises(
        QueryException, match=r"Stall.place .* announces the lookup place__near and"
    ):
        api(Stall.query.count, place__near="a")
