"""What becomes of all that stands beside a record: every event of its life, everything at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack
import pytest
import redis

from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    CoOccurrenceField,
    CyclicDecayField,
    DecayingSortedField,
    FloatField,
    GeoField,
    KeyField,
    Model,
    ObservationProtocol,
    PredictionLedgerMixin,
    StringField,
    WriteFilterMixin,
    clock,
    transaction,
)
from tests.driver import Api

NOW = 1_700_000_000.0


class Life(AccessTrackerMixin, WriteFilterMixin, PredictionLedgerMixin, Model):
    name = KeyField()
    topic = StringField(default="t")
    note = StringField(default="")
    weight = FloatField(default=2.0)
    relevance = DecayingSortedField(base_score_field="weight", partition_by="topic")
    rhythm = CyclicDecayField(cycles=[(10, 1.0)], pressure_rate=0.5, partition_by="topic")
    sure = ConfidenceField()
    apart = ConfidenceField(partition_by="topic")
    both = CoOccurrenceField()
    ways = CoOccurrenceField(symmetric=False)

    def compute_filter_score(self) -> float:
        return 0.9


def lived(name: str = "x", **values: Any) -> Life:
    """A record that has something of every kind beside it."""
    with clock.using(NOW):
        record = Life.create(name=name, **values)
        record.on_read()
        record.confirm_access()
        record.on_read()
        record.strengthen_cycle("rhythm", 3)
        for field in ("sure", "apart"):
            ConfidenceField.update_confidence(record, field, 0.9)
        Life.both.link(Life, record.pk, "a friend", 0.5)
        Life.ways.link(Life, "a friend", record.pk, 0.4)
        Life.record_prediction(record, {"x": 1})
        Life.auto_resolve(record, "used")
        ObservationProtocol.on_surfaced([record])
        ObservationProtocol.on_surfaced([record], partition="p")
    with clock.using(NOW + 5):
        record.touch("relevance")
        record.touch("rhythm")
    return record


def beside(client: redis.Redis, name: str = "x", topic: str = "t") -> dict[str, Any]:
    """All of it, by kind; None for what is not there."""
    key = f"Life:{name}"

    def unpacked(place: str) -> Any:
        stored = client.hget(place, key)
        return None if stored is None else msgpack.unpackb(stored)

    cyclic = f"$CyclicDecayF:Life:rhythm:{topic}"
    confidence = "$ConfidencF:Life"
    prediction = unpacked(f"$PL:Life:meta:{key}")
    return {
        "relevance": client.zscore(f"$DecayingSortF:Life:relevance:{topic}", key),
        "base": client.zscore(f"$DecayBase:Life:relevance:{topic}", key),
        "rhythm": client.zscore(cyclic, key),
        "cycles": unpacked(f"{cyclic}:cycles"),
        "pressure": unpacked(f"{cyclic}:pressure"),
        "sure": unpacked(f"{confidence}:sure:data"),
        "apart": unpacked(f"{confidence}:apart:data:{topic}"),
        "edges": client.zscore(f"$CoOccurrencF:Life:both:{key}", "a friend"),
        "mirrored": client.zscore("$CoOccurrencF:Life:both:a friend", key),
        "incoming": client.zscore("$CoOccurrencF:Life:ways:a friend", key),
        "staged": client.llen(f"$AT:Life:staged:{key}") or None,
        "log": client.llen(f"$AT:Life:access_log:{key}") or None,
        "meta": client.hget(f"$AT:Life:meta:{key}", "access_count"),
        "priority": client.zscore("$WF:Life:priority", key),
        "prediction": prediction and prediction["prediction_error"],
        "error": client.zscore("$PL:Life:errors:default", key),
        "pending": client.zscore("$RP:Life:pending:default", key),
        "pending apart": client.zscore("$RP:Life:pending:p", key),
    }


EVIDENCE = {"confidence": 0.9, "evidence_count": 1, "corroborations": 1, "contradictions": 0}
ALL = {
    "relevance": NOW + 5,
    "base": 2.0,
    "rhythm": NOW + 5,
    "cycles": [[10, 3.0, 0, 1.0]],
    "pressure": {"rate": 0.5, "last_resolved": NOW},
    "sure": EVIDENCE,
    "apart": EVIDENCE,
    "edges": 0.5,
    "mirrored": 0.5,
    "incoming": 0.4,
    "staged": 1,
    "log": 1,
    "meta": b"1",
    "priority": 0.9,
    "prediction": 0.3,
    "error": 0.3,
    "pending": NOW,
    "pending apart": NOW,
}
NONE = dict.fromkeys(ALL)


def nothing_is_left(client: redis.Redis, name: str = "x") -> bool:
    """Whether no key and no member of any key is that of the record."""
    key = f"Life:{name}".encode()
    for found in client.scan_iter(count=1000):
        kind = client.type(found)
        members = {
            b"set": client.smembers,
            b"zset": lambda place: client.zrange(place, 0, -1),
            b"hash": client.hkeys,
        }.get(kind, lambda _: ())(found)
        if found.endswith(key) or key in members:
            return False
    return True


def full_save(record: Life, api: Api) -> None:
    api(record.save)


def partial_save(record: Life, api: Api) -> None:
    record.note = "changed"
    api(record.save, update_fields=["note"])


def bulk_save(record: Life, api: Api) -> None:
    api(Life.bulk_update, Life.query.no_track().filter(name="x"), note="changed")


def rebuild(record: Life, api: Api) -> None:
    api(Life.rebuild_indexes)


def clean(record: Life, api: Api) -> None:
    api(Life.clean_indexes)


@pytest.mark.parametrize("event", [full_save, partial_save, bulk_save, rebuild, clean])
def test_it_stays_as_long_as_the_record_does(
    event: Callable[[Life, Api], None], api: Api, redis_client: redis.Redis
) -> None:
    record = lived()
    assert beside(redis_client) == ALL
    with clock.using(NOW + 9):
        event(record, api)
    moved = {} if event in (partial_save, rebuild, clean) else {"relevance": 0, "rhythm": 0}
    found = beside(redis_client)
    assert found == {**ALL, **{name: found[name] for name in moved}}
    assert all(found[name] == NOW + 9 for name in moved)
    assert Life.check_indexes()["total"] == 0


def migrate(record: Life, api: Api) -> None:
    record.name = "y"
    api(record.save, migrate_key=True)


def migrate_by_a_partial_save(record: Life, api: Api) -> None:
    record.name = "y"
    api(record.save, migrate_key=True, update_fields=["name"])


def migrate_in_a_transaction(record: Life, api: Api) -> None:
    record.name = "y"
    with transaction() as together:
        together.save(record, migrate_key=True)


@pytest.mark.parametrize("event", [migrate, migrate_by_a_partial_save, migrate_in_a_transaction])
def test_it_follows_the_record_to_another_key(
    event: Callable[[Life, Api], None], api: Api, redis_client: redis.Redis
) -> None:
    record = lived()
    with clock.using(NOW + 9):
        event(record, api)
    found = beside(redis_client, "y")
    moments = {name: found[name] for name in ("relevance", "rhythm")}
    assert set(moments.values()) <= {NOW + 5, NOW + 9}
    assert found == {**ALL, **moments}
    assert nothing_is_left(redis_client)
    assert Life.check_indexes()["total"] == 0


@pytest.mark.parametrize("only", [None, ["topic"]])
def test_it_follows_the_record_to_another_partition(
    only: list[str] | None, api: Api, redis_client: redis.Redis
) -> None:
    record = lived()
    record.topic = "other"
    with clock.using(NOW + 9):
        api(record.save, update_fields=only)
    found = beside(redis_client, topic="other")
    moment = NOW + 9 if only is None else NOW + 5
    assert found == {**ALL, "relevance": moment, "rhythm": moment}
    there = beside(redis_client)
    partitioned = ("relevance", "base", "rhythm", "cycles", "pressure", "apart")
    assert {name: there[name] for name in partitioned} == dict.fromkeys(partitioned)
    assert Life.check_indexes()["total"] == 0


def delete(record: Life, api: Api, _: redis.Redis) -> None:
    assert api(record.delete)


def delete_with_changes_in_memory(record: Life, api: Api, _: redis.Redis) -> None:
    record.topic, record.weight = "never saved", 9.0
    assert api(record.delete)


def bulk_delete(record: Life, api: Api, _: redis.Redis) -> None:
    api(Life.bulk_delete, Life.query.no_track().filter(name="x"))


def delete_all(record: Life, api: Api, _: redis.Redis) -> None:
    api(Life.delete_all)


def delete_in_a_transaction(record: Life, api: Api, _: redis.Redis) -> None:
    with transaction() as together:
        together.delete(record)


def delete_in_a_pipeline(record: Life, api: Api, client: redis.Redis) -> None:
    pipeline = client.pipeline()
    record.delete(pipeline=pipeline)
    pipeline.execute()


def expire(record: Life, api: Api, client: redis.Redis) -> None:
    record._ttl = 100
    api(record.save)
    client.pexpireat(record.pk, 1)
    # Queries sweep what has ended.
    client.zadd("$Expiry:Life", {record.pk: 1})
    assert api(Life.query.filter(note="").all) == []


def vanish(record: Life, api: Api, client: redis.Redis) -> None:
    """Somebody else deletes the hash, or the server evicts it."""
    client.delete(record.pk)
    assert api(Life.check_indexes)["total"] > 0
    api(Life.clean_indexes)


def vanish_before_a_rebuild(record: Life, api: Api, client: redis.Redis) -> None:
    client.delete(record.pk)
    api(Life.rebuild_indexes)


@pytest.mark.parametrize(
    "event",
    [
        *(delete, delete_with_changes_in_memory, bulk_delete, delete_all),
        *(delete_in_a_transaction, delete_in_a_pipeline),
        *(expire, vanish, vanish_before_a_rebuild),
    ],
)
def test_it_goes_with_the_record(
    event: Callable[[Life, Api, redis.Redis], None], api: Api, redis_client: redis.Redis
) -> None:
    record = lived()
    event(record, api, redis_client)
    assert beside(redis_client) == NONE
    assert nothing_is_left(redis_client)
    assert Life.check_indexes()["total"] == 0
    # A record that is created under its key later starts afresh.
    with clock.using(NOW + 9):
        api(Life.create, name="x")
    found = beside(redis_client)
    fresh = {name for name, value in found.items() if value is not None}
    assert fresh == {
        *("relevance", "base", "rhythm", "cycles", "pressure", "sure", "apart", "priority")
    }
    assert found["sure"]["evidence_count"] == found["apart"]["evidence_count"] == 0
    assert (found["cycles"], found["pressure"]["last_resolved"]) == ([[10, 1.0, 0]], NOW + 9)


@pytest.mark.parametrize("how", ["create over it", "save over it"])
def test_a_record_in_the_place_of_one_that_is_gone_starts_afresh(
    how: str, api: Api, redis_client: redis.Redis
) -> None:
    record = lived()
    redis_client.delete(record.pk)
    other = Life(name="x", topic="other")
    with clock.using(NOW + 9):
        api(other.save) if how == "save over it" else api(Life.create, name="x", topic="other")
    found = beside(redis_client, topic="other")
    assert found["sure"]["evidence_count"] == found["apart"]["evidence_count"] == 0
    gone = ("staged", "log", "meta", "prediction", "error", "pending", "pending apart")
    assert {name: found[name] for name in gone} == dict.fromkeys(gone)
    assert found["edges"] is None
    assert beside(redis_client)["cycles"] is None


class Swinging(Model):
    name = KeyField()
    rhythm = CyclicDecayField(cycles=[(10, 1.0)], pressure_rate=0.5)
    topic = StringField(default="t")
    sure = ConfidenceField(partition_by="topic")
    place = GeoField(null=True)


def test_of_a_record_that_is_gone_nothing_is_left_in_other_partitions(
    api: Api, redis_client: redis.Redis
) -> None:
    """Hashes of cycles stand under names that begin like those of sorted sets."""
    with clock.using(NOW):
        record = Swinging.create(name="x", place=(1.0, 2.0))
        record.strengthen_cycle("rhythm", 3)
    redis_client.delete(record.pk)
    with clock.using(NOW + 9):
        api(Swinging.create, name="x", topic="other")
    assert redis_client.keys("$GeoF:*") == []
    assert redis_client.keys("$ConfidencF:Swinging:*") == [b"$ConfidencF:Swinging:sure:data:other"]
    stored = {
        kind: msgpack.unpackb(redis_client.hget(f"$CyclicDecayF:Swinging:rhythm:{kind}", record.pk))
        for kind in ("cycles", "pressure")
    }
    assert stored["cycles"] == [[10, 1.0, 0]]
    assert stored["pressure"]["last_resolved"] == NOW + 9
