"""Records written by one package are read, queried, changed and deleted by the other.

`published-published` is the harness checking itself: it shows that what a test
expects is what the published package does.
"""

from __future__ import annotations

from typing import Any

import pytest
import redis

from .layout import dump, record_key
from .schema import (
    ANN_KEY,
    CHANGES,
    HOSTILE_TEXT,
    KEY_CHANGES,
    LOOKUPS,
    MODEL,
    PET_KEY,
    SAMPLES,
    WORKED_PET,
    Lookup,
    Record,
)
from .sides import PeerError, Side
from .tagged import Reference

pytestmark = pytest.mark.interop

OURS_READS = ("published", "ours")
PUBLISHED_READS = ("ours", "published")
SELF_CHECK = ("published", "published")
PAIRS = [OURS_READS, PUBLISHED_READS, SELF_CHECK]

# What the published package cannot do, whoever wrote the record: (test, model).
NOT_BY_PUBLISHED = {
    ("migrate", "Pet"),  # a UniqueField conflicts with the record itself
    ("migrate", "Keyed"),
    ("migrate", "Labelled"),
    ("check", "Reading"),  # a SortedKeyField is taken for a key field: WRONGTYPE
    ("rebuild", "Pet"),  # a GeoField stops it after the indexes are gone
    ("found", "Pet"),  # a record found by a filter has lost its capped list
    ("found", "Booking"),
    ("found", "Labelled"),  # and leaves its old index entries
    ("found", "Ranked"),
    ("found", "Ticket"),
    ("found", "Lease"),
    ("found", "Case"),
}


def _cases(task: str, names: list[str], pairs: list[tuple[str, str]] = PAIRS) -> list[Any]:
    return [
        pytest.param(pair, name, id=f"{pair[0]}-{pair[1]}-{name}")
        for pair in pairs
        for name in names
        if pair[1] == "ours" or (task, name) not in NOT_BY_PUBLISHED
    ]


def write(side: Side, model: str, records: list[Record] | None = None) -> list[str]:
    """Creates the samples of a model (and what they refer to); their keys."""
    if model == "Pet":
        write(side, "Owner")
    chosen = SAMPLES[model] if records is None else records
    return [side.call("create", model=model, values=values) for values in chosen]


def stored(model: str, record: Record) -> Record:
    """What every field of a record must hold, given what its constructor was given."""
    values: Record = {}
    for name, (kind, options) in MODEL[model]["fields"].items():
        value = record.get(name)
        if isinstance(value, Reference):
            value = value.key
        elif value is None and kind == "GeoField":
            value = (None, None)
        elif value is None and options.get("max_length") and kind == "ListField":
            value = []
        values[name] = value
    if "_auto_key" in record:
        values["_auto_key"] = record["_auto_key"]
    return values


def not_followed_by_published(model: str, *, partial: bool) -> set[str]:
    """Changes of the first sample after which 1.6.1 leaves an index entry behind."""
    first, changes, described = SAMPLES[model][0], CHANGES[model], MODEL[model]
    names = {
        name
        for name, value in changes.items()
        if described["fields"][name][0] == "IndexedField"
        # it sees no change from None, nor between equal values with other texts
        and (first.get(name) is None or first[name] == value)
    }
    if partial:  # its partial saves do not touch composite indexes
        names |= {name for index, _ in described["meta"].get("indexes", ()) for name in index}
    return names


def fresh_dump(
    side: Side, server: redis.Redis, model: str, records: list[Record]
) -> dict[bytes, Any]:
    """What the server holds when these records are all that was ever written."""
    server.flushdb()
    write(side, model, records)
    return dump(server)


@pytest.mark.parametrize("model", SAMPLES)
def test_both_write_the_same_bytes(
    ours: Side, published: Side, redis_client: redis.Redis, model: str
) -> None:
    by_published = fresh_dump(published, redis_client, model, SAMPLES[model])
    assert fresh_dump(ours, redis_client, model, SAMPLES[model]) == by_published


@pytest.mark.parametrize("model", [name for name in SAMPLES if name != "Lease"])
def test_bulk_create_writes_the_same_bytes(
    ours: Side, published: Side, redis_client: redis.Redis, model: str
) -> None:
    one_by_one = fresh_dump(published, redis_client, model, SAMPLES[model])
    for side in (published, ours):
        redis_client.flushdb()
        if model == "Pet":
            write(side, "Owner")
        side.call("bulk_create", model=model, records=SAMPLES[model])
        assert dump(redis_client) == one_by_one


