"""Two models of one name share their records: that is told, and `Meta.name` tells them apart."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import redis

from popoto import Field, IndexedField, KeyField, Model, ModelException, Relationship, SortedField
from tests.driver import Api
from tests.memory import every_operation
from tests.memory.every_operation import WRITES, Memory, replies

WRITTEN = """
from popoto import KeyField, Model

class {name}(Model):
    name = KeyField()
"""
META = "    class Meta:\n        "


@pytest.fixture(autouse=True)
def _warnings_are_seen() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def written_in(module: str, name: str, meta: str = "") -> Any:
    names: dict[str, Any] = {"__name__": module}
    text = WRITTEN.format(name=name) + (META + meta if meta else "")
    exec(compile(text, f"{module}.py", "exec"), names)
    return names[name]


def test_two_modules_with_a_model_of_one_name_are_told() -> None:
    kept = written_in("shop.models", "Patron")
    said = r"billing\.models\.Patron.*shop\.models\.Patron"
    with pytest.warns(UserWarning, match=said) as seen:
        written_in("billing.models", "Patron")
    assert "Meta.name" in str(seen[0].message)
    assert (seen[0].filename, seen[0].lineno) == ("billing.models.py", 4)
    assert kept._meta.model_name == "Patron"


def test_a_definition_that_is_made_again_in_its_module_is_quiet() -> None:
    first = written_in("notebook", "Cell")
    assert written_in("notebook", "Cell")._meta.model_name == first._meta.model_name


def test_a_file_that_is_known_under_two_names_is_quiet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("app.models", "__main_of_app__"):
        module = ModuleType(name)
        module.__file__ = str(tmp_path / "models.py")
        monkeypatch.setitem(sys.modules, name, module)
    kept = [written_in(name, "Run") for name in ("app.models", "__main_of_app__")]
    assert len(kept) == 2


def test_a_former_class_that_is_gone_is_forgotten() -> None:
    written_in("gone.models", "Gone")
    gc.collect()
    written_in("new.models", "Gone")


def test_an_abstract_model_keeps_no_records_to_share() -> None:
    kept = [written_in(name, "Bare", "abstract = True") for name in ("one.models", "two.models")]
    assert all(each._meta.abstract for each in kept)


def test_a_name_of_its_own_tells_them_apart(api: Api, redis_client: redis.Redis) -> None:
    ours = written_in("ours.models", "Lodger")
    theirs = written_in("theirs.models", "Lodger", "name = 'their.Lodger'")
    api(ours.create, name="ann")
    api(theirs.create, name="bob")
    assert [each.pk for each in api(ours.query.all)] == ["Lodger:ann"]
    assert [each.pk for each in api(theirs.query.all)] == ["their.Lodger:bob"]
    assert api(theirs.delete_all) == 1
    assert ours.query.count() == 1
    assert not redis_client.keys("*their*")


def test_names_that_are_given_are_compared_too() -> None:
    kept = written_in("one.people", "Person", "name = 'people'")
    with pytest.warns(UserWarning, match="'people'"):
        written_in("two.people", "Folk", "name = 'people'")
    assert kept._meta.model_name == "people"


def test_a_name_is_not_inherited() -> None:
    class Animal(Model):
        name = KeyField()

        class Meta:
            name = "beast"
            ttl = 60

    class Wolf(Animal):
        pass

    assert (Animal._meta.model_name, Wolf._meta.model_name, Wolf._meta.ttl) == ("beast", "Wolf", 60)


@pytest.mark.parametrize("name", ["", "a:b", "a*", "{a}", "a b", "$a", "9a", 3, b"a", "ä"])
def test_what_cannot_be_part_of_a_key_is_refused(name: object) -> None:
    with pytest.raises(ModelException, match=r"Meta\.name"):
        type(Model)(
            "Shelf", (Model,), {"key": KeyField(), "Meta": type("Meta", (), {"name": name})}
        )


class Owner(Model):
    name = KeyField()

    class Meta:
        name = "crm.Owner"


class Pet(Model):
    name = KeyField()
    kind = IndexedField()
    age = SortedField(type=int, partition_by="kind", default=0)
    owner = Relationship(Owner)
    friend = Relationship("self")

    class Meta:
        name = "crm.Pet"


def test_relationships_know_the_name(api: Api) -> None:
    ann = api(Owner.create, name="ann")
    rex = api(Pet.create, name="rex", kind="dog", owner=ann, age=3)
    api(Pet.create, name="tom", kind="cat", owner="crm.Owner:ann", friend=rex)
    found = api(Pet.query.filter(owner="crm.Owner:ann").all)
    assert sorted(each.name for each in found) == ["rex", "tom"]
    assert api(Pet.query.count, friend=rex) == 1
    assert api(Pet.query.filter(owner__name="ann").count) == 2
    assert [each.name for each in api(Pet.query.filter(kind="dog", age__gt=1).all)] == ["rex"]
    for model in (Owner, Pet):
        assert api(model.check_indexes)["total"] == 0


class Named(Memory):
    class Meta:
        name = "diary.entry"


def test_what_is_kept_beside_records_stands_under_the_name(
    api: Api, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(every_operation, "Memory", Named)
    for target, value in every_operation.TARGETS.items():
        if value is Memory:
            monkeypatch.setitem(every_operation.TARGETS, target, Named)
        elif isinstance(value, Field):
            monkeypatch.setitem(every_operation.TARGETS, target, Named._meta.fields[value.name])
    memory = every_operation.remembered(api)
    list(replies(api, memory, WRITES))
    found = [key.decode() for key in redis_client.keys("*")]
    assert len(found) > 20
    assert [key for key in found if "diary.entry" not in key] == ["stream:mutations"]
    assert not any("Named" in key for key in found)
    assert Named.check_indexes()["total"] == 0
    Named.delete_all()
    assert [key for key in redis_client.keys("*") if b"stream" not in key] == []
