"""Names of popoto 1.6 that applications' tests look up, replace and put back."""

from __future__ import annotations

import importlib
from unittest import mock

import pytest
import redis

import popoto
from popoto import KeyField, Model
from tests.driver import Api


class Thing(Model):
    name = KeyField()


@pytest.mark.parametrize(
    "module",
    [
        "popoto",
        "popoto.redis_db",
        "popoto.models.base",
        "popoto.models.query",
        "popoto.models.db_key",
        "popoto.pubsub.publisher",
        "popoto.pubsub.subscriber",
    ],
)
def test_the_client_is_one_object_under_every_path(module: str, redis_client: redis.Redis) -> None:
    client = importlib.import_module(module).POPOTO_REDIS_DB
    assert client is popoto.redis_db.POPOTO_REDIS_DB
    with mock.patch(f"{module}.POPOTO_REDIS_DB"):
        pass
    assert client.ping()


@pytest.mark.parametrize(
    "name",
    [
        "rebuild_indexes",
        "async_rebuild_indexes",
        "check_indexes",
        "clean_indexes",
        "bulk_create",
        "bulk_update",
        "bulk_delete",
        "delete_all",
        "raw_update",
        "atomic_increment",
        "touch",
        "strengthen_cycle",
        "weaken_cycle",
        "resolve_pressure",
        "save",
        "pk",
        "db_key",
    ],
)
def test_the_methods_of_model_are_its_own(name: str) -> None:
    assert name in Model.__dict__


def test_one_that_was_replaced_is_called_and_put_back(api: Api) -> None:
    original = Model.__dict__["rebuild_indexes"]
    with mock.patch.object(Model, "rebuild_indexes", return_value=7):
        assert Thing.rebuild_indexes() == 7
    assert Model.__dict__["rebuild_indexes"] is original
    api(Thing.create, name="a")
    assert api(Thing.rebuild_indexes) == 1


def test_a_model_overrides_them_as_ever() -> None:
    class Own(Model):
        name = KeyField()

        def touch(self, field_name: str, pipeline: object = None) -> str:
            return "own " + str(super().pk)

    assert Own(name="a").touch("x") == "own Own:a"
