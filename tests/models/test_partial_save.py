"""`save(update_fields=[...])`: only the listed fields, checked and indexed like a full save."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
import redis

from popoto import DatetimeField, IntField, KeyField, KeyMutationError, Model, ModelException
from popoto.exceptions import UniquenessError
from tests.driver import Api

from .shop import FULL, OTHER, Shop, assign, healthy, keys_of, plain

OPENED = datetime(2020, 1, 1)


@pytest.mark.parametrize("name", list(OTHER))
def test_only_the_listed_field_is_written(api: Api, redis_client: redis.Redis, name: str) -> None:
    api(Shop.create, **FULL)
    (record,) = api(Shop.query.all)
    assign(record, OTHER)
    assert api(record.save, update_fields=[name]) == 0
    assert plain(api(Shop.query.get, name="a")) == {**FULL, "opened": OPENED, name: OTHER[name]}
    assert healthy(redis_client)


@pytest.mark.parametrize("kind", [list, tuple, set, iter, dict.fromkeys])
def test_names_may_be_any_iterable(api: Api, kind: Any) -> None:
    record = api(Shop.create, **FULL)
    assign(record, OTHER)
    api(record.save, update_fields=kind(["note", "rank"]))
    found = api(Shop.query.get, name="a")
    assert (found.note, found.rank, found.kind) == ("m", 6, "books")


@pytest.mark.parametrize("names", ["note", b"note"])
def test_a_text_is_no_list_of_names(api: Api, names: Any) -> None:
    record = api(Shop.create, **FULL)
    with pytest.raises(ModelException, match="list of names"):
        api(record.save, update_fields=names)


def test_an_unknown_name_is_refused(api: Api) -> None:
    record = api(Shop.create, **FULL)
    record.note = "changed"
    with pytest.raises(ModelException, match="Unknown field"):
        api(record.save, update_fields=["note", "missing"])
    assert api(Shop.query.get, name="a").note == "n"


def test_no_names_have_no_effect_at_all(api: Api, round_trips: Any) -> None:
    called: list[str] = []

    class Silent(Model):
        name = KeyField()

        def pre_save(self, **kwargs: Any) -> Any:
            called.append("pre_save")
            return super().pre_save(**kwargs)

    record = api(Silent.create, name="a")
    called.clear()
    record.name = "b"
    with round_trips() as seen:
        assert api(record.save, update_fields=[]) == 0
    assert (seen.sends, called) == (0, [])


def test_listed_fields_are_validated_and_converted(api: Api) -> None:
    record = api(Shop.create, **FULL)
    record.size = "many"
    with pytest.raises(ModelException, match="invalid"):
        api(record.save, update_fields=["size"])
    assert api(record.save, update_fields=["size"], ignore_errors=True) is False
    record.size = "7"
    api(record.save, update_fields=["size"])
    assert api(Shop.query.get, name="a").size == 7
    record.rank = None
    with pytest.raises(ModelException, match="null"):
        api(record.save, update_fields=["rank"])


def test_fields_that_are_not_listed_do_not_matter(api: Api) -> None:
    record = api(Shop.create, **FULL)
    record.size, record.data, record.note = "many", object(), "changed"
    api(record.save, update_fields=["note"])
    assert api(Shop.query.get, name="a").note == "changed"


def test_uniqueness_holds(api: Api, redis_client: redis.Redis) -> None:
    api(Shop.create, **FULL)
    other = api(Shop.create, name="b", kind="books", size=9, code="c9")
    other.code = "c1"
    with pytest.raises(UniquenessError, match=r"unique.*already exists"):
        api(other.save, update_fields=["code"])
    other.code, other.size = "c9", 3
    with pytest.raises(UniquenessError, match=r"Unique index violation.*already exists"):
        api(other.save, update_fields=["size"])
    assert api(other.save, update_fields=["size"], ignore_errors=True) is False
    assert healthy(redis_client)


def test_changing_one_half_of_a_composite_index(api: Api, redis_client: redis.Redis) -> None:
    api(Shop.create, **FULL)
    (record,) = api(Shop.query.all)
    record.kind = "tea"
    api(record.save, update_fields=["kind"])
    assert healthy(redis_client)
    api(Shop.create, name="b", kind="books", size=3, code="c5")
    with pytest.raises(UniquenessError):
        api(Shop.create, name="c", kind="tea", size=3, code="c6")


class Stamped(Model):
    name = KeyField()
    changed = DatetimeField(auto_now=True)
    size = IntField()


def test_auto_now_fires_only_when_listed(api: Api) -> None:
    record = api(Stamped.create, name="a", size=1)
    changed = record.changed
    record.size = 2
    api(record.save, update_fields=["size"])
    assert api(Stamped.query.get, name="a").changed == changed
    api(record.save, update_fields=["changed"])
    assert api(Stamped.query.get, name="a").changed > changed
    changed = record.changed
    api(record.save, update_fields=["changed"], skip_auto_now=True)
    assert api(Stamped.query.get, name="a").changed == changed


def test_the_key_guard_holds_for_all_key_fields(api: Api) -> None:
    record = api(Shop.create, **FULL)
    record.name = "b"
    with pytest.raises(KeyMutationError):
        api(record.save, update_fields=["note"])


@pytest.mark.parametrize("names", [["name"], ["note"], ["name", "note"]])
@pytest.mark.parametrize("lazy", [False, True])
def test_with_a_changed_key_the_whole_record_moves(
    api: Api, redis_client: redis.Redis, names: list[str], lazy: bool
) -> None:
    api(Shop.create, **FULL)
    record = api(Shop.query.all)[0] if lazy else api(Shop.query.get, name="a")
    record.name, record.note, record.size = "b", "moved", 99
    api(record.save, update_fields=names, migrate_key=True)
    expected = {**FULL, "opened": OPENED, "name": "b"}
    if "note" in names:
        expected["note"] = "moved"
    assert plain(api(Shop.query.get, name="b")) == expected
    assert api(Shop.query.get, name="a") is None
    assert healthy(redis_client)
    assert not redis_client.exists("Shop:a", "Shop:a::log")


def test_a_record_that_is_not_stored_cannot_be_saved_in_part(
    api: Api, redis_client: redis.Redis
) -> None:
    record = Shop(**FULL)
    with pytest.raises(ModelException, match="not stored"):
        api(record.save, update_fields=["note"])
    assert keys_of(redis_client) == []


def test_a_deleted_record_is_not_resurrected_as_a_fragment(
    api: Api, redis_client: redis.Redis
) -> None:
    api(Shop.create, **FULL)
    (stale,) = api(Shop.query.all)
    api(api(Shop.query.get, name="a").delete)
    for names in (["note"], ["kind"], ["log"], ["data"]):
        with pytest.raises(ModelException, match="not stored"):
            api(stale.save, update_fields=names)
    assert keys_of(redis_client) == []


def test_a_constructed_instance_updates_a_stored_record(
    api: Api, redis_client: redis.Redis
) -> None:
    api(Shop.create, **FULL)
    other = Shop(name="a", kind="tea", note="new")
    api(other.save, update_fields=["kind", "note"])
    assert plain(api(Shop.query.get, name="a")) == {
        **FULL,
        "opened": OPENED,
        "kind": "tea",
        "note": "new",
    }
    assert healthy(redis_client)


def test_a_listed_field_is_written_although_unchanged(api: Api) -> None:
    api(Shop.create, **FULL)
    mine, theirs = api(Shop.query.get, name="a"), api(Shop.query.get, name="a")
    theirs.note = "theirs"
    api(theirs.save)
    api(mine.save, update_fields=["note"])
    assert api(Shop.query.get, name="a").note == "n"


def test_a_capped_list_alone_can_be_saved(api: Api, redis_client: redis.Redis) -> None:
    record = api(Shop.create, **FULL)
    record.log = [1, 2, 3, 4]
    assert api(record.save, update_fields=["log"]) == 0
    assert api(Shop.query.get, name="a").log == [1, 2, 3]
    assert record.log == [1, 2, 3]
    assert redis_client.llen("Shop:a::log") == 3
