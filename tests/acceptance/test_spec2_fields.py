"""Statements about fields that the other suites did not make."""

from __future__ import annotations

import pytest
import redis

from popoto import (
    Field,
    KeyField,
    Model,
    ModelException,
    QueryException,
    SortedField,
    SortedKeyField,
    StringField,
)
from popoto.fields.indexed_field_mixin import IndexedFieldMixin
from popoto.fields.key_field_mixin import KeyFieldMixin
from popoto.fields.sorted_field_mixin import SortedFieldMixin
from popoto.fields.unique_field_mixin import UniqueFieldMixin
from tests.driver import Api


class SortedAndIndexed(SortedFieldMixin, IndexedFieldMixin, Field):
    pass


class IndexedAndSorted(IndexedFieldMixin, SortedFieldMixin, Field):
    pass


class SortedAndUnique(SortedFieldMixin, UniqueFieldMixin, Field):
    pass


class SortedAndKey(SortedFieldMixin, KeyFieldMixin, Field):
    pass


class KeyAndSorted(KeyFieldMixin, SortedFieldMixin, Field):
    pass


def test_hooks_of_a_field_without_an_index_return_none() -> None:
    class Note(Model):
        name = KeyField()
        text = StringField()

    note = Note.create(name="a", text="b")
    assert StringField.on_save(note, "text", "c") is None
    assert StringField.on_delete(note, "text", "c") is None


@pytest.mark.parametrize("option", ["key", "auto", "indexed", "value"])
def test_sorted_fields_refuse_options_that_they_cannot_honour(option: str) -> None:
    with pytest.raises(ModelException, match=option):
        SortedField(**{option: True})
    assert SortedKeyField(key=True).key is True


def test_writing_sort_by_writes_partition_by() -> None:
    field = SortedField()
    with pytest.warns(DeprecationWarning, match="partition_by"):
        field.sort_by = "cat"
    assert field.partition_by == ("cat",)


def test_a_sorted_value_that_nothing_fills_is_refused(api: Api) -> None:
    class Visit(Model):
        name = KeyField()
        at = SortedField(type=int, auto_now=True)

    with pytest.raises(ModelException, match="at"):
        api(Visit(name="a").save, skip_auto_now=True)
    assert api(Visit.query.count) == 0


def test_in_on_a_plain_partition_field_unites_the_partitions(api: Api) -> None:
    class Offer(Model):
        name = KeyField()
        shop = StringField()
        note = StringField()
        price = SortedField(type=int, partition_by="shop")

    for name, shop, price in [("a", "x", 3), ("b", "y", 1), ("c", "z", 2), ("d", "x", 2)]:
        Offer.create(name=name, shop=shop, price=price)
    united = Offer.query.filter(price__gte=1, shop__in=["x", "y"])
    assert [offer.name for offer in api(united.all)] == ["b", "d", "a"]
    assert api(united.count) == 3
    with pytest.raises(QueryException, match="IndexedField"):
        api(Offer.query.filter(note__in=["x"]).all)


@pytest.mark.parametrize(
    "kind", [SortedAndIndexed, IndexedAndSorted, SortedAndUnique, SortedAndKey, KeyAndSorted]
)
def test_combined_index_mixins_answer_the_lookups_of_both(
    api: Api, redis_client: redis.Redis, kind: type[SortedFieldMixin]
) -> None:
    class Mark(Model):
        name = KeyField()
        value = kind(type=int)

    for value in (5, 10, 50):
        Mark.create(name=str(value), value=value)

    def found(**lookups: object) -> list[str]:
        return sorted(mark.name for mark in api(Mark.query.filter(**lookups).all))

    assert found(value__gt=5) == ["10", "50"]
    assert found(value=5) == ["5"]
    assert found(value__in=[5, 50]) == ["5", "50"]
    if kind is not SortedAndUnique:
        assert found(value__startswith="5") == ["5", "50"]
        assert found(value__startswith="5", value__gt=5) == ["50"]
        assert found(value__isnull=True) == []
    if kind in (SortedAndIndexed, IndexedAndSorted, SortedAndUnique):
        api(Mark.query.get(name="5").atomic_increment, "value", 2)
        assert found(value=7) == found(value__lt=10) == ["5"]
    if kind is SortedAndUnique:
        with pytest.raises(ModelException, match="unique"):
            api(Mark.create, name="x", value=50)
    assert api(Mark.check_indexes)["total"] == 0
    for mark in Mark.query.all():
        api(mark.delete)
    assert redis_client.keys("*Mark*") == []


def test_an_order_takes_no_text() -> None:
    with pytest.raises(ModelException, match="order"):
        IndexedAndSorted(type=str)
