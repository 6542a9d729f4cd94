"""A class's own `__setattr__` sees every value that is given, however the record is made."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import msgpack
import pytest
import redis

from popoto import (
    DatetimeField,
    DecimalField,
    IntField,
    KeyField,
    ListField,
    Model,
    ModelException,
    Relationship,
    StringField,
)
from tests.driver import Api


class Owner(Model):
    name = KeyField()


class Invoice(Model):
    number = KeyField()
    amount = DecimalField(null=True)
    state = StringField(default="open")
    initial = StringField(default="?")
    lines = ListField(max_length=2)
    owner = Relationship(Owner)
    changed = DatetimeField(auto_now=True)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "number":
            value = str(value).strip().upper()
            self.initial = value[:1]
        elif name == "amount" and isinstance(value, float):
            value = Decimal(str(value)).quantize(Decimal("0.01"))
        elif name == "state":
            value = value.lower()
        elif name == "changed" and value is not None:
            value = value.replace(microsecond=0)
        super().__setattr__(name, value)


VALUES: dict[str, Any] = {"number": " a1 ", "amount": 1.239, "state": "PAID"}


def check(invoice: Invoice) -> None:
    assert (invoice.number, invoice.amount, invoice.state, invoice.initial) == (
        "A1",
        Decimal("1.24"),
        "paid",
        "A",
    )


def test_the_constructor_assigns() -> None:
    check(Invoice(**VALUES))
    assert Invoice(**VALUES)._redis_key == "Invoice:A1"


def test_what_is_stored_is_what_was_assigned(api: Api) -> None:
    check(api(Invoice.create, **VALUES))
    check(api(Invoice.query.get, number="A1"))
    assert api(Invoice.query.count, number="A1") == 1


def test_every_way_of_making_records_assigns(api: Api) -> None:
    check(api(Invoice.get_or_create, defaults={"amount": 1.239, "state": "PAID"}, number=" a1 ")[0])
    api(Invoice.delete_all)
    check(api(Invoice.update_or_create, defaults=VALUES, number="a1")[0])
    api(Invoice.delete_all)
    api(Invoice.bulk_create, [Invoice(**VALUES)])
    check(api(Invoice.query.get, number="A1"))


def test_defaults_are_assigned_first_and_do_not_undo_what_a_value_sets() -> None:
    assert Invoice(number="b").initial == "B"
    assert Invoice(number="b", initial="x").initial == "x"
    assert Invoice(number="b").state == "open"


def test_what_a_save_stamps_is_assigned(api: Api) -> None:
    invoice = api(Invoice.create, number="a")
    assert isinstance(invoice.changed, datetime.datetime)
    assert invoice.changed.microsecond == 0
    assert api(Invoice.query.get, number="A").changed == invoice.changed


def test_values_become_what_their_fields_make_of_them(api: Api) -> None:
    api(Owner.create, name="ann")
    invoice = api(Invoice.create, number="a", lines=["x", "y"], owner="Owner:ann")
    assert type(invoice.lines) is type(api(Invoice.query.get, number="A").lines)
    found = api(Invoice.query.filter(owner="Owner:ann").all)
    assert [each.number for each in found] == ["A"]


def test_updates_assign(api: Api) -> None:
    api(Invoice.create, number="a")
    api(Invoice.query.filter(number="A").update, state="KEPT")
    assert api(Invoice.query.get, number="A").state == "kept"


def test_a_loaded_record_is_as_stored(api: Api, redis_client: redis.Redis) -> None:
    api(Invoice.create, number="a", state="open")
    redis_client.hset("Invoice:A", "state", msgpack.packb("Kept"))
    found = api(Invoice.query.get, number="A")
    assert found.state == "Kept"
    assert api(found.save, skip_auto_now=True) == 0
    assert api(Invoice.query.get, number="A").state == "Kept"


def test_wrong_values_are_refused_as_ever() -> None:
    with pytest.raises(ModelException, match=r"Invoice\.amount"):
        Invoice(number="a", amount="much")


def test_a_mixin_may_bring_it() -> None:
    class Trimmed:
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value.strip() if isinstance(value, str) else value)

    class Note(Trimmed, Model):
        name = KeyField()
        size = IntField()

    class Longer(Note):
        pass

    assert Note(name=" a ", size="5").name == "a"
    assert Note(name=" a ", size="5").size == 5
    assert Longer(name=" a ").name == "a"


def test_a_value_that_it_does_not_keep_is_the_default() -> None:
    class Guarded(Model):
        name = KeyField()
        state = StringField(default="new")

        def __setattr__(self, name: str, value: Any) -> None:
            if name != "state":
                super().__setattr__(name, value)

    assert Guarded(name="a", state="old").state == "new"
