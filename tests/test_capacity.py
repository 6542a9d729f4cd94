"""The measure behind docs/scaling.md."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "scaling.md").read_text()


@pytest.mark.slow
def test_the_page_has_the_rows_that_the_script_prints() -> None:
    """And none of another kind; figures vary."""
    done = subprocess.run(
        [sys.executable, "benchmarks/capacity.py", "100"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) > 25
    stated = [line.split(" | ")[0] for line in PAGE.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows if row.split(" | ")[0] not in stated] == []
    told = re.findall(r"^\| `(\w+)` \|.*\| ([\d,]+) \|$", done.stdout, re.MULTILINE)
    sizes = {model: int(number.replace(",", "")) for model, number in told}
    # A plain record is some hundreds of bytes, and a vector of 384 numbers 1,536 more.
    assert sizes["Remembered"] > max(1536, sizes["Bare"])
