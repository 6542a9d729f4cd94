"""Keys of records: `DB_key`, `db_key`, `pk`, equality, copies."""

from __future__ import annotations

import copy
import pickle
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
import redis

from popoto import (
    AutoKeyField,
    Field,
    IntField,
    KeyField,
    ListField,
    Model,
    ModelException,
    Relationship,
    StringField,
)
from popoto.models.db_key import DB_key
from tests.driver import Api

# DB_key --------------------------------------------------------------------------------


def test_parts_are_flattened_and_text_is_a_leaf() -> None:
    assert DB_key("Event", ["2024", ("01", DB_key("x", "y"))]) == ["Event", "2024", "01", "x", "y"]
    assert DB_key("Event", b"raw") == ["Event", b"raw"]
    assert str(DB_key("Event", b"raw")) == "Event:b/'raw/'"


def test_text_is_the_escaped_parts() -> None:
    key = DB_key("K", "a:b", 5, "c-d", None)
    assert str(key) == key.redis_key == f"{key}" == "K:a{&#58;}b:5:c/-d:None"
    assert key == ["K", "a:b", 5, "c-d", None]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a:b", "a{&#58;}b"), ("a/b", "a//b"), ("2024-01-02", "2024/-01/-02"),
        ("a*?[x]^'", "a/*/?/[x/]/^/'"), ("/*", "///*"), ("/-", "///-"),
        ('a"b\\{}', 'a"b\\{}'), ("", ""), ("żółw 🐢", "żółw 🐢"),
    ],
)  # fmt: skip
def test_clean_and_unclean(text: str, escaped: str) -> None:
    assert DB_key.clean(text) == escaped
    assert DB_key.unclean(escaped) == text


@pytest.mark.parametrize("kind", [str, str.encode])
def test_from_redis_key_unescapes_each_part(kind: Any) -> None:
    key = DB_key.from_redis_key(kind("K:a{&#58;}b:2024/-01::x"))
    assert key == ["K", "a:b", "2024-01", "", "x"]


def test_keys_compare_as_lists_and_are_unhashable() -> None:
    assert DB_key("a", "b") == DB_key("a", ["b"])
    assert DB_key("a") != DB_key("b")
    with pytest.raises(TypeError):
        hash(DB_key("a"))


class Item(Model):
    name = KeyField()
    size = IntField()


def test_exists_and_get_instance() -> None:
    item = Item(name="a", size=3)
    assert item.db_key.exists() is False
    assert item.db_key.get_instance(Item) is None
    item.save()
    assert item.db_key.exists() is True
    found = item.db_key.get_instance(Item)
    assert found is not None
    assert found.size == 3


# Keys of instances -----------------------------------------------------------------------


class Mixed(Model):
    zeta = KeyField()
    asset = KeyField()
    _uid = KeyField()


def test_key_values_stand_in_alphabetical_order_of_field_names() -> None:
    assert str(Mixed(zeta="z", asset="a", _uid="u")) == "Mixed:u:a:z"


def test_repr_and_str_show_the_key() -> None:
    item = Item(name="a:b")
    assert str(item) == item.db_key.redis_key == "Item:a{&#58;}b"
    assert repr(item) == "<Item Popoto object at Item:a{&#58;}b>"


def test_parts_of_a_key_are_unescaped_text() -> None:
    class Log(Model):
        uid = AutoKeyField()
        number = KeyField(type=int)

    log = Log(number=5)
    assert log.db_key == ["Log", "5", log.uid]
    assert log.uid in log.db_key
    assert all(type(part) is str for part in log.db_key)


@pytest.mark.parametrize(
    ("type_", "value", "text"),
    [
        (int, 5, "5"), (int, -7, "/-7"), (Decimal, Decimal("1.50"), "1.50"), (float, 1.0, "1.0"),
        (float, 1e20, "1e+20"), (bool, True, "True"), (date, date(2024, 1, 2), "2024/-01/-02"),
        (datetime, datetime(2024, 1, 2, 3, 4, 5), "2024/-01/-02 03{&#58;}04{&#58;}05"),
        (datetime, datetime(2024, 1, 2, 3, 4, 5, 6), "2024/-01/-02 03{&#58;}04{&#58;}05.000006"),
        (time, time(1, 2, 3), "01{&#58;}02{&#58;}03"), (str, None, "None"), (str, "", ""),
    ],
)  # fmt: skip
def test_key_text_by_type(type_: type, value: object, text: str) -> None:
    class Typed(Model):
        key = KeyField(type=type_)

    assert str(Typed(key=value)) == f"Typed:{text}"


