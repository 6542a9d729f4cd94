"""`popoto indexes`: what is told, and the exit codes that schedules act on."""

from __future__ import annotations

import json

import pytest
import redis

from popoto.cli import main
from tests.cli.running import ZOO
from tests.cli.zoo import Keeper, Ticket

KEEPERS = f"{ZOO}:Keeper"


@pytest.fixture(autouse=True)
def _two_keepers() -> None:
    Keeper.create(badge=1, name="Ann")
    Keeper.create(badge=2, name="Ben")


def test_healthy_indexes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["indexes", "check", ZOO]) == 0
    assert capsys.readouterr().out == "Keeper: healthy\nBeast: healthy\nTicket: healthy\n"


@pytest.mark.parametrize("action", ["check", "clean", "rebuild"])
def test_schedules_hear_nothing_while_all_is_well(
    action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["indexes", action, ZOO, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_record_that_vanished_is_found_and_cleaned(
    redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    redis_client.delete("Keeper:1")
    assert main(["indexes", "check", KEEPERS, "-q"]) == 1
    told = capsys.readouterr().out
    assert told.startswith("Keeper: 3 problems\n")
    assert "record missing" in told
    assert told.endswith("  popoto indexes clean tests.cli.zoo:Keeper\n")
    assert main(["indexes", "clean", KEEPERS]) == 0
    assert capsys.readouterr().out == "Keeper: removed 3 entries of missing records\n"
    assert main(["indexes", "check", KEEPERS]) == 0


def test_lost_and_wrong_entries_are_rebuilt(
    redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    redis_client.delete("$IndexF:Keeper:name:Ann")
    redis_client.sadd("$IndexF:Keeper:name:Eve", "Keeper:2")
    assert main(["indexes", "check", KEEPERS]) == 1
    told = capsys.readouterr().out
    assert "record is not in the index" in told
    assert "record holds another value" in told
    assert "popoto indexes rebuild tests.cli.zoo:Keeper" in told
    assert main(["indexes", "rebuild", KEEPERS]) == 0
    assert capsys.readouterr().out == "Keeper: indexed 2 records\n"
    assert Keeper.check_indexes()["total"] == 0
    assert Keeper.query.count(name="Ann") == 1


def test_json_is_what_check_indexes_returns(
    redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    redis_client.delete("Keeper:1")
    assert main(["indexes", "check", KEEPERS, "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"Keeper": Keeper.check_indexes()}


def test_records_that_cannot_be_indexed(
    redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    redis_client.hset("Keeper:2", "name", b"\xc1")
    assert main(["indexes", "check", KEEPERS]) == 1
    assert "record that cannot be indexed" in capsys.readouterr().out
    assert main(["indexes", "rebuild", KEEPERS]) == 1
    assert "Keeper:2: name cannot be decoded" in capsys.readouterr().err


def test_small_batches_find_the_same(redis_client: redis.Redis) -> None:
    Ticket.bulk_create(Ticket(rank=number) for number in range(30))
    for key in list(redis_client.scan_iter("Ticket:*"))[:9]:
        redis_client.delete(key)
    assert main(["indexes", "check", f"{ZOO}:Ticket", "--batch-size", "4"]) == 1
    assert main(["indexes", "clean", f"{ZOO}:Ticket", "--batch-size", "4"]) == 0
    assert main(["indexes", "check", f"{ZOO}:Ticket", "--batch-size", "4"]) == 0
