"""Histories on three primaries: each lies where its record is."""

from __future__ import annotations

import pytest

import popoto
from popoto import ObservationProtocol, clock, explain_confidence, transaction
from popoto.redis_db import POPOTO_REDIS_DB
from tests.cluster_nodes import stored_keys
from tests.driver import Api
from tests.memory.remembered import NOW, Fact, last, learn, told

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.usefixtures("on_the_cluster"),
]


def test_the_life_of_a_history(api: Api, ports: list[int]) -> None:
    with clock.using(NOW):
        one, other = api(Fact.bulk_create, [Fact(name="a"), Fact(name="b")])
        with popoto.acting_as("ada"):
            learn(one, 0.9, api)
            api(Fact.links.link, Fact, one.pk, other.pk, 0.5)
            ObservationProtocol.on_context_used([one, other], {one.pk: "contradicted"})
    assert last(one, "confidence").outcome == "contradicted"
    assert last(other, "link").target == one.pk
    assert {each.actor for each in one.history()} == {None, "ada"}
    assert explain_confidence(one).is_whole
    kept = {key for key in stored_keys(ports) if b"History" in key}
    assert kept == {b"{Fact}$History:Fact:Fact:a", b"{Fact}$History:Fact:Fact:b"}
    one.name = "moved"
    api(one.save, migrate_key=True)
    assert last(other, "link").target == "Fact:moved"
    assert explain_confidence(one).is_whole
    assert api(Fact.check_indexes)["total"] == 0
    assert api(Fact.rebuild_indexes) == 2
    api(one.delete)
    assert told(other)[-1] == ("link", "links", 0.5, None)
    api(Fact.delete_all)
    assert stored_keys(ports) == set()


def test_pipelines_and_transactions(ports: list[int]) -> None:
    record = Fact.create(name="a")
    with POPOTO_REDIS_DB.pipeline() as pipeline:
        learn(record, 0.9, pipeline=pipeline)
        record.touch("seen", pipeline=pipeline)
        pipeline.execute()
    with transaction() as together:
        learn(record, 0.1, pipeline=together)
    assert [each.kind for each in record.history()][2:] == ["confidence", "decay", "confidence"]
    assert explain_confidence(record).is_whole
