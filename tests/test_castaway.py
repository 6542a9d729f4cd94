"""The end of `make demo`: answers of a journal, why they came, and what the memory has learned."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import redis

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_castaway_answers_with_reasons_and_learns(
    server_url: str, redis_client: redis.Redis
) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "examples.castaway"],
        cwd=ROOT,
        env={
            "REDIS_URL": server_url,
            "PATH": "",
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONUTF8": "1",
            "COLUMNS": "80",
        },
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        timeout=120,
    ).stdout
    lines = shown.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    first, second = (place for place, line in enumerate(lines) if line.endswith("of the ship?"))
    before, after = lines[first + 1 : first + 5], lines[second + 1 : second + 5]
    assert [line.split()[0] for line in before[::2]] == ["1659-10-01", "1659-10-25"]
    assert after[0].split()[0] == "1659-10-25"
    assert "certainty 0.50 * 0.3" in before[1]
    assert "certainty 0.90 * 0.3" in after[1]
    assert "terrible thunder" in shown
    assert redis_client.keys("*DemoEntry*") == []
