"""`ConfidenceField`: the formula, what is stored, partitions, and where evidence goes."""

from __future__ import annotations

import math
import threading
from typing import Any

import msgpack
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from popoto import (
    ConfidenceField,
    DecayingSortedField,
    Defaults,
    EventStreamMixin,
    KeyField,
    Model,
    ModelException,
    QueryException,
    StringField,
    transaction,
)
from popoto.memory.confidence.formula import Evidence
from tests.driver import Api

UNPARTITIONED = "$ConfidencF:Claim:apart:data"


class Claim(Model):
    name = KeyField()
    agent = StringField(null=True)
    sure = ConfidenceField()
    apart = ConfidenceField(initial_confidence=0.8, partition_by="agent")


class Told(EventStreamMixin, Model):
    name = KeyField()
    sure = ConfidenceField()


update = ConfidenceField.update_confidence
data = ConfidenceField.get_confidence_data

WORKED = [
    (0.5, [0.9], [0.9]),
    (0.5, [0.1], [0.1]),
    (0.8, [0.2], [0.2]),
    (0.8, [0.5], [0.5]),
    (0.5, [0.9, 0.1], [0.9, 0.334315]),
    (0.5, [0.9, 0.9, 0.1], [0.9, 0.9, 0.438120]),
    (0.5, [0.8, 0.2, 0.2, 0.2], [0.8, 0.375736, 0.274275, 0.237137]),
    (0.5, [1, 0, 1], [1, 0.292893, 0.701142]),
    (0.0, [1, 1, 0], [1, 1, 0.422650]),
    (0.5, [0.9, 0.9, 0.9, 0.1, 0.1], [0.9, 0.9, 0.9, 0.5, 0.321115]),
    (0.9, [0.3] * 5, [0.3] * 5),
]


@pytest.mark.parametrize(("initial", "signals", "values"), WORKED)
def test_the_numbers_of_the_contract(
    api: Api, initial: float, signals: list[float], values: list[float]
) -> None:
    kind = type(
        "Worked",
        (Model,),
        {
            "__module__": __name__,
            "name": KeyField(),
            "c": ConfidenceField(initial_confidence=initial),
        },
    )
    record = api(kind.create, name="x")
    assert [api(kind.c.update_confidence, record, "c", signal) for signal in signals] == (
        pytest.approx(values, abs=5e-7)
    )
    found = api(kind.c.get_confidence_data, record, "c")
    assert found["evidence_count"] == len(signals)
    assert found["corroborations"] == sum(signal >= 0.5 for signal in signals)
    assert found["contradictions"] == sum(signal < 0.5 for signal in signals)


@settings(max_examples=40, deadline=None)
@given(
    initial=st.floats(0, 1), signals=st.lists(st.floats(0, 1), max_size=12), cut=st.integers(0, 12)
)
def test_server_and_python_agree_however_updates_are_batched(
    initial: float, signals: list[float], cut: int
) -> None:
    record = Claim.create(name="x", overwrite=True)
    ConfidenceField.migrate_to_partitioned(Claim, "apart")
    expected = Evidence(0.5)
    for signal in signals:
        expected = expected.learned(signal)
    update_many = ConfidenceField.bulk_update_confidence
    update_many([(record, signal) for signal in signals[:cut]], "sure")
    update_many([(record, signal) for signal in signals[cut:]], "sure")
    assert data(record, "sure") == expected.as_dict()
    assert 0 <= expected.confidence <= 1
    Claim.query.get(name="x").delete()


def test_an_odd_signal_counts_as_it_should() -> None:
    record = Claim.create(name="x")
    assert update(record, "sure", 0.49999) == pytest.approx(0.49999)
    assert data(record, "sure")["contradictions"] == 1
    assert update(record, "sure", "0.5") == pytest.approx(0.49999 + 0.00001 / math.sqrt(2))
    assert data(record, "sure")["corroborations"] == 1


# What is stored --------------------------------------------------------------------------------


