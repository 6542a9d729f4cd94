"""The second part of `make demo`: what it shows is what its memory has learned."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_colleague_learns(server_url: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "examples.colleague"],
        cwd=ROOT,
        env={
            "REDIS_URL": server_url,
            "PATH": "",
            "PYTHONPATH": str(ROOT / "src"),
            "COLUMNS": "80",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    lines = {line.strip()[:8]: line for line in shown.splitlines() if line.strip()}
    assert "0.10" in lines["The offi"]
    assert "0.90" in lines["Ms Okafo"]
    linked = shown.partition("Bring each other to mind: ")[2].splitlines()
    assert [line.split(",")[0].strip() for line in linked] == [
        "Before the report",
        "The report for the board is due on Mondays.",
    ]
