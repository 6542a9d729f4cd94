"""Running the tests on one mutant after the other, several side by side."""

from __future__ import annotations

import compileall
import importlib
import os
import py_compile
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tools.mutants.changes import Mutant
from tools.mutants.witnesses import Witnesses

#: Imported once, before the first mutant: what the tests use and no mutant changes.
PRELOADED = ("asyncio", "hypothesis", "msgpack", "redis", "redis.asyncio")
#: So many tests are run first, since most mutants are killed by one of them.
FIRST = 20
#: A test that takes longer hangs, and so does a trial.
SECONDS_OF_A_TEST = 20
SECONDS_OF_A_TRIAL = 600


@dataclass
class _Trial:
    mutant: Mutant
    tree: Path
    deadline: float


class Trials:
    """Tries mutants, each in a forked process and in a copy of src/ of its own.

    Forking saves the imports; nothing of the package itself is imported before it.
    """

    def __init__(self, root: Path, witnesses: Witnesses, jobs: int) -> None:
        self._root = root
        self._witnesses = witnesses
        self._idle = [root / ".mutants" / f"tree{number}" for number in range(jobs)]
        self._running: dict[int, _Trial] = {}

    def run(self, mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, str]]:
        """Each mutant with what came out, "killed" or "survived", as they are done.

        Exits with the output of pytest if the tests fail in a copy in which nothing is changed.
        """
        if not mutants:
            return
        for tree in self._idle:
            self._copy(tree)
        for name in PRELOADED:
            importlib.import_module(name)
        self._check(mutants[0])
        for mutant in mutants:
            self._start(mutant)
            while not self._idle:
                yield from self._ended()
        while self._running:
            yield from self._ended()

    def _check(self, mutant: Mutant) -> None:
        tree = self._idle[-1]
        self._start(replace(mutant, text=(self._root / mutant.path).read_bytes()))
        while self._running:
            for _, outcome in self._ended():
                if outcome != "survived":
                    sys.exit((tree / "output").read_text())

    def _copy(self, tree: Path) -> None:
        shutil.rmtree(tree, ignore_errors=True)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(self._root / "src", tree / "src", ignore=ignored)
        # Compiled files that tell a changed module by its text: the time it was written may not.
        mode = py_compile.PycInvalidationMode.CHECKED_HASH
        compileall.compile_dir(tree, quiet=1, invalidation_mode=mode)

    def _start(self, mutant: Mutant) -> None:
        tree = self._idle.pop()
        (tree / mutant.path).write_bytes(mutant.text)
        tests = self._witnesses.of(mutant)
        sys.stdout.flush()
        process = os.fork()
        if process == 0:
            os._exit(bool(_test(tree, tests)))
        self._running[process] = _Trial(mutant, tree, time.monotonic() + SECONDS_OF_A_TRIAL)

    def _ended(self) -> Iterator[tuple[Mutant, str]]:
        """Wait a moment, and tell which trials are over."""
        time.sleep(0.02)
        for process, trial in list(self._running.items()):
            if time.monotonic() > trial.deadline:
                os.killpg(process, signal.SIGKILL)
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                del self._running[process]
                original = self._root / trial.mutant.path
                (trial.tree / trial.mutant.path).write_bytes(original.read_bytes())
                self._idle.append(trial.tree)
                yield trial.mutant, "survived" if status == 0 else "killed"


def _test(tree: Path, tests: list[str]) -> int:
    """Run the tests on the package in this tree, up to the first failure; 0 if there is none."""
    os.setsid()
    source = str(tree / "src")
    os.environ |= {
        "PYTHONPATH": source,
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(tree / "hypothesis"),
    }
    sys.dont_write_bytecode = True
    sys.path.insert(0, source)
    output = os.open(tree / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    return _status_of(tests[:FIRST]) or _status_of(tests[FIRST:])


def _status_of(tests: list[str]) -> int:
    """How pytest ends, in a process that has imported nothing of the package yet."""
    if not tests:
        return 0
    process = os.fork()
    if process == 0:
        options = [
            *("-x", "-q", "-n", "0", "-p", "no:cacheprovider"),
            # Nobody reads what an assertion compares; rewriting them is a third of the start.
            "--assert=plain",
            *("-o", f"timeout={SECONDS_OF_A_TEST}"),
            # What was imported before the fork.
            *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
        ]
        os._exit(int(pytest.main([*options, *tests])))
    return os.waitpid(process, 0)[1]
