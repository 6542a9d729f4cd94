"""`Books`: what was done, what went wrong on purpose, and what must not have happened."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

#: How many violations of a kind are told in words.
_MOST_TOLD = 5


@dataclass
class Measure:
    """What this process and the server hold while nothing is under way."""

    memory: int
    threads: int
    tasks: int
    files: int
    connections: int
    keys: int


@dataclass
class Books:
    """Kept by all lanes at once."""

    operations: Counter[str] = field(default_factory=Counter[str])
    faults: Counter[str] = field(default_factory=Counter[str])
    errors: Counter[str] = field(default_factory=Counter[str])
    violations: Counter[str] = field(default_factory=Counter[str])
    told: list[str] = field(default_factory=list[str])
    measures: list[Measure] = field(default_factory=list[Measure])
    checks: int = 0
    #: writes whose outcome was unknown, and what had become of them
    doubts: Counter[str] = field(default_factory=Counter[str])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def done(self, kind: str) -> None:
        """An operation has come to its end, in success or in an error that was told."""
        with self._lock:
            self.operations[kind] += 1

    def fault(self, kind: str, times: int = 1) -> None:
        """A fault was injected."""
        with self._lock:
            self.faults[kind] += times

    def error(self, error: BaseException) -> None:
        """An operation has ended in an error, of the faults or of the lanes' rivalry."""
        with self._lock:
            self.errors[type(error).__name__] += 1

    def doubt(self, outcome: str) -> None:
        """A write of which nobody knew turned out to be stored, or not."""
        with self._lock:
            self.doubts[outcome] += 1

    def violation(self, kind: str, story: str) -> None:
        """A promise was broken."""
        with self._lock:
            self.violations[kind] += 1
            if self.violations[kind] <= _MOST_TOLD:
                self.told.append(f"{kind}: {story}")

    @property
    def lost(self) -> int:
        """Acknowledged writes that were not there."""
        return self.violations["lost acknowledged write"]

    def table(self, seconds: float) -> str:
        """All of it, for people."""
        total = sum(self.operations.values())
        lines = [
            f"operations             {total:>9,}   ({total / seconds:,.0f} per second)",
            *_rows(self.operations),
            f"faults                 {sum(self.faults.values()):>9,}",
            *_rows(self.faults),
            f"errors told to callers {sum(self.errors.values()):>9,}",
            *_rows(self.errors),
            f"writes in doubt        {sum(self.doubts.values()):>9,}",
            *_rows(self.doubts),
            f"checks of everything   {self.checks:>9,}",
            *self._growth(),
            f"lost acknowledged writes {self.lost:>7,}",
            f"violations             {sum(self.violations.values()):>9,}",
            *_rows(self.violations),
            *(f"  ! {story}" for story in self.told),
        ]
        return "\n".join(lines)

    def _growth(self) -> list[str]:
        if not self.measures:
            return []
        first, last = self.measures[0], self.measures[-1]
        return [
            (
                f"client memory          {first.memory / 2**20:>9,.1f} MiB -> "
                f"{last.memory / 2**20:,.1f} MiB (most {self._most('memory') / 2**20:,.1f})"
            ),
            *(
                f"{name:<22} {getattr(first, name):>9,} -> {getattr(last, name):,} "
                f"(most {self._most(name):,})"
                for name in ("connections", "threads", "tasks", "files", "keys")
            ),
        ]

    def _most(self, name: str) -> int:
        return max(int(getattr(each, name)) for each in self.measures)


def _rows(counts: Counter[str]) -> list[str]:
    return [f"  {kind:<24}{number:>7,}" for kind, number in counts.most_common() if number]
