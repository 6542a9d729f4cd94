"""What a model inherits from several bases, as Python looks attributes up."""

from __future__ import annotations

from popoto import IntField, KeyField, Model, StringField
from tests.driver import Api


class Thing(Model):
    name = KeyField()
    size = IntField(default=1)

    class Meta:
        abstract = True
        ttl = 500
        order_by = "name"


class Boxed(Thing):
    lid = StringField(default="wood")

    class Meta:
        abstract = True


class Labelled(Thing):
    size = StringField(default="large")
    label = StringField(default="")

    class Meta:
        abstract = True
        ttl = 50


class Crate(Boxed, Labelled):
    weight = IntField(default=0)


def test_the_base_that_declares_a_field_nearest_has_its_say(api: Api) -> None:
    assert Crate._meta.field_names == ["name", "size", "label", "lid", "weight"]
    assert Crate.size.type is str
    api(Crate.create, name="a")
    assert api(Crate.query.get, name="a").size == "large"
    assert Boxed._meta.fields["size"].type is int


def test_so_has_the_base_that_sets_an_option_nearest() -> None:
    assert (Crate._meta.ttl, Crate._meta.order_by, Crate._meta.abstract) == (50, "name", False)


def test_it_goes_on_to_further_models_and_to_fields_added_later() -> None:
    class Pallet(Crate):
        class Meta:
            ttl = None

    Labelled._meta.add_field("place", StringField(default="shelf"))

    class Case(Boxed, Labelled):
        pass

    assert Pallet.size.type is str
    assert (Pallet._meta.ttl, Pallet._meta.order_by) == (None, "name")
    assert Case(name="a").place == "shelf"


def test_one_field_object_under_two_names_is_two_fields(api: Api) -> None:
    text = StringField(default="", indexed=True)

    class Card(Model):
        number = KeyField(type=int)
        front = text
        back = text

    api(Card.create, number=1, front="a", back="b")
    card = api(Card.query.get, number=1)
    assert (card.front, card.back) == ("a", "b")
    assert api(Card.query.filter(front="a").count) == 1
    assert api(Card.query.filter(front="b").count) == 0


def test_a_field_that_replaces_another_stands_in_its_place_here_and_further_down() -> None:
    class Shelf(Thing):
        size = StringField(default="wide")
        depth = IntField(default=0)

    class Rack(Shelf):
        pass

    assert Shelf._meta.field_names == ["name", "size", "depth"]
    assert Rack._meta.field_names == Shelf._meta.field_names
