"""A history goes with its record: away, to another key, to another partition; none is left over."""

from __future__ import annotations

from typing import Any

import pytest
import redis

import popoto
from popoto import ConfidenceField, KeyField, Model, clock, explain_confidence, transaction
from popoto.redis_db import POPOTO_REDIS_DB
from tests.driver import Api
from tests.memory.remembered import NOW, Fact, fact, learn, told


class Brew(Model):
    name = KeyField()
    certainty = ConfidenceField()

    class Meta:
        ttl = 1000
        history = True


def histories(client: redis.Redis) -> set[bytes]:
    return set(client.keys("*History*"))


def test_it_goes_with_the_record(api: Api, redis_client: redis.Redis) -> None:
    record = fact()
    learn(record, 0.9)
    api(record.delete)
    assert record.history() == []
    assert histories(redis_client) == set()


def test_it_goes_with_many_records(api: Api, redis_client: redis.Redis) -> None:
    records = [fact(name) for name in "abc"]
    for record in records:
        learn(record, 0.9)
    assert len(histories(redis_client)) == 3
    api(Fact.bulk_delete, records[:2])
    assert histories(redis_client) == {b"$History:Fact:Fact:c"}
    learn(fact("d"), 0.9)
    api(Fact.delete_all)
    assert redis_client.keys("*") == []


def test_it_goes_in_pipelines_and_transactions(redis_client: redis.Redis) -> None:
    one, other = fact("a"), fact("b")
    for record in (one, other):
        learn(record, 0.9)
    pipeline = POPOTO_REDIS_DB.pipeline()
    one.touch("seen", pipeline=pipeline)
    one.delete(pipeline=pipeline)
    pipeline.execute()
    with transaction() as together:
        together.delete(other)
    assert histories(redis_client) == set()


def test_it_goes_to_another_key(api: Api, redis_client: redis.Redis) -> None:
    record = fact()
    learn(record, 0.9)
    record.name = "moved"
    with clock.using(NOW + 1):
        api(record.save, migrate_key=True)
    learn(record, 0.1, api)
    assert [(each.kind, each.cause) for each in record.history()] == [
        ("confidence", "update_confidence"),
        ("decay", "save"),
        ("decay", "save"),
        ("confidence", "update_confidence"),
    ]
    assert explain_confidence(record).is_whole
    assert histories(redis_client) == {b"$History:Fact:Fact:moved"}


def test_what_another_record_left_under_that_key_is_not_its_own(redis_client: redis.Redis) -> None:
    learn(fact("moved"), 0.1)
    redis_client.delete("Fact:moved")
    record = fact()
    record.name = "moved"
    with clock.using(NOW + 1):
        record.save(migrate_key=True)
    assert [each[0] for each in told(record)] == ["decay", "decay"]


def test_linked_records_tell_of_a_move_and_of_an_end(api: Api) -> None:
    for links in (Fact.links, Fact.ways):
        one, other = fact("a"), fact("b")
        links.link(Fact, other.pk, one.pk, 0.5)
        one.name = "moved"
        api(one.save, migrate_key=True)
        api(one.delete)
        steps = [(each.cause, each.target, each.before, each.after) for each in other.history()]
        assert steps[0] == ("link", "Fact:a", None, 0.5)
        assert sorted(steps[1:3], key=str) == sorted(
            [("save", "Fact:a", 0.5, None), ("save", "Fact:moved", None, 0.5)], key=str
        )
        assert steps[3:] == [("delete", "Fact:moved", 0.5, None)]
        other.delete()


@pytest.mark.parametrize("how", ["deleted", "expired"])
def test_linked_records_tell_of_one_that_went_by_itself(
    redis_client: redis.Redis, how: str
) -> None:
    one, other = fact("a"), fact("b")
    one._ttl = 1000
    one.save()
    Fact.links.link(Fact, other.pk, one.pk, 0.5)
    if how == "deleted":
        redis_client.delete("Fact:a")
    else:
        # As if its time had come.
        redis_client.pexpire("Fact:a", 1)
        redis_client.zadd("$Expiry:Fact", {"Fact:a": 1.0})
        while redis_client.exists("Fact:a"):
            pass
    with popoto.acting_as("who looks"):
        assert Fact.query.filter(name="a").all() == []
    (_, ended) = other.history()
    assert (ended.cause, ended.target, ended.after, ended.actor) == ("gone", "Fact:a", None, None)


