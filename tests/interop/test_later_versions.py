"""Beside 1.8.0 and 1.10.1, which production users come from: both sides write to one database.

A smaller set than beside 1.6.1: every kind of field, written by each, read, queried, changed and
deleted by the other, and what both say of the indexes afterwards. One process for each version.

What these versions do in another way, and would do to records of their own: moments that have no
zone in our form are read by 1.10.1 as moments in UTC; from 1.9 on, moments have another text in
keys; 1.8.0 cannot index dates, times and Decimals; a record that was found by a filter and is
saved leaves its old index entry, unless a pointer names it.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from .schema import CHANGES, KEY_CHANGES, LOOKUPS, MODEL, PET_KEY, SAMPLES, Record
from .sides import PublishedSide, Side
from .tagged import Reference
from .test_interop import stored

pytestmark = pytest.mark.interop

MODELS = list(SAMPLES)
#: By model the fields that 1.8.0 cannot save.
NOT_IN_1_8_0 = {"Labelled": ("amount", "day", "moment", "hour")}


@pytest.fixture(params=["theirs", "ours"])
def pair(request: pytest.FixtureRequest, ours: Side, later: PublishedSide) -> tuple[Side, Side]:
    """Who writes, and who reads."""
    return (later, ours) if request.param == "theirs" else (ours, later)


def without(record: Record, model: str, later: PublishedSide) -> Record:
    """What of a record this version can save."""
    left_out = NOT_IN_1_8_0.get(model, ()) if later.version == "1.8.0" else ()
    return {name: value for name, value in record.items() if name not in left_out}


def write(side: Side, model: str, later: PublishedSide) -> list[str]:
    """Create the samples of a model, and what they refer to; their keys."""
    if model == "Pet":
        write(side, "Owner", later)
    return [
        side.call("create", model=model, values=without(values, model, later))
        for values in SAMPLES[model]
    ]


def as_read(record: Record, reader: Side) -> Record:
    """A record of ours as 1.10.1 reads it."""
    if not isinstance(reader, PublishedSide) or reader.version == "1.8.0":
        return record
    return {
        name: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
        for name, value in record.items()
    }


# Reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_every_field_is_read(pair: tuple[Side, Side], later: PublishedSide, model: str) -> None:
    writer, reader = pair
    for key, record in zip(write(writer, model, later), SAMPLES[model], strict=True):
        expected = stored(model, without(record, model, later))
        if reader is later:
            expected = as_read(expected, reader)
        assert reader.call("get", model=model, key=key) == expected
    assert reader.call("count", model=model) == len(SAMPLES[model])
    assert sorted(reader.call("all", model=model)) == sorted(writer.call("all", model=model))


def _asked(model: str, writer: Side, reader: Side, later: PublishedSide) -> list[Any]:
    """The lookups that this reader answers rightly about records of this writer."""
    left_out = NOT_IN_1_8_0.get(model, ()) if later.version == "1.8.0" else ()
    return [
        lookup
        for lookup in LOOKUPS
        if lookup.model == model
        if (lookup.published or reader is not later)
        if not any(name.partition("__")[0] in left_out for name in lookup.conditions)
        if not any(isinstance(value, Reference) for value in lookup.conditions.values())
        if not (
            reader is later
            and writer is not later
            and any(isinstance(value, datetime) for value in lookup.conditions.values())
        )
    ]


@pytest.mark.parametrize("model", MODELS)
def test_lookups_find_them(pair: tuple[Side, Side], later: PublishedSide, model: str) -> None:
    writer, reader = pair
    records = dict(zip(write(writer, model, later), SAMPLES[model], strict=True))
    for lookup in _asked(model, writer, reader, later):
        expected = sorted(key for key, record in records.items() if lookup.keeps(record))
        found = reader.call("filter", model=model, lookup=lookup.conditions)
        assert sorted(found) == expected, str(lookup)
        assert reader.call("count", model=model, lookup=lookup.conditions) == len(expected)


# Changing ------------------------------------------------------------------------------------


def pointers_are_right(server: redis.Redis) -> int:
    """Look at every pointer: the record stands in the set that it names. How many there are."""
    number = 0
    for key in server.scan_iter(count=1000):
        named: list[tuple[bytes, bytes]] = []
        if key.startswith(b"$IdxPtr:"):
            record = key.removeprefix(b"$IdxPtr:").rpartition(b":")[0]
            named = [(record, server.get(key) or b"")]
        elif server.type(key) == b"hash":
            fields = server.hgetall(key)
            named = [(key, value) for name, value in fields.items() if b"\0idxset" in name]
        for record, name in named:
            assert server.sismember(name, record), f"{record!r} is not in {name!r}"
        number += len(named)
    return number


def not_followed_by_theirs(model: str, *, partial: bool) -> set[str]:
    """Changes of a record of ours after which they leave an entry behind."""
    described = MODEL[model]
    # A moment stands under another text, and they see no change between equal values.
    names = {"moment", "amount"} if model == "Labelled" else set[str]()
    if partial:  # their partial saves do not touch composite indexes
        names |= {name for index, _ in described["meta"].get("indexes", ()) for name in index}
    return names


@pytest.mark.parametrize("model", list(CHANGES))
@pytest.mark.parametrize("partial", [False, True], ids=["full", "partial"])
def test_changes_of_one_are_read_and_found_by_the_other(
    pair: tuple[Side, Side],
    ours: Side,
    later: PublishedSide,
    redis_client: redis.Redis,
    model: str,
    partial: bool,
) -> None:
    writer, reader = pair
    if reader is later and (later.version, model) == ("1.10.1", "Keyed"):
        return  # they take a moment in a key for that of another record
    key = write(writer, model, later)[0]
    changes = without(CHANGES[model], model, later)
    if reader is later:
        left_behind = not_followed_by_theirs(model, partial=partial)
        changes = {name: value for name, value in changes.items() if name not in left_behind}
    only = list(changes) if partial else None
    reader.call("update", model=model, key=key, changes=changes, only=only)
    now = reader.call("get", model=model, key=key)
    seen = writer.call("get", model=model, key=key)
    for name in changes:
        assert seen[name] == as_read(now, writer)[name]
    pointers_are_right(redis_client)
    if reader is later and not partial and (later.version, model) == ("1.10.1", "Labelled"):
        # They have read a moment of ours as one in UTC, and written that.
        assert ours.call("check_indexes", model=model) == 1
        ours.call("rebuild_indexes", model=model)
    assert ours.call("check_indexes", model=model) == 0
    if model != "Reading":  # they take a SortedKeyField for a key field: WRONGTYPE
        assert later.call("check_indexes", model=model) == 0
    for side in pair:
        for name, value in changes.items():
            kind = MODEL[model]["fields"][name][0]
            if kind in ("IndexedField", "UniqueField") and not isinstance(value, datetime):
                found = side.call("filter", model=model, lookup={name: value})
                assert key in found, f"{side.name}: {name}={value!r}"


@pytest.mark.parametrize("model", [each for each in CHANGES if each != "Keyed"])
def test_ours_changes_what_a_filter_has_found(
    ours: Side, later: PublishedSide, redis_client: redis.Redis, model: str
) -> None:
    write(later, model, later)
    first = SAMPLES[model][0]
    names = ("name", "chip", "code", "text", "ticket", "sensor", "at", "_auto_key")
    lookup = {name: first[name] for name in names if name in first}
    changes = without(CHANGES[model], model, later)
    ours.call("update_found", model=model, lookup=lookup, changes=changes)
    # and they do once more, who believe their pointers
    again = without({name: first[name] for name in changes if name in first}, model, later)
    key = ours.call("all", model=model)
    assert len(key) == len(SAMPLES[model])
    pointers_are_right(redis_client)
    assert ours.call("check_indexes", model=model) == 0
    if model in ("Labelled", "Ticket", "Lease", "Case"):
        shown = {name: changes.get(name, value) for name, value in lookup.items()}
        later.call("update_found", model=model, lookup=shown, changes=again)
        pointers_are_right(redis_client)
        assert ours.call("check_indexes", model=model) == 0


@pytest.mark.parametrize("model", list(KEY_CHANGES))
def test_ours_moves_their_records(
    ours: Side, later: PublishedSide, redis_client: redis.Redis, model: str
) -> None:
    keys = write(later, model, later)
    key, changes = keys[0], KEY_CHANGES[model]
    ours.call("update", model=model, key=key, changes=changes, migrate_key=True)
    pointers_are_right(redis_client)
    assert ours.call("check_indexes", model=model) == 0
    assert later.call("count", model=model) == len(SAMPLES[model])
    (moved,) = set(later.call("all", model=model)) - set(keys)
    for name, value in changes.items():
        assert later.call("get", model=model, key=moved)[name] == value


# Deleting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_the_other_deletes_them(
    pair: tuple[Side, Side], ours: Side, later: PublishedSide, redis_client: redis.Redis, model: str
) -> None:
    writer, reader = pair
    for key in write(writer, model, later):
        assert reader.call("delete", model=model, key=key) is True
    assert writer.call("count", model=model) == 0
    ours.call("delete_all", model="Owner")
    if reader is later:  # what ours keeps beside their layout
        ours.call("clean_indexes", model=model)
        redis_client.delete(*redis_client.keys("$Values:*"), "none")
    assert redis_client.keys("*") == []


@pytest.mark.parametrize("model", MODELS)
def test_ours_empties_a_model_of_theirs(
    ours: Side, later: PublishedSide, redis_client: redis.Redis, model: str
) -> None:
    keys = write(later, model, later)
    assert ours.call("delete_all", model=model) == len(keys)
    ours.call("delete_all", model="Owner")
    assert redis_client.keys("*") == []


# Upkeep --------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_the_indexes_of_the_other_are_healthy_and_a_rebuild_keeps_them_so(
    ours: Side, later: PublishedSide, redis_client: redis.Redis, model: str
) -> None:
    records = dict(zip(write(later, model, later), SAMPLES[model], strict=True))
    assert ours.call("check_indexes", model=model) == 0
    assert ours.call("clean_indexes", model=model) == 0
    assert ours.call("rebuild_indexes", model=model) == len(records)
    pointers_are_right(redis_client)
    for side in (ours, later):
        if side is ours or model != "Reading":
            assert side.call("check_indexes", model=model) == 0
        for lookup in _asked(model, later, side, later):
            expected = sorted(key for key, record in records.items() if lookup.keeps(record))
            found = side.call("filter", model=model, lookup=lookup.conditions)
            assert sorted(found) == expected, f"{side.name}: {lookup}"


# Both write ----------------------------------------------------------------------------------


def test_writes_of_both_by_turns(
    ours: Side, later: PublishedSide, redis_client: redis.Redis
) -> None:
    """What a rolling upgrade does: each changes and deletes what the other has just written."""
    states = ("open", "held", "done: ok", None)
    sides = (later, ours)
    known: dict[str, str | None] = {}
    for number in range(12):
        side = sides[number % 2]
        values = {"name": f"l:{number}", "state": states[number % 3], "rank": float(number)}
        known[side.call("create", model="Lease", values=values)] = states[number % 3]
    for turn in range(48):
        side, key = sides[turn % 2], sorted(known)[turn * 5 % len(known)]
        known[key] = state = states[(turn * 7 + turn // 3) % 4]
        only = ["state"] if turn % 4 < 2 else None
        changes: dict[str, object] = {"state": state}
        side.call("update", model="Lease", key=key, changes=changes, only=only)
        if turn % 12 == 11:
            gone = sorted(known)[turn % len(known)]
            del known[gone]
            assert sides[turn // 12 % 2].call("delete", model="Lease", key=gone)
    for side in sides:
        for state in states:
            expected = sorted(key for key, value in known.items() if value == state)
            found = side.call("filter", model="Lease", lookup={"state": state})
            assert sorted(found) == expected, f"{side.name}: {state}"
        assert side.call("check_indexes", model="Lease") == 0
    assert pointers_are_right(redis_client) > 0


def test_writes_of_both_at_once(
    ours: Side, later: PublishedSide, redis_client: redis.Redis
) -> None:
    """Each on records of its own and of the other, in the same sets of values."""
    keys: dict[str, list[str]] = {"theirs": [], "ours": []}
    for name, side in (("ours", later), ("theirs", ours)):
        for number in range(8):
            values = {"name": f"{name}:{number}", "state": "new", "rank": 1.0}
            # Each works on what the other has created.
            keys[name].append(side.call("create", model="Lease", values=values))

    def work(side: Side, mine: list[str]) -> None:
        for turn in range(40):
            changes = {"state": f"s{turn % 5}"}
            side.call("update", model="Lease", key=mine[turn % len(mine)], changes=changes)

    theirs = threading.Thread(target=work, args=(later, keys["theirs"]))
    theirs.start()
    work(ours, keys["ours"])
    theirs.join()
    for side in (ours, later):
        for state in range(5):
            lookup = {"state": f"s{state}"}
            found = side.call("filter_records", model="Lease", lookup=lookup)
            assert found
            assert {record["state"] for record in found.values()} == {lookup["state"]}
        assert side.call("filter", model="Lease", lookup={"state": "new"}) == []
        assert side.call("check_indexes", model="Lease") == 0
    pointers_are_right(redis_client)


def test_unique_values_are_refused_by_each(pair: tuple[Side, Side], later: PublishedSide) -> None:
    writer, reader = pair
    first = write(writer, "Labelled", later)[0]
    for model, values in (("Labelled", {"name": "other", "serial": 1}),):
        with pytest.raises(Exception, match="already exists"):
            reader.call("create", model=model, values=values)
    writer.call("update", model="Labelled", key=first, changes={"serial": 7})
    reader.call("create", model="Labelled", values={"name": "other", "serial": 1})


def test_increments_follow_each_other(
    pair: tuple[Side, Side], later: PublishedSide, redis_client: redis.Redis
) -> None:
    writer, reader = pair
    write(writer, "Pet", later)
    for field, result in (("legs", 9), ("weight", 5.0)):
        delta: float = result - {"legs": 4, "weight": 4.25}[field]
        delta = int(delta) if field == "legs" else delta
        arguments = {"model": "Pet", "key": PET_KEY, "field": field, "delta": delta}
        assert reader.call("increment", **arguments) == result
        assert writer.call("increment", **arguments) == result + delta
    assert redis_client.zscore("$SortF:Pet:weight", PET_KEY) == 5.75