@pytest.mark.parametrize(("pair", "model"), _cases("read", list(SAMPLES)))
def test_every_field_is_read(writer: Side, reader: Side, model: str) -> None:
    keys = write(writer, model)
    assert keys == [record_key(MODEL[model], record) for record in SAMPLES[model]]
    assert sorted(reader.call("keys", model=model)) == sorted(keys)
    assert sorted(reader.call("all", model=model)) == sorted(keys)
    assert reader.call("count", model=model) == len(keys)
    for key, record in zip(keys, SAMPLES[model], strict=True):
        expected = stored(model, record)
        assert reader.call("get", model=model, key=key) == expected
        shown = {name: value for name, value in expected.items() if not name.startswith("_")}
        assert reader.call("to_dict", model=model, key=key) == shown


@pytest.mark.parametrize(("pair", "model"), _cases("read", list(SAMPLES)))
def test_every_field_of_found_records_is_read(writer: Side, reader: Side, model: str) -> None:
    keys = write(writer, model)
    found = reader.call("filter_records", model=model, lookup={})
    expected = {
        key: stored(model, record) for key, record in zip(keys, SAMPLES[model], strict=True)
    }
    if reader.name == "published":  # a filter of 1.6.1 leaves capped lists out
        for record in [*found.values(), *expected.values()]:
            record.pop("recent", None)
            record.pop("log", None)
    assert found == expected


@pytest.mark.parametrize(
    ("pair", "lookup"),
    [
        pytest.param(pair, lookup, id=f"{pair[0]}-{pair[1]}-{lookup}"[:120])
        for pair in PAIRS
        for lookup in LOOKUPS
        if lookup.published or pair[1] == "ours"
    ],
)
def test_lookup(writer: Side, reader: Side, lookup: Lookup) -> None:
    keys = write(writer, lookup.model)
    expected = sorted(
        key for key, record in zip(keys, SAMPLES[lookup.model], strict=True) if lookup.keeps(record)
    )
    found = reader.call("filter", model=lookup.model, lookup=lookup.conditions)
    assert sorted(found) == expected
    assert reader.call("count", model=lookup.model, lookup=lookup.conditions) == len(expected)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_order_limit_and_values(writer: Side, reader: Side) -> None:
    names = [record["name"] for record in SAMPLES["Ranked"]]
    keys = dict(zip(names, write(writer, "Ranked"), strict=True))
    ordered = reader.call("filter", model="Ranked", lookup={}, order_by="-score", limit=3)
    assert ordered == [keys["four"], keys["three"], keys["one"]]
    in_score_order = reader.call("filter", model="Ranked", lookup={"place__lt": 5})
    assert in_score_order == [keys["two"], keys["one"], keys["four"]]
    rows = reader.call(
        "filter_values", model="Ranked", lookup={"score__lt": 0}, names=["name", "price", "day"]
    )
    two = SAMPLES["Ranked"][1]
    assert rows == [{name: two[name] for name in ("name", "price", "day")}]


@pytest.mark.parametrize(("pair", "model"), _cases("update", list(CHANGES)))
@pytest.mark.parametrize("only_changes", [False, True], ids=["full", "partial"])
def test_changed_records_are_as_if_created_so(
    writer: Side, reader: Side, redis_client: redis.Redis, model: str, only_changes: bool
) -> None:
    first, *others = SAMPLES[model]
    changes = CHANGES[model]
    if reader.name == "published":
        left_behind = not_followed_by_published(model, partial=only_changes)
        changes = {name: value for name, value in changes.items() if name not in left_behind}
    expected = fresh_dump(writer, redis_client, model, [{**first, **changes}, *others])
    redis_client.flushdb()
    key = write(writer, model)[0]
    only = list(changes) if only_changes else None
    reader.call("update", model=model, key=key, changes=changes, only=only)
    assert dump(redis_client) == expected


@pytest.mark.parametrize(("pair", "model"), _cases("found", list(CHANGES)))
def test_changing_a_found_record_leaves_no_old_entry(
    writer: Side, reader: Side, redis_client: redis.Redis, model: str
) -> None:
    first, *others = SAMPLES[model]
    expected = fresh_dump(writer, redis_client, model, [{**first, **CHANGES[model]}, *others])
    redis_client.flushdb()
    write(writer, model)
    lookup = {
        name: first[name]
        for name in ("name", "chip", "code", "text", "ticket", "sensor", "at", "_auto_key")
        if name in first
    }
    reader.call("update_found", model=model, lookup=lookup, changes=CHANGES[model])
    assert dump(redis_client) == expected


@pytest.mark.parametrize(("pair", "model"), _cases("migrate", list(KEY_CHANGES)))
def test_a_moved_record_is_as_if_created_there(
    writer: Side, reader: Side, redis_client: redis.Redis, model: str
) -> None:
    first, *others = SAMPLES[model]
    moved = {**first, **KEY_CHANGES[model]}
    expected = fresh_dump(writer, redis_client, model, [moved, *others])
    redis_client.flushdb()
    key = write(writer, model)[0]
    reader.call("update", model=model, key=key, changes=KEY_CHANGES[model], migrate_key=True)
    assert dump(redis_client) == expected
    moved_key = record_key(MODEL[model], moved)
    assert reader.call("get", model=model, key=moved_key) == stored(model, moved)
    assert reader.call("get", model=model, key=key) is None


