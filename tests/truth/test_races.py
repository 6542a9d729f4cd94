"""Writers at the same moment: threads, processes, event loops. One wins, nothing is left behind."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from popoto import (
    IndexedField,
    IntField,
    KeyField,
    Model,
    ModelException,
    SortedField,
    UniqueField,
    UniqueKeyField,
)
from popoto.exceptions import UniquenessError
from tests.driver import Api
from tests.truth.oracle import violations

THREADS = 8
ROUNDS = 12


class Account(Model):
    """One record with fields that several writers want."""

    name = KeyField()
    email = UniqueField()
    city = IndexedField(default="nowhere")
    rank = SortedField(default=0.0, partition_by="city")
    visits = IntField(default=0)
    first = IndexedField(default="")
    second = IndexedField(default="")

    class Meta:
        indexes = ((("first", "second"), False),)


class Seat(Model):
    row = KeyField()
    number = UniqueKeyField()


class Desk(Model):
    """What neither key nor unique field decides."""

    room = IndexedField(null=True)
    chairs = IntField(null=True)


class Slot(Model):
    name = KeyField()
    day = IndexedField(null=True)
    hour = IntField(null=True)

    class Meta:
        indexes = ((("day", "hour"), True),)


def at_once(steps: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run the steps in threads that start together; their results, or their ModelExceptions."""
    results: list[Any] = [None] * len(steps)
    gate = threading.Barrier(len(steps))

    def work(position: int, step: Callable[[], Any]) -> None:
        gate.wait()
        try:
            results[position] = step()
        except ModelException as error:
            results[position] = error

    threads = [
        threading.Thread(target=work, args=(position, step)) for position, step in enumerate(steps)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def winners(results: Sequence[Any]) -> list[Any]:
    return [result for result in results if not isinstance(result, Exception)]


def account(name: str, **values: Any) -> Account:
    return Account(name=name, **{"email": f"{name}@x", **values})


# One winner -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["create", "save", "partial save", "move"])
def test_one_of_eight_takes_a_unique_value(redis_client: redis.Redis, way: str) -> None:
    for round_number in range(ROUNDS):
        email = f"wanted{round_number}@x"
        names = [f"{round_number}-{number}" for number in range(THREADS)]

        def taking(name: str, email: str = email) -> Callable[[], Any]:
            if way == "create":
                return lambda: Account.create(name=name, email=email)
            if way == "save":
                return lambda: account(name, email=email).save()
            stored = account(name)
            stored.save()
            stored.email = email
            if way == "partial save":
                return lambda: stored.save(update_fields=["email"])
            stored.name = name + "moved"
            return lambda: stored.save(migrate_key=True)

        results = at_once([taking(name) for name in names])
        assert len(winners(results)) == 1
        assert all(isinstance(r, UniquenessError) for r in results if isinstance(r, Exception))
        assert Account.query.count(email=email) == 1
    assert violations(redis_client, Account) == []


def test_one_of_eight_takes_a_unique_key_value(redis_client: redis.Redis) -> None:
    for number in range(ROUNDS):
        results = at_once(
            [
                lambda row=row, number=number: Seat.create(row=f"r{row}", number=str(number))
                for row in range(THREADS)
            ]
        )
        assert len(winners(results)) == 1
    assert violations(redis_client, Seat) == []


def test_one_of_eight_takes_a_tuple_of_a_unique_index(redis_client: redis.Redis) -> None:
    for hour in range(ROUNDS):
        results = at_once(
            [
                lambda n=n, hour=hour: Slot.create(name=f"{hour}-{n}", day="monday", hour=hour)
                for n in range(THREADS)
            ]
        )
        assert len(winners(results)) == 1
        assert Slot.query.count(day="monday", hour=hour) == 1
    assert violations(redis_client, Slot) == []


def test_one_of_eight_creates_a_record(redis_client: redis.Redis) -> None:
    for number in range(ROUNDS):
        name = f"n{number}"
        results = at_once(
            [
                lambda i=i, name=name: Account.create(name=name, email=f"{i}-{name}")
                for i in range(THREADS)
            ]
        )
        (winner,) = winners(results)
        assert Account.query.get(name=name).email == winner.email
    assert violations(redis_client, Account) == []


def test_get_or_create_has_one_creator(redis_client: redis.Redis) -> None:
    for number in range(ROUNDS):
        results = at_once(
            [
                lambda i=i, n=number: Account.get_or_create(
                    name=f"n{n}", defaults={"email": f"{n}@x", "city": f"c{i}"}
                )
                for i in range(THREADS)
            ]
        )
        assert [created for _, created in results].count(True) == 1
        assert len({instance.city for instance, _ in results}) == 1
    assert Account.query.count() == ROUNDS
    assert violations(redis_client, Account) == []


def test_update_or_create_has_one_creator(redis_client: redis.Redis) -> None:
    results = at_once(
        [
            lambda i=i: Account.update_or_create(
                name="n", defaults={"email": "n@x", "city": f"c{i}"}
            )
            for i in range(THREADS)
        ]
    )
    assert [created for _, created in results].count(True) == 1
    assert violations(redis_client, Account) == []


# Writers of one record ------------------------------------------------------------------------


def test_writers_of_different_fields_all_survive(redis_client: redis.Redis) -> None:
    account("n").save()
    for number in range(ROUNDS):
        copies = [Account.query.get(name="n") for _ in range(4)]
        assert all(copies)
        changes: list[tuple[str, Any]] = [
            ("city", f"c{number}"),
            ("visits", number),
            ("first", f"f{number}"),
            ("second", f"s{number}"),
        ]
        for copy, (name, value) in zip(copies, changes, strict=True):
            setattr(copy, name, value)
        results = at_once([copy.save for copy in copies])
        assert not [result for result in results if isinstance(result, Exception)]
        found = Account.query.get(name="n")
        assert [getattr(found, name) for name, _ in changes] == [value for _, value in changes]
        assert violations(redis_client, Account) == []


def test_writers_of_one_indexed_field_leave_no_ghost(redis_client: redis.Redis) -> None:
    account("n").save()
    for number in range(ROUNDS):
        copies = [Account.query.filter(name="n")[0] for _ in range(THREADS)]
        for index, copy in enumerate(copies):
            copy.city = f"{number}-{index}"
            copy.rank = float(index)
        at_once([copy.save for copy in copies])
        assert violations(redis_client, Account) == []
        city = Account.query.get(name="n").city
        for index in range(THREADS):
            expected = 1 if f"{number}-{index}" == city else 0
            assert Account.query.count(city=f"{number}-{index}") == expected


def test_saving_against_deleting_leaves_all_or_nothing(redis_client: redis.Redis) -> None:
    for number in range(ROUNDS):
        name = f"n{number}"
        account(name).save()
        copies = [Account.query.get(name=name) for _ in range(4)]
        for index, copy in enumerate(copies):
            copy.city = f"c{index}"
        at_once(
            [
                copies[0].save,
                lambda copies=copies: copies[1].save(update_fields=["city"]),
                copies[2].delete,
                copies[3].delete,
            ]
        )
        assert violations(redis_client, Account) == []


def test_moving_against_saving_and_moving(redis_client: redis.Redis) -> None:
    for number in range(ROUNDS):
        name = f"n{number}"
        account(name).save()
        copies = [Account.query.get(name=name) for _ in range(4)]
        copies[0].name = copies[1].name = name + "a"
        copies[2].name = name + "b"
        copies[3].city = "elsewhere"

        def moving(copy: Account) -> Callable[[], Any]:
            return lambda: copy.save(migrate_key=True)

        at_once([moving(copies[0]), moving(copies[1]), moving(copies[2]), copies[3].save])
        assert violations(redis_client, Account) == []
        # One e-mail address has one owner, however often the record was moved.
        assert Account.query.count(email=f"{name}@x") == 1


def test_expiring_against_creating_again(redis_client: redis.Redis) -> None:
    for number in range(ROUNDS):
        first = account("n", city=f"old{number}")
        first._ttl = 0
        at_once(
            [
                first.save,
                lambda n=number: account("n", city=f"new{n}").save(),
                lambda: Account.query.count(city="x"),
                lambda n=number: account("m", email="n@x", city=f"third{n}").save(),
            ]
        )
        assert violations(redis_client, Account) == []
        for each in Account.query.all():
            each.delete()
        assert violations(redis_client, Account, strict=True) == []


# Event loops ----------------------------------------------------------------------------------


async def _create_many(count: int, emails: int, prefix: str) -> list[Any]:
    return await asyncio.gather(
        *(
            Account.async_create(name=f"{prefix}{number}", email=f"{prefix}{number % emails}@x")
            for number in range(count)
        ),
        return_exceptions=True,
    )


@pytest.mark.slow
def test_600_gathered_creations_of_400_addresses(redis_client: redis.Redis) -> None:
    results = asyncio.run(_create_many(600, 400, "n"))
    assert len(winners(results)) == 400
    assert all(isinstance(each, UniquenessError) for each in results if isinstance(each, Exception))
    assert Account.query.count() == 400
    assert violations(redis_client, Account) == []


def test_two_event_loops_after_each_other_and_beside_each_other(
    redis_client: redis.Redis,
) -> None:
    for prefix in ("a", "b"):
        assert len(winners(asyncio.run(_create_many(20, 20, prefix)))) == 20
    results = at_once([lambda: asyncio.run(_create_many(40, 20, "c"))] * 3)
    assert sum(len(winners(each)) for each in results) == 20
    assert violations(redis_client, Account) == []


async def _rename_at_once(count: int) -> None:
    copies = await asyncio.gather(*(Account.query.async_get(name="n") for _ in range(count)))
    for index, copy in enumerate(copies):
        copy.city = f"c{index}"
    await asyncio.gather(*(copy.async_save() for copy in copies))


def test_gathered_saves_of_stale_copies(redis_client: redis.Redis) -> None:
    account("n").save()
    asyncio.run(_rename_at_once(24))
    assert violations(redis_client, Account) == []


def test_a_stale_copy_keeps_what_others_wrote(api: Api, redis_client: redis.Redis) -> None:
    account("n").save()
    mine, theirs = api(Account.query.get, name="n"), api(Account.query.get, name="n")
    theirs.city, theirs.visits = "Riga", 5
    api(theirs.save)
    mine.first = "x"
    api(mine.save)
    found = api(Account.query.get, name="n")
    assert (found.city, found.visits, found.first) == ("Riga", 5, "x")
    assert mine.first == "x"
    assert violations(redis_client, Account) == []


# Processes ------------------------------------------------------------------------------------

_PROCESS = """
import sys
from popoto import ModelException, redis_db
from tests.truth.test_races import Account, Desk
redis_db.set_REDIS_DB_settings(unix_socket_path=sys.argv[1])
me = sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
won = found = 0
for number in range(40):
    try:
        Account.create(name=f"{me}-{number}", email=f"{number}@x")
        won += 1
    except ModelException:
        pass
    shared = Account.get_or_create(name="shared", defaults={"email": "shared@x"})[0]
    shared.city = f"{me}{number}"
    shared.save()
    found += Desk.get_or_create(room=f"{number}")[1] + Desk.get_or_create(chairs=number)[1]
print(won, found, flush=True)
"""


@pytest.mark.slow(4)
def test_processes_share_what_is_unique(server_url: str, redis_client: redis.Redis) -> None:
    root = Path(__file__).parents[2]
    socket = server_url.removeprefix("unix://")
    children = [
        subprocess.Popen(
            [sys.executable, "-c", _PROCESS, socket, f"p{number}"],
            cwd=root,
            env={"PYTHONPATH": f"{root / 'src'}:{root}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    told = [child.communicate()[0].split() for child in children]
    assert sum(int(won) for won, _ in told) == 40
    assert sum(int(found) for _, found in told) == 80
    assert Desk.query.count() == 80
    assert Account.query.count() == 41
    assert violations(redis_client, Account) == []