def test_the_first_bytes_are_those_of_popoto_1_6(redis_client: redis.Redis) -> None:
    Claim.create(name="x")
    stored = redis_client.hget("$ConfidencF:Claim:sure:data", "Claim:x")
    assert stored == (
        b"\x84\xaaconfidence\xcb?\xe0\x00\x00\x00\x00\x00\x00\xaeevidence_count\x00"
        b"\xaecorroborations\x00\xaecontradictions\x00"
    )


@pytest.mark.parametrize(
    ("stored", "confidence", "counts"),
    [
        ([0.4, 2, 1, 1], 0.515470, (3, 2, 1)),
        ([0.4, 2, 1, 1, "more"], 0.515470, (3, 2, 1)),
        (
            {"contradictions": 1, "evidence_count": 2, "corroborations": 1, "confidence": 0.4},
            0.515470,
            (3, 2, 1),
        ),
        ({"confidence": 1, "evidence_count": 0}, 0.6, (1, 1, 0)),
        ("no table", 0.6, (1, 1, 0)),
        ([], 0.6, (1, 1, 0)),
        ({"confidence": "high"}, 0.6, (1, 1, 0)),
    ],
)
def test_what_others_have_written_is_read(
    stored: Any, confidence: float, counts: tuple[int, int, int], redis_client: redis.Redis
) -> None:
    record = Claim.create(name="x")
    redis_client.hset("$ConfidencF:Claim:sure:data", "Claim:x", msgpack.packb(stored))
    assert update(record, "sure", 0.6) == pytest.approx(confidence, abs=5e-7)
    found = data(record, "sure")
    assert tuple(found.values())[1:] == counts


def test_counts_that_nobody_has_written_are_none(redis_client: redis.Redis) -> None:
    record = Claim.create(name="x")
    redis_client.hset("$ConfidencF:Claim:sure:data", "Claim:x", msgpack.packb([0.4]))
    assert data(record, "sure") == Evidence(0.4).as_dict()
    assert update(record, "sure", 0.9) == 0.9


@pytest.mark.parametrize(
    ("stored", "after"),
    [
        (Evidence(3.0, 3, 3), Evidence(1.0, 4, 4)),
        (Evidence(-2.0, 3, 0, 3), Evidence(0.0, 4, 1, 3)),
        (Evidence(0.5, 2**53 - 2, 1000), Evidence(0.5, 2**53 - 1, 1001)),
    ],
)
def test_what_lies_beyond_the_bounds_comes_back_within_them(
    stored: Evidence, after: Evidence, redis_client: redis.Redis
) -> None:
    record = Claim.create(name="x")
    redis_client.hset("$ConfidencF:Claim:sure:data", "Claim:x", stored.packed())
    assert Evidence.unpacked(stored.packed()).learned(0.5) == after
    update(record, "sure", 0.5)
    assert data(record, "sure") == after.as_dict()


@pytest.mark.parametrize("number", [-5, "3", True, None, [1], math.nan, math.inf, 2.0**53])
@pytest.mark.parametrize("as_list", [True, False])
def test_counts_that_are_no_numbers_count_as_none(
    number: Any, as_list: bool, redis_client: redis.Redis
) -> None:
    record = Claim.create(name="x")
    stored = [0.4, number, 1] if as_list else {"evidence_count": number, "confidence": 0.4}
    redis_client.hset("$ConfidencF:Claim:sure:data", "Claim:x", msgpack.packb(stored))
    found = Evidence(0.4, 0, 1 if as_list else 0)
    assert data(record, "sure") == found.as_dict()
    assert update(record, "sure", 0.9) == 0.9
    assert data(record, "sure") == found.learned(0.9).as_dict()


@pytest.mark.parametrize(
    "stored",
    [
        *(b"", b"\xc1", b"\xa4text", b"\x90", b"\x85\xa1a"),
        *map(msgpack.packb, ({"confidence": "high"}, [True], [math.nan], [math.inf], [None], [[]])),
    ],
)
def test_damaged_evidence_counts_as_none(stored: bytes, redis_client: redis.Redis) -> None:
    record = Claim.create(name="x")
    redis_client.hset("$ConfidencF:Claim:sure:data", "Claim:x", stored)
    assert data(record, "sure") == Evidence(0.5).as_dict()
    assert update(record, "sure", 0.7) == 0.7


