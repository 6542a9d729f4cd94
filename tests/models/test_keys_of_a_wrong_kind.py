"""Keys that another program uses for something else: nothing is written, and they are named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

import popoto
from popoto import IndexedField, KeyField, Model, ModelException, SortedField
from popoto.exceptions import NotStoredError
from popoto.redis_db import POPOTO_REDIS_DB
from tests.driver import Api


class Tool(Model):
    name = KeyField()
    kind = IndexedField()
    size = SortedField(type=float, default=0.0)


@pytest.fixture(autouse=True)
def tools(redis_client: redis.Redis) -> list[Tool]:
    found = Tool.bulk_create([Tool(name=name, kind="k") for name in "abc"])
    redis_client.delete("$IndexF:Tool:kind:k")
    redis_client.set("$IndexF:Tool:kind:k", "foreign")
    return found


WRITES: list[Callable[[Api, Tool], Any]] = [
    lambda api, tool: api(tool.delete),
    lambda api, tool: api(Tool.bulk_delete, [tool]),
    lambda api, tool: api(Tool.bulk_create, [Tool(name="d"), Tool(name="e", kind="k")]),
    lambda api, tool: api(Tool.create, name="d", kind="k"),
]


@pytest.mark.parametrize("write", WRITES, ids=["delete", "bulk_delete", "bulk_create", "create"])
def test_writes_name_the_key(
    api: Api, redis_client: redis.Redis, tools: list[Tool], write: Callable[[Api, Tool], Any]
) -> None:
    before = sorted(redis_client.keys("*"))
    with pytest.raises(ModelException, match=r"\$IndexF:Tool:kind:k"):
        write(api, tools[0])
    assert sorted(redis_client.keys("*")) == before


def test_a_transaction_names_the_key(api: Api, tools: list[Tool]) -> None:
    transaction = popoto.transaction()
    transaction.delete(tools[0])
    with pytest.raises(ModelException, match=r"\$IndexF:Tool:kind:k"):
        api(transaction.commit)
    assert Tool.query.count() == 3


def test_bulk_create_says_which_row_meets_it(api: Api) -> None:
    rows = [Tool(name="d"), Tool(name="e"), Tool(name="f", kind="k")]
    with pytest.raises(ModelException, match="row 2"):
        api(Tool.bulk_create, rows)


def test_a_record_in_place_of_which_something_else_stands(
    api: Api, redis_client: redis.Redis, tools: list[Tool]
) -> None:
    """Its index entries may be left, and the new record is stored all the same."""
    redis_client.delete("$IndexF:Tool:kind:k", "Tool:b")
    redis_client.delete("$SortF:Tool:size")
    redis_client.set("$SortF:Tool:size", "foreign")
    with pytest.raises(ModelException, match=r"\$SortF:Tool:size"):
        api(Tool.create, name="b", kind="l")
    assert not redis_client.exists("Tool:b")


# Pipelines ---------------------------------------------------------------------------------------


def test_an_addition_to_what_the_pipeline_deletes_is_refused() -> None:
    tool = Tool.create(name="x", kind="other")
    pipeline = POPOTO_REDIS_DB.pipeline()
    Tool(name="x").delete(pipeline=pipeline)
    with pytest.raises(NotStoredError):
        tool.atomic_increment("size", 1, pipeline=pipeline)


def test_an_addition_to_what_is_gone_is_refused_at_once(redis_client: redis.Redis) -> None:
    tool = Tool.create(name="x", kind="other")
    redis_client.delete("Tool:x")
    with pytest.raises(NotStoredError):
        tool.atomic_increment("size", 1, pipeline=POPOTO_REDIS_DB.pipeline())


def test_a_move_onto_a_taken_key_is_refused_at_once(tools: list[Tool]) -> None:
    tool = Tool.create(name="x", kind="other")
    tool.name = "a"
    with pytest.raises(ModelException, match="already exists"):
        tool.save(pipeline=POPOTO_REDIS_DB.pipeline(), migrate_key=True)


def test_refreshing_forgets_a_field_that_is_no_longer_stored(
    api: Api, redis_client: redis.Redis
) -> None:
    tool = Tool.create(name="x", kind="other", size=5.0)
    redis_client.hdel("Tool:x", "size")
    api(tool.refresh)
    assert tool.size == 0.0
    assert "size" not in tool._saved_field_values
