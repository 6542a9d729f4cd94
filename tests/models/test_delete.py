"""`delete()`: everything that belongs to a record goes, in one step."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from popoto import KeyField, Model, StringField
from tests.driver import Api

from .shop import FULL, OTHER, Shop, Town, assign, healthy, keys_of


@pytest.mark.parametrize("load", ["kept", "get", "filter", "constructed"])
def test_nothing_is_left(api: Api, redis_client: redis.Redis, load: str) -> None:
    record = api(Shop.create, **FULL)
    if load == "get":
        record = api(Shop.query.get, name="a")
    elif load == "filter":
        (record,) = api(Shop.query.all)
    elif load == "constructed":
        record = Shop(name="a")
    assert api(record.delete) is True
    assert keys_of(redis_client) == []


def test_other_records_stay(api: Api, redis_client: redis.Redis) -> None:
    api(Shop.create, **FULL)
    api(Shop.create, **{**OTHER, "name": "b", "kind": "books"})
    api(api(Shop.query.get, name="a").delete)
    assert [each.name for each in api(Shop.query.filter(kind="books").all)] == ["b"]
    assert healthy(redis_client)


def test_the_entries_of_stored_values_go(api: Api, redis_client: redis.Redis) -> None:
    stale = api(Shop.create, **FULL)
    other = api(Shop.query.get, name="a")
    assign(other, OTHER)
    api(other.save)
    assert api(stale.delete) is True
    assert keys_of(redis_client) == []


def test_unsaved_changes_do_not_matter(api: Api, redis_client: redis.Redis) -> None:
    record = api(Shop.create, **FULL)
    assign(record, OTHER)
    record.name = "b"
    assert api(record.delete) is True
    assert keys_of(redis_client) == []


def test_deleting_what_is_not_there_is_false(api: Api, redis_client: redis.Redis) -> None:
    record = Shop(**FULL)
    assert api(record.delete) is False
    api(record.save)
    assert api(record.delete) is True
    assert api(record.delete) is False
    assert redis_client.keys("*") == []


def test_a_second_copy_finds_it_gone(api: Api) -> None:
    api(Shop.create, **FULL)
    first, second = api(Shop.query.all)[0], api(Shop.query.get, name="a")
    assert api(first.delete) is True
    assert api(second.delete) is False


def test_the_instance_keeps_its_values(api: Api, redis_client: redis.Redis) -> None:
    api(Shop.create, **FULL)
    (record,) = api(Shop.query.all)
    api(record.delete)
    assert (record.kind, record.log, record.note) == ("books", ["x", "y"], "n")
    assert (record._saved_field_values, record._db_content) == ({}, {})
    api(record.save)
    assert healthy(redis_client)
    assert api(Shop.query.count, kind="books", town="Town:berlin") == 1


def test_a_new_key_may_follow_a_delete(api: Api) -> None:
    record = api(Shop.create, **FULL)
    api(record.delete)
    record.name = "b"
    api(record.save)
    assert [each.pk for each in api(Shop.query.all)] == ["Shop:b"]


def test_delete_is_one_round_trip(api: Api, round_trips: Any) -> None:
    api(Shop.create, **FULL)
    (record,) = api(Shop.query.all)
    with round_trips() as seen:
        api(record.delete)
    assert seen.sends == 1


def test_deleting_a_target_keeps_the_reference(api: Api, redis_client: redis.Redis) -> None:
    town = api(Town.create, name="berlin")
    api(Shop.create, **FULL)
    api(town.delete)
    found = api(Shop.query.get, name="a")
    assert found.town is None
    found.note = "changed"
    api(found.save)
    assert redis_client.smembers("$RelationshipF:Shop:town:Town:berlin") == {b"Shop:a"}
    assert api(Shop.query.all)[0].town == "Town:berlin"


def test_records_with_hostile_keys(api: Api, redis_client: redis.Redis) -> None:
    class Case(Model):
        text = KeyField()
        note = StringField()

    texts = [
        "a:b",
        "*",
        "a*?[x]^'",
        "/",
        "//",
        "",
        " ",
        "żółw 🐢",
        "a\x00b",
        "{tag}",
        "None",
        "x\ny",
    ]
    records = [api(Case.create, text=text, note=text) for text in texts]
    assert api(Case.query.count) == len(texts)
    for record, text in zip(records, texts, strict=True):
        assert api(Case.query.get, text=text).note == text
        assert api(record.delete) is True
    assert redis_client.keys("*") == []
