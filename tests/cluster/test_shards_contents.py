"""Files of a model whose agents have shards of their own: what any of them refers to stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from popoto import ContentField
from popoto.fields.content_field import set_default_store
from popoto.stores import FilesystemStore
from tests.driver import Api

from .models import Written

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

AGENTS = ("ann", "bob", "cleo", "dan")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    set_default_store(FilesystemStore(tmp_path))
    yield tmp_path
    set_default_store(None)


def files(directory: Path) -> set[bytes]:
    """What the files hold."""
    return {each.read_bytes() for each in directory.rglob("*") if each.is_file()}


def collect(api: Api) -> int:
    return api(ContentField.garbage_collect, Written, min_age_seconds=0)


def test_what_a_record_of_any_agent_refers_to_stays(api: Api, directory: Path) -> None:
    for agent in AGENTS:
        Written.create(agent=agent, name="kept", body=f"of {agent}", more="of all")
        Written.create(agent=agent, name="gone", body=f"gone of {agent}", more="of all")
    assert collect(api) == 0
    for agent in AGENTS:
        api(Written.query.get(agent=agent, name="gone").delete)
    assert collect(api) >= len(AGENTS)
    assert collect(api) == 0
    for agent in AGENTS:
        kept = Written.query.get(agent=agent, name="kept")
        assert (kept.body, kept.more) == (f"of {agent}", "of all")
    # What several refer to goes with the last of them.
    for agent in AGENTS[1:]:
        Written.query.get(agent=agent, name="kept").delete()
    assert collect(api) >= len(AGENTS) - 1
    assert Written.query.get(agent="ann", name="kept").more == "of all"
    assert files(directory) == {b"of ann", b"of all"}
    Written.query.get(agent="ann", name="kept").delete()
    assert collect(api) >= 2
    assert files(directory) == set()


def test_what_was_replaced_goes(api: Api, directory: Path) -> None:
    for agent in AGENTS:
        record = api(Written.create, agent=agent, name="1", body="first")
        record.body = f"second of {agent}"
        api(record.save)
    assert collect(api) == 1
    assert files(directory) == {f"second of {agent}".encode() for agent in AGENTS}
