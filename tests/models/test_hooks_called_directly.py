"""Hooks of shipped fields that an application or a test calls itself, as with popoto 1.6."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
import redis

from popoto import GeoField, KeyField, Model, SortedField


class Stay(Model):
    name = KeyField()
    nights = SortedField(type=int, default=1)
    since = SortedField(type=datetime.date, partition_by="name", default=datetime.date(2024, 1, 2))
    code = SortedField(type=float, unique=True, null=True)
    spot = GeoField()


@pytest.mark.parametrize("value", ["Stay:a", None, "free text", [1]])
def test_a_place_is_taken_away_whatever_value_the_hook_is_given(
    redis_client: redis.Redis, value: Any
) -> None:
    stay = Stay.create(name="a", spot=(52.5, 13.4), code=1.5)
    places = {
        "nights": ["$SortF:Stay:nights"],
        "since": ["$SortF:Stay:since:a"],
        "code": ["$SortF:Stay:code", "$UniquF:Stay:code:1.5"],
        "spot": ["$GeoF:Stay:spot"],
    }
    for name, keys in places.items():
        field = Stay._meta.fields[name]
        assert redis_client.exists(*keys) == len(keys)
        removed = field.on_delete(
            model_instance=stay, field_name=name, field_value=value, pipeline=None
        )
        assert removed == len(keys)
        assert redis_client.exists(*keys) == 0


def test_the_place_of_another_record_is_taken_away_where_the_hook_is_told_its_key(
    redis_client: redis.Redis,
) -> None:
    Stay.create(name="a", spot=(52.5, 13.4))
    doc = Stay.create(name="b")
    field = Stay._meta.fields["spot"]
    assert field.on_delete(doc, "spot", None, saved_redis_key="Stay:a") == 1
    assert redis_client.exists("$GeoF:Stay:spot") == 0
    assert field.on_delete(doc, "spot", None) == 0
