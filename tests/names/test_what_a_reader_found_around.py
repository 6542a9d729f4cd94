"""What a reader of the manual gave around records, and what was dropped without a word."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from popoto import DictField, KeyField, Model, Publisher, acting_as, clock, embedded, redis_db
from popoto.embedded import EmbeddedServerError
from popoto.exceptions import ConfigurationError
from popoto.models.base import TypedModel
from popoto.stores import FilesystemStore


class City(Model):
    name = KeyField()


# Connections and blocks --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made", [lambda: redis_db.using("redis://x"), lambda: acting_as("ann"), lambda: clock.using(5)]
)
def test_a_block_decorates_nothing_that_runs_later(made: Any) -> None:
    def yields() -> Any:
        yield 1

    async def streams() -> Any:
        yield 1

    for given in (yields, streams, City):
        with pytest.raises(TypeError, match="inside of it"):
            made()(given)


def test_what_a_decorated_function_hands_on_to_run_later_is_refused() -> None:
    async def later() -> None: ...

    running = later()
    with pytest.raises(TypeError, match="inside of it"):
        clock.using(5)(lambda: running)()
    assert running.cr_frame is None, "it is closed, so that nobody is told that it never ran"


def test_an_empty_text_is_no_place() -> None:
    with pytest.raises(ValueError, match="a directory is expected"):
        FilesystemStore("")
    with pytest.raises(ConfigurationError, match="host is empty"):
        redis_db.set_REDIS_DB_settings(host="")
    with pytest.raises(Exception, match="channel"):
        Publisher().publish({"a": 1}, channel_name="")


def test_options_of_a_connection_that_say_nothing_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="has no value"):
        redis_db.set_REDIS_DB_settings(url="redis://localhost?socket_timeout=")
    with pytest.raises(ConfigurationError, match="True or False"):
        redis_db.set_REDIS_DB_settings(host="x", ssl="no")
    with pytest.raises(ConfigurationError, match="without ssl"):
        redis_db.set_REDIS_DB_settings(host="x", ssl_ca_certs="x")
    with pytest.raises(EmbeddedServerError, match="a URL"):
        embedded.start("embedded:///srv/shop")


# What others show of records ---------------------------------------------------------------------


class Shown(TypedModel):
    name: str = KeyField()
    secret: str = "s"
    more: dict[str, int] = DictField(default={"a": 1, "b": 2})
    note: str | None


def test_pydantic_leaves_out_what_it_is_told_to() -> None:
    pydantic = pytest.importorskip("pydantic")
    adapter, record = pydantic.TypeAdapter(Shown), Shown(name="ann", note=None)
    shown = adapter.dump_python(record, mode="json", exclude={"secret": True, "more": {"a"}})
    assert shown == {"name": "ann", "more": {"b": 2}, "note": None}
    assert adapter.dump_python(record, include={"name"}) == {"name": "ann"}
    assert adapter.dump_json(record, exclude_defaults=True) == b'{"name":"ann"}'
    assert b"note" not in adapter.dump_json(record, exclude_none=True)
    assert adapter.dump_python(record) is record
    listed = pydantic.TypeAdapter(list[Shown])
    assert b"secret" not in listed.dump_json([record], exclude={"__all__": {"secret"}})
    with pytest.warns(UserWarning, match="exclude_unset"):
        adapter.dump_json(record, exclude_unset=True)


def test_fastapi_leaves_out_what_it_is_told_to() -> None:
    fastapi = pytest.importorskip("fastapi")
    testclient = pytest.importorskip("fastapi.testclient")
    app = fastapi.FastAPI()

    @app.get("/ann", response_model=Shown, response_model_exclude={"secret"})
    def ann() -> Any:
        return Shown(name="ann", note=str(uuid.UUID(int=0)))

    assert "secret" not in testclient.TestClient(app).get("/ann").json()
