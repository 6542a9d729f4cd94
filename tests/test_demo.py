"""What a newcomer sees of `make demo`: one screen for each part, whatever REDIS_URL says."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import airportsdata
import pytest
import redis

# Each test starts processes that import everything, and of popoto do what the manual does.
pytestmark = [pytest.mark.slow(2), pytest.mark.traced(0)]

ROOT = Path(__file__).parents[1]
PARTS = ("airports", "colleague", "castaway")
UNREACHABLE = {
    "redis://127.0.0.1:1": "Cannot reach the server at redis://127.0.0.1:1",
    "redis://:secret@127.0.0.1:1": "Cannot reach the server at redis://:***@127.0.0.1:1",
    "localhost:6379": "REDIS_URL: A connection URL starts with one of redis://",
}


@cache
def demo(part: str, url: str | None) -> subprocess.CompletedProcess[str]:
    """Run one part on a terminal of 80 columns; without REDIS_URL if that is None. Once each."""
    environment = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    environment |= {"PYTHONPATH": str(ROOT / "src"), "PYTHONUTF8": "1", "COLUMNS": "80"}
    return subprocess.run(
        [sys.executable, "-m", f"examples.{part}"],
        cwd=ROOT,
        env=environment if url is None else environment | {"REDIS_URL": url},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=250,
    )


@pytest.mark.parametrize("part", PARTS)
def test_a_part_fits_a_screen_of_a_server_of_its_own(part: str) -> None:
    shown = demo(part, "")
    lines = shown.stdout.splitlines()
    assert (shown.returncode, shown.stderr) == (0, "")
    # A line is left for the prompt.
    assert len(lines) <= 23
    assert max(map(len, lines)) <= 80


def test_an_empty_url_says_the_same_as_none() -> None:
    assert demo("colleague", "").stdout == demo("colleague", None).stdout != ""


def test_the_airports_are_found_and_gone_from_a_server_of_ones_own(
    server_url: str, redis_client: redis.Redis
) -> None:
    shown = demo("airports", server_url)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"{len(airportsdata.load('ICAO')):,} records" in shown.stdout
    assert "London Heathrow Airport (EGLL)" in shown.stdout
    assert shown.stdout.count("  1 round trip, ") == 6
    assert redis_client.keys("*") == []


@pytest.mark.parametrize("url", UNREACHABLE)
@pytest.mark.parametrize("part", [*PARTS, "popoto_kitchen"])
def test_a_server_that_cannot_be_reached_is_one_line(part: str, url: str) -> None:
    shown = demo(part, url)
    assert shown.returncode == 1
    assert shown.stdout == ""
    (line,) = shown.stderr.splitlines()
    assert line.startswith(UNREACHABLE[url])
    assert "secret" not in line