def test_the_record_that_moves_tells_nothing_of_its_links() -> None:
    one, other = fact("a"), fact("b")
    Fact.links.link(Fact, one.pk, other.pk, 0.5)
    Fact.ways.link(Fact, one.pk, other.pk, 0.5)
    one.name = "moved"
    one.save(migrate_key=True)
    assert [each.cause for each in one.history() if each.kind == "link"] == ["link", "link"]


def test_it_stays_when_the_partition_changes(api: Api) -> None:
    record = fact()
    learn(record, 0.9)
    record.strengthen_cycle("clock")
    record.topic = "play"
    with clock.using(NOW + 1):
        api(record.save)
    learn(record, 0.2)
    # What is carried along has not changed.
    kinds = [each.kind for each in record.history()]
    assert kinds == ["confidence", "cycle", "decay", "decay", "confidence"]


def test_a_new_record_begins_anew(api: Api, redis_client: redis.Redis) -> None:
    learn(fact(), 0.9)
    redis_client.delete("Fact:a")
    assert histories(redis_client) == {b"$History:Fact:Fact:a"}
    with clock.using(NOW):
        record = api(Fact.create, name="a")
    assert [each.kind for each in record.history()] == ["decay", "decay"]
    redis_client.delete("Fact:a")
    api(Fact.bulk_create, [Fact(name="a")])
    assert [each.kind for each in record.history()] == ["decay", "decay"]


@pytest.mark.parametrize("how", ["deleted", "expired"])
def test_one_that_begins_without_entries_begins_anew_too(
    redis_client: redis.Redis, how: str
) -> None:
    record = Brew.create(name="a")
    learn(record, 0.9)
    if how == "deleted":
        redis_client.delete("Brew:a")
    else:
        redis_client.pexpire("Brew:a", 1)
        while redis_client.exists("Brew:a"):
            pass
    assert Brew.create(name="a").history() == []


def test_it_ends_when_the_record_does(api: Api, redis_client: redis.Redis) -> None:
    key = "$History:Brew:Brew:a"
    record = api(Brew.create, name="a")
    learn(record, 0.9, api)
    ends = redis_client.pttl("Brew:a")
    # Before Redis 7.2 the clock goes on within a script.
    assert 0 < redis_client.pttl(key) <= ends + 2
    record._ttl = 5000
    api(record.save)
    learn(record, 0.9, api)
    assert redis_client.pttl(key) > 1_000_000
    record._ttl = None
    api(record.save)
    assert (redis_client.ttl(key), redis_client.ttl("Brew:a")) == (-1, -1)


def test_upkeep_finds_what_is_left(api: Api, redis_client: redis.Redis) -> None:
    for name in ("a", "b"):
        learn(fact(name), 0.9)
    assert api(Fact.check_indexes)["total"] == 0
    redis_client.delete("Fact:a")
    checked = api(Fact.check_indexes)
    assert checked["companions"]["$History:Fact:*"] == 1
    api(Fact.clean_indexes)
    assert histories(redis_client) == {b"$History:Fact:Fact:b"}
    learn(fact("c"), 0.9)
    redis_client.delete("Fact:b")
    api(Fact.rebuild_indexes)
    assert histories(redis_client) == {b"$History:Fact:Fact:c"}
    assert len(Fact.query.get(name="c").history()) == 1


def test_upkeep_finds_what_was_kept_once(api: Api, redis_client: redis.Redis) -> None:
    def tea(*, keeps: bool) -> Any:
        class Tea(Model):
            name = KeyField()
            certainty = ConfidenceField()

            class Meta:
                history = keeps

        return Tea

    records = [tea(keeps=True).create(name=name) for name in "ab"]
    for record in records:
        learn(record, 0.9)
    Plain = tea(keeps=False)
    Plain.query.get(name="a").delete()
    assert api(Plain.check_indexes)["total"] == 1
    assert api(Plain.clean_indexes) == 1
    assert histories(redis_client) == {b"$History:Tea:Tea:b"}
    api(Plain.delete_all)
    assert redis_client.keys("*") == []


def test_a_change_of_a_record_that_is_gone_leaves_nothing(
    api: Api, redis_client: redis.Redis
) -> None:
    record = fact()
    propose_of_nothing = record.pk
    redis_client.delete("Fact:a")
    redis_client.zadd("$RP:Fact:pending:default", {propose_of_nothing: NOW})
    api(Fact.links.link, Fact, record.pk, "rain")
    assert api(Fact.raw_update, [record.pk], seen=1.0) == 1
    with pytest.raises(TypeError):
        learn(record, 0.9, api)
    assert histories(redis_client) == set()
