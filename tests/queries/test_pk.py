"""`pk` in queries: a record by its key, or by the value of a model's one key field."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import pytest

from popoto import (
    AutoKeyField,
    IndexedField,
    KeyField,
    Model,
    ModelException,
    Q,
    QueryException,
    Relationship,
    SortedField,
    StringField,
)
from tests.driver import Api, RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Film(Model):
    title = KeyField()
    genre = IndexedField()
    year = SortedField(type=int, default=0)


class Seat(Model):
    row = KeyField()
    number = KeyField(type=int)
    film = Relationship(model=Film)


class Numbered(Model):
    number = KeyField(type=int)
    note = StringField()


class Priced(Model):
    price = KeyField(type=Decimal)


class Note(Model):
    text = StringField()


class Given(Model):
    code = AutoKeyField()
    text = StringField()


class Tenant(Model):
    agent = KeyField()
    name = KeyField()

    class Meta:
        require_partition = "agent"


class Hidden(Model):
    name = KeyField()
    agent = IndexedField()

    class Meta:
        require_partition = "agent"


def films(*titles: str) -> list[Film]:
    return [Film.create(title=title, genre=title[:1], year=len(title)) for title in titles]


def titles(found: Any) -> list[str]:
    return [film.title for film in found]


def test_by_the_record_key_and_by_the_value_of_the_key_field(api: Api) -> None:
    alien, brazil, _ = films("Alien", "Brazil", "Clue")
    for pk in (alien.pk, alien.pk.encode(), alien.db_key, alien, "Alien"):
        assert titles(api(Film.query.filter(pk=pk).all)) == ["Alien"]
        assert api(Film.query.get, pk=pk) == alien
        assert titles(api(Film.query.exclude(pk=pk).all)) == ["Brazil", "Clue"]
        assert titles(api(Film.query.filter(pk__ne=pk).all)) == ["Brazil", "Clue"]
        assert api(Film.query.count, pk=pk) == 1
        assert api(Film.load, pk=pk) == alien
        # Beside what the index does not tell exactly, it is decided in Python.
        either = Q(pk__ne=pk) | Q(year__gt=2**60)
        assert titles(api(Film.query.filter(either).all)) == ["Brazil", "Clue"]
    assert api(Film.query.filter(pk="Dune").all) == []
    assert api(Film.query.get, pk="Dune") is None
    assert api(Film.query.get, pk="Film:Dune") is None
    # Further conditions have to hold as well.
    assert api(Film.query.get, pk="Alien", genre="B") is None
    assert api(Film.query.get, pk=alien.pk, genre="B") is None
    assert api(Film.query.get, Film.year > 4, pk=alien.pk) == alien
    assert api(Film.query.get, Film.year > 9, pk=alien.pk) is None
    assert api(Film.query.get, pk="Alien", title="Brazil") is None
    assert api(Film.query.get, alien.pk, pk=brazil.pk) is None
    assert titles(api(Film.query.filter(Q(pk=alien.pk) | Q(pk="Brazil")).all)) == [
        "Alien",
        "Brazil",
    ]
    assert titles(api(Film.query.filter(~Q(pk=brazil)).all)) == ["Alien", "Clue"]
    assert titles(api(Film.query.filter(~Q(pk="Brazil"), genre="C").all)) == ["Clue"]


def test_several_at_once(api: Api) -> None:
    alien, brazil, _ = films("Alien", "Brazil", "Clue")
    for given in (
        [alien.pk, brazil.pk],
        {alien, brazil},
        ("Alien", "Brazil"),
        [alien, "Brazil"],
        (each for each in ("Brazil", alien.pk)),
        ["Alien", alien.pk, "Brazil", "Dune", "Film:Dune"],
    ):
        query = Film.query.filter(pk__in=given)
        assert titles(api(query.all)) == ["Alien", "Brazil"]
        assert api(query.count) == 2
        assert titles(api(query.order_by("-year").limit(1).all)) == ["Brazil"]
        assert api(query.filter(genre="A").update, year=7) == 1
        alien.refresh()
        alien.year = 5
        alien.save()
    assert titles(api(Film.query.exclude(pk__in=["Alien", brazil.pk]).all)) == ["Clue"]
    assert api(Film.query.filter(pk__in=[]).all) == []
    assert api(Film.query.exclude(pk__in=[]).count) == 3
    many = [f"Film:{number}" for number in range(5000)]
    assert titles(api(Film.query.filter(pk__in=[*many, "Film:Clue"]).all)) == ["Clue"]


def test_values_are_those_of_the_type_of_the_key_field(api: Api) -> None:
    five = Numbered.create(number=5)
    for pk in (5, "5", 5.0, "Numbered:5"):
        assert api(Numbered.query.get, pk=pk) == five
        assert api(Numbered.query.filter(pk__in=[pk]).all) == [five]
    with pytest.raises(QueryException, match="five"):
        api(Numbered.query.filter(pk="five").all)
    price = Priced.create(price=Decimal("1.50"))
    assert api(Priced.query.filter(pk=Decimal("1.5")).all) == [price]
    note, given = Note.create(text="a"), Given.create(text="b")
    assert api(Note.query.filter(pk=note.pk).all) == [note]
    assert api(Note.query.get, pk=note._auto_key) == note
    assert api(Given.query.get, pk=given.code) == given
    assert api(Given.query.filter(pk__in=[given.code, given.pk]).all) == [given]


def test_a_value_that_looks_like_the_key_of_another_model(api: Api) -> None:
    (film,) = films("Seat:a:1")
    assert api(Film.query.get, pk="Seat:a:1") == film
    # What begins like a key is one, as for get().
    assert api(Film.query.get, pk="Film:Seat:a:1") is None
    assert api(Film.query.get, pk=film.pk) == film
    with pytest.warns(UserWarning, match="no key field has a value"):
        null = Film.create(title=None)
    text = Film.query.filter(pk="None")
    assert api(text.all) == []
    assert api(Film.query.filter(pk=None).all) == [null]
    assert api(Film.query.get, pk=None) == null


def test_other_lookups_are_those_of_the_one_key_field(api: Api) -> None:
    films("Alien", "Brazil", "Clue")
    assert titles(api(Film.query.filter(pk__startswith="A").all)) == ["Alien"]
    assert titles(api(Film.query.filter(pk__isnull=False).all)) == ["Alien", "Brazil", "Clue"]
    with pytest.raises(QueryException, match="title"):
        api(Film.query.filter(pk__gt="A").all)


def test_a_key_of_several_fields(api: Api) -> None:
    (film,) = films("Alien")
    seats = [Seat.create(row=row, number=1, film=film) for row in "ab"]
    assert api(Seat.query.filter(pk=seats[0].pk).all) == [seats[0]]
    assert api(Seat.query.get, pk=seats[0]) == seats[0]
    assert api(Seat.query.filter(pk__in=seats).all) == seats
    for wrong in ("a", 1, ("a", 1), None):
        with pytest.raises(QueryException, match="made of number and row"):
            api(Seat.query.filter(pk=wrong).all)
        with pytest.raises(QueryException, match="made of number and row"):
            api(Seat.query.get, pk=wrong)
    with pytest.raises(QueryException, match="single key field"):
        api(Seat.query.filter(pk__startswith="a").all)
    with pytest.raises(QueryException, match="another model"):
        api(Seat.query.filter(pk=film).all)
    # Through a relationship, it is the related record's.
    assert api(Seat.query.filter(film__pk="Alien", row="a").all) == [seats[0]]
    assert api(Seat.query.filter(film__pk=film.pk).count) == 2


def test_what_is_no_list_is_refused(api: Api) -> None:
    (film,) = films("Alien")
    for wrong in ("Alien", film, 5, None, film.db_key):
        with pytest.raises(QueryException, match="pk__in takes several"):
            api(Film.query.filter(pk__in=wrong).all)


def test_order_and_projections(api: Api) -> None:
    films("Clue", "Alien")
    Numbered.create(number=10)
    Numbered.create(number=9)
    Seat.create(row="a", number=10)
    Seat.create(row="b", number=9)
    assert titles(api(Film.query.order_by("-pk").all)) == ["Clue", "Alien"]
    # Typed, unlike the text of keys.
    assert [each.number for each in api(Numbered.query.order_by("pk").all)] == [9, 10]
    assert [each.row for each in api(Seat.query.order_by("pk").all)] == ["b", "a"]
    assert [each.row for each in api(Seat.query.order_by("-pk").all)] == ["a", "b"]
    found = api(Film.query.order_by("pk").values_list("pk", flat=True).all)
    assert found == ["Film:Alien", "Film:Clue"]
    assert api(Film.query.filter(pk__in=found).count) == 2
    assert api(Film.query.order_by("-pk").values("year", "pk").all) == [
        {"year": 4, "pk": "Film:Clue"},
        {"year": 5, "pk": "Film:Alien"},
    ]


def test_creating_takes_values_of_key_fields(api: Api) -> None:
    film, created = api(Film.get_or_create, pk="Alien", defaults={"genre": "A"})
    assert (film.title, created) == ("Alien", True)
    assert api(Film.get_or_create, pk="Alien") == (film, False)
    film, created = api(Film.update_or_create, pk="Alien", defaults={"genre": "B"})
    assert (film.genre, created) == ("B", False)
    for method in (Film.get_or_create, Film.update_or_create):
        with pytest.raises(QueryException, match="give title="):
            api(method, pk="Film:Alien")
    assert Film.query.count() == 1


def test_a_partition_that_is_required_is_told_by_keys_alone(api: Api) -> None:
    record = Tenant.create(agent="a", name="x")
    assert api(Tenant.query.filter(pk=record.pk).all) == [record]
    assert api(Tenant.query.filter(pk__in=[record.pk]).all) == [record]
    assert api(Tenant.query.get, pk=record.pk) == record
    other = Hidden.create(agent="a", name="x")
    either = Tenant.query.filter(Q(pk=record.pk) | Q(name="x"))
    for query in (either, Tenant.query.exclude(pk=record.pk)):
        with pytest.raises(QueryException, match="require_partition"):
            api(query.all)
    with pytest.raises(QueryException, match="require_partition"):
        api(Hidden.query.filter(pk=other.pk).all)
    with pytest.raises(QueryException, match="require_partition"):
        api(Hidden.query.get, pk=other.pk)
    assert api(Hidden.query.filter(pk=other.pk, agent="a").all) == [other]


def test_pk_is_no_name_of_a_field() -> None:
    with pytest.raises(ModelException, match="'pk'"):

        class Wrong(Model):
            pk = KeyField()  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]


def test_cost(api: Api, round_trips: Counter) -> None:
    film, *_ = films(*(f"film {number}" for number in range(50)))
    for pk in (film.pk, film.title):
        with round_trips() as seen:
            api(Film.query.get, pk=pk)
        assert (seen.sends, seen.commands["hmget"], seen.commands["evalsha"]) == (1, 1, 0)
        with round_trips() as seen:
            api(Film.query.filter(pk=pk).all)
        assert (seen.sends, seen.commands["hmget"]) == (1, 1)
    with round_trips() as seen:
        assert api(Film.query.filter(pk__in=[]).all) == []
    assert seen.sends == 0
    assert "record" in str(api(Film.query.filter(pk=film.pk).explain))