def test_pk_is_the_stored_key_and_db_key_that_of_the_values(api: Api) -> None:
    item = Item(name="a")
    assert item.pk == "Item:a"
    api(item.save)
    item.name = "b"
    assert item.pk == "Item:a"
    assert str(item) == "Item:b"
    assert item.db_key == ["Item", "b"]
    assert repr(item) == "<Item Popoto object at Item:b>"


# Equality -----------------------------------------------------------------------------------


def test_equal_are_instances_of_one_class_with_one_key() -> None:
    assert Item(name="a", size=1) == Item(name="a", size=2)
    assert Item(name="a") != Item(name="b")

    class Other(Model):
        name = KeyField()

    assert Item(name="a") != Other(name="a")


@pytest.mark.parametrize("other", [None, 5, "Item:a", object(), Item, DB_key("Item", "a")])
def test_anything_else_is_unequal(other: object) -> None:
    assert (Item(name="a") == other) is False
    assert (Item(name="a") != other) is True


def test_instances_without_key_equal_only_themselves() -> None:
    first, second = Item(), Item()
    assert first == first
    assert first != second
    assert not first == second  # noqa: SIM201


def test_equal_instances_have_equal_hashes() -> None:
    assert len({Item(name="a"), Item(name="a"), Item(name="b")}) == 2


def test_a_loaded_instance_equals_the_created_one(api: Api) -> None:
    item = api(Item.create, name="a", size=1)
    assert api(Item.query.get, name="a") == item
    assert api(Item.query.all) == [item]


# Copies ----------------------------------------------------------------------------------------


class Copied(Model):
    name = KeyField()
    size = IntField()
    data = Field(type=dict)
    log = ListField(max_length=3)


def instances(api: Api) -> list[Any]:
    api(Copied.create, name="a", size=3, data={"x": [1]}, log=["l"])
    return [
        Copied(name="a", size=3, data={"x": [1]}, log=["l"]),
        api(Copied.query.get, name="a"),
        api(Copied.query.all)[0],
    ]


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))]
)
def test_copies_of_fresh_and_loaded_instances(api: Api, duplicate: Any) -> None:
    for instance in instances(api):
        twin = duplicate(instance)
        assert twin is not instance
        assert twin == instance
        assert (twin.size, twin.data, twin.log, twin.pk) == (3, {"x": [1]}, ["l"], "Copied:a")
        assert twin._is_persisted is instance._is_persisted


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))]
)
def test_a_copy_can_be_changed_and_saved_without_the_original(api: Api, duplicate: Any) -> None:
    instance = api(Copied.create, name="a", size=3, data={"x": [1]}, log=["l"])
    twin = duplicate(instance)
    twin.size = 4
    twin.log = ["m"]
    api(twin.save)
    assert (instance.size, instance.log) == (3, ["l"])
    found = api(Copied.query.get, name="a")
    assert (found.size, found.log) == (4, ["m"])
    assert instance._saved_field_values["size"] == 3


def test_what_a_copy_refers_to_is_its_own_affair(api: Api) -> None:
    class Node(Model):
        name = KeyField()
        parent = Relationship("self")

    node = api(Node.create, name="a", parent="Node:b")
    twin = copy.copy(node)
    Node(name="a", parent="Node:c").save()
    api(twin.refresh)
    assert (twin.to_dict()["parent"], node.to_dict()["parent"]) == ("Node:c", "Node:b")


def test_a_record_equals_records_only() -> None:
    assert (Copied(name="a") == "Copied:a") is False
    assert (Copied(name="a") != "Copied:a") is True


def test_a_key_that_cannot_be_stored_is_not_the_stored_one(api: Api) -> None:
    record = api(Copied.create, name="a")
    record.name = "\ud800"
    assert str(record) == "Copied:\ud800"
    with pytest.raises(ModelException, match="lone surrogate"):
        api(record.save, migrate_key=True)


def test_a_key_that_cannot_be_read_may_be_the_same(api: Api, redis_client: redis.Redis) -> None:
    api(Copied.create, name="a", size=1)
    redis_client.hset("Copied:a", "name", b"\xc1")
    api(Copied(name="a", size=2).save)
    assert [(each.name, each.size) for each in api(Copied.query.all)] == [("a", 2)]


def test_a_key_that_is_null_is_a_key(api: Api) -> None:
    class Slot(Model):
        name = KeyField(null=True)
        note = StringField()

    with pytest.warns(UserWarning, match="no key field has a value"):
        api(Slot.create, name=None, note="first")
    (slot,) = api(Slot.query.filter(name=None).all)
    slot.note = "second"
    api(slot.save)
    assert [each.note for each in api(Slot.query.all)] == ["second"]
    with pytest.raises(ModelException, match="make the same record key"):
        api(Slot(name="None").save)
    assert api(Slot(name="None").delete) is False
    assert api(Slot(name=None).delete) is True
    assert api(Slot.query.count) == 0