def test_the_record_shows_what_was_learned(api: Api) -> None:
    record, other = Claim.create(name="x"), Claim.query.get(name="x")
    assert record.sure == 0.5
    api(update, record, "sure", 0.9)
    assert record.sure == 0.9
    assert Claim.query.get(name="x").sure == 0.9
    other.agent = "a"
    other.save()
    assert Claim.query.get(name="x").sure == 0.9


def test_an_assigned_value_is_shown_and_no_evidence() -> None:
    record = Claim.create(name="x")
    record.sure = 0.25
    record.save()
    assert Claim.query.get(name="x").sure == 0.25
    assert ConfidenceField.get_confidence(record, "sure") == 0.5


# Refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("initial", [-0.1, 1.1, math.nan, "0.5", True])
def test_initial_values_that_cannot_be(initial: Any) -> None:
    with pytest.raises(ModelException, match="initial_confidence"):
        ConfidenceField(initial_confidence=initial)


def test_defaults_are_taken_when_the_field_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Defaults, "INITIAL_CONFIDENCE", 0.25)
    assert ConfidenceField().initial_confidence == 0.25
    assert ConfidenceField(initial_confidence=0).initial_confidence == 0.0


@pytest.mark.parametrize(
    ("signal", "error"),
    [
        (None, TypeError),
        ("high", ValueError),
        (1.1, ValueError),
        (-0.1, ValueError),
        (math.nan, ValueError),
        ([], TypeError),
    ],
)
def test_signals_that_are_none(api: Api, signal: Any, error: type[Exception]) -> None:
    record = Claim.create(name="x")
    with pytest.raises(error):
        api(update, record, "sure", signal)
    assert data(record, "sure")["evidence_count"] == 0


def test_what_has_no_confidence(api: Api, redis_client: redis.Redis) -> None:
    record = Claim.create(name="x")
    with pytest.raises(TypeError, match="is not a ConfidenceField"):
        api(update, record, "name", 0.5)
    with pytest.raises(TypeError, match="is not a ConfidenceField"):
        api(ConfidenceField.get_confidence, record, "missing")
    with pytest.raises(TypeError, match="requires a saved model instance"):
        api(update, Claim(name="new"), "sure", 0.5)
    with pytest.raises(TypeError, match="requires a saved model instance"):
        api(update, Claim(name="new"), "apart", 0.5)
    with pytest.raises(TypeError, match="requires a saved model instance"):
        api(update, Claim(), "sure", 0.5)
    redis_client.delete("Claim:x")
    with pytest.raises(TypeError, match="requires a saved model instance"):
        api(update, record, "sure", 0.5)
    assert redis_client.hkeys("$ConfidencF:Claim:sure:data") == [b"Claim:x"]
    assert api(ConfidenceField.get_confidence, Claim(name="new"), "sure") == 0.5


def test_an_instance_that_was_only_constructed_stands_for_its_record(api: Api) -> None:
    Claim.create(name="x", agent="a")
    assert api(update, Claim(name="x"), "sure", 0.9) == 0.9
    assert api(update, Claim(name="x"), "apart", 0.3) == pytest.approx(0.3)
    assert ConfidenceField.get_confidence(Claim.query.get(name="x"), "apart") == pytest.approx(0.3)


def test_so_does_one_in_a_pipeline(redis_client: redis.Redis) -> None:
    Claim.create(name="x", agent="a")
    pipeline = redis_client.pipeline()
    update(Claim(name="x"), "apart", 0.3, pipeline=pipeline)
    pipeline.execute()
    assert ConfidenceField.get_confidence(Claim.query.get(name="x"), "apart") == pytest.approx(0.3)


def test_a_key_of_another_kind_changes_nothing(redis_client: redis.Redis) -> None:
    record = Claim.create(name="x")
    redis_client.delete("$ConfidencF:Claim:sure:data")
    redis_client.set("$ConfidencF:Claim:sure:data", "text")
    before = redis_client.hgetall("Claim:x")
    with pytest.raises(ModelException, match="holds a string where a hash belongs"):
        update(record, "sure", 0.9)
    assert redis_client.hgetall("Claim:x") == before