@pytest.mark.parametrize(("pair", "model"), _cases("delete", list(SAMPLES)))
def test_deleting_every_record_leaves_no_key(
    writer: Side, reader: Side, redis_client: redis.Redis, model: str
) -> None:
    for key in write(writer, model):
        assert reader.call("delete", model=model, key=key) is True
    if model == "Pet":
        reader.call("delete_all", model="Owner")
    assert dump(redis_client) == {}
    if reader.name == "ours":
        assert list(redis_client.scan_iter()) == []


@pytest.mark.parametrize("model", SAMPLES)
def test_what_the_published_package_deletes_is_gone_for_ours(
    ours: Side, published: Side, redis_client: redis.Redis, model: str
) -> None:
    """The keys that ours adds stay behind; no answer may come from them."""
    expected = fresh_dump(ours, redis_client, model, SAMPLES[model])
    for key in ours.call("keys", model=model):
        published.call("delete", model=model, key=key)
    published.call("delete_all", model="Owner")
    assert ours.call("count", model=model) == 0
    assert ours.call("all", model=model) == []
    for lookup in LOOKUPS:
        refers = any(isinstance(value, Reference) for value in lookup.conditions.values())
        if lookup.model == model and not refers:
            assert ours.call("filter", model=model, lookup=lookup.conditions) == [], str(lookup)
    assert ours.call("check_indexes", model=model) == 0
    write(ours, model)
    assert dump(redis_client) == expected


@pytest.mark.parametrize(
    ("pair", "model"), _cases("delete_all", list(SAMPLES), [OURS_READS, PUBLISHED_READS])
)
def test_delete_all_leaves_no_key(
    writer: Side, reader: Side, redis_client: redis.Redis, model: str
) -> None:
    keys = write(writer, model)
    assert reader.call("delete_all", model=model) == len(keys)
    if model == "Pet":
        reader.call("delete_all", model="Owner")
    left = dump(redis_client)
    if reader.name == "published":  # it forgets composite entries here
        left = {key: content for key, content in left.items() if not key.startswith(b"$Index:")}
    assert left == {}


@pytest.mark.parametrize(("pair", "model"), _cases("check", list(SAMPLES)))
def test_the_indexes_of_the_other_are_healthy(writer: Side, reader: Side, model: str) -> None:
    write(writer, model)
    assert reader.call("check_indexes", model=model) == 0
    assert reader.call("clean_indexes", model=model) == 0


@pytest.mark.parametrize(("pair", "model"), _cases("rebuild", list(SAMPLES)))
def test_rebuilding_the_indexes_changes_nothing(
    writer: Side, reader: Side, redis_client: redis.Redis, model: str
) -> None:
    keys = write(writer, model)
    before = dump(redis_client)
    assert reader.call("rebuild_indexes", model=model) == len(keys)
    assert dump(redis_client) == before


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@pytest.mark.parametrize(
    ("field", "delta", "result"),
    [("legs", 5, 9), ("speed", 2.5, 4.0), ("speed", 0.75, 2.25), ("weight", 0.75, 5.0)],
)
def test_increments_follow_each_other(
    writer: Side, reader: Side, redis_client: redis.Redis, field: str, delta: Any, result: Any
) -> None:
    write(writer, "Pet")
    assert writer.call("increment", model="Pet", key=PET_KEY, field=field, delta=delta) == result
    assert reader.call("get", model="Pet", key=PET_KEY)[field] == result
    again = reader.call("increment", model="Pet", key=PET_KEY, field=field, delta=delta)
    assert again == result + delta
    assert writer.call("get", model="Pet", key=PET_KEY)[field] == result + delta
    if field == "weight":
        assert redis_client.zscore("$SortF:Pet:weight", PET_KEY) == result + delta


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_capped_lists_are_pushed_to_by_both(writer: Side, reader: Side) -> None:
    write(writer, "Pet")
    reader.call("push", model="Pet", key=PET_KEY, field="recent", value={"n": 1})
    assert writer.call("get", model="Pet", key=PET_KEY)["recent"] == [{"n": 1}, "a"]
    writer.call("push", model="Pet", key=PET_KEY, field="recent", value=None)
    assert reader.call("get", model="Pet", key=PET_KEY)["recent"] == [None, {"n": 1}]


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_raw_updates_are_read(writer: Side, reader: Side) -> None:
    write(writer, "Pet")
    changes = {"legs": 300, "price": WORKED_PET["price"], "note": "raw"}
    assert writer.call("raw_update", model="Pet", keys=[PET_KEY], changes=changes) == 1
    found = reader.call("get", model="Pet", key=PET_KEY)
    assert {name: found[name] for name in changes} == changes


