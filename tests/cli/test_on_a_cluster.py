"""The command where keys are spread over three nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from popoto.cli import main
from popoto.redis_db import POPOTO_REDIS_DB
from tests.cli.running import ZOO, exported, imported
from tests.cli.zoo import Keeper, Ticket
from tests.cluster_nodes import node

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.usefixtures("on_the_cluster"),
]


def test_records_move_and_indexes_are_kept(
    ports: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Keeper.bulk_create(Keeper(badge=number, name="n") for number in range(30))
    Ticket.create(rank=1)
    path = tmp_path / "zoo.jsonl"
    text = exported(path)
    for port in ports:
        with node(port) as client:
            client.flushall()
    assert imported(path) == 0
    # The end of a record is kept to the second, everything else exactly.
    assert [line.partition('"expires"')[0] for line in exported(path).splitlines()] == [
        line.partition('"expires"')[0] for line in text.splitlines()
    ]
    POPOTO_REDIS_DB.delete("{Keeper}$IndexF:Keeper:name:n")
    assert main(["indexes", "rebuild", ZOO]) == 0
    assert main(["indexes", "check", ZOO]) == 0
    assert main(["models", f"{ZOO}:Keeper"]) == 0
    assert "records: 30" in capsys.readouterr().out
