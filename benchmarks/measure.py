"""Times every operation against the same work done by hand, and against the published popoto.

`make bench`, or `python -m benchmarks.measure [operation ...]`. The sides are three processes on
one temporary server, which take turns round by round, so that what else the machine does meets them
alike.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from popoto import embedded

ROOT = Path(__file__).parents[1]
OPERATIONS = ("create", "update", "partial_save", "get", "delete", "bulk_load", "hydrate")
PEER = Path(os.environ.get("POPOTO_PEER_PYTHON", ROOT / ".venv-peer" / "bin" / "python"))
BY_HAND = "redis-py"
WARM_UP = 2

Medians = dict[str, float]
"""Side -> microseconds per record."""


class Worker:
    """One side, in a process of its own."""

    def __init__(self, python: Path, side: str, url: str) -> None:
        self._process = subprocess.Popen(
            [str(python), "-m", "benchmarks.worker", side],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"REDIS_URL": url},
        )

    def round(self, name: str) -> float:
        """Runs the operation once; seconds for each of its records."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the worker has no pipes")
        print(name, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the worker ended during {name!r}; its error stands above")
        return float(answer)

    def close(self) -> None:
        self._process.communicate()


@contextmanager
def workers() -> Iterator[dict[str, Worker]]:
    """One worker for each side, all on one temporary server."""
    ours = Path(sys.executable)
    sides = {BY_HAND: (ours, "by_hand"), "popoto": (ours, "by_popoto")}
    if PEER.exists():
        sides["1.6.1"] = (PEER, "by_popoto")
    else:
        print(f"no published popoto at {PEER}: `make peer` installs it", file=sys.stderr)
    with ExitStack() as stack:
        server = embedded.start()
        stack.callback(server.close)
        started = {}
        for title, (python, side) in sides.items():
            started[title] = Worker(python, side, server.url)
            stack.callback(started[title].close)
        yield started


def measure(name: str, sides: Mapping[str, Worker], rounds: int) -> Medians:
    """The median over the rounds, in microseconds per record."""
    seconds: dict[str, list[float]] = {title: [] for title in sides}
    for _ in range(WARM_UP + rounds):
        for title, worker in sides.items():
            seconds[title].append(worker.round(name))
    return {title: median(times[WARM_UP:]) * 1e6 for title, times in seconds.items()}


def table(results: Mapping[str, Medians]) -> list[list[str]]:
    """Rows of text, the heading first; the ratios are those to the work done by hand."""
    titles = list(next(iter(results.values())))
    rows = [["µs per record", *titles, *(f"{title} / {BY_HAND}" for title in titles[1:])]]
    for name, medians in results.items():
        ratios = [medians[title] / medians[BY_HAND] for title in titles[1:]]
        row = [name.replace("_", " "), *(f"{figure:.1f}" for figure in medians.values())]
        rows.append([*row, *(f"{ratio:.2f}" for ratio in ratios)])
    return rows


def as_text(rows: Sequence[Sequence[str]], *, markdown: bool) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [
        [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]  # figures to the right
        for row in rows
    ]
    if not markdown:
        return "\n".join("  ".join(row) for row in padded)
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in [padded[0], rule, *padded[1:]])


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.measure", description=__doc__)
    parser.add_argument("operations", nargs="*", metavar="operation", help=", ".join(OPERATIONS))
    parser.add_argument("--rounds", type=int, default=20, help="timed rounds of each (default 20)")
    parser.add_argument("--format", choices=["text", "markdown", "json"], default="text")
    arguments = parser.parse_args()
    if unknown := set(arguments.operations) - set(OPERATIONS):
        parser.error(
            f"no operation {', '.join(sorted(unknown))}; there are {', '.join(OPERATIONS)}"
        )
    with workers() as sides:
        results = {
            name: measure(name, sides, arguments.rounds)
            for name in arguments.operations or OPERATIONS
        }
    if arguments.format == "json":
        print(json.dumps(results, indent=2))
    else:
        print(as_text(table(results), markdown=arguments.format == "markdown"))


if __name__ == "__main__":
    main()
