"""Queries that meet a key of another program, or a server that refuses a command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from popoto import IndexedField, KeyField, ListField, Model, SortedField, StringField
from popoto.exceptions import QueryException
from tests.driver import Api


class Seat(Model):
    name = KeyField()
    row = IndexedField()
    price = SortedField(type=float, default=0.0)
    note = StringField()
    log = ListField(max_length=3)


@pytest.fixture(autouse=True)
def seats() -> None:
    Seat.bulk_create([Seat(name=name, row="r", note="n", log=["l"]) for name in "abc"])


REMEDY = "Rename or delete that key."

WRONG_KEYS: list[tuple[Callable[[], Any], dict[str, str], str]] = [
    (
        lambda: Seat.query.filter(row="r"),
        {"$IndexF:Seat:row:r": "set"},
        "'$IndexF:Seat:row:r' is a string instead of a set",
    ),
    (Seat.query.filter, {"$Class:Seat": "set"}, "'$Class:Seat' is a string instead of a set"),
    (Seat.query.filter, {"$Expiry:Seat": "zset"}, "'$Expiry:Seat' is a string instead of a zset"),
    (
        lambda: Seat.query.filter(row="r").order_by("price"),
        {"$SortF:Seat:price": "zset"},
        "'$SortF:Seat:price' is a string instead of a zset",
    ),
    (
        lambda: Seat.query.filter(row="r", price__gt=1),
        {"$IndexF:Seat:row:r": "set", "$SortF:Seat:price": "zset"},
        (
            "'$IndexF:Seat:row:r' is a string instead of a set; "
            "'$SortF:Seat:price' is a string instead of a zset"
        ),
    ),
    (
        lambda: Seat.query.filter(note="n"),
        {"Seat:b": "hash"},
        "'Seat:b' is a string instead of a hash",
    ),
    (
        lambda: Seat.query.filter(row="r"),
        {"Seat:b::log": "list"},
        "'Seat:b::log' is a string instead of a list",
    ),
]


@pytest.mark.parametrize(
    ("make", "wrong", "found"), WRONG_KEYS, ids=[each[2][:25] for each in WRONG_KEYS]
)
def test_each_wrong_key_is_named_with_what_it_is_and_should_be(
    api: Api,
    redis_client: redis.Redis,
    make: Callable[[], Any],
    wrong: dict[str, str],
    found: str,
) -> None:
    for key in wrong:
        redis_client.delete(key)
        redis_client.set(key, "foreign")
    with pytest.raises(QueryException) as caught:
        api(make().all)
    assert str(caught.value) == f"Seat cannot be queried: {found}. {REMEDY}"


def test_a_record_that_is_gone_is_not_taken_for_one_of_a_wrong_kind(
    api: Api, redis_client: redis.Redis
) -> None:
    redis_client.delete("Seat:a", "Seat:b", "Seat:c")
    redis_client.set("Seat:b", "foreign")
    with pytest.raises(QueryException) as caught:
        api(Seat.query.filter(note="n").all)
    found = "'Seat:b' is a string instead of a hash"
    assert str(caught.value) == f"Seat cannot be queried: {found}. {REMEDY}"


@pytest.mark.parametrize(
    "read",
    [
        lambda api: api(Seat.query.get, "Seat:b"),
        lambda api: api(Seat.query.get, name="b"),
        lambda api: api(Seat.query.get, name="b", note="n"),
        lambda api: api(Seat.query.get_many, ["Seat:a", "no key", "Seat:b", "Seat:c"]),
    ],
)
def test_a_key_that_is_no_record_is_named_by_reads_of_it(
    api: Api, redis_client: redis.Redis, read: Callable[[Api], Any]
) -> None:
    redis_client.delete("Seat:b")
    redis_client.set("Seat:b", "foreign")
    with pytest.raises(QueryException, match=r"^'Seat:b' is no record of Seat: WRONGTYPE"):
        read(api)


# A server that refuses -------------------------------------------------------------------------


@pytest.fixture
def refused(redis_client: redis.Redis) -> Iterator[Callable[[str], None]]:
    """Takes the right to a command away until the test ends."""
    taken: list[str] = []

    def refuse(command: str) -> None:
        redis_client.execute_command("ACL", "SETUSER", "default", f"-{command}")
        taken.append(command)

    yield refuse
    redis_client.execute_command("ACL", "SETUSER", "default", *(f"+{name}" for name in taken))


@pytest.mark.parametrize(
    ("command", "read"),
    [
        ("evalsha", lambda api: api(Seat.query.filter(row="r").all)),
        ("evalsha", lambda api: api(Seat.query.count)),
        ("hmget", lambda api: api(Seat.query.get, "Seat:a")),
        ("hmget", lambda api: api(Seat.query.get_many, ["Seat:a", "Seat:b"])),
    ],
)
def test_what_the_server_says_against_a_read_is_passed_on_as_it_is(
    api: Api, refused: Callable[[str], None], command: str, read: Callable[[Api], Any]
) -> None:
    refused(command)
    with pytest.raises(redis.exceptions.NoPermissionError, match=command):
        read(api)


def test_also_against_a_later_part_of_a_result(refused: Callable[[str], None]) -> None:
    rest = Seat.query.filter().iterator(chunk_size=2)
    assert [next(rest).name, next(rest).name] == ["a", "b"]
    refused("hmget")
    with pytest.raises(redis.exceptions.NoPermissionError, match="hmget"):
        next(rest)
