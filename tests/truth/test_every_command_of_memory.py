"""What mends and restores memory is looked at before the first write, as all scripts are."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from popoto.cli import main
from tests.truth.remembering import Fact, fill
from tests.truth.test_every_command import told
from tests.truth.traced import calls, is_write, traced, unproven

MODELS = "tests.cli.memories"


@pytest.mark.single_server("notes what scripts do under a key of one server")
def test_a_rebuild_that_mends_leaves_nothing_to_be_refused(redis_client: redis.Redis) -> None:
    fill()
    redis_client.delete("$WF:Fact:priority", "$PL:Fact:errors:default", "$RP:Fact:partitions")
    redis_client.zrem("$CoOccurrencF:Fact:near:Fact:three", "Fact:one")
    redis_client.delete("$CoOccurrenceIn:Fact:causes:Fact:one")
    redis_client.sadd("$CoOccurrenceIn:Fact:causes:Fact:one", "Fact:four")
    with traced():
        Fact.rebuild_indexes()
    asked = calls(redis_client)
    assert {"ZADD", "SREM", "SADD"} <= {
        each.name for call in asked for each in call if is_write(each)
    }
    assert [told(each) for call in asked for each in unproven(call)] == []


@pytest.mark.single_server("notes what scripts do under a key of one server")
def test_an_import_leaves_nothing_to_be_refused(tmp_path: Path, redis_client: redis.Redis) -> None:
    fill()
    path = str(tmp_path / "facts")
    assert main(["export", MODELS, "--output", path]) == 0
    Fact.near.link(Fact, "Fact:one", "Fact:four", 0.5)
    with traced():
        assert main(["import", MODELS, path, "--existing", "replace"]) == 0
    asked = calls(redis_client)
    assert any(is_write(each) for call in asked for each in call)
    assert [told(each) for call in asked for each in unproven(call)] == []


@pytest.mark.single_server("notes what scripts do under a key of one server")
def test_a_check_and_an_export_write_nothing(tmp_path: Path, redis_client: redis.Redis) -> None:
    fill()
    with traced():
        assert Fact.check_indexes()["total"] == 0
        assert main(["export", MODELS, "--output", str(tmp_path / "facts")]) == 0
    assert [told(each) for call in calls(redis_client) for each in call if is_write(each)] == []
