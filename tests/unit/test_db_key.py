"""Which model a key belongs to: on a cluster that says where it is."""

from __future__ import annotations

import pytest
import redis

from popoto.engine.db_key import DB_key


@pytest.mark.parametrize(
    ("parts", "model"),
    [
        (("Thing", "a"), "Thing"),
        (("Thing",), "Thing"),
        (("Thing", "$a"), "Thing"),
        (("$Class", "Thing"), "Thing"),
        (("$KeyF", "Thing", "name", "a"), "Thing"),
        (("$alone",), "$alone"),
        ((5, "a"), "5"),
    ],
)
def test_the_model_is_the_first_part_or_follows_the_kind_of_index(
    parts: tuple[object, ...], model: str
) -> None:
    assert DB_key(*parts)._shard == model


@pytest.mark.single_server("its names belong to no model and so to no shard")
def test_existence_is_asked_for(redis_client: redis.Redis) -> None:
    redis_client.set("Thing:a", "x")
    assert DB_key("Thing", "a").exists() is True
    assert DB_key("Thing", "b").exists() is False
