"""Makes small changes to a package, one at a time, and tells which of them no test notices.

    python -m tools.mutants PACKAGE TESTS... [--sample N] [--seed N] [--jobs N] [--again]

A change that the tests notice is killed. One that they do not notice has survived: a test is
missing, or the change makes no difference, which `explained.txt` says with its reason. Each
change is made in a private copy of src/. Of the tests, those run that carried out the line in
question when nothing was changed, or called the script; the first that fails ends the run.
Modules of Python and parts of Lua scripts are changed (`--only lua`). What was found out is kept in
.mutants/, so an interrupted run goes on where it was, and one after new tests repeats survivors
only.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections import Counter
from pathlib import Path

from tools.mutants.changes import Mutant, mutants_of
from tools.mutants.lua_changes import lua_mutants_of
from tools.mutants.notes import Notes, explanations
from tools.mutants.trials import Trials
from tools.mutants.witnesses import Witnesses

ROOT = Path(__file__).parents[2]
CHANGES = {".py": mutants_of, ".lua": lua_mutants_of}


def main() -> int:
    """Run what the arguments ask for. Returns the exit status."""
    given = _arguments()
    root: Path = given.root
    os.chdir(root)
    mutants = _mutants(root, given.package, given.only)
    if given.sample:
        mutants = random.Random(given.seed).sample(mutants, min(given.sample, len(mutants)))
    witnesses = Witnesses(root, given.tests)
    notes = Notes(root, given.tests, again=given.again)
    explained = explanations()
    outcomes: dict[str, str] = {}
    waiting: list[Mutant] = []
    for mutant in mutants:
        if mutant.name in explained:
            outcomes[mutant.name] = "explained"
        elif known := notes.outcome(mutant):
            outcomes[mutant.name] = known
        elif not witnesses.of(mutant):
            outcomes[mutant.name] = "not run"
        else:
            waiting.append(mutant)
    print(f"{len(mutants)} changes, {len(waiting)} of them to be tried", flush=True)
    for mutant, outcome in Trials(root, witnesses, given.jobs).run(waiting):
        outcomes[mutant.name] = outcome
        notes.add(mutant, outcome)
        if outcome == "survived":
            print(f"{mutant.path}:{mutant.line} survived", flush=True)
    _report(mutants, outcomes)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__.splitlines()[0])
    parser.add_argument("package", help="a directory or a file below src/")
    parser.add_argument("tests", nargs="+", help="directories or files of tests")
    parser.add_argument("--only", choices=[each[1:] for each in CHANGES], help="of this language")
    parser.add_argument("--sample", type=int, default=0, help="try so many only, drawn by lot")
    parser.add_argument("--seed", type=int, default=1, help="which ones are drawn")
    parser.add_argument("--jobs", type=int, default=2, help="how many are tried side by side")
    parser.add_argument("--again", action="store_true", help="forget what was found out before")
    parser.add_argument("--root", type=Path, default=ROOT, help="of the project; this one's")
    return parser.parse_args()


def _mutants(root: Path, package: str, only: str | None) -> list[Mutant]:
    start = root / package
    below = start.rglob("*") if start.is_dir() else [start]
    paths = sorted(
        path for path in below if path.suffix in CHANGES and only in (None, path.suffix[1:])
    )
    return [
        each for path in paths for each in CHANGES[path.suffix](root, str(path.relative_to(root)))
    ]


def _report(mutants: list[Mutant], outcomes: dict[str, str]) -> None:
    for mutant in mutants:
        outcome = outcomes[mutant.name]
        if outcome in ("survived", "not run"):
            by = "" if outcome == "survived" else "  (not run by these tests)"
            print(f"\n{mutant.path}:{mutant.line} {mutant.place}{by}")
            print(f"  - {mutant.before}\n  + {mutant.after}")
    kinds = ("killed", "explained", "survived", "not run")
    files = dict.fromkeys(mutant.path for mutant in mutants)
    counts = {path: Counter[str]() for path in files}
    for mutant in mutants:
        counts[mutant.path][outcomes[mutant.name]] += 1
    counts["all"] = sum(counts.values(), Counter[str]())
    width = max(map(len, counts))
    print(f"\n{'':{width}}" + "".join(f"{kind:>11}" for kind in kinds))
    for path, count in counts.items():
        share = (count["killed"] + count["explained"]) / max(1, count.total())
        numbers = "".join(f"{count[kind]:>11}" for kind in kinds)
        print(f"{path:{width}}{numbers}{share:>8.0%}")


if __name__ == "__main__":
    sys.exit(main())
