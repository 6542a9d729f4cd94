"""A record one of whose fields holds bytes that nothing of ours has written."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import pytest
import redis

from popoto import IndexedField, IntField, KeyField, Model, SortedField
from popoto.exceptions import ConflictError, StoredDataError
from tests.driver import Api

RUBBISH = b"\xc1rubbish"


class Part(Model):
    name = KeyField()
    count = IntField(default=0)
    kind = IndexedField()
    size = SortedField(type=int, default=0)
    price = SortedField(type=Decimal, default=Decimal(1))
    version = IntField()

    class Meta:
        version_field = "version"


@pytest.fixture(autouse=True)
def parts(redis_client: redis.Redis) -> None:
    for number, name in enumerate("abc"):
        Part.create(name=name, count=number, kind="k", size=number)
    redis_client.hset("Part:b", "count", RUBBISH)


def names(found: list[Part]) -> list[str]:
    return sorted(part.name for part in found)


def test_only_the_field_itself_cannot_be_read(api: Api) -> None:
    part = api(Part.query.get, name="b")
    assert (part.kind, part.size) == ("k", 1)
    with pytest.raises(StoredDataError, match=r"Part\.count"):
        part.count
    assert "count" not in part._saved_field_values
    assert part._saved_field_values["kind"] == "k"


def test_a_condition_that_looks_at_it_leaves_the_record_out(
    api: Api, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client.hset("Part:b", "price", RUBBISH)
    with caplog.at_level(logging.WARNING):
        assert names(api(Part.query.filter(price__gt=Decimal("0.1")).all)) == ["a", "c"]
    assert "Part.price" in caplog.text
    assert names(api(Part.query.filter(kind="k").all)) == ["a", "b", "c"]


def test_its_value_is_none_where_rows_are_asked_for(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        rows = api(Part.query.filter(kind="k").values("name", "count").all)
    assert {row["name"]: row["count"] for row in rows} == {"a": 0, "b": None, "c": 2}
    assert "Part.count" in caplog.text


@pytest.mark.parametrize("limit", [None, 3])
def test_it_has_the_place_of_none_in_an_order(
    api: Api, limit: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = api(Part.query.order_by("-count").limit(limit).all)
    assert [part.name for part in found if part.name != "b"] == ["c", "a"]
    assert len(found) == 3
    assert "Part.count" in caplog.text


def test_a_conflict_shows_the_bytes(api: Api, redis_client: redis.Redis) -> None:
    part = api(Part.query.get, name="a")
    redis_client.hset("Part:a", "count", RUBBISH)
    part.count = 9
    with pytest.raises(ConflictError) as caught:
        api(part.save, expected={"count": 0})
    assert caught.value.stored["count"] == RUBBISH
    assert caught.value.stored["kind"] == "k"


def test_a_version_that_is_none_begins_anew(api: Api, redis_client: redis.Redis) -> None:
    redis_client.hset("Part:a", "version", RUBBISH)
    part = api(Part.query.get, name="a")
    part.kind = "other"
    api(part.save)
    assert api(Part.query.get, name="a").version == 1


def test_an_assigned_value_replaces_it(api: Api) -> None:
    part = api(Part.query.get, name="b")
    part.count = 7
    api(part.save)
    assert api(Part.query.get, name="b").count == 7


def test_an_index_entry_that_it_would_make_is_none(
    api: Api, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """The record can be deleted, and what followed from the former bytes is dead."""
    redis_client.hset("Part:b", "size", RUBBISH)
    part = api(Part.query.get, name="b")
    with caplog.at_level(logging.WARNING):
        assert api(part.delete) is True
    assert names(api(Part.query.filter(size__gte=0).all)) == ["a", "c"]
    assert redis_client.zrange("$SortF:Part:size", 0, -1) == [b"Part:a", b"Part:c"]


def test_a_key_that_cannot_be_read_is_told_by_where_the_record_stands(
    api: Api, redis_client: redis.Redis
) -> None:
    part = api(Part.query.get, name="a")
    redis_client.hset("Part:a", "name", RUBBISH)
    found: Any = api(Part.query.filter(kind="k").order_by("size").first)
    assert "Part:a" in repr(found)
    assert found._redis_key == part._redis_key
