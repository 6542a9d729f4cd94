"""A model whose writes can be refused for many reasons, and what other writers do to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from popoto import (
    DecimalField,
    Field,
    FloatField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
)
from tests.driver import Api


class Even(IntField):
    def is_valid(self, field: Any, value: Any, null_check: bool = True, **kwargs: Any) -> bool:
        return value is None or value % 2 == 0


class Flat(Model):
    name = KeyField()
    floor = KeyField(type=int, default=0)
    owner = Field(type=str, unique=True)
    kind = IndexedField()
    size = IntField()
    rent = DecimalField()
    area = FloatField()
    pairs = Even()
    log = ListField(max_length=2)

    class Meta:
        indexes = ((("kind", "size"), True),)


def first_flat() -> Flat:
    return Flat.create(name="a", owner="ann", kind="k", size=1)


def changed(flat: Flat, **values: Any) -> Flat:
    for name, value in values.items():
        setattr(flat, name, value)
    return flat


def gone(flat: Flat) -> Flat:
    Flat.query.get(name=flat.name, floor=flat.floor).delete()
    return flat


def meanwhile(flat: Flat, **values: Any) -> Flat:
    changed(Flat.query.get(name=flat.name, floor=flat.floor), **values).save()
    return flat


Refused = Callable[[Api, Flat], Any]
