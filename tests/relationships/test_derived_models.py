"""Records of models that are derived from the related one, and keys of other models."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from popoto import IntField, KeyField, Model, Relationship, StringField
from popoto.exceptions import MissingTargetError
from tests.driver import Api


class Animal(Model):
    name = KeyField()
    noise = StringField(default="")

    class Meta:
        abstract = True


class Dog(Animal):
    tricks = IntField(default=0)


class Puppy(Dog):
    weeks = IntField(default=0)


class Zoo(Model):
    name = KeyField()
    noise = StringField(default="")


class Owner(Model):
    name = KeyField()
    pet = Relationship(Animal)
    dog = Relationship(Dog)


@pytest.fixture(autouse=True)
def owners() -> None:
    Owner.create(
        name="ann", pet=Dog.create(name="rex", tricks=3), dog=Puppy.create(name="ben", weeks=8)
    )
    Owner.create(name="bob", pet="Puppy:ben", dog="Dog:rex")


def pets(api: Api) -> list[list[Any]]:
    """The owners' pets and dogs, in every way that they can be loaded."""
    keys = ["Owner:ann", "Owner:bob"]
    related = Owner.query.filter().select_related("pet", "dog")
    loaded: list[list[Any]] = [api(related.all), api(Owner.query.get_many, keys)]
    loaded.append([api(Owner.query.get, key) for key in keys])
    if not api.is_async:  # reading at the first access would block the loop
        loaded.append([*Owner.query.filter().all()])
    return [[pet for owner in owners for pet in (owner.pet, owner.dog)] for owners in loaded]


def test_a_record_comes_back_as_what_it_is(api: Api) -> None:
    for found in pets(api):
        assert [each.pk for each in found] == ["Dog:rex", "Puppy:ben", "Puppy:ben", "Dog:rex"]
        assert [isinstance(each, Puppy) for each in found] == [False, True, True, False]
        assert [each.tricks for each in found] == [3, 0, 0, 3]
        assert found[1].weeks == 8


def test_saving_it_changes_its_own_record(api: Api, redis_client: redis.Redis) -> None:
    (pet, *_) = pets(api)[0]
    pet.tricks = 4
    api(pet.save)
    assert api(Dog.query.get, name="rex").tricks == 4
    assert redis_client.keys("*Animal*") == []


def test_a_key_of_another_model_leads_nowhere(api: Api, redis_client: redis.Redis) -> None:
    Zoo.create(name="z", noise="loud")
    with pytest.warns(UserWarning, match="refers to 'Zoo:z', which is no key"):
        Owner.create(name="cat", pet="Zoo:z", dog="Zoo:z")
    owner = api(Owner.query.get, name="cat")
    assert (owner.pet, owner.dog) == (None, None)
    (owner,) = api(Owner.query.filter(name="cat").select_related("pet").all)
    assert owner.pet is None
    assert owner.to_dict(include=["pet"], relationships=True) == {"pet": "Zoo:z"}
    api(owner.save)
    assert redis_client.hget("Owner:cat", "pet") == b"\xa5Zoo:z"


def test_a_reference_to_another_model_has_nothing_to_say() -> None:
    Zoo.create(name="z", noise="loud")
    with pytest.warns(UserWarning, match="refers to 'Zoo:z', which is no key of Dog"):
        Owner.create(name="cat", dog="Zoo:z")
    owner: Any = Owner.query.filter(name="cat")[0]
    reference: Any = owner.dog
    assert reference == "Zoo:z"
    with pytest.raises(MissingTargetError):
        _ = reference.noise
