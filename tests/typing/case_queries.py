# pyright: strict
"""Queries are generic in their model, down to the attribute of a found record."""

from typing import Any, assert_type

from popoto import F, IntField, KeyField, Model, Q, SortedField
from popoto.models.query import Query, QueryBuilder


class Restaurant(Model):
    name = KeyField()
    seats = IntField()
    rating = SortedField(type=float)


class Bistro(Restaurant):
    wine = KeyField()


def a_query_knows_its_model(record: Restaurant) -> None:
    assert_type(Restaurant.query, Query[Restaurant])
    assert_type(Restaurant.objects, Query[Restaurant])
    assert_type(record.query, Query[Restaurant])
    assert_type(Bistro.query, Query[Bistro])
    assert_type(Bistro.query.filter(Bistro.rating > 4)[0].wine, str)


def filters_give_records() -> None:
    found = Restaurant.query.filter(Restaurant.rating > 4)
    assert_type(found, QueryBuilder[Restaurant])
    assert_type(found[0], Restaurant)
    assert_type(found[0].name, str)
    assert_type(found[-3:], list[Restaurant])
    assert_type([record.seats for record in found], list[int])
    assert_type(found.all(), list[Restaurant])
    assert_type(found.first(), Restaurant | None)
    assert_type(found.last(), Restaurant | None)
    assert_type(found.count(), int)
    assert_type(len(found), int)
    assert_type(found.filter(name="Luigi").order_by("-rating").limit(3), QueryBuilder[Restaurant])
    assert_type(found.no_track(), QueryBuilder[Restaurant])
    found.computed_sort(lambda record: record.rating)
    found.computed_sort(lambda record: record.ratnig)  # error


def conditions_combine() -> None:
    Restaurant.query.filter(
        Restaurant.rating > 4,
        (Restaurant.rating > 4) & (Restaurant.name == "Luigi"),
        (Restaurant.rating > 4) | Q(name="Luigi"),
        Q(name="Luigi") & (Restaurant.rating > 4),
        ~(Restaurant.rating > 4),
        ~Q(name="Luigi"),
        seats__gt=4,
    )
    Restaurant.query.filter("Luigi")  # error
    Restaurant.query.filter(5)  # error
    Q("Luigi")  # error


def one_record_or_none() -> None:
    assert_type(Restaurant.query.get(name="Luigi"), Restaurant | None)
    assert_type(Restaurant.query.get("Luigi"), Restaurant | None)
    assert_type(Restaurant.query.get("Restaurant:Luigi"), Restaurant | None)
    assert_type(Restaurant.query.get_many(["Restaurant:Luigi"]), list[Restaurant | None])
    assert_type(Restaurant.query.get_many([], skip_none=True), list[Restaurant])
    Restaurant.query.get(name="Luigi").name  # error


def records_of_the_model() -> None:
    assert_type(Restaurant.query.all(), list[Restaurant])
    assert_type(Restaurant.query.all(order_by="name", limit=3), list[Restaurant])
    assert_type(Restaurant.query.offset(3), QueryBuilder[Restaurant])
    assert_type(Restaurant.query.select_related("owner"), QueryBuilder[Restaurant])
    assert_type(Restaurant.query.order_by("-rating", nulls="first"), QueryBuilder[Restaurant])
    Restaurant.query.order_by("-rating", nulls="end")  # error
    assert_type(Restaurant.query[0], Restaurant)
    assert_type(Restaurant.query[1:3], list[Restaurant])
    assert_type(len(Restaurant.query), int)
    assert_type([record.name for record in Restaurant.query.iterator()], list[str])
    Restaurant.query.computed_sort(lambda record: record.ratnig)  # error
    assert_type(Restaurant.query.count(Restaurant.rating > 4, name="Luigi"), int)
    assert_type(Restaurant.create(name="Luigi"), Restaurant)
    assert_type(Bistro.create(name="Luigi"), Bistro)
    assert_type(Restaurant.load(name="Luigi"), Restaurant | None)
    assert_type(Restaurant.get_or_create(name="Luigi"), tuple[Restaurant, bool])


def values_are_dicts() -> None:
    found = Restaurant.query.filter(name="Luigi")
    assert_type(found.values("name", "rating").all(), list[dict[str, Any]])
    assert_type(found.values("name")[0], dict[str, Any])
    assert_type(Restaurant.query.all(values=("name",)), list[dict[str, Any]])
    assert_type(
        Restaurant.query.filter(Restaurant.rating > 4, values=("name",)),
        QueryBuilder[dict[str, Any]],
    )


async def async_twins_give_the_same() -> None:
    found = Restaurant.query.filter(Restaurant.rating > 4)
    assert_type(await Restaurant.query.async_get(name="Luigi"), Restaurant | None)
    assert_type(await Restaurant.query.async_filter(Restaurant.rating > 4), list[Restaurant])
    assert_type(await Restaurant.query.async_all(), list[Restaurant])
    assert_type(await Restaurant.query.async_count(name="Luigi"), int)
    assert_type(await Restaurant.async_create(name="Luigi"), Restaurant)
    assert_type(await found.async_all(), list[Restaurant])
    assert_type(await found.async_first(), Restaurant | None)
    assert_type(await found, list[Restaurant])
    assert_type(await Restaurant.query, list[Restaurant])
    async for record in Restaurant.query.async_iterator():
        assert_type(record.name, str)
    async for record in found:
        assert_type(record.name, str)


def values_by_field_are_typed_tuples() -> None:
    found = Restaurant.query.filter(name="Luigi")
    assert_type(found.values_list(Restaurant.name).all(), list[tuple[str]])
    assert_type(found.values_list(Restaurant.name, Restaurant.rating)[0], tuple[str, float])
    assert_type(Restaurant.query.values_list(Restaurant.rating).all(), list[tuple[float]])
    assert_type(found.values_list("name", "rating").first(), tuple[Any, ...] | None)


def flat_values_are_those_of_the_field() -> None:
    found = Restaurant.query.filter(name="Luigi")
    assert_type(found.values_list(Restaurant.rating, flat=True), QueryBuilder[float])
    assert_type(Restaurant.query.values_list(Restaurant.name, flat=True).all(), list[str])
    assert_type(found.values_list("name", flat=True).all(), list[Any])
    found.values_list(Restaurant.name, Restaurant.rating, flat=True)  # error


def numbers_on_the_server_fit_their_fields(record: Restaurant) -> None:
    record.seats = F("seats") - 1
    record.rating = F(Restaurant.rating) + 0.5
    assert_type(F("seats") + 1, F)
    Restaurant.query.filter(name="Luigi").update(seats=F("seats") - 1, rating=4.5)


def times_are_seconds(record: Restaurant) -> None:
    assert_type(record.remaining_ttl(), float | None)
    record.renew_ttl(60)
    record.renew_ttl("60")  # error
    assert_type(Restaurant.query.filter(name="Luigi").renew_ttl(None), int)


def only_some_fields_of_records() -> None:
    assert_type(Restaurant.query.only("name"), QueryBuilder[Restaurant])
    assert_type(Restaurant.query.filter(name="Luigi").only("name").first(), Restaurant | None)
