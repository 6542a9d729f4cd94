"""Statements about fields that the other suites did not make."""

from __future__ import annotations

import pytest

from popoto import (
    KeyField,
    Model,
    ModelException,
    QueryException,
    SortedField,
    SortedKeyField,
    StringField,
)
from tests.driver import Api


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
