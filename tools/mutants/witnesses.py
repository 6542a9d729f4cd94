"""Which tests carry out which lines, found out by running them once under coverage.

Of the parts of scripts: which tests call them (calls.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from coverage import CoverageData

from tools.mutants import calls as calling
from tools.mutants.changes import Mutant
from tools.mutants.digests import digest

CONFIGURATION = Path(__file__).with_name("coverage.ini")
#: The test that coverage names for lines that are carried out before any test begins.
_ON_IMPORT = ""


class Witnesses:
    """For each line the tests that would notice a change of it, the narrowest first."""

    def __init__(self, root: Path, tests: Sequence[str]) -> None:
        self._root = root
        self._tests = list(tests)
        now = digest([root / "src", *(root / name for name in tests)])
        data = root / ".mutants" / f"coverage-{now}"
        data.parent.mkdir(exist_ok=True)
        calls = data.with_name(f"calls-{now}.json")
        if not (data.exists() and calls.exists()):
            self._record(data, calls)
        #: by the text of a part of a script, the tests that call a script of which it is one
        self._calling: dict[str, list[str]] = json.loads(calls.read_text())
        self._data = CoverageData(str(data))
        self._data.read()
        self._lines: dict[str, dict[int, list[str]]] = {}
        #: how many lines of the package each test carries out
        self._breadth: Counter[str] = Counter()
        #: tests that look at values alone: nothing is carried out but by their fixtures
        self._idle: set[str] = set()
        busy: set[str] = set()
        for path in self._data.measured_files():
            by_line = self._data.contexts_by_lineno(path)
            name = os.path.relpath(path, root)
            all_of_file = {each for contexts in by_line.values() for each in contexts}
            self._idle.update(map(_test_of, all_of_file))
            busy.update(_test_of(each) for each in all_of_file if each.endswith("|run"))
            self._lines[name] = {
                line: sorted({_test_of(context) for context in contexts})
                for line, contexts in by_line.items()
            }
            for tests_of_line in self._lines[name].values():
                self._breadth.update(tests_of_line)
        self._idle -= busy

    def of(self, mutant: Mutant) -> list[str]:
        """The tests to run, as pytest names them; none if nothing carries the line out."""
        if mutant.path.endswith(".lua"):
            text = (self._root / mutant.path).read_text("utf-8")
            return self._narrowest_first(self._calling.get(text, ()))
        lines = self._lines.get(mutant.path, {})
        found = {test for line in mutant.lines for test in lines.get(line, ())}
        if _ON_IMPORT in found:
            # What is made then is used by the rest of the module, or by others where it has none.
            found.update(*lines.values())
            found = found | self._idle if len(found) > 1 else set(self._breadth)
        return self._narrowest_first(found - {_ON_IMPORT})

    def _narrowest_first(self, tests: Iterable[str]) -> list[str]:
        return sorted(tests, key=lambda test: (self._breadth[test], test))

    def _record(self, data: Path, calls: Path) -> None:
        print(f"which tests carry out which lines: {' '.join(self._tests)}", flush=True)
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"),
            *("-p", calling.__name__),
            *("--cov=src", f"--cov-config={CONFIGURATION}", "--cov-context=test", "--cov-report="),
            *self._tests,
        ]
        # All of them, and not the first cases of each: tests/tracing.py.
        environment = {
            **os.environ,
            "COVERAGE_FILE": str(data),
            "POPOTO_TRACED": "all",
            calling.VARIABLE: str(calls),
        }
        done = subprocess.run(
            command, cwd=self._root, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(done.stdout[-4000:], done.stderr[-4000:])
            sys.exit("the tests have to pass before anything is changed")


def _test_of(context: str) -> str:
    """The function of a test, from what pytest-cov calls a run of it: "file::test[a]|run"."""
    return context.partition("|")[0].partition("[")[0]
