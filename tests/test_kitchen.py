"""Popoto Kitchen, as the manual shows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis

pytestmark = [pytest.mark.slow(2), pytest.mark.traced(0)]

ROOT = Path(__file__).parents[1]

TOUR = [
    "0.53 km  Golden Potato (4.6)",
    "Indian or Korean, 4.5 or better:  Curry Corner, Seoul Kitchen",
    "8.90 €  Dal at Curry Corner",
    "Dishes of German restaurants:  3",
    "feed:  Ann: Dal is on its way",
    "portions left:  9",
    "Dora's record has expired; on duty:  Emil",
    "KitchenCustomer.email must be unique",
    "delivered:  90.70 €",
    "paid:  9 orders at once",
]
OPS = [
    "After opening: healthy",
    "After the accident: 9 problems",
    "German restaurants, as the index has them: []",
    "clean_indexes(): 5 entries of missing records removed",
    "After cleaning: 4 problems",
    "rebuild_indexes(): 4 records indexed",
    "After rebuilding: healthy",
    "German restaurants, as the index has them: ['Golden Potato', 'Lakeside']",
    "verified: every entry is right",
]


def run(module: str, directory: Path, *arguments: str, url: str = "") -> str:
    """What the kitchen says."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        encoding="utf-8",
        cwd=directory,
        env={
            **os.environ,
            "REDIS_URL": url,
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONIOENCODING": "utf-8",
            "COLUMNS": "100",
        },
        timeout=250,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(("arguments", "lines"), [([], TOUR), (["--ops"], OPS)])
def test_on_a_server_of_its_own(arguments: list[str], lines: list[str]) -> None:
    told = run("popoto_kitchen", ROOT / "examples", *arguments)
    assert [line for line in lines if line not in told] == []
    assert "temporary server of its own" in told


@pytest.mark.parametrize(("arguments", "lines"), [([], TOUR), (["--ops"], OPS)])
def test_on_a_server_of_yours_it_removes_what_it_stored(
    arguments: list[str], lines: list[str], server_url: str, redis_client: redis.Redis
) -> None:
    redis_client.set("yours", "stays")
    told = run("examples.popoto_kitchen", ROOT, *arguments, url=server_url)
    assert [line for line in lines if line not in told] == []
    assert "records again." in told
    assert redis_client.keys("*") == [b"yours"]
