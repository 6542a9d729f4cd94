"""What mypy and pyright make of the cases in this folder.

The cases state types with `assert_type`. A line that a checker must refuse ends in
`# error`, or `# error: mypy` / `# error: pyright` where only one of them does.
Each checker runs once, in its strict mode, over all cases.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).parent
REPOSITORY = FOLDER.parent.parent
SOURCE = REPOSITORY / "src"
CASES = sorted(FOLDER.glob("case_*.py"))
SECONDS_ALLOWED = 250

EXPECTED_ERROR = re.compile(r"# error(?:: (mypy|pyright))?$")


class Finding(NamedTuple):
    """One error: `line` counts from 1."""

    file: str
    line: int
    message: str


def run_checker(*command: str) -> str:
    environment = {
        **os.environ,
        "MYPYPATH": str(SOURCE),
        "PYTHONPATH": str(SOURCE),
        "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
    }
    completed = subprocess.run(
        [sys.executable, "-m", *command, *(str(case) for case in CASES)],
        cwd=FOLDER,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS_ALLOWED,
        check=False,
    )
    # Both answer 0 for "no errors" and 1 for "errors found"; more means they failed.
    assert completed.returncode in (0, 1), completed.stdout + completed.stderr
    return completed.stdout


def findings_of_mypy() -> list[Finding]:
    output = run_checker(
        "mypy",
        "--config-file=",
        "--strict",
        "--follow-imports=silent",
        "--output=json",
        f"--cache-dir={REPOSITORY / '.mypy_cache' / 'typing'}",
    )
    found = [json.loads(line) for line in output.splitlines()]
    return [
        Finding(Path(one["file"]).name, one["line"], one["message"])
        for one in found
        if one["severity"] == "error"
    ]


def findings_of_pyright() -> list[Finding]:
    output = run_checker("pyright", "--outputjson", "--pythonpath", sys.executable)
    return [
        Finding(Path(one["file"]).name, one["range"]["start"]["line"] + 1, one["message"])
        for one in json.loads(output)["generalDiagnostics"]
        if one["severity"] == "error"
    ]


def lines_to_refuse(checker: str) -> set[tuple[str, int]]:
    marks = (
        (case.name, number, EXPECTED_ERROR.search(line))
        for case in CASES
        for number, line in enumerate(case.read_text().splitlines(), start=1)
    )
    return {(name, number) for name, number, mark in marks if mark and mark[1] in (None, checker)}


@pytest.mark.slow(25)
@pytest.mark.traced(0)
@pytest.mark.parametrize(
    ("checker", "find"), [("mypy", findings_of_mypy), ("pyright", findings_of_pyright)]
)
def test_checker_refuses_the_marked_lines_and_no_others(
    checker: str, find: Callable[[], list[Finding]]
) -> None:
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed")
    found = find()
    refused = {(finding.file, finding.line) for finding in found}
    marked = lines_to_refuse(checker)

    unexpected = [finding for finding in found if (finding.file, finding.line) not in marked]
    assert not unexpected, "\n".join(f"{f.file}:{f.line}: {f.message}" for f in unexpected)
    accepted = sorted(marked - refused)
    assert not accepted, f"{checker} accepts lines marked as errors: {accepted}"
