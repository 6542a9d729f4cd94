"""`iexact`, `icontains` and their like: texts compared whatever their case."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from popoto import (
    IndexedField,
    IntField,
    KeyField,
    Model,
    Q,
    QueryException,
    Relationship,
    StringField,
    UniqueField,
)
from tests.driver import Api, RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Person(Model):
    name = KeyField()
    city = IndexedField()
    mail = UniqueField()
    age = IndexedField(type=int)
    note = StringField()
    visits = IntField()


class Pet(Model):
    name = KeyField()
    owner = Relationship(model=Person)


def people(*cities: str | None) -> None:
    for number, city in enumerate(cities):
        Person.create(name=f"P{number:02}", city=city, mail=f"{number}@Example.ORG")


def cities(api: Api, **conditions: Any) -> list[str | None]:
    return [each.city for each in api(Person.query.filter(**conditions).all)]


def test_ascii(api: Api) -> None:
    people("Berlin", "berlin", "BERLIN", "Bern", None, "", "Oberlin")
    assert cities(api, city__iexact="bErLiN") == ["Berlin", "berlin", "BERLIN"]
    assert cities(api, city__istartswith="BER") == ["Berlin", "berlin", "BERLIN", "Bern"]
    assert cities(api, city__iendswith="LIN") == ["Berlin", "berlin", "BERLIN", "Oberlin"]
    assert cities(api, city__icontains="RL") == ["Berlin", "berlin", "BERLIN", "Oberlin"]
    assert cities(api, city__icontains="r%") == []
    assert cities(api, city__iexact="") == [""]
    assert len(cities(api, city__icontains="")) == 6
    assert [each.name for each in api(Person.query.filter(name__iexact="p00").all)] == ["P00"]
    assert api(Person.query.filter(mail__icontains="EXAMPLE.org").count) == 7


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("ÉVRY", "évry"),
        ("Straße", "STRASSE"),
        ("STRASSE", "straße"),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
        ("\N{KELVIN SIGN}iel", "kiel"),
        ("\N{LATIN SMALL LIGATURE FI}sh", "FISH"),
        ("İzmir", "i\N{COMBINING DOT ABOVE}zmir"),
        ("Ωmega", "ωMEGA"),
    ],
)
def test_case_is_that_of_unicode(api: Api, stored: str, asked: str) -> None:
    people(stored, "other", "é")
    for lookup in ("iexact", "istartswith", "iendswith", "icontains"):
        assert cities(api, **{f"city__{lookup}": asked}) == [stored]
        assert api(Person.query.filter(**{f"city__{lookup}": asked}).count) == 1
    assert cities(api, city__icontains=asked[1:-1]) == [stored]
    # Case is folded, and nothing else is: an accent is one.
    assert cities(api, city__iexact="e") == []


def test_with_other_conditions_and_negated(api: Api) -> None:
    people("Berlin", "ZÜRICH", None, "berLIN", "zürich", "Bern")
    found = Q(city__iexact="zürich") | Q(city__icontains="RN")
    assert [each.city for each in api(Person.query.filter(found).all)] == [
        "ZÜRICH",
        "zürich",
        "Bern",
    ]
    assert [each.city for each in api(Person.query.filter(~found).all)] == [
        "Berlin",
        None,
        "berLIN",
    ]
    assert cities(api, city__iexact="BERLIN", name__in=["P00", "P01"]) == ["Berlin"]
    query = Person.query.filter(city__iexact="BERLIN")
    assert api(query.order_by("-name").limit(1).all)[0].city == "berLIN"
    assert api(query.offset(1).values_list("city", flat=True).all) == ["berLIN"]
    assert api(query.update, note="x") == 2
    assert api(query.exists) is True
    assert api(query.delete) == 2
    assert api(query.exists) is False
    Pet.create(name="Rex", owner=Person.query.get(name="P01"))
    assert api(Pet.query.filter(owner__city__iexact="Zürich").count) == 1


def test_records_of_others_that_no_list_of_texts_knows(api: Api, redis_client: redis.Redis) -> None:
    people("Berlin", "ÉVRY", "Bern")
    for key in redis_client.keys("$Values*"):
        redis_client.delete(key)
    assert cities(api, city__iexact="BERLIN") == ["Berlin"]
    assert cities(api, city__icontains="évr") == ["ÉVRY"]


def test_texts_whose_sets_serve_several(api: Api) -> None:
    people("None", None, "a:B", "a{&#58;}b", "A*b")
    assert cities(api, city__iexact="NONE") == ["None"]
    assert cities(api, city__iexact="A:b") == ["a:B"]
    assert cities(api, city__iexact="a*B") == ["A*b"]


def test_numbers_are_compared_as_text(api: Api) -> None:
    Person.create(name="a", mail="a", age=12)
    assert [each.age for each in api(Person.query.filter(age__icontains="2").all)] == [12]


def test_where_no_index_can_answer_the_error_says_what_to_do(api: Api) -> None:
    for name in ("note", "visits"):
        with pytest.raises(QueryException, match="IndexedField"):
            api(Person.query.filter(**{f"{name}__icontains": "x"}).all)
    for wrong in (None, 5, ["a"]):
        with pytest.raises(QueryException, match="takes a str"):
            api(Person.query.filter(city__iexact=wrong).all)


def test_one_command_which_reads_what_may_match(api: Api, round_trips: Counter) -> None:
    people(*(f"City {number}" for number in range(60)), "évry", "Évry", "évora")
    for asked, read in (("CITY 1", 1 + 3), ("ÉVRY", 3), ("none", 3)):
        with round_trips() as seen:
            api(Person.query.filter(city__iexact=asked).all)
        assert seen.sends == 1
        # Those that the list of texts tells, and those that are not ASCII.
        assert seen.commands["hmget"] == read


letters = st.text(st.sampled_from("aAbBßẞéÉςΣİiIkKk\N{KELVIN SIGN}: *"), max_size=4)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(letters, min_size=1, max_size=6), asked=letters)
def test_it_is_what_casefold_says(redis_client: redis.Redis, texts: list[str], asked: str) -> None:
    redis_client.flushdb()
    people(*texts)
    folded = asked.casefold()
    expected: dict[str, Callable[[str], bool]] = {
        "iexact": lambda text: text == folded,
        "istartswith": lambda text: text.startswith(folded),
        "iendswith": lambda text: text.endswith(folded),
        "icontains": lambda text: folded in text,
    }
    for lookup, holds in expected.items():
        query = Person.query.filter(**{f"city__{lookup}": asked})
        wanted = [text for text in texts if holds(text.casefold())]
        assert [each.city for each in query] == wanted
        assert query.count() == len(wanted)
