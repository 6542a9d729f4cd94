"""`popoto doctor`: what each earlier version has left, told of data that it has really written."""

from __future__ import annotations

import datetime
import json
from typing import Any

import msgpack
import pytest
import redis

from popoto import IndexedField, KeyField, Model, TimeField
from popoto.cli import main
from tests.cli.visits import Slot, Visit
from tests.cli.written_by_others import WRITTEN, load

VISITS = "tests.cli.visits"
MOMENT = datetime.datetime(2024, 1, 2, 3, 4, 5)
NOTHING = dict.fromkeys(
    ("unlisted", "naive", "iso", "named_later", "1.8.0", "1.8.1", "1.9", "astray"), 0
)


class Look(Model):
    name = KeyField()
    at = IndexedField(type=datetime.datetime, null=True)
    hour = TimeField(null=True)


#: By version what is found of visits besides ghosts, and of slots.
FOUND: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "1.6.1": ({"naive": 3}, {"naive": 1}),
    "1.8.0": ({"naive": 3, "1.8.0": 6, "astray": 1}, {"naive": 1}),
    "1.8.2": ({"iso": 3, "1.8.1": 6, "astray": 1}, {"iso": 1}),
    "1.10.1": ({"iso": 3, "1.9": 6, "astray": 1}, {"iso": 1, "named_later": 1}),
}


