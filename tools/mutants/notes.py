"""What is known of mutants: outcomes of earlier runs, and explanations of those that may live."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tools.mutants.changes import Mutant
from tools.mutants.digests import digest

EXPLAINED = Path(__file__).with_name("explained.txt")


def explanations() -> set[str]:
    """The names of mutants that `explained.txt` gives a reason for.

    An indented line names one, as the path, the function, and the line before and after the
    change; the reason stands above in lines that are not indented.
    """
    lines = EXPLAINED.read_text().splitlines()
    return {line.strip() for line in lines if line.startswith("    ")}


class Notes:
    """Outcomes that still hold: of modules that have not changed since.

    What was killed stays killed; a survivor is tried again when a test has changed.
    """

    def __init__(self, root: Path, tests: Iterable[str], *, again: bool) -> None:
        self._root = root
        self._path = root / ".mutants" / "outcomes.json"
        self._path.parent.mkdir(exist_ok=True)
        self._tests = digest(root / name for name in tests)
        self._known: dict[str, list[str]] = {}
        if self._path.exists() and not again:
            self._known = json.loads(self._path.read_text())

    def outcome(self, mutant: Mutant) -> str | None:
        """What came out when this mutant was tried, if that still holds."""
        module, tests, outcome = self._known.get(mutant.name, ["", "", ""])
        if module != self._module(mutant) or (outcome != "killed" and tests != self._tests):
            return None
        return outcome

    def add(self, mutant: Mutant, outcome: str) -> None:
        """Keep an outcome."""
        self._known[mutant.name] = [self._module(mutant), self._tests, outcome]
        self._path.write_text(json.dumps(self._known, indent=0))

    def _module(self, mutant: Mutant) -> str:
        return digest([self._root / mutant.path])
