"""Pointers of popoto 1.8 to 1.10: notes that name the set of values in which a record stands.

Those versions take a record out of the set that its pointer names, and of no other: one that
names another set leaves an entry behind that their queries believe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

import pytest
import redis
from redis.exceptions import NoPermissionError

from popoto import (
    IndexedField,
    KeyField,
    Model,
    ModelException,
    StringField,
    UniqueField,
    redis_db,
    transaction,
)
from popoto.models.upkeep.registry import Registry
from tests.driver import Api, RoundTrips


class Pet(Model):
    name = KeyField()
    state = IndexedField(null=True)
    chip = UniqueField()
    age = IndexedField(type=int, null=True)
    note = StringField()


class Lease(Model):
    name = KeyField()
    state = IndexedField()

    class Meta:
        ttl = 3600


FORMS = ("1.8.0", "1.8.1", "1.9")
KEY = "Pet:a{&#58;}b"
SETS = {
    "state": "$IndexF:Pet:state:open",
    "chip": "$UniquF:Pet:chip:c/-1",
    "age": "$IndexF:Pet:age:5",
}


def point(server: redis.Redis, form: str, key: str, pointers: Mapping[str, str]) -> None:
    for field, named in pointers.items():
        if form == "1.8.0":
            server.hset(key, f"{field}\0idxset", named)
        elif form == "1.8.1":
            server.set(f"{key}\0idxptr\0{field}", named)
        else:
            server.set(f"$IdxPtr:{key}:{field}", named)


def pointers(server: redis.Redis, form: str, key: str) -> dict[str, str]:
    """What pointers of this form name, by field."""
    if form == "1.8.0":
        found = {name: value for name, value in server.hgetall(key).items() if b"\0" in name}
        return {name.decode().split("\0")[0]: value.decode() for name, value in found.items()}
    start, end = ("", "\0idxptr\0") if form == "1.8.1" else ("$IdxPtr:", ":")
    keys = [name.decode() for name in server.scan_iter()]
    named = [each for each in keys if each.startswith(f"{start}{key}{end}")]
    return {each.removeprefix(f"{start}{key}{end}"): server.get(each).decode() for each in named}


def write(server: redis.Redis, form: str) -> None:
    """A record as a later version writes it, with its entries and pointers."""
    server.hset(
        KEY, mapping={"name": b"\xa3a:b", "state": b"\xa4open", "chip": b"\xa3c-1", "age": b"\x05"}
    )
    server.sadd("$Class:Pet", KEY)
    server.sadd("$KeyF:Pet:name:a{&#58;}b", KEY)
    for named in SETS.values():
        server.sadd(named, KEY)
    point(server, form, KEY, SETS)


def standing(server: redis.Redis, key: str) -> dict[str, str]:
    """The sets of values that a record stands in, by field."""
    found: dict[str, str] = {}
    for prefix in ("$IndexF:Pet:*", "$UniquF:Pet:*"):
        for name in server.scan_iter(prefix):
            if server.sismember(name, key):
                field = name.decode().split(":")[2]
                assert field not in found, f"{key} stands in {found[field]} and {name!r}"
                found[field] = name.decode()
    return found


def save(api: Api) -> None:
    pet = api(Pet.query.get, name="a:b")
    pet.state, pet.chip, pet.age = "closed", "c-2", None
    api(pet.save)


def partial_save(api: Api) -> None:
    (pet,) = api(Pet.query.filter(name="a:b").all)
    pet.state = "closed"
    api(pet.save, update_fields=["state"])


def bulk_update(api: Api) -> None:
    api(Pet.bulk_update, Pet.query.filter(name="a:b"), state="closed", age=6)


def increment(api: Api) -> None:
    assert api(api(Pet.query.get, name="a:b").atomic_increment, "age", 2) == 7


def replaced(api: Api) -> None:
    api(Pet(name="a:b", state="closed", chip="c-2").save)


def updated_or_created(api: Api) -> None:
    api(Pet.update_or_create, name="a:b", defaults={"state": "closed"})


CHANGES = [save, partial_save, bulk_update, increment, replaced, updated_or_created]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_an_entry_brings_the_pointer_up_to_date(
    api: Api, redis_client: redis.Redis, form: str, change: Callable[[Api], None]
) -> None:
    write(redis_client, form)
    before = standing(redis_client, KEY)
    change(api)
    after = standing(redis_client, KEY)
    assert after != before
    assert pointers(redis_client, form, KEY) == after
    assert api(Pet.check_indexes)["total"] == 0


@pytest.mark.parametrize("form", FORMS)
def test_pipelines_and_transactions_do(redis_client: redis.Redis, form: str) -> None:
    write(redis_client, form)
    pipeline = redis_client.pipeline()
    pet = Pet.query.get(name="a:b")
    pet.state = "waiting"
    pet.save(pipeline=pipeline)
    pipeline.execute()
    assert pointers(redis_client, form, KEY) == standing(redis_client, KEY)
    with transaction() as changes:
        pet.age = 9
        changes.save(pet)
        changes.create(Pet, name="other", chip="c-9")
    assert pointers(redis_client, form, KEY) == standing(redis_client, KEY)


@pytest.mark.parametrize("form", FORMS)
def test_many_records_in_one_call_have_their_own(
    api: Api, redis_client: redis.Redis, form: str
) -> None:
    pets = [Pet(name=f"p{number}", chip=f"c{number}", state="open") for number in range(20)]
    api(Pet.bulk_create, pets)
    for number in range(0, 20, 2):
        point(redis_client, form, f"Pet:p{number}", standing(redis_client, f"Pet:p{number}"))
    api(Pet.bulk_update, Pet.query.filter(), state="closed")
    for number in range(20):
        key = f"Pet:p{number}"
        expected = {} if number % 2 else standing(redis_client, key)
        assert pointers(redis_client, form, key) == expected
    assert api(Pet.check_indexes)["total"] == 0


@pytest.mark.parametrize("form", FORMS)
def test_raw_updates_leave_both_the_entry_and_its_pointer(
    api: Api, redis_client: redis.Redis, form: str
) -> None:
    write(redis_client, form)
    api(Pet.raw_update, [KEY], state="raw")
    assert pointers(redis_client, form, KEY) == standing(redis_client, KEY) == SETS
    # A query that meets the entry puts both right.
    assert api(Pet.query.filter(state="open").all) == []
    assert standing(redis_client, KEY)["state"] == "$IndexF:Pet:state:raw"
    assert pointers(redis_client, form, KEY) == standing(redis_client, KEY)


@pytest.mark.parametrize("form", FORMS)
def test_a_rebuild_puts_pointers_right(api: Api, redis_client: redis.Redis, form: str) -> None:
    write(redis_client, form)
    point(redis_client, form, KEY, {"state": "$IndexF:Pet:state:long ago"})
    api(Pet.rebuild_indexes)
    assert pointers(redis_client, form, KEY) == standing(redis_client, KEY) == SETS


@pytest.mark.parametrize("form", FORMS)
def test_they_move_with_their_record(api: Api, redis_client: redis.Redis, form: str) -> None:
    write(redis_client, form)
    pet = api(Pet.query.get, name="a:b")
    pet.name, pet.state = "moved", "closed"
    api(pet.save, migrate_key=True)
    assert pointers(redis_client, form, KEY) == {}
    assert pointers(redis_client, form, "Pet:moved") == standing(redis_client, "Pet:moved")
    assert redis_client.keys("*a{&#58;}b*") == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", ["delete", "query", "bulk", "delete_all", "held"])
def test_they_go_with_their_record(
    api: Api, redis_client: redis.Redis, form: str, way: str
) -> None:
    write(redis_client, form)
    if way == "delete":
        assert api(api(Pet.query.get, name="a:b").delete)
    elif way == "query":
        assert api(Pet.query.filter(name="a:b").delete) == 1
    elif way == "bulk":
        assert api(Pet.bulk_delete, [api(Pet.query.get, name="a:b")]) == 1
    elif way == "delete_all":
        assert api(Pet.delete_all) == 1
    else:
        assert api(Pet(name="a:b", chip="c-1").delete)
    assert redis_client.keys("*") == []


@pytest.mark.parametrize("form", FORMS[1:])
@pytest.mark.parametrize("way", ["clean", "rebuild", "delete_all", "create"])
def test_those_of_records_that_went_without_us_are_found(
    api: Api, redis_client: redis.Redis, form: str, way: str
) -> None:
    """The published package leaves them when a record expires."""
    write(redis_client, form)
    redis_client.delete(KEY)
    start = "*" if form == "1.8.1" else "$IdxPtr:*"
    middle = "\0idxptr\0" if form == "1.8.1" else ":"
    found = api(Pet.check_indexes)
    assert found["companions"] == {f"{start}{middle}{name}": 1 for name in SETS}
    if way == "create":
        api(Pet.create, name="a:b", state="new", chip="c-3")
        assert pointers(redis_client, form, KEY) == {}
        assert standing(redis_client, KEY)["state"] == "$IndexF:Pet:state:new"
        return
    api(
        {"clean": Pet.clean_indexes, "rebuild": Pet.rebuild_indexes, "delete_all": Pet.delete_all}[
            way
        ]
    )
    assert redis_client.keys("*") == []


@pytest.mark.parametrize("form", FORMS[1:])
def test_those_of_expired_records_are_swept(api: Api, redis_client: redis.Redis, form: str) -> None:
    lease = api(Lease.create, name="l", state="open")
    point(redis_client, form, lease.pk, {"state": "$IndexF:Lease:state:open"})
    redis_client.delete(lease.pk)
    redis_client.zadd("$Expiry:Lease", {lease.pk: 1})
    assert api(Lease.query.filter(state="open").all) == []
    assert redis_client.keys("*") == []


@pytest.mark.parametrize("form", FORMS)
def test_they_are_no_attributes_and_no_records(
    api: Api, redis_client: redis.Redis, form: str
) -> None:
    write(redis_client, form)
    pet = api(Pet.query.get, name="a:b")
    shown = {"name": "a:b", "state": "open", "chip": "c-1", "age": 5, "note": None}
    assert pet.to_dict() == shown
    assert [name for name in vars(pet) if "\0" in name] == []
    assert [each.name for each in api(Pet.query.all)] == ["a:b"]
    assert api(Pet.query.count) == len(api(Pet.query.keys)) == 1
    assert api(Pet.check_indexes)["total"] == 0
    assert api(Pet.clean_indexes) == 0
    assert api(Pet.rebuild_indexes) == 1
    assert pointers(redis_client, form, KEY) == SETS


def test_none_are_made(api: Api, redis_client: redis.Redis) -> None:
    pet = api(Pet.create, name="a:b", state="open", chip="c-1")
    pet.state = "closed"
    api(pet.save)
    names = [*redis_client.keys("*"), *redis_client.hkeys(KEY)]
    assert [name for name in names if b"\0" in name or b"Ptr" in name] == []


def test_records_whose_names_look_like_pointers_stay(api: Api, redis_client: redis.Redis) -> None:
    look_alike = api(Pet.create, name="gone\0idxptr\0state", chip="c-7")
    api(Pet.clean_indexes)
    gone = api(Pet.create, name="gone", chip="c-8", state="open")
    gone.state = "closed"
    api(gone.save)
    gone.name = "moved"
    with pytest.raises(ModelException, match="holds a hash where a string belongs"):
        api(gone.save, migrate_key=True)
    api(api(Pet.query.get, name="gone").delete)
    api(Pet.clean_indexes)
    assert [each.pk for each in api(Pet.query.all)] == [look_alike.pk]
    assert api(api(Pet.query.get, name=look_alike.name).delete)


@pytest.mark.parametrize(
    ("form", "command"),
    [("1.8.0", "hset"), ("1.8.1", "set"), ("1.9", "set"), ("1.9", "get"), ("1.9", "del")],
)
def test_who_may_not_write_pointers_writes_nothing(
    api: Api, redis_client: redis.Redis, server_url: str, form: str, command: str
) -> None:
    if redis_client.info("server")["redis_version"] < "7":
        return  # such a server cannot tell beforehand
    write(redis_client, form)
    pet = api(Pet.query.get, name="a:b")
    pet.state = "closed"
    before = redis_client.hgetall(KEY)
    user = ("ACL", "SETUSER", "limited", "reset", "on", ">pw", "~*", "&*", "+@all", f"-{command}")
    redis_client.execute_command(*user)
    path = urlsplit(server_url).path
    redis_db.set_REDIS_DB_settings(unix_socket_path=path, username="limited", password="pw")
    with pytest.raises(NoPermissionError, match="nothing was written"):
        api(pet.delete if command == "del" else pet.save)
    redis_db.set_REDIS_DB_settings(unix_socket_path=path)
    redis_client.acl_deluser("limited")
    assert redis_client.hgetall(KEY) == before
    assert pointers(redis_client, form, KEY) == standing(redis_client, KEY) == SETS


def test_who_may_not_write_pointers_cannot_rebuild(
    api: Api, redis_client: redis.Redis, server_url: str
) -> None:
    if redis_client.info("server")["redis_version"] < "7":
        return  # such a server cannot tell beforehand
    write(redis_client, "1.8.0")
    redis_client.srem(SETS["state"], KEY)
    user = ("ACL", "SETUSER", "limited", "reset", "on", ">pw", "~*", "&*", "+@all", "-hset")
    redis_client.execute_command(*user)
    path = urlsplit(server_url).path
    redis_db.set_REDIS_DB_settings(unix_socket_path=path, username="limited", password="pw")
    with pytest.raises(NoPermissionError, match="nothing was written"):
        api(Pet.rebuild_indexes)
    redis_db.set_REDIS_DB_settings(unix_socket_path=path)
    redis_client.acl_deluser("limited")
    assert not redis_client.sismember(SETS["state"], KEY)


@pytest.mark.single_server("on a cluster scripts also ask whether their slot is on its way")
def test_what_no_pointer_names_is_asked_for_in_one_command(
    round_trips: Callable[[], AbstractContextManager[RoundTrips]],
) -> None:
    pets = [Pet.create(name=f"p{number}", chip=f"c{number}") for number in range(50)]
    with round_trips() as seen:
        Pet.bulk_delete(pets)
    # The other one asks whether the call comes too late.
    assert seen.commands["exists"] == 2


def test_upkeep_looks_for_keys_among_records_where_there_may_be_pointers() -> None:
    assert Registry(Pet._meta).has_keys_among_records
