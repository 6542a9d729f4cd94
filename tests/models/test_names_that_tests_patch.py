"""Names of popoto 1.6 that applications' tests look up, replace and put back."""

from __future__ import annotations

import importlib
from unittest import mock

import pytest
import redis

import popoto
from popoto import KeyField, Model, redis_db
from popoto.exceptions import ConfigurationError
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


class Fake:
    """What tests write by hand in place of a client."""

    def get(self, key: str) -> bytes:
        return key.encode()


def mocks() -> list[object]:
    return [
        mock.MagicMock(),
        mock.MagicMock(spec=redis.Redis),
        mock.create_autospec(redis.Redis, instance=True),
        mock.MagicMock(wraps=redis_db.POPOTO_REDIS_DB),
        Fake(),
    ]


@pytest.mark.parametrize("index", range(5))
def test_a_mock_of_the_client_is_asked_for_raw_commands_and_models_look_past_it(
    api: Api, redis_client: redis.Redis, index: int
) -> None:
    stand_in = mocks()[index]
    with mock.patch.object(redis_db, "POPOTO_REDIS_DB", stand_in):
        assert redis_db.get_REDIS_DB() is stand_in
        assert popoto.get_redis() is stand_in
        api(Thing.create, name="a")
        assert [thing.name for thing in api(Thing.query.all)] == ["a"]
        with popoto.transaction() as pending:
            pending.save(Thing(name="b"))
        assert redis_client.exists("Thing:a", "Thing:b") == 2
        assert api(Thing.delete_all) == 2
    assert popoto.get_redis().ping()


def test_a_raw_command_gets_what_the_mock_was_told_to_answer() -> None:
    with mock.patch.object(redis_db, "POPOTO_REDIS_DB") as stand_in:
        stand_in.get.return_value = b"mocked"
        stand_in.ping.side_effect = redis.ConnectionError
        assert redis_db.get_REDIS_DB().get("anything") == b"mocked"
        assert not redis_db.check_connection()
        assert Thing.create(name="a").refresh().name == "a"


@pytest.mark.parametrize("kind", [mock.AsyncMock, mock.MagicMock, Fake])
async def test_a_mock_of_the_asyncio_client_is_looked_past_as_well(kind: type) -> None:
    stand_in = kind()
    with mock.patch.object(redis_db, "_POPOTO_ASYNC_REDIS_DB", stand_in):
        assert await redis_db.get_async_redis_db() is stand_in
        await Thing.async_create(name="a")
        with mock.patch.object(redis_db, "POPOTO_REDIS_DB"):
            assert await Thing.query.async_count() == 1
    assert Thing.query.count() == 1


@pytest.mark.single_server("a cluster has one database")
def test_models_follow_the_server_that_a_client_of_redis_py_leads_to(
    redis_client: redis.Redis,
) -> None:
    path = redis_client.connection_pool.connection_kwargs["path"]
    other = redis.Redis(unix_socket_path=path, db=3)
    with mock.patch.object(redis_db, "POPOTO_REDIS_DB", other):
        Thing.create(name="a")
    assert other.exists("Thing:a")
    assert not Thing.query.count()


def test_what_cannot_be_followed_is_refused_by_name() -> None:
    cluster = redis.RedisCluster.__new__(redis.RedisCluster)
    with (
        mock.patch.object(redis_db, "POPOTO_REDIS_DB", cluster),
        pytest.raises(ConfigurationError, match=r"RedisCluster is neither .*redis\+cluster://"),
    ):
        Thing.create(name="a")
    with (
        pytest.raises(ConfigurationError, match="MagicMock is neither a connection URL"),
        redis_db.using(mock.MagicMock()),
    ):
        pass
