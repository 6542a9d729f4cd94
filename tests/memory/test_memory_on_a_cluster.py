"""Every operation of memory fields on three primaries: all keys are where their model is."""

from __future__ import annotations

from typing import Any

import pytest

from popoto import (
    ConfidenceField,
    CyclicDecayField,
    KeyField,
    Model,
    ModelException,
    StringField,
    clock,
    transaction,
)
from popoto.redis_db import POPOTO_REDIS_DB, get_async_redis_db
from tests.cluster_nodes import stored_keys
from tests.driver import Api

from .every_operation import (
    NOW,
    READS,
    WRITES,
    Memory,
    in_transactions,
    remembered,
    replies,
    wanted,
)

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.usefixtures("on_the_cluster"),
]

#: Kinds of keys that the operations leave; each key has the tag of the model. What is pending
#: ("$RP") goes with the last proposal.
FAMILIES = {
    *("$DecayingSortF", "$DecayBase", "$CyclicDecayF", "$ConfidencF", "$CoOccurrencF"),
    *("$EF", "$FS", "$AT", "$WF", "$PL", "stream", "$Class", "$KeyF", "$Values", "Memory"),
}


def families(ports: list[int]) -> set[str]:
    keys = [key.decode() for key in stored_keys(ports)]
    assert all(key.startswith("{Memory}") for key in keys)
    return {key.removeprefix("{Memory}").partition(":")[0] for key in keys}


def test_each_does_what_it_says(api: Api, ports: list[int]) -> None:
    memory = remembered(api)
    assert list(replies(api, memory, WRITES)) == wanted(WRITES)
    assert list(replies(api, memory, READS)) == wanted(READS)
    assert families(ports) == FAMILIES


@pytest.mark.parametrize("whole", [True, False])
def test_each_waits_in_a_pipeline(api: Api, whole: bool, ports: list[int]) -> None:
    memory = remembered(api)

    async def made() -> Any:
        return (await get_async_redis_db()).pipeline(transaction=whole)

    pipeline = api.run(made()) if api.is_async else POPOTO_REDIS_DB.pipeline(transaction=whole)
    list(replies(api, memory, WRITES, pipeline=pipeline))
    assert "$RP" not in families(ports)
    api.run(pipeline.execute()) if api.is_async else pipeline.execute()
    assert list(replies(api, memory, READS)) == wanted(READS)
    assert families(ports) == FAMILIES


def test_each_takes_part_in_a_transaction(api: Api, ports: list[int]) -> None:
    memory = remembered(api)
    for steps in in_transactions(WRITES):
        together = transaction()
        list(replies(api, memory, steps, pipeline=together))
        api(together.commit)
    assert list(replies(api, memory, READS)) == wanted(READS)
    assert families(ports) == FAMILIES


def test_rankings(api: Api) -> None:
    for number in range(5):
        with clock.using(NOW - number * 86_400):
            api(Memory.create, name=f"n{number}", weight=float(number + 1), text="ship")
    with clock.using(NOW):
        query = Memory.query.filter(agent="a").no_track()
        found = api(query.top_by_decay, "relevance", n=2, decay_rate=0.5)
        assert [each.name for each in found] == ["n0", "n4"]
        found = api(query.filter(name__in=["n1", "n2"]).top_by_decay, "rhythm")
        assert {each.name for each in found} == {"n1", "n2"}
        (best,) = api(Memory.query.filter(agent="a").top_by_decay, "relevance", n=1)
        assert api(best.confirm_access) == 1


def test_the_life_of_all_that_stands_beside_a_record(api: Api, ports: list[int]) -> None:
    memory = remembered(api)
    list(replies(api, memory, WRITES))
    memory.agent = "b"
    api(memory.save, update_fields=["agent"])
    memory.name = "moved"
    api(memory.save, migrate_key=True)
    assert not any(key.endswith(b"Memory:m") for key in stored_keys(ports))
    found = [(name, each) for name, each in replies(api, memory, READS) if "confidence" in name]
    assert found[1][1]["evidence_count"] == 2
    assert api(Memory.check_indexes)["total"] == 0
    assert api(Memory.rebuild_indexes) == 1
    api(memory.delete)
    api(Memory.delete_all)
    assert {key.partition(b":")[0] for key in stored_keys(ports)} <= {
        b"{Memory}stream",
        b"{Memory}$RP",
    }


class Cycle(Model):
    name = KeyField()
    r = CyclicDecayField(cycles=[(100, 1.0)], pressure_rate=1)


def test_models_are_not_mixed_up(api: Api, ports: list[int]) -> None:
    memory = remembered(api)
    cycle = api(Cycle.create, name="c")
    api(cycle.touch, "r")
    api(cycle.strengthen_cycle, "r")
    together = transaction()
    cycle.touch("r", pipeline=together)
    memory.touch("relevance", pipeline=together)
    with pytest.raises(ModelException, match="one shard, not Cycle, Memory"):
        api(together.commit)
    assert {key.decode().partition("}")[0] for key in stored_keys(ports)} == {"{Memory", "{Cycle"}


def test_evidence_of_every_shard_moves_to_partitions(api: Api) -> None:
    def claim(partition: str | None) -> Any:
        class Claim(Model):
            agent = KeyField()
            topic = StringField(default="work")
            sure = ConfidenceField(partition_by=partition or ())

            class Meta:
                shard_by = "agent"

        return Claim

    former = claim(None)
    for agent in ("ann", "bob", "cleo"):
        record = former.create(agent=agent, topic="rest" if agent == "bob" else "work")
        ConfidenceField.update_confidence(record, "sure", 0.9)
    divided = claim("topic")
    report = api(ConfidenceField.migrate_to_partitioned, divided, "sure", dry_run=True)
    assert (report["total"], report["migrated"]) == (3, 0)
    report = api(ConfidenceField.migrate_to_partitioned, divided, "sure")
    assert report == {
        "total": 3, "migrated": 3, "errors": [], "partitions": {"work": 2, "rest": 1},
    }  # fmt: skip
    for record in divided.query.all():
        assert ConfidenceField.get_confidence(record, "sure") == 0.9
    assert api(ConfidenceField.migrate_to_partitioned, divided, "sure")["total"] == 0
    assert divided.check_indexes()["total"] == 0