# Partitions ------------------------------------------------------------------------------------


def test_the_keys_of_partitions() -> None:
    record = Claim(name="x", agent="team:a")
    field = Claim._meta.fields["apart"]
    assert field.get_data_hash_key(record, "apart") == f"{UNPARTITIONED}:team{{&#58;}}a"
    assert field.get_old_data_hash_key(record, "apart") is None
    record.save()
    record.agent = None
    assert field.get_data_hash_key(record, "apart") == UNPARTITIONED
    assert field.get_old_data_hash_key(record, "apart") == f"{UNPARTITIONED}:team{{&#58;}}a"
    values = field.get_data_hash_key_from_values
    assert values(Claim, "apart", agent="b", other=1) == f"{UNPARTITIONED}:b"
    with pytest.raises(QueryException, match="partitioned by agent"):
        values(Claim, "apart", agent=None)


def test_no_two_partitions_share_a_hash() -> None:
    field = type(
        "Wide",
        (Model,),
        {
            "__module__": __name__,
            "name": KeyField(),
            "a": StringField(null=True),
            "b": StringField(null=True),
            "c": ConfidenceField(partition_by=("a", "b")),
        },
    ).c
    pairs = [("x", "y"), ("x", None), (None, "x"), ("x:y", None), (None, None), ("x", "None")]
    assert len({field.partition_key(pair) for pair in pairs}) == len(pairs)
    assert field.partition_key(("atlas", "facts")).endswith(":data:atlas:facts")


@pytest.mark.parametrize("partial", [False, True])
def test_evidence_follows_to_another_partition(
    api: Api, partial: bool, redis_client: redis.Redis
) -> None:
    record = Claim.create(name="x", agent="a")
    update(record, "apart", 0.3)
    record.agent = "b"
    assert update(record, "apart", 0.4) == pytest.approx(0.3 + 0.1 / math.sqrt(2))
    assert redis_client.exists(f"{UNPARTITIONED}:b") == 0
    api(record.save, update_fields=["agent"] if partial else None)
    assert redis_client.exists(f"{UNPARTITIONED}:a") == 0
    assert data(record, "apart")["evidence_count"] == 2


@pytest.mark.parametrize("partial", [False, True])
def test_evidence_follows_to_another_key(
    api: Api, partial: bool, redis_client: redis.Redis
) -> None:
    record = Claim.create(name="x", agent="a")
    update(record, "apart", 0.3)
    update(record, "sure", 0.9)
    record.name, record.agent = "y", "b"
    fields = ["agent"] if partial else None
    api(record.save, migrate_key=True, update_fields=fields)
    assert redis_client.keys("$ConfidencF:Claim:apart*") == [f"{UNPARTITIONED}:b".encode()]
    assert ConfidenceField.get_confidence(record, "apart") == pytest.approx(0.3)
    assert redis_client.hkeys("$ConfidencF:Claim:sure:data") == [b"Claim:y"]
    assert ConfidenceField.get_confidence(Claim.query.get(name="y"), "sure") == 0.9


def test_a_deleted_record_starts_afresh(api: Api, redis_client: redis.Redis) -> None:
    record = Claim.create(name="x", agent="a")
    update(record, "apart", 0.3)
    record.agent = "elsewhere"
    api(record.delete)
    assert redis_client.keys("$Confidenc*") == []
    record.agent = "a"
    api(record.save)
    assert data(record, "apart") == Evidence(0.8).as_dict()


def test_an_expired_record_leaves_nothing_to_its_successor(redis_client: redis.Redis) -> None:
    record = Claim(name="x", agent="a")
    record._ttl = 100
    record.save()
    update(record, "apart", 0.3)
    redis_client.pexpire("Claim:x", 1)
    while redis_client.exists("Claim:x"):
        pass
    other = Claim.create(name="x", agent="b")
    assert redis_client.exists(f"{UNPARTITIONED}:a") == 0
    assert data(other, "apart") == Evidence(0.8).as_dict()
    assert data(other, "sure") == Evidence(0.5).as_dict()


