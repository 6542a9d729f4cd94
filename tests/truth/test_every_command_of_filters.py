"""No script of filters and sketches stops half-way either (see `test_every_command`)."""

from __future__ import annotations

import pytest
import redis

from popoto import Defaults
from tests.driver import Api
from tests.memory.test_filters_made_anew import SKETCH, half_of_a_rebuild
from tests.memory.words import Note
from tests.truth.traced import calls, is_write, traced, unproven


@pytest.mark.single_server("notes what scripts do under a key of one server")
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("beside", ["nothing", "records", "a rebuild"])
def test_after_the_first_write_nothing_is_left_that_a_server_could_refuse(
    redis_client: redis.Redis,
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    version: int,
    beside: str,
) -> None:
    monkeypatch.setattr(Defaults, "HASH_VERSION", version)
    if beside != "nothing":
        api(Note.create, name="a", text="kubernetes")
    if beside == "a rebuild":
        half_of_a_rebuild(redis_client).stop()
        redis_client.delete(f"{SKETCH}:building")
    with traced():
        api(Note.bulk_create, [Note(name=str(each), text=f"word{each}") for each in range(3)])
        api(Note.create, name="b", text="deployment")
        api(Note.rebuild_indexes)
    asked = calls(redis_client)
    names = {each.name for call in asked for each in call if is_write(each)}
    assert {"BITFIELD", "HSET", "RENAME"} <= names
    assert [str(each) for call in asked for each in unproven(call)] == []
