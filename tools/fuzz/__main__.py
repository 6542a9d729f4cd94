"""`python -m tools.fuzz [TARGET …] --minutes 5`: what breaks a property of `tests/hostile`?

A target is a file `tests/hostile/test_TARGET.py`. Its properties take their input from Hypothesis,
and Hypothesis takes it from the bytes that atheris (libFuzzer) proposes: it keeps those that lead
to parts of popoto which none has reached before, and changes them further. What it keeps stays in
`.fuzz/TARGET/`, where the next run begins; inputs that break a property stand in `.fuzz/findings/`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".fuzz"


def targets() -> list[str]:
    """The names of all targets."""
    names = [path.stem.removeprefix("test_") for path in (ROOT / "tests/hostile").glob("test_*.py")]
    return sorted(names)


def main() -> int:
    """Search one target after another, each in a process of its own."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help="all, if none is named", metavar="TARGET")
    parser.add_argument("--minutes", type=float, default=1, help="for each target (1)")
    options = parser.parse_args()
    unknown = set(options.targets) - set(targets())
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(targets())}")
    results = [searched(name, options.minutes) for name in options.targets or targets()]
    print(f"\n{'target':24} {'inputs':>12} {'kept':>8} {'findings':>9}")
    for result in results:
        print("{target:24} {inputs:12,} {kept:8,} {findings:9,}".format(**result))
    return 1 if any(result["findings"] for result in results) else 0


def searched(target: str, minutes: float) -> dict[str, Any]:
    """The figures of a search, which a process of its own writes: libFuzzer ends its process."""
    report = KEPT / f"{target}.json"
    report.unlink(missing_ok=True)
    (KEPT / target).mkdir(parents=True, exist_ok=True)
    (KEPT / "findings").mkdir(exist_ok=True)
    words = [sys.executable, "-m", "tools.fuzz.search", target, str(minutes * 60), str(KEPT)]
    with (KEPT / f"{target}.log").open("wb") as log:
        code = subprocess.run(words, cwd=ROOT, check=False, stderr=log).returncode
    if report.exists():
        found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        return found
    print(
        f"{target}: ended with {code}: an input was too slow or too large, or crashed Python; see"
    )
    print(f"{KEPT / target}.log and {KEPT}/findings")
    return {"target": target, "inputs": 0, "kept": 0, "findings": 1}


if __name__ == "__main__":
    sys.exit(main())
