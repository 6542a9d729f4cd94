"""`save()`: what it returns, what it writes, and that entries follow what is stored."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgpack
import pytest
import redis

from popoto import (
    DatetimeField,
    FloatField,
    IntField,
    KeyField,
    Model,
    ModelException,
    SortedField,
    StringField,
    UniqueKeyField,
)
from tests.driver import Api

from .shop import FULL, OTHER, Shop, assign, healthy, keys_of, plain


class Plain(Model):
    name = KeyField()
    text = StringField()
    size = IntField()


# Results -----------------------------------------------------------------------------------


def test_save_returns_the_number_of_new_hash_fields(api: Api) -> None:
    record = Plain(name="a", text="t")
    assert api(record.save) == 3
    assert api(record.save) == 0
    record.text = "u"
    assert api(record.save) == 0


def test_a_field_that_is_new_in_the_hash_counts(api: Api, redis_client: redis.Redis) -> None:
    record = api(Plain.create, name="a", text="t", size=1)
    redis_client.hdel("Plain:a", "size")
    found = api(Plain.query.get, name="a")
    found.size = 2
    assert api(found.save) == 1
    assert record.pk == found.pk


def test_capped_lists_are_no_hash_fields(api: Api) -> None:
    assert api(Shop(**FULL).save) == len(Shop._meta.field_names) - 1


def test_a_pre_save_that_returns_something_falsy_cancels(
    api: Api, redis_client: redis.Redis
) -> None:
    class Picky(Model):
        name = KeyField()

        def pre_save(self, **kwargs: Any) -> Any:
            return None

    record = Picky(name="a")
    with pytest.warns(UserWarning, match="returns None"):
        assert api(record.save) is False
    assert record._is_persisted is False
    assert redis_client.keys("*") == []


def test_pre_save_may_set_fields_and_key_fields(api: Api, redis_client: redis.Redis) -> None:
    class Slugged(Model):
        slug = KeyField()
        title = StringField()

        def pre_save(self, **kwargs: Any) -> Any:
            self.slug = self.title.lower()
            return super().pre_save(**kwargs)

    record = Slugged(title="Hello")
    assert api(record.save) == 2
    assert record._redis_key == "Slugged:hello"
    assert redis_client.smembers("$Class:Slugged") == {b"Slugged:hello"}


def test_extra_keywords_reach_pre_save(api: Api) -> None:
    seen: list[dict[str, Any]] = []

    class Curious(Model):
        name = KeyField()

        def pre_save(self, **kwargs: Any) -> Any:
            seen.append(kwargs)
            return super().pre_save(**kwargs)

    api(Curious(name="a").save, reason="why", skip_auto_now=True)
    (kwargs,) = seen
    assert kwargs["reason"] == "why"
    assert kwargs["skip_auto_now"] is True
    assert {"pipeline", "ignore_errors", "update_fields"} <= set(kwargs)


def test_invalid_values_raise_or_return_false(api: Api, redis_client: redis.Redis) -> None:
    record = Plain(name="a")
    record.size = "many"
    with pytest.raises(ModelException, match="invalid"):
        api(record.save)
    assert api(record.save, ignore_errors=True) is False
    assert redis_client.keys("*") == []


# What is written ------------------------------------------------------------------------------


def test_every_field_comes_back(api: Api, redis_client: redis.Redis) -> None:
    api(Shop(**FULL).save)
    for found in (api(Shop.query.get, name="a"), api(Shop.query.all)[0]):
        assert plain(found) == {**FULL, "opened": datetime(2020, 1, 1)}
    assert healthy(redis_client)


@pytest.mark.parametrize("loaded_by", ["kept", "get", "filter"])
def test_changed_values_move_every_entry(
    api: Api, redis_client: redis.Redis, loaded_by: str
) -> None:
    record = api(Shop.create, **FULL)
    if loaded_by == "get":
        record = api(Shop.query.get, name="a")
    elif loaded_by == "filter":
        (record,) = api(Shop.query.filter(kind="books").all)
    assign(record, OTHER)
    assert api(record.save) == 0
    assert healthy(redis_client)
    assert api(Shop.query.count, kind="books") == 0
    assert plain(api(Shop.query.get, kind="wine"))["rank"] == 6


@pytest.mark.parametrize("name", ["kind", "spot", "town", "note", "size", "data", "_secret"])
def test_a_field_becomes_null_and_back(api: Api, redis_client: redis.Redis, name: str) -> None:
    api(Shop.create, **FULL)
    (record,) = api(Shop.query.all)
    setattr(record, name, None)
    api(record.save)
    assert healthy(redis_client)
    (record,) = api(Shop.query.all)
    assert plain(record)[name] is None
    setattr(record, name, FULL[name])
    api(record.save)
    assert healthy(redis_client)
    assert plain(api(Shop.query.get, name="a"))[name] == FULL[name]


def test_only_changed_fields_are_written(api: Api, redis_client: redis.Redis) -> None:
    api(Shop.create, **FULL)
    mine, theirs = api(Shop.query.get, name="a"), api(Shop.query.all)[0]
    theirs.note, theirs.rank, theirs.kind = "theirs", 9, "tea"
    api(theirs.save)
    mine.data = {"k": "mine"}
    api(mine.save)
    (record,) = api(Shop.query.all)
    assert (record.note, record.rank, record.kind, record.data) == (
        "theirs",
        9,
        "tea",
        {"k": "mine"},
    )
    assert healthy(redis_client)


def test_a_value_changed_in_place_is_found_and_written(api: Api) -> None:
    record = api(Shop.create, **{**FULL, "data": {"k": [1]}})
    record.data["k"].append(2)
    api(record.save)
    (found,) = api(Shop.query.all)
    assert found.data == {"k": [1, 2]}
    found.data["k"].append(3)
    api(found.save)
    assert api(Shop.query.get, name="a").data == {"k": [1, 2, 3]}


def test_two_stale_writers_of_one_field_leave_one_entry(
    api: Api, redis_client: redis.Redis
) -> None:
    api(Shop.create, **FULL)
    first, second = api(Shop.query.all)[0], api(Shop.query.get, name="a")
    first.kind, second.kind = "one", "two"
    first.town, second.town = "Town:x", None
    first.opened = datetime(2021, 1, 1)
    api(first.save)
    api(second.save)
    assert healthy(redis_client)
    assert api(Shop.query.count, kind="one") == 0
    assert api(Shop.query.get, kind="two").opened == datetime(2021, 1, 1)


def test_an_unchanged_save_writes_no_field(api: Api, round_trips: Any) -> None:
    api(Plain.create, name="a", text="t")
    record = api(Plain.query.get, name="a")
    with round_trips() as seen:
        api(record.save)
    assert seen.sends == 1
    assert seen.commands["hset"] == 0


def test_a_save_is_one_round_trip(api: Api, round_trips: Any) -> None:
    record = Shop(**FULL)
    api(Plain(name="warm").save)
    with round_trips() as seen:
        api(record.save)
    assert seen.sends == 1
    assign(record, OTHER)
    with round_trips() as seen:
        api(record.save)
    assert seen.sends == 1


# Records that are there already ---------------------------------------------------------------


def test_a_new_instance_under_a_stored_key_replaces_the_record(
    api: Api, redis_client: redis.Redis
) -> None:
    api(Shop.create, **FULL)
    assert api(Shop(name="a", kind="new", code="c9").save) == 0
    found = api(Shop.query.get, name="a")
    assert (found.kind, found.note, found.log, found.town) == ("new", None, [], None)
    assert api(Shop.query.count) == 1
    assert healthy(redis_client)


def test_a_unique_key_may_be_replaced_too(api: Api, redis_client: redis.Redis) -> None:
    class Tagged(Model):
        tag = UniqueKeyField()
        text = StringField()

    api(Tagged(tag="a", text="1").save)
    api(Tagged(tag="a", text="2").save)
    assert api(Tagged.query.get, tag="a").text == "2"
    assert redis_client.smembers("$UniqueKeyF:Tagged:tag:a") == {b"Tagged:a"}


def test_saving_a_record_that_was_deleted_meanwhile_writes_it_whole_on_request(
    api: Api, redis_client: redis.Redis
) -> None:
    api(Shop.create, **FULL)
    kept = api(Shop.query.all)[0]
    api(api(Shop.query.get, name="a").delete)
    kept.note = "again"
    api(kept.save, recreate=True)
    assert plain(api(Shop.query.get, name="a")) == {
        **FULL,
        "note": "again",
        "opened": datetime(2020, 1, 1),
    }
    assert healthy(redis_client)


@pytest.mark.filterwarnings("ignore:.*no key field has a value")
@pytest.mark.parametrize("first", [None, "None"])
def test_null_and_its_text_share_a_key_and_are_told_apart(api: Api, first: str | None) -> None:
    other = "None" if first is None else None
    api(Plain.create, name=first, text="t")
    with pytest.raises(ModelException, match="same record key"):
        api(Plain(name=other, text="u").save)
    assert api(Plain.query.all)[0].text == "t"


def test_a_key_of_another_type_is_reported_and_left_alone(
    api: Api, redis_client: redis.Redis
) -> None:
    redis_client.rpush("Plain:a", "x")
    with pytest.raises(ModelException, match="list"):
        api(Plain(name="a").save)
    redis_client.set("$Class:Plain", "x")
    with pytest.raises(ModelException, match="string"):
        api(Plain(name="b").save)
    assert keys_of(redis_client, "Plain") == [b"$Class:Plain", b"Plain:a"]


class Measured(Model):
    name = KeyField()
    ratio = FloatField()


@pytest.mark.parametrize(
    "stored",
    [
        msgpack.packb(2**40),
        msgpack.packb(float(2**40), use_single_float=True),
        msgpack.packb(str(float(2**40))),
    ],
)
def test_the_same_number_in_another_form_is_left_as_it_is(
    api: Api, redis_client: redis.Redis, stored: bytes
) -> None:
    record = api(Measured.create, name="a", ratio=1.0)
    redis_client.hset("Measured:a", "ratio", stored)
    record = api(Measured.query.get, name="a")
    record.ratio = float(2**40)
    api(record.save)
    assert redis_client.hget("Measured:a", "ratio") == stored
    record.ratio = float(2**41)
    api(record.save)
    assert redis_client.hget("Measured:a", "ratio") == msgpack.packb(float(2**41))


def test_zero_and_its_negative_are_two_numbers(api: Api, redis_client: redis.Redis) -> None:
    record = api(Measured.create, name="a", ratio=0.0)
    record.ratio = -0.0
    api(record.save)
    assert redis_client.hget("Measured:a", "ratio") == msgpack.packb(-0.0)


def test_server_errors_pass_through(api: Api, redis_client: redis.Redis) -> None:
    redis_client.config_set("maxmemory", "1")
    try:
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            api(Plain(name="a", text="t").save)
    finally:
        redis_client.config_set("maxmemory", "0")
    assert keys_of(redis_client, "Plain") == []


# Timestamps ------------------------------------------------------------------------------------


class Stamped(Model):
    name = KeyField()
    made = DatetimeField(auto_now_add=True)
    changed = DatetimeField(auto_now=True)
    number = SortedField(type=int, auto_now=True)
    text = StringField()


def test_auto_now_fields(api: Api) -> None:
    before = datetime.now()
    record = Stamped(name="a")
    assert record.made is None
    api(record.save)
    made, changed = record.made, record.changed
    assert before <= made <= datetime.now()
    assert made.tzinfo is None
    assert type(record.number) is int
    assert abs(record.number - before.timestamp()) < 60
    record = api(Stamped.query.get, name="a")
    api(record.save)
    assert (record.made, record.changed > changed) == (made, True)


def test_skip_auto_now_leaves_auto_now_alone(api: Api) -> None:
    record = api(Stamped.create, name="a")
    changed = record.changed
    api(record.save, skip_auto_now=True)
    assert record.changed == changed
    found = api(Stamped.query.all)[0]
    found.text = "x"
    api(found.save, skip_auto_now=True)
    assert api(Stamped.query.get, name="a").changed == changed


def test_skip_auto_now_does_not_skip_auto_now_add(api: Api) -> None:
    record = Stamped(name="a", number=1)
    api(record.save, skip_auto_now=True)
    assert record.made is not None
    assert record.changed is None
    assert record.number == 1


def test_a_field_that_the_stored_record_lost_meanwhile_is_not_believed_any_more(
    api: Api, redis_client: redis.Redis
) -> None:
    stale = api(Shop.create, **FULL)
    other = api(Shop.query.get, name="a")
    other.kind = "theirs"
    api(other.save)
    redis_client.hdel("Shop:a", "rank", "town")
    redis_client.zrem("$SortF:Shop:rank", "Shop:a")
    redis_client.delete("$RelationshipF:Shop:town:Town:berlin")
    stale.kind = "mine"
    api(stale.save)
    assert (stale.kind, stale.rank) == ("mine", 0)
    assert not {"rank", "town"} & set(stale._saved_field_values)
    assert api(Shop.query.count, town="Town:berlin") == 0
    assert api(Shop.query.count, kind="mine") == 1


def test_what_is_set_here_and_changed_there_is_written_at_the_next_full_save(
    api: Api, redis_client: redis.Redis
) -> None:
    """A partial save learns of the other writer, and what it does not name stays unsaved."""
    api(Shop.create, **FULL)
    mine, other = api(Shop.query.get, name="a"), api(Shop.query.get, name="a")
    assign(other, {"kind": "theirs", "rank": 50, "code": "c9"})
    api(other.save)
    assert mine.code == "c1"
    assign(mine, {"kind": "mine", "rank": 7})
    api(mine.save, update_fields=["kind"])
    assert (mine.kind, mine.rank, mine.code) == ("mine", 7, "c9")
    found = api(Shop.query.get, name="a")
    assert (found.kind, found.rank, found.code) == ("mine", 50, "c9")
    api(mine.save)
    assert api(Shop.query.get, name="a").rank == 7
    assert healthy(redis_client)
