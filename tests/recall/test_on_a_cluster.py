"""Scores, fusion, contexts and policies on three primaries: all keys of a model are in one slot."""

from __future__ import annotations

import asyncio

import pytest

from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    ContextAssembler,
    CoOccurrenceField,
    CyclicDecayField,
    DecayingSortedField,
    FloatField,
    KeyField,
    Model,
    RecallProposal,
    SortedField,
)
from popoto.recipes.policy_cache import PolicyEntry, crystallization_handler, update_q_value
from tests.cluster_nodes import stored_keys
from tests.driver import Api

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.usefixtures("on_the_cluster"),
]


class Held(AccessTrackerMixin, Model):
    agent_id = KeyField()
    name = KeyField()
    base = FloatField(default=1.0)
    rank = SortedField(type=float, default=0.0)
    rel = DecayingSortedField(base_score_field="base", partition_by="agent_id")
    urg = CyclicDecayField(partition_by="agent_id", pressure_rate=0.1)
    conf = ConfidenceField()
    near = CoOccurrenceField()


def test_scores_and_contexts(api: Api, ports: list[int]) -> None:
    made = [Held.create(agent_id="ab"[n % 2], name=str(n), rank=float(n)) for n in range(1200)]
    for record in made[:2]:
        record.on_read()
        record.confirm_access()
    Held.near.link(Held, made[0].pk, made[2].pk, 1.0)
    query = Held.query.filter(agent_id="a")
    weights = {"rank": 1, "rel": 1, "conf": 1, "urg": 1, "access_count": 5000}
    found = api(query.composite_score, weights, limit=2, co_occurrence_boost={made[4].pk: 2500})
    assert [record.name for record in found] == ["0", "4"]
    found = api(Held.query.composite_score, {"rank": 1, "access_count": 5000}, limit=3)
    assert [record.name for record in found] == ["1", "0", "1199"]
    fused = api(query.fuse, x=[(made[1].pk, 0), (made[2].pk, 0)])
    assert [record.name for record in fused] == ["2"]
    assembler = ContextAssembler(Held, {"rank": 1, "access_count": 5000}, max_items=3)
    result = api(assembler.assemble, {"topic": "x"}, agent_id="a", assess_quality=True)
    assert [record.name for record in result.records] == ["0", "1198", "1196"]
    assert RecallProposal.get_pending(Held, "a") == []
    api(assembler.assemble, agent_id="a")
    assert len(RecallProposal.get_pending(Held, "a")) == 3
    assert all(key.startswith(b"{Held}") for key in stored_keys(ports))


def test_policies(ports: list[int]) -> None:
    told = {"state_fingerprint": "f", "action_type": "act", "outcome": "success"}
    asyncio.run(crystallization_handler([(f"{n}-0", told) for n in range(8)]))
    (entry,) = PolicyEntry.query.all()
    assert update_q_value(entry, 1.0) == pytest.approx(1 - 0.675584, rel=1e-5)
    assert all(key.startswith(b"{PolicyEntry}") for key in stored_keys(ports))
