"""Processes that are killed in the middle of what concerns many shards leave each of them whole."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from pathlib import Path

import pytest
import redis

from popoto import clock
from popoto.cli import digest, main
from popoto.exceptions import NothingWrittenError, PartlyWrittenError
from popoto.testing.faults import crashes
from tests.cluster_nodes import cluster_url

from .killed import AGENTS, EACH, bring_in, change_all, delete_some, rows_of, write_batches
from .models import Memory, Note, holder

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.traced(0)]

#: As in `tests/truth/test_kills.py`: CI kills some, a long run hundreds.
KILLS = max(4, int(os.environ.get("POPOTO_TRUTH_KILLS", "30")) // 4)


def problems() -> int:
    return Note.check_indexes()["total"]


def test_a_batch_is_whole_in_every_shard(ports: list[int]) -> None:
    written: set[str] = set()
    for crash in crashes(write_batches, cluster_url(ports), "b", times=KILLS, within=1.5, seed=1):
        assert crash.was_killed
        assert problems() == 0
        held = Counter((each.agent, each.topic) for each in Note.query.all())
        assert set(held.values()) <= {EACH}
        # Only the batch that was under way when it was killed lacks some of the shards.
        shards = Counter(topic for _, topic in held)
        assert sum(number < len(AGENTS) for number in shards.values()) <= 1
        written |= shards.keys()
        Note.query.filter(topic__in=[t for t, n in shards.items() if n < len(AGENTS)]).delete()
    assert written


def test_changes_of_all_shards(ports: list[int]) -> None:
    for batch in ("x", "y"):
        Note.bulk_create(rows_of(batch))
    number = 2 * EACH * len(AGENTS)
    for _ in crashes(change_all, cluster_url(ports), times=KILLS, within=1.5, seed=2):
        assert problems() == 0
        found = Note.query.all()
        assert len(found) == number
        assert all(each.topic in ("x", "y") or each.topic == f"t{each.rank}" for each in found)
        for topic, held in Counter(each.topic for each in found).items():
            assert Note.query.filter(topic=topic).count() == held


def test_deletions_from_all_shards(ports: list[int]) -> None:
    Note.bulk_create(rows_of("stays"))
    for _ in crashes(delete_some, cluster_url(ports), times=KILLS, within=1.5, seed=3):
        assert problems() == 0
        assert Note.query.filter(topic="stays").count() == EACH * len(AGENTS)
        found = Note.query.keys()
        assert sorted(found) == sorted(each.pk.encode() for each in Note.query.all())


def test_an_import_that_was_killed_is_made_again(ports: list[int], tmp_path: Path) -> None:
    place = str(tmp_path / "all.jsonl")
    with clock.using(1_700_000_000.0):
        for agent, number in itertools.product(AGENTS, range(3)):
            Memory.create(agent=agent, name=str(number), text="the cat sleeps", rank=float(number))
    before = digest(Memory)
    url = cluster_url(ports)
    server = ["--url", url, "--quiet"]
    assert main(["export", "tests.cluster.models:Memory", "--output", place, *server]) == 0
    for _ in crashes(bring_in, url, place, times=KILLS, within=1.5, seed=4):
        assert Memory.check_indexes()["total"] == 0
        Memory.delete_all()
        assert main(["import", "tests.cluster.models:Memory", place, *server]) == 0
        assert digest(Memory) == before


def test_what_is_stored_is_told_where_a_node_refuses(
    nodes: list[redis.Redis],
) -> None:
    """A batch is checked in every shard; what a node refuses is seen when it writes."""
    Note.bulk_create(rows_of("before"))
    refusing = holder(nodes, "Note:cleo")
    rows = rows_of("after")
    # As a primary that has lost its replicas refuses: all that would write.
    refusing.config_set("min-replicas-to-write", 3)
    try:
        with pytest.raises(redis.ResponseError, match="NOREPLICAS") as caught:
            Note.bulk_create(rows)
    finally:
        refusing.config_set("min-replicas-to-write", 0)
    stored = [place for place, row in enumerate(rows) if Note.query.get(row.pk) is not None]
    error = caught.value
    assert isinstance(error, PartlyWrittenError)
    assert not isinstance(error, NothingWrittenError)
    assert (error.done, error.stored) == (len(stored), stored)
    assert problems() == 0
    for place, row in enumerate(rows):
        assert row._is_persisted == (place in stored)
    Note.bulk_create([row for row in rows if not row._is_persisted])
    assert Note.query.filter(topic="after").count() == len(rows)
