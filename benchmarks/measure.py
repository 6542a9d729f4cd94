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
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, TypedDict, cast

from popoto import embedded

if TYPE_CHECKING:
    from benchmarks.worker import Answer, Greeting

ROOT = Path(__file__).parents[1]
GROUPS = {
    "counting": ("count",),
    "reading": (
        *("get", "get_many", "get_many_plain", "filter_10", "filter", "values"),
        *("hydrate", "hydrate_plain"),
    ),
    "writing": (
        *("create", "create_plain", "update", "update_plain"),
        *("partial_save", "partial_save_plain", "delete", "delete_plain"),
    ),
    "bulk": ("bulk_create", "bulk_create_plain", "bulk_update", "bulk_delete"),
    "memory": (
        *("create_memory", "touch", "update_confidence", "link", "on_context_used"),
        *("top_by_decay_1000", "top_by_decay_10000", "top_by_decay_100000"),
        *("top_by_cycles_1000", "top_by_cycles_10000", "top_by_cycles_100000"),
        *("composite_score_1000", "composite_score_10000", "composite_score_100000"),
    ),
    "search": (
        *("keyword_search_1000", "keyword_search_10000", "keyword_search_100000"),
        *("semantic_search_1000", "semantic_search_10000", "semantic_search_100000"),
        *("semantic_search_written_1000", "semantic_search_written_10000"),
        "semantic_search_written_100000",
        *("recall_1000", "recall_10000", "recall_100000"),
    ),
    "context": (
        *("assemble_1000", "assemble_10000", "assemble_100000"),
        *("assemble_weighed_1000", "assemble_weighed_10000", "assemble_weighed_100000"),
    ),
}
OPERATIONS = tuple(name for names in GROUPS.values() for name in names)
_SEARCHED = (1000, 10000, 100000)
AIMS = (
    {"count": 4.0, "filter_10": 1.6}
    | dict.fromkeys(["get_many", "get_many_plain", "filter", "hydrate", "hydrate_plain"], 1.5)
    | dict.fromkeys(GROUPS["writing"], 1.5)
    | dict.fromkeys(GROUPS["bulk"], 2.0)
    | {"create_memory": 2.0}
    | dict.fromkeys(["touch", "update_confidence", "link"], 1.6)
    | dict.fromkeys(["top_by_decay_1000", "top_by_decay_10000", "top_by_decay_100000"], 3.0)
    | dict.fromkeys([f"semantic_search_{count}" for count in _SEARCHED], 2.0)
    | dict.fromkeys([f"semantic_search_written_{count}" for count in _SEARCHED], 2.4)
)
"""How many times as long as by hand an operation may take."""
PEER = Path(os.environ.get("POPOTO_PEER_PYTHON", ROOT / ".venv-peer" / "bin" / "python"))
BY_HAND = "redis-py"
OURS = "popoto"
LEAST_ROUNDS = 5
PEER_EVERY = 4
"""In how many rounds the published package takes part once: its figures need not be as exact."""
CLOCK_HELP = "time that passes (default), or for which client and server compute: steadier"


class Times(TypedDict):
    """Microseconds for each record, over all tries."""

    least: float
    quartile: float
    median: float


Results = dict[str, Times]
"""By side."""