def test_a_record_that_went_without_a_note_leaves_nothing(redis_client: redis.Redis) -> None:
    record = Claim.create(name="x", agent="a")
    update(record, "apart", 0.3)
    redis_client.delete("Claim:x")
    assert Claim.check_indexes()["companions"] == {"sure": 1, "apart": 1, "proposals": 0}
    other = Claim.create(name="x", agent="b")
    assert redis_client.exists(f"{UNPARTITIONED}:a") == 0
    assert data(other, "apart") == Evidence(0.8).as_dict()


def test_clean_removes_what_is_left_and_rebuild_keeps_what_is_known(
    redis_client: redis.Redis,
) -> None:
    record, gone = Claim.create(name="x", agent="a"), Claim.create(name="y", agent="a")
    update(record, "apart", 0.3)
    redis_client.delete(gone.pk)
    Claim.clean_indexes()
    assert redis_client.hkeys(f"{UNPARTITIONED}:a") == [b"Claim:x"]
    redis_client.delete("$ConfidencF:Claim:sure:data")
    Claim.rebuild_indexes()
    assert data(record, "apart")["evidence_count"] == 1
    assert redis_client.hkeys("$ConfidencF:Claim:sure:data") == [b"Claim:x"]


# Together with others --------------------------------------------------------------------------


