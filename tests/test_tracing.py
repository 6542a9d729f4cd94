"""Coverage keeps a record of the first cases of a test function, in whatever process they run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import coverage
import pytest

pytestmark = pytest.mark.slow  # each test is a session with processes of its own

ROOT = Path(__file__).parents[1]
SETTINGS = """
[run]
source_pkgs = sample
core = ctrace
parallel = true
patch = subprocess, _exit
"""
#: `numbered[7]` runs a line of its own.
NUMBERS = range(100)
LINES = ["numbered = [", *(line for number in NUMBERS for line in ("lambda:", f"{number},")), "]"]
TESTS = """
import os, subprocess, sys
import hypothesis, pytest
from sample import numbered
from tests import tracing

EVERYTHING = "POPOTO_TRACED" in os.environ
leave = os._exit
tried = iter(range(50, 90))


@pytest.mark.parametrize("number", range(8))
def test_a_function(number):
    numbered[number]()
    # Measured or not, a tracer that is on takes its time.
    assert (sys.gettrace() is not None) == (number < 4 or EVERYTHING or tracing.SECONDS > 0)


@pytest.mark.slow
def test_at_length():
    numbered[21]()


class TestOfAClass:
    @pytest.mark.traced(6)
    @pytest.mark.parametrize("number", range(10, 18))
    def test_a_table(self, number):
        numbered[number]()


@pytest.mark.traced(0)
def test_a_history():
    numbered[20]()
    assert (sys.gettrace() is not None) == EVERYTHING


@pytest.mark.parametrize("number", range(30, 38))
def test_processes(number):
    program = f"from sample import numbered; numbered[{number}]()"
    subprocess.run([sys.executable, "-c", program], check=True)


@hypothesis.settings(max_examples=30, database=None, deadline=None)
@hypothesis.given(hypothesis.strategies.integers())
def test_a_property(number):
    numbered[next(tried)]()


def test_what_comes_after_a_property():
    numbered[90]()
    # Not wrapped again at each start, until a process that was forked could not end any more.
    assert os._exit is leave
"""


def traced(directory: Path, *arguments: str, seconds: float = 0, **environment: str) -> set[int]:
    """The numbers whose line coverage has a record of, after a session of pytest."""
    (directory / ".coveragerc").write_text(SETTINGS)
    (directory / "sample.py").write_text("\n".join(LINES))
    (directory / "test_sample.py").write_text(TESTS)
    (directory / "conftest.py").write_text(
        f"from tests import tracing\ntracing.CASES, tracing.SECONDS = 4, {seconds}\n"
    )
    (directory / "pytest.ini").write_text("[pytest]\nmarkers =\n  traced(cases)\n  slow\n")
    variables = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("COVERAGE", "POPOTO", "PYTEST"))
    }
    plugins = ("pytest_cov", "xdist", "tests.tracing")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", *(f"-p{name}" for name in plugins)),
            *("--cov", "--cov-report=", *arguments),
        ],
        cwd=directory,
        env={
            **variables,
            "PYTHONPATH": f"{directory}{os.pathsep}{ROOT}",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    data = coverage.CoverageData(str(directory / ".coverage"))
    data.read()
    seen = {LINES[line - 1] for line in data.lines(str(directory / "sample.py")) or []}
    return {number for number in NUMBERS if f"{number}," in seen}


FIRST = {*range(4), *range(10, 16), *range(30, 34), *range(50, 70), 90}


@pytest.mark.parametrize("processes", ["0", "1"], ids=["in one process", "in a worker"])
def test_the_first_cases_are_traced_and_no_others(tmp_path: Path, processes: str) -> None:
    assert traced(tmp_path, "-n", processes) == FIRST


def test_quick_cases_are_all_traced(tmp_path: Path) -> None:
    assert traced(tmp_path, seconds=60) == {*FIRST, *range(4, 8), *range(34, 38)}


def test_everything_is_traced_on_request(tmp_path: Path) -> None:
    found = traced(tmp_path, POPOTO_TRACED="all")
    assert found == {*range(8), *range(10, 18), 20, 21, *range(30, 38), *range(50, 80), 90}