@pytest.mark.parametrize("pair", [OURS_READS, PUBLISHED_READS], ids="-".join)
def test_both_write_to_one_model(writer: Side, reader: Side, redis_client: redis.Redis) -> None:
    """Whatever ours keeps beside the published layout must not be misled by 1.6.1."""
    halves = HOSTILE_TEXT[::2], HOSTILE_TEXT[1::2]
    for side, texts in zip((writer, reader), halves, strict=True):
        for text in texts:
            side.call("create", model="Case", values={"text": text, "label": text})
    # each package deletes and changes records of the other
    gone = reader.call("find", model="Case", lookup={"text": "a/b"})
    writer.call("delete", model="Case", key=gone)
    changed = writer.call("find", model="Case", lookup={"text": "a:b"})
    reader.call("update", model="Case", key=changed, changes={"label": "changed"})
    labels = {text: text for text in HOSTILE_TEXT if text != "a/b"} | {"a:b": "changed"}
    ours = writer if writer.name == "ours" else reader
    for side in (writer, reader):
        assert side.call("count", model="Case") == len(labels)
        for text, label in labels.items():
            found = side.call("filter_records", model="Case", lookup={"label": label})
            assert [record["text"] for record in found.values()] == [text]
    for prefix in ("a", "c", "/", "*", "x", "n"):
        for name, values in (("text", labels.keys()), ("label", labels.values())):
            lookup = {f"{name}__startswith": prefix}
            count = ours.call("count", model="Case", lookup=lookup)
            assert count == sum(value.startswith(prefix) for value in values), lookup
    assert ours.call("check_indexes", model="Case") == 0
    ours.call("delete_all", model="Case")
    assert list(redis_client.scan_iter()) == []


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_unique_values_of_the_other_are_refused(
    writer: Side, reader: Side, redis_client: redis.Redis
) -> None:
    write(writer, "Labelled")
    write(writer, "Booking")
    before = dump(redis_client)
    for model, values in (
        ("Labelled", {"name": "other", "serial": 1}),
        ("Booking", {"code": "b-9", "room": "blue: 1", "slot": 1}),
    ):
        with pytest.raises(Exception, match="already exists") as refusal:
            reader.call("create", model=model, values=values)
        kind = refusal.value.kind if isinstance(refusal.value, PeerError) else "ModelException"
        assert kind == "ModelException"
    assert dump(redis_client) == before
    # the holder lets go
    holder = reader.call("find", model="Labelled", lookup={"serial": 1})
    writer.call("update", model="Labelled", key=holder, changes={"serial": 7})
    reader.call("create", model="Labelled", values={"name": "other", "serial": 1})


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_get_or_create_finds_what_the_other_wrote(writer: Side, reader: Side) -> None:
    key = write(writer, "Reading")[0]
    lookup = {"sensor": "s-1", "at": 10}
    found = reader.call("get_or_create", model="Reading", lookup=lookup, defaults={"level": 5.0})
    assert found == (key, False)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_bulk_update_moves_the_entries(
    writer: Side, reader: Side, redis_client: redis.Redis
) -> None:
    write(writer, "Ranked")
    lookup = {"place__lt": 5}
    assert reader.call("bulk_update", model="Ranked", lookup=lookup, changes={"score": 3.0}) == 3
    members = redis_client.zrange("$SortF:Ranked:score", 0, -1, withscores=True)
    assert sorted(score for _, score in members) == [3.0, 3.0, 3.0, 9.75]


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_a_time_to_live_is_kept_by_the_other(
    writer: Side, reader: Side, redis_client: redis.Redis
) -> None:
    key = write(writer, "Lease")[0]
    redis_client.expire(key, 60)
    reader.call("update", model="Lease", key=key, changes={"state": "closed"})
    assert redis_client.ttl(key) > 3590


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_relationships_are_followed(writer: Side, reader: Side) -> None:
    keys = write(writer, "Pet")
    assert reader.call("get", model="Pet", key=keys[0])["owner"] == ANN_KEY
    bo = reader.call("find", model="Owner", lookup={"name": "Bo"})
    reader.call("update", model="Pet", key=keys[0], changes={"owner": Reference("Owner", bo)})
    for side in (writer, reader):
        found = side.call("filter", model="Pet", lookup={"owner": Reference("Owner", bo)})
        assert found == [keys[0]]
        lookup = {"owner": Reference("Owner", ANN_KEY)}
        assert side.call("filter", model="Pet", lookup=lookup) == []