def told(capsys: pytest.CaptureFixture[str], expected: int) -> dict[str, dict[str, Any]]:
    assert main(["doctor", VISITS, "--json"]) == expected
    found: dict[str, dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("version", WRITTEN)
def test_what_a_version_has_left_is_counted_and_mended(
    redis_client: redis.Redis, capsys: pytest.CaptureFixture[str], version: str
) -> None:
    load(redis_client, version)
    visits, slots = FOUND[version]
    found = told(capsys, 1)
    checks = [found[name].pop("check") for name in ("Visit", "Slot")]
    assert found["Visit"] == {"records": 3, **NOTHING, "unlisted": 3, **visits}
    assert found["Slot"] == {"records": 1, **NOTHING, **slots}
    assert checks == [Visit.check_indexes(), Slot.check_indexes()]
    assert checks[0]["wrong_values"] == checks[0]["missing_entries"] == {"state": 1}
    assert checks[1]["total"] == 0
    main(["indexes", "rebuild", VISITS])
    capsys.readouterr()
    after = told(capsys, 0)
    assert [after[name].pop("check")["total"] for name in ("Visit", "Slot")] == [0, 0]
    assert after["Visit"] == {"records": 3, **NOTHING, **visits, "astray": 0}
    assert after["Slot"] == found["Slot"]


@pytest.mark.parametrize("version", WRITTEN)
def test_the_records_are_read(redis_client: redis.Redis, version: str) -> None:
    load(redis_client, version)
    ann, bob, cy = sorted(Visit.query.all(), key=lambda visit: visit.name)
    assert (ann.state, ann.due, ann.seen) == ("open", MOMENT, MOMENT)
    assert ann.hour == datetime.time(7, 30)
    # Before 1.8.2 the zone of a moment is lost.
    zone = None if version in ("1.6.1", "1.8.0") else datetime.UTC
    assert bob.due == bob.seen == MOMENT.replace(tzinfo=zone)
    assert (cy.state, cy.seen) == ("late", None)
    assert [slot.at for slot in Slot.query.filter(at=MOMENT)] == [MOMENT]


def test_it_is_told_in_words_with_the_command_that_helps(
    redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    load(redis_client, "1.10.1")
    assert main(["doctor", f"{VISITS}:Visit"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Visit: 3 records"
    assert lines[1].split() == ["count", "found", "of", "popoto", "to", "do"]
    rows = ["  ".join(line.split()) for line in lines]
    for row in (
        "3 record with a moment in the ISO form 1.8.2 - 1.10 -",
        "6 pointer under $IdxPtr: 1.9, 1.10 -",
        "1 pointer to a set where the record is not 1.8 - 1.10 rebuild",
        "1 key of a missing record: $IdxPtr:*:chip any clean",
        "1 record holds another value: state any rebuild",
    ):
        assert "  ".join(row.split()) in rows
    assert lines[-1] == f"  popoto indexes rebuild {VISITS}:Visit"


def test_where_a_cleaning_is_enough_it_says_so(
    redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    Visit.create(name="dan", chip="c9", due=MOMENT.replace(tzinfo=datetime.UTC))
    redis_client.set("$IdxPtr:Visit:gone:state", "$IndexF:Visit:state:open")
    assert main(["doctor", f"{VISITS}:Visit"]) == 1
    assert capsys.readouterr().out.endswith(f"  popoto indexes clean {VISITS}:Visit\n")
    assert redis_client.exists("$IdxPtr:Visit:gone:state")
    main(["indexes", "clean", f"{VISITS}:Visit"])
    capsys.readouterr()
    assert main(["doctor", f"{VISITS}:Visit"]) == 0
    assert capsys.readouterr().out == "Visit: 1 records, nothing left\n"


def test_schedules_hear_nothing_while_there_is_nothing_to_do(
    redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    load(redis_client, "1.8.2")
    main(["indexes", "rebuild", VISITS])
    capsys.readouterr()
    for more in ([], ["--json"]):
        assert main(["doctor", VISITS, "--quiet", *more]) == 0
    assert capsys.readouterr() == ("", "")
    redis_client.set("Visit:ann\0idxptr\0state", "$IndexF:Visit:state:elsewhere")
    assert main(["doctor", VISITS, "--quiet"]) == 1
    assert "pointer to a set where the record is not" in capsys.readouterr().out


def test_records_of_this_version_have_nothing_of_theirs(
    redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    east = datetime.timezone(datetime.timedelta(hours=2))
    Visit.create(
        name="a-b",
        chip="c1",
        due=MOMENT.replace(tzinfo=east),
        hour=datetime.time(1, 2, tzinfo=east),
    )
    redis_client.hset("Visit:a/-b", "seen", b"\xc1")
    found = told(capsys, 0)
    del found["Visit"]["check"]
    assert found["Visit"] == {"records": 1, **NOTHING}


def test_nothing_is_written(redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    load(redis_client, "1.10.1")
    before = {key: redis_client.dump(key) for key in redis_client.keys("*")}
    told(capsys, 1)
    assert {key: redis_client.dump(key) for key in redis_client.keys("*")} == before


def looks(capsys: pytest.CaptureFixture[str], expected: int) -> dict[str, Any]:
    assert main(["doctor", f"{__name__}:Look", "--json"]) == expected
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["Look"]
    return found


def test_a_pointer_to_the_set_of_the_later_name_is_right(
    redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    look = Look.create(name="a", at=MOMENT)
    later = "$IndexF:Look:at:2024/-01/-02T03{&#58;}04{&#58;}05.000000Z"
    redis_client.set(f"$IdxPtr:{look.pk}:at", later)
    found = looks(capsys, 0)
    assert (found["1.9"], found["astray"]) == (1, 0)


def test_a_time_in_the_iso_form_counts(
    redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    Look.create(name="ours", hour=datetime.time(7, 30))
    look = Look.create(name="a")
    tagged = {"__time__": True, "as_encodable": "07:30:00"}
    redis_client.hset(look.pk, "hour", msgpack.packb(tagged))
    assert Look.query.get(name="a").hour == datetime.time(7, 30)
    assert looks(capsys, 0)["iso"] == 1


def test_what_is_no_record_of_the_model_is_a_matter_for_the_check(
    redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    redis_client.hset("Look:other", "name", b"\xa1x")
    found = looks(capsys, 1)
    assert (found["records"], found["check"]["total"]) == (0, 0)
    assert found["check"]["unreadable_records"] == 1
    assert main(["doctor", f"{__name__}:Look"]) == 1
    assert "record that cannot be indexed" in capsys.readouterr().out