class Worker:
    """One side, in a process of its own."""

    def __init__(self, python: Path, side: str, clock: str, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [str(python), "-m", "benchmarks.worker", side, clock],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        self.greeting = cast("Greeting", self._answer("its start"))

    def round(self, name: str) -> Answer:
        """Runs the operation once."""
        print(name, file=self._process.stdin, flush=True)
        return cast("Answer", self._answer(repr(name)))

    def close(self) -> None:
        self._process.communicate()

    def _answer(self, during: str) -> object:
        if self._process.stdout is None:
            raise RuntimeError("the worker has no pipes")
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the worker ended during {during}; its error stands above")
        return json.loads(answer)


@contextmanager
def workers(clock: str) -> Iterator[dict[str, Worker]]:
    """One worker for each side, all on one temporary server."""
    ours = Path(sys.executable)
    sides = {BY_HAND: (ours, "by_hand"), OURS: (ours, "by_popoto")}
    if PEER.exists():
        sides["1.6.1"] = (PEER, "by_popoto")
    else:
        print(f"no published popoto at {PEER}: `make peer` installs it", file=sys.stderr)
    with ExitStack() as stack:
        server = embedded.start()
        stack.callback(server.close)
        environment = os.environ | {"REDIS_URL": server.url}
        # The published package is that of its own environment, not what a path of ours names.
        alone = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
        started = {}
        for title, (python, side) in sides.items():
            started[title] = Worker(python, side, clock, alone if python == PEER else environment)
            stack.callback(started[title].close)
        yield started


def say_what_runs(greetings: Mapping[str, Greeting]) -> None:
    """Tells what the sides are; ends where their comparison would tell nothing."""
    by_hand = greetings[BY_HAND]
    reader = "hiredis" if by_hand["redis_py_uses_hiredis"] else "Python"
    print(f"{BY_HAND} reads replies with {reader}", file=sys.stderr)
    for title, greeting in greetings.items():
        if title != BY_HAND:
            print(f"{title} is {greeting['popoto']}", file=sys.stderr)
    if greetings[OURS]["hiredis_installed"] and not by_hand["redis_py_uses_hiredis"]:
        sys.exit("popoto has hiredis and redis-py does not use it: no comparison")


def measure(name: str, sides: Mapping[str, Worker], seconds: float) -> Results:
    """What the operation takes on every side, in rounds until so many seconds are over."""
    # What is learned or imported at the first time is not counted.
    answers = {title: worker.round(name) for title, worker in sides.items()}
    sides = {title: sides[title] for title in who_takes_part(name, answers)}
    times: dict[str, list[float]] = {title: [] for title in sides}
    start = time.monotonic()
    for number in count():
        if number >= LEAST_ROUNDS and time.monotonic() - start > seconds:
            break
        for title, worker in sides.items():
            if title in {BY_HAND, OURS} or number % PEER_EVERY == 0:
                times[title] += worker.round(name)["times"]
    return {title: summary(found) for title, found in times.items()}


def who_takes_part(name: str, answers: Mapping[str, Answer]) -> list[str]:
    """The sides that can do the operation and find the same; tells which cannot, and why.

    Raises RuntimeError where that is ours or the work by hand.
    """
    expected = answers[BY_HAND]["found"]
    able: list[str] = []
    for title, answer in answers.items():
        reason = answer["failure"]
        if reason is None and answer["found"] != expected:
            reason = f"it finds {answer['found']}, not {expected}"
        if reason is None:
            able.append(title)
        elif title in {BY_HAND, OURS}:
            raise RuntimeError(f"{name} by {title}: {reason}")
        else:
            print(f"{name} without {title}: {reason}", file=sys.stderr)
    return able


def summary(seconds: Sequence[float]) -> Times:
    times = [second * 1e6 for second in seconds]
    quartile = quantiles(times, n=4, method="inclusive")[0] if len(times) > 1 else times[0]
    return Times(least=min(times), quartile=quartile, median=median(times))


def table(results: Mapping[str, Results]) -> list[list[str]]:
    """Rows of text, the heading first; the ratios are those to the work done by hand."""
    titles = list(dict.fromkeys(title for sides in results.values() for title in sides))
    ratio_titles = [f"{title} / {BY_HAND}" for title in titles[1:]]
    rows = [["µs per record, or count", *titles, *ratio_titles, "aim"]]
    for name, sides in results.items():
        times = {title: side["quartile"] for title, side in sides.items()}
        ratios = {title: time / times[BY_HAND] for title, time in times.items()}
        rows.append(
            [
                name.replace("_", " "),
                *(f"{times[title]:.1f}" if title in times else "-" for title in titles),
                *(f"{ratios[title]:.2f}" if title in ratios else "-" for title in titles[1:]),
                aim(name, ratios[OURS]),
            ]
        )
    return rows


def aim(name: str, ratio: float) -> str:
    if name not in AIMS:
        return ""
    return f"{AIMS[name]:.1f}{' (over)' if ratio > AIMS[name] else ''}"


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


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.measure", description=__doc__)
    parser.add_argument("operations", nargs="*", metavar="operation", help=", ".join(OPERATIONS))
    parser.add_argument("--group", choices=GROUPS, action="append", help="all operations of a kind")
    parser.add_argument("--seconds", type=float, default=10, help="for each (default 10)")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help=CLOCK_HELP)
    parser.add_argument("--format", choices=["text", "markdown", "json"], default="text")
    given = parser.parse_args()
    if unknown := set(given.operations) - set(OPERATIONS):
        parser.error(
            f"no operation {', '.join(sorted(unknown))}; there are {', '.join(OPERATIONS)}"
        )
    chosen = {*given.operations, *(name for group in given.group or [] for name in GROUPS[group])}
    given.operations = [name for name in OPERATIONS if name in chosen or not chosen]
    return given


def main() -> None:
    given = arguments()
    with workers(given.clock) as sides:
        say_what_runs({title: worker.greeting for title, worker in sides.items()})
        results = {name: measure(name, sides, given.seconds) for name in given.operations}
    if given.format == "json":
        print(json.dumps(results, indent=2))
    else:
        print(as_text(table(results), markdown=given.format == "markdown"))


if __name__ == "__main__":
    main()
