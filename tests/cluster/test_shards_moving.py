"""What memories go through while the slots of their shards move, and while nodes change roles.

After every test, each shard has been looked at by itself: entries, companions and records.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from typing import Any

import pytest
import redis

from popoto import ConfidenceField, redis_db, wait_for_replicas
from popoto.exceptions import NothingWrittenError, NotReplicatedError, OutcomeUnknownError
from tests.cluster_nodes import cluster, cluster_url, node, slot_on_the_move, wait_until

from .load import Workers
from .models import Memory, holder

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

#: Each is served by a worker of its own; the last one by tasks.
AGENTS = ("ann", "bob", "cleo")
WORDS = ("the cat sleeps", "a kitten plays", "rain falls on the garden", "taxes are due")


class Load(Workers):
    """Agents that remember, learn, link, recall and forget; what they were told is kept.

    With `may_fail`, writes may be refused or of unknown outcome, as where a primary is lost.
    """

    step, patience = 5, 60

    def __init__(self, *, may_fail: bool = False) -> None:
        self.may_fail = may_fail
        #: for how many replicas writes wait; what has been acknowledged is not lost then
        self.replicas = int(may_fail)
        self.stored: dict[str, set[str]] = {agent: set() for agent in AGENTS}
        self.deleted: dict[str, set[str]] = {agent: set() for agent in AGENTS}
        self.reads: Counter[str] = Counter()
        self.learned: Counter[str] = Counter()
        self.linked: set[tuple[str, str]] = set()
        #: records of which something may have been written that nobody was told of
        self.unclear: set[str] = set()
        self.steps = dict.fromkeys(AGENTS, 0)
        super().__init__(AGENTS)

    @property
    def done(self) -> dict[str, int]:
        return self.steps

    def work(self, kind: str) -> None:
        asyncio.run(self._work(kind, is_async=kind == AGENTS[-1]))

    async def _work(self, agent: str, *, is_async: bool) -> None:
        number, before = 0, ""
        while not self.is_over:
            number += 1
            name = f"m{number}"
            key = f"Memory:{agent}:{name}"
            record = Memory(agent=agent, name=name, text=WORDS[number % 4], rank=float(number))

            async def done(what: Any, *arguments: Any, key: str = key, **options: Any) -> bool:
                return await self._done(what, *arguments, key=key, is_async=is_async, **options)

            if not await done(record.save):
                continue
            self.stored[agent].add(name)
            self.learned[key] += await done(ConfidenceField.update_confidence, record, "sure", 0.9)
            # Confirmed are reads: there has to be one.
            await done(Memory.query.get, key)
            self.reads[key] += await done(record.confirm_access)
            if before:
                field = Memory._meta.fields["both"]
                if await done(field.link, Memory, key, before):
                    self.linked.add((key, before))
            record.rank = -float(number)
            await done(record.save)
            if not self.may_fail:
                await self._recall(agent, name, is_async=is_async)
            before = key
            if number % 3 == 0:
                if await done(record.delete):
                    self.deleted[agent].add(name)
                before = ""
            self.steps[agent] += 1

    async def _done(
        self, what: Any, *arguments: Any, key: str, is_async: bool, **options: Any
    ) -> bool:
        """Whether it was carried out, by itself or by its twin."""
        try:
            with wait_for_replicas(self.replicas, timeout=5):
                if is_async:
                    await getattr(what.__self__, f"async_{what.__name__}")(*arguments, **options)
                else:
                    what(*arguments, **options)
        except NothingWrittenError:
            if not self.may_fail:
                raise
            await asyncio.sleep(0.05)
            return False
        except (OutcomeUnknownError, NotReplicatedError, redis.ConnectionError):
            if not self.may_fail:
                raise
            self.unclear.add(key)
            return False
        return True

    async def _recall(self, agent: str, name: str, *, is_async: bool) -> None:
        mine = Memory.query.filter(agent=agent, name=name)
        text = "cat kitten rain taxes"
        if is_async:
            by_words = await mine.async_keyword_search(text)
            by_meaning = await mine.async_semantic_search(text, min_score=-2)
        else:
            by_words = mine.keyword_search(text)
            by_meaning = mine.semantic_search(text, min_score=-2)
        assert [each.name for each in by_words] == [name]
        assert [each.name for each in by_meaning] == [name]

    def check(self) -> None:
        assert self.errors == []
        for agent in AGENTS:
            self._check_agent(agent)
        assert Memory.check_indexes()["total"] == 0

    def _check_agent(self, agent: str) -> None:
        unclear = {key.rpartition(":")[2] for key in self.unclear if f":{agent}:" in key}
        expected = self.stored[agent] - self.deleted[agent]
        found = {each.name: each for each in Memory.query.filter(agent=agent).all()}
        assert expected - unclear <= found.keys()
        assert found.keys() <= expected | unclear
        assert len(expected) > 10
        for name, record in found.items():
            if name in unclear:
                continue
            key = str(record.pk)
            assert record.access_count == self.reads[key]
            assert ConfidenceField.get_confidence(record, "sure") == (
                0.9 if self.learned[key] else 0.5
            )
            assert record.rank < 0 or self.may_fail
        mine = Memory.query.filter(agent=agent)
        by_words = mine.keyword_search("cat kitten rain taxes", limit=10_000)
        by_meaning = mine.semantic_search("cat", limit=10_000, min_score=-2)
        assert {each.name for each in by_words} == found.keys()
        assert {each.name for each in by_meaning} == found.keys()
        field = Memory._meta.fields["both"]
        for one, other in self.linked:
            if f":{agent}:" in one and {one, other}.isdisjoint(self.unclear):
                names = {one.rpartition(":")[2], other.rpartition(":")[2]}
                edges = dict(field.get_linked(Memory, one))
                assert (other in edges) == (names <= found.keys())


def slot_of(agent: str) -> int:
    return int(redis.crc.key_slot(f"{{Memory:{agent}}}".encode()))


def test_the_shards_of_agents_are_moved_key_by_key_under_load(
    ports: list[int], nodes: list[redis.Redis]
) -> None:
    with Load() as load:
        for agent in ("ann", "cleo"):
            source = nodes.index(holder(nodes, f"Memory:{agent}"))
            with slot_on_the_move(slot_of(agent), ports[source], ports[(source + 1) % 3], ports):
                pass
            load.proceed()
    load.check()


def test_the_shards_of_agents_are_moved_in_one_step_under_load(
    ports: list[int], nodes: list[redis.Redis]
) -> None:
    with Load() as load:
        for agent in ("bob", "cleo"):
            source = nodes.index(holder(nodes, f"Memory:{agent}"))
            target = nodes[(source + 1) % 3]
            slot, name = slot_of(agent), target.execute_command("CLUSTER MYID").decode()
            nodes[source].execute_command(
                *("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", name)
            )
            wait_until(
                lambda agent=agent, target=target: holder(nodes, f"Memory:{agent}") is target,
                time.monotonic() + 20,
                "it does not move",
            )
            load.proceed()
    load.check()


@pytest.mark.parametrize("agent", [AGENTS[0], AGENTS[-1]])
def test_a_primary_of_an_agent_is_lost_under_load(agent: str) -> None:
    """What replicas have said that they have stays, and nothing is half-written."""
    with cluster(3, replicas=3, node_timeout=1000) as ports:
        redis_db.set_REDIS_DB_settings(url=cluster_url(ports))
        clients = [node(port) for port in ports]
        source = clients.index(holder(clients[:3], f"Memory:{agent}"))
        with Load(may_fail=True) as load:
            os.kill(clients[source].info("server")["process_id"], signal.SIGKILL)
            wait_until(
                lambda: clients[source + 3].info("replication")["role"] == "master",
                time.monotonic() + 30,
                "no failover",
            )
            # The one that has taken over has no replica.
            load.replicas = 0
            load.proceed()
            load.proceed()
        for client in clients:
            client.close()
        load.check()