def test_many_writers_lose_nothing() -> None:
    record = Claim.create(name="x")

    def learn() -> None:
        mine = Claim.query.get(name="x")
        for _ in range(25):
            update(mine, "sure", 0.9)

    writers = [threading.Thread(target=learn) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert data(record, "sure")["evidence_count"] == 100


def test_updates_wait_in_a_pipeline_and_in_a_transaction(redis_client: redis.Redis) -> None:
    record = Claim.create(name="x", agent="a")
    pipeline = redis_client.pipeline()
    assert update(record, "apart", 0.3, pipeline=pipeline) is pipeline
    record.agent = "b"
    record.save(pipeline=pipeline)
    update(record, "apart", 0.3, pipeline=pipeline)
    assert data(record, "apart")["evidence_count"] == 0
    pipeline.execute()
    assert data(record, "apart")["evidence_count"] == 2
    with transaction() as together:
        update(record, "sure", 0.9, pipeline=together)
        record.agent = "c"
        together.save(record)
    assert together.results[0] == 0.9
    together = transaction()
    update(record, "sure", 0.1, pipeline=together)
    together.discard()
    assert data(record, "sure")["evidence_count"] == 1


def test_all_of_many_or_none(api: Api, redis_client: redis.Redis) -> None:
    claims = [Claim.create(name=f"n{number}") for number in range(5)]
    many = ConfidenceField.bulk_update_confidence
    assert api(many, [(claim, 0.9) for claim in claims], "sure") == [0.9] * 5
    assert api(many, [], "sure") == []
    redis_client.delete(claims[3].pk)
    with pytest.raises(TypeError):
        api(many, [(claim, 0.1) for claim in claims], "sure")
    assert data(claims[0], "sure")["evidence_count"] == 1


def test_an_update_is_told_in_the_stream(api: Api, redis_client: redis.Redis) -> None:
    record = Told.create(name="x")
    api(update, record, "sure", 0.9)
    api(update, record, "sure", 0.1)
    entries = [fields for _, fields in redis_client.xrange("stream:mutations")]
    last = entries[-1]
    assert [each[b"op"] for each in entries] == [b"create"] + [b"confidence_update"] * 2
    assert (last[b"pk"], last[b"field"], last[b"signal"]) == (b"Told:x", b"sure", b"0.1")
    assert last[b"new_confidence"] == repr(record.sure).encode()


# Reading all, and moving to partitions ---------------------------------------------------------


def test_all_evidence_by_pattern(api: Api, redis_client: redis.Redis) -> None:
    for name in ("ab", "ac", "b"):
        Claim.create(name=name)
    redis_client.hset("$ConfidencF:Claim:sure:data", "Claim:broken", "?")
    filtered = ConfidenceField.get_confidence_filtered
    assert set(api(filtered, Claim, "sure")) == {"Claim:ab", "Claim:ac", "Claim:b"}
    found = api(filtered, Claim, "sure", "Claim:a*")
    assert found == {"Claim:ab": Evidence(0.5).as_dict(), "Claim:ac": Evidence(0.5).as_dict()}
    with pytest.raises(TypeError, match="is not a ConfidenceField"):
        api(filtered, Claim, "name")


def test_evidence_moves_to_partitions(api: Api, redis_client: redis.Redis) -> None:
    migrate = ConfidenceField.migrate_to_partitioned
    for name, agent in (("x", "a"), ("y", "a"), ("z", "b"), ("none", None), ("newer", "a")):
        Claim.create(name=name, agent=agent)
    update(Claim.query.get(name="newer"), "apart", 0.1)
    legacy = Evidence(0.4, 2, 1, 1).packed()
    for name in ("x", "y", "z", "none", "newer", "gone"):
        redis_client.hset(UNPARTITIONED, f"Claim:{name}", legacy)
    planned = api(migrate, Claim, "apart", dry_run=True)
    assert planned["partitions"] == {"a": 3, "b": 1, "default": 1}
    assert (planned["total"], planned["migrated"]) == (6, 0)
    assert [each["member_key"] for each in planned["errors"]] == ["Claim:gone"]
    report = api(migrate, Claim, "apart")
    assert report["partitions"] == planned["partitions"]
    assert {each["member_key"] for each in report["errors"]} == {"Claim:gone", "Claim:newer"}
    assert report["migrated"] == 4
    assert data(Claim.query.get(name="x"), "apart")["evidence_count"] == 2
    assert data(Claim.query.get(name="newer"), "apart")["evidence_count"] == 1
    assert data(Claim.query.get(name="none"), "apart")["evidence_count"] == 2
    left = {b"Claim:none", b"Claim:gone", b"Claim:newer"}
    assert set(redis_client.hkeys(UNPARTITIONED)) == left
    assert api(migrate, Claim, "apart")["total"] == 3


def test_nothing_to_migrate_to(api: Api) -> None:
    empty = {"total": 0, "migrated": 0, "errors": [], "partitions": {}}
    assert api(ConfidenceField.migrate_to_partitioned, Claim, "apart") == empty
    for name in ("sure", "name"):
        with pytest.raises(ModelException, match="partition_by"):
            api(ConfidenceField.migrate_to_partitioned, Claim, name)


# As a base score ---------------------------------------------------------------------------------


class Ranked(Model):
    name = KeyField()
    agent = StringField(default="a")
    sure = ConfidenceField()
    relevance = DecayingSortedField(base_score_field="sure", partition_by="agent")


def test_the_ranking_follows_a_confidence(api: Api, redis_client: redis.Redis) -> None:
    first, second = Ranked.create(name="first"), Ranked.create(name="second")
    api(update, first, "sure", 0.1)
    api(update, second, "sure", 0.9)
    found = Ranked.query.filter(agent="a").top_by_decay()
    assert [record.name for record in found] == ["second", "first"]
    assert redis_client.zrange("$DecayBase:Ranked:relevance:a", 0, -1, withscores=True) == [
        (b"Ranked:first", pytest.approx(0.1)),
        (b"Ranked:second", 0.9),
    ]
    first.agent = "b"
    api(first.save)
    api(update, first, "sure", 1)
    assert Ranked.check_indexes()["total"] == 0


@pytest.mark.parametrize("how", ["indexed", "unique", "composite", "partition"])
def test_nothing_else_follows_from_a_confidence(how: str) -> None:
    body: dict[str, Any] = {"__module__": __name__, "name": KeyField(), "sure": ConfidenceField()}
    if how in ("indexed", "unique"):
        body["sure"] = ConfidenceField(indexed=True, unique=how == "unique")
    if how == "composite":
        body["Meta"] = type("Meta", (), {"indexes": ((("name", "sure"), False),)})
    if how == "partition":
        body["relevance"] = DecayingSortedField(partition_by="sure")
    with pytest.raises(ModelException, match=r"moves without a save|unique=True"):
        type("Broken", (Model,), body)
