"""No script of vectors stops half-way either (see `test_every_command`)."""

from __future__ import annotations

import pytest
import redis

from popoto import EmbeddingField, KeyField, Model, StringField
from tests.driver import Api
from tests.truth.traced import calls, is_write, traced, unproven
from tests.vectors.provider import TABLE, Known


class Sketch(Model):
    name = KeyField()
    text = StringField()
    vector = EmbeddingField(source="text", provider=Known(TABLE), store="server")


@pytest.mark.single_server("notes what scripts do under a key of one server")
def test_after_the_first_write_nothing_is_left_that_a_server_could_refuse(
    redis_client: redis.Redis, api: Api
) -> None:
    with traced():
        api(Sketch.bulk_create, [Sketch(name=each, text=each) for each in "abc"])
        moved = api(Sketch.query.get, name="a")
        moved.name, moved.text = "z", "d"
        api(moved.save, migrate_key=True)
        moved.text = None
        api(moved.save)
        api(moved.save, update_fields=["text"])
        api(Sketch.reembed, anew=True)
        api(moved.delete)
    asked = calls(redis_client)
    names = {each.name for call in asked for each in call if is_write(each)}
    assert {"HSET", "ZADD", "HINCRBY", "HDEL", "ZREM", "DEL"} <= names
    assert [str(each) for call in asked for each in unproven(call)] == []
