"""References to instances that nobody has saved: told of, and refused where that is wanted."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

from popoto import KeyField, Model, Relationship, StringField, transaction
from popoto.exceptions import UnsavedError
from popoto.redis_db import POPOTO_REDIS_DB
from tests.driver import Api


class Berth(Model):
    name = KeyField()


class Ship(Model):
    name = KeyField()
    berth = Relationship(Berth)
    sister = Relationship("self")
    note = StringField(default="")


class StrictShip(Ship):
    class Meta:
        strict = True


class OwnSave(Ship):
    def save(self, *args: Any, **kwargs: Any) -> Any:
        return super().save(*args, **kwargs)


TOLD = r"\w+\.berth refers to an instance of Berth that was never saved.*'Berth:a'"


def in_transaction(api: Api, ship: Any) -> Any:
    together = transaction()
    together.save(ship)
    return api(together.commit)


def partly(api: Api, ship: Any) -> Any:
    berth, ship.berth = ship.berth, None
    api(ship.save)
    ship.berth = berth
    return api(ship.save, update_fields=["berth"])


def in_pipeline(api: Api, ship: Any) -> Any:
    return ship.save(pipeline=POPOTO_REDIS_DB.pipeline()).execute()


WAYS: dict[str, Callable[[Api, Any], Any]] = {
    "save": lambda api, ship: api(ship.save),
    "a part": partly,
    "bulk_create": lambda api, ship: api(type(ship).bulk_create, [ship]),
    "in a transaction": in_transaction,
    "in a pipeline": in_pipeline,
}


@pytest.mark.parametrize("model", [Ship, OwnSave])
@pytest.mark.parametrize("way", WAYS)
def test_a_reference_to_what_was_never_saved_is_told(api: Api, way: str, model: type[Ship]) -> None:
    with pytest.warns(UserWarning, match=TOLD):
        WAYS[way](api, model(name="x", berth=Berth(name="a")))
    # A forward reference, which leads somewhere once there is one.
    Berth.create(name="a")
    found = api(model.query.get, name="x")
    assert str(found.db_key) == f"{model.__name__}:x"
    assert api(model.query.count, berth="Berth:a") == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_strict_model_refuses_it(api: Api, way: str) -> None:
    with pytest.raises(UnsavedError, match=TOLD + ".*; nothing was written"):
        WAYS[way](api, StrictShip(name="x", berth=Berth(name="a")))
    found = api(StrictShip.query.get, name="x")
    assert (found is not None) is (way == "a part")
    assert api(StrictShip.query.count, berth="Berth:a") == 0


def test_one_that_was_deleted_was_not_saved(api: Api) -> None:
    berth = Berth.create(name="a")
    berth.delete()
    with pytest.warns(UserWarning, match=TOLD):
        api(Ship.create, name="x", berth=berth)


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
def test_nothing_is_told_of_what_the_same_step_saves(api: Api) -> None:
    together, new = transaction(), Berth(name="new")
    together.save(StrictShip(name="s", berth=new))
    together.save(new)
    assert len(api(together.commit)) == 2
    pipeline, queued = POPOTO_REDIS_DB.pipeline(), Berth(name="queued")
    queued.save(pipeline=pipeline)
    StrictShip(name="q", berth=queued).save(pipeline=pipeline)
    pipeline.execute()
    assert StrictShip.query.count() == 2


def test_nothing_is_told_of_what_leads_somewhere(api: Api) -> None:
    berth = api(Berth.create, name="a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        api(Ship.create, name="x", berth=berth)
        api(Ship.create, name="y", berth="Berth:unknown")
        loaded = Ship.query.filter(name="y").first()
        loaded.note = "unknown as before"
        api(loaded.save)
        itself = Ship(name="z")
        itself.sister = itself
        api(itself.save)
        first, second = Ship(name="one"), Ship(name="two")
        first.sister, second.sister = second, first
        api(Ship.bulk_create, [first, second])
        unchanged = Ship(name="part", berth=berth)
        api(unchanged.save)
        unchanged.berth, unchanged.note = Berth(name="later"), "changed"
        api(unchanged.save, update_fields=["note"])
