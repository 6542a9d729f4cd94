"""`bulk_create`: each batch whole or not at all, uniqueness inside and across, bounded memory."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from weakref import WeakSet

import pytest
import redis

from popoto import Field, IndexedField, IntField, KeyField, Model, ModelException, UniqueField
from popoto.exceptions import BulkError, RowError, UniquenessError
from tests.driver import Api, RoundTrips
from tests.upkeep.zoo import Animal, Visit, animal, state


class Item(Model):
    name = KeyField()
    code = UniqueField(type=str)
    group = IndexedField(null=True)
    size = IntField(default=0)


def item(number: int, **values: Any) -> Item:
    return Item(**{"name": f"i{number}", "code": f"c{number}", **values})


def names() -> set[str]:
    return {each.name for each in Item.query.all()}


# What is written ---------------------------------------------------------------------


def test_each_record_is_stored_as_by_save(api: Api, redis_client: redis.Redis) -> None:
    for number in range(12):
        animal(number).save()
    one_by_one = state(redis_client)
    redis_client.flushall()
    given = [animal(number) for number in range(12)]
    stored = api(Animal.bulk_create, given, batch_size=5)
    assert state(redis_client) == one_by_one
    assert [a is b for a, b in zip(stored, given, strict=True)] == [True] * 12
    assert all(each._is_persisted for each in stored)
    assert api(stored[0].save) == 0
    assert api(stored[0].delete) is True


@pytest.mark.parametrize("nothing", [[], (), None, iter(())])
def test_nothing_given(api: Api, redis_client: redis.Redis, nothing: Any) -> None:
    assert api(Item.bulk_create, nothing) == []
    assert redis_client.dbsize() == 0


@pytest.mark.parametrize("size", [0, -1, True, "5", 2.5])
def test_a_batch_holds_one_record_or_more(api: Api, size: Any) -> None:
    with pytest.raises(ValueError, match="batch_size"):
        api(Item.bulk_create, [item(1)], batch_size=size)
    assert names() == set()


@pytest.mark.parametrize("stranger", [Visit(), "Item:i1", None, {"name": "x"}, Item])
def test_only_instances_of_the_model(api: Api, stranger: Any) -> None:
    with pytest.raises(ModelException, match="row 1"):
        api(Item.bulk_create, [item(0), stranger])
    assert names() == set()


def test_a_stored_record_is_replaced_as_by_save(api: Api) -> None:
    api(Item.bulk_create, [item(n, group="old", size=1) for n in range(50)])
    api(Item.bulk_create, [item(n, group="new", size=2) for n in range(50)])
    assert Item.query.filter(group="old").count() == 0
    assert Item.query.filter(group="new").count() == 50
    assert Item.check_indexes()["total"] == 0


def test_a_loaded_record_is_changed(api: Api) -> None:
    api(Item.bulk_create, [item(1, size=1)])
    other, loaded = Item.query.get(name="i1"), Item.query.get(name="i1")
    other.size = 5
    other.save()
    loaded.group = "g"
    api(Item.bulk_create, [loaded])
    found = Item.query.get(name="i1")
    assert (found.size, found.group) == (5, "g")


def test_an_expiry_is_set(api: Api, redis_client: redis.Redis) -> None:
    given = [item(1), item(2)]
    given[0]._ttl = 100
    api(Item.bulk_create, given)
    assert 90 < redis_client.ttl("Item:i1") <= 100
    assert redis_client.ttl("Item:i2") == -1


def test_the_same_key_twice_is_written_in_order(api: Api) -> None:
    class Plain(Model):
        name = KeyField()
        group = IndexedField()

    stored = api(Plain.bulk_create, [Plain(name="a", group="1"), Plain(name="a", group="2")])
    assert len(stored) == 2
    assert Plain.query.get(name="a").group == "2"
    assert Plain.query.filter(group="1").count() == 0
    assert Plain.check_indexes()["total"] == 0


# Validation --------------------------------------------------------------------------


def test_an_invalid_row_keeps_its_whole_batch_from_being_written(api: Api) -> None:
    bad = item(7)
    bad.size = "many"  # type: ignore[assignment]
    given = [item(n) for n in range(6)] + [bad] + [item(8)]
    with pytest.raises(BulkError, match=r"row 7.*size|row 6.*size") as caught:
        api(Item.bulk_create, given, batch_size=4)
    assert names() == {f"i{n}" for n in range(4)}
    assert caught.value.done == 4
    (error,) = caught.value.errors
    assert (error.position, error.instance) == (6, bad)


def test_every_invalid_row_of_a_batch_is_told(api: Api) -> None:
    given = [item(n) for n in range(4)]
    given[1].code = given[3].code = None  # type: ignore[assignment]
    with pytest.raises(BulkError) as caught:
        api(Item.bulk_create, given)
    assert [error.position for error in caught.value.errors] == [1, 3]
    assert names() == set()


def test_on_error_takes_the_rows_that_fail_and_the_others_are_written(api: Api) -> None:
    api(item(0).save)
    given = [item(n) for n in range(1, 7)]
    given[1].size = "many"  # type: ignore[assignment]
    given[3].code = "c1"
    given[5].code = "c0"
    told: list[RowError] = []
    stored = api(Item.bulk_create, given, on_error=told.append)
    assert [each.name for each in stored] == ["i1", "i3", "i5"]
    assert names() == {"i0", "i1", "i3", "i5"}
    assert sorted(error.position for error in told) == [1, 3, 5]
    assert isinstance({e.position: e.error for e in told}[5], UniquenessError)
    assert given[1]._is_persisted is False


# Uniqueness --------------------------------------------------------------------------


def test_two_rows_of_a_batch_cannot_share_a_unique_value(api: Api) -> None:
    with pytest.raises(ModelException, match=r"(?i)unique.*already exists"):
        api(Item.bulk_create, [item(0), item(1), item(2, code="c0")])
    assert names() == set()


def test_rows_of_two_batches_cannot_share_a_unique_value(api: Api) -> None:
    with pytest.raises(ModelException, match=r"(?i)unique.*already exists"):
        api(Item.bulk_create, [item(0), item(1), item(2, code="c0"), item(3)], batch_size=2)
    assert names() == {"i0", "i1"}


def test_a_stored_record_keeps_its_unique_value(api: Api) -> None:
    api(item(0).save)
    with pytest.raises(ModelException, match="unique"):
        api(Item.bulk_create, [item(1), item(2, code="c0")])
    assert names() == {"i0"}
    api(Item.bulk_create, [item(0), item(1)])
    assert names() == {"i0", "i1"}


def test_unique_composite_indexes_hold(api: Api) -> None:
    class Seat(Model):
        number = KeyField(type=int)
        row = Field()
        place = Field()

        class Meta:
            indexes = ((("row", "place"), True),)

    pair = [Seat(number=1, row="a", place="b"), Seat(number=2, row="a", place="b")]
    with pytest.raises(ModelException, match=r"Unique index violation.*already exists"):
        api(Seat.bulk_create, pair)
    assert Seat.query.count() == 0
    api(Seat.bulk_create, [Seat(number=3, row="a:b", place="c"), Seat(number=4, row="a")])
    with pytest.raises(ModelException, match="Unique index violation"):
        api(Seat.bulk_create, [Seat(number=5), Seat(number=6, row="a:b", place="c")])
    api(Seat.bulk_create, [Seat(number=7, row="a", place="b:c")])
    assert Seat.query.count() == 3
    assert Seat.check_indexes()["total"] == 0


def test_new_records_cannot_share_a_unique_key(api: Api) -> None:
    with pytest.raises(ModelException, match="must be unique"):
        api(Animal.bulk_create, [animal(1), animal(1)])
    assert Animal.query.count() == 0


def test_a_unique_value_passes_from_one_row_to_another(api: Api) -> None:
    api(Item.bulk_create, [item(0), item(1)])
    first = Item.query.get(name="i0")
    first.code = "fresh"
    api(Item.bulk_create, [first, item(2, code="c0")])
    assert {each.name: each.code for each in Item.query.all()} == {
        "i0": "fresh", "i1": "c1", "i2": "c0",
    }  # fmt: skip
    assert Item.check_indexes()["total"] == 0


def test_an_expired_holder_does_not_keep_a_unique_value(
    api: Api, redis_client: redis.Redis
) -> None:
    api(item(0).save)
    redis_client.delete("Item:i0")
    api(Item.bulk_create, [item(1, code="c0")])
    assert names() == {"i1"}


def test_of_concurrent_batches_one_gets_the_value() -> None:
    failed: list[Exception] = []

    def create(worker: int) -> None:
        rows = [item(worker * 10 + n) for n in range(3)]
        rows[1].code = "wanted"
        try:
            Item.bulk_create(rows)
        except BulkError as error:
            failed.append(error)

    threads = [threading.Thread(target=create, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) == 5
    assert Item.query.count() == 3
    assert Item.query.filter(code="wanted").count() == 1
    assert Item.check_indexes()["total"] == 0


# Hooks -------------------------------------------------------------------------------


def test_hooks_run_for_every_instance(api: Api) -> None:
    class Shout(IndexedField):
        def format_value_pre_save(self, field_value: Any, **kwargs: Any) -> Any:
            return field_value.upper()

        @classmethod
        def on_save(cls, model_instance: Any, field_name: str, field_value: Any, **kw: Any) -> Any:
            kw["pipeline"].rpush("$Log", f"{model_instance.name} {field_value}")
            return super().on_save(model_instance, field_name, field_value, **kw)

    class Loud(Model):
        name = KeyField()
        word = Shout()
        number = Field(type=int)

        def pre_save(self, **kwargs: Any) -> Any:
            self.number = len(self.name)
            return self.name != "veto" and super().pre_save(**kwargs)

    given = [Loud(name=name, word="a") for name in ("x", "veto", "yy")]
    assert api(Loud.bulk_create, given) == given
    assert [(each.name, each.word, each.number) for each in Loud.query.all()] == [
        ("x", "A", 1), ("yy", "A", 2),
    ]  # fmt: skip
    assert Loud.query.filter(word="A").count() == 2
    assert given[1]._is_persisted is False


def test_a_save_of_the_models_own_is_called(api: Api) -> None:
    class Own(Model):
        name = KeyField()
        seen = IntField(default=0)

        def save(self, *args: Any, **kwargs: Any) -> Any:
            self.seen += 1
            return super().save(*args, **kwargs)

        async def async_save(self, *args: Any, **kwargs: Any) -> Any:
            self.seen += 1
            return await super().async_save(*args, **kwargs)

    api(Own.bulk_create, [Own(name="a"), Own(name="b")])
    assert {each.name: each.seen for each in Own.query.all()} == {"a": 1, "b": 1}


# Size --------------------------------------------------------------------------------


def test_progress_is_told_after_each_batch(api: Api) -> None:
    told: list[int] = []
    api(Item.bulk_create, (item(n) for n in range(7)), batch_size=3, progress=told.append)
    assert told == [3, 6, 7]


def test_a_generator_of_any_length_needs_the_memory_of_a_batch(api: Api) -> None:
    alive: WeakSet[Item] = WeakSet()
    most = 0

    def stream() -> Iterator[Item]:
        nonlocal most
        for number in range(300):
            each = item(number)
            alive.add(each)
            most = max(most, len(alive))
            yield each

    gc.collect()
    assert api(Item.bulk_create, stream(), batch_size=20, keep=False) == 300
    assert Item.query.count() == 300
    assert most <= 60


def test_one_round_trip_for_each_batch(
    api: Api, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    api(Item.bulk_create, [item(9999)])
    with round_trips() as seen:
        api(Item.bulk_create, [item(n) for n in range(100)], batch_size=50)
    assert seen.sends == 2
    with round_trips() as seen:
        api(Item.bulk_create, [item(n, size=3) for n in range(100)])
    assert seen.sends == 2


@pytest.mark.slow
def test_a_batch_too_large_for_one_step_is_written_in_several(api: Api) -> None:
    class Wide(Model):
        name = KeyField()
        tags = IndexedField()

    Wide.bulk_create([Wide(name=str(n), tags="t") for n in range(9000)], batch_size=9000)
    assert Wide.query.filter(tags="t").count() == 9000
