"""All the airports of the world: stored by several processes, then found by key, value and place.

`make demo`, or `python -m examples.airports`. Without REDIS_URL it runs on a server of its own
that is gone afterwards; on a server of yours it removes what it stored.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import airportsdata
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from examples import stage
from popoto import (
    Field,
    GeoField,
    IndexedField,
    KeyField,
    Model,
    SortedField,
    StringField,
    redis_db,
)

BATCH = 1_000
#: More would only wait for the server.
PROCESSES = min(4, os.cpu_count() or 1)


class DemoAirport(Model):
    """One airport."""

    icao = KeyField()
    iata = Field(type=str, unique=True)
    name = IndexedField(null=False)
    city = StringField(default="")
    country = IndexedField()
    elevation = SortedField(type=float)
    place = GeoField()


@dataclass
class Question:
    """A query of the demonstration: what it asks, how it is written, and its answer as text."""

    text: str
    code: str
    ask: Callable[[], Any]


def airport(data: dict[str, Any]) -> DemoAirport:
    """A row of the package airportsdata as a record that is not stored yet."""
    return DemoAirport(
        icao=data["icao"],
        iata=data["iata"] or None,
        name=data["name"],
        city=data["city"],
        country=data["country"],
        elevation=data["elevation"],
        # A geo index ends at the 85th parallel: the South Pole stays without a place.
        place=(data["lat"], data["lon"]) if abs(data["lat"]) < 85 else None,
    )


def names(found: Any) -> str:
    """The airports of a result, on one line."""
    return ", ".join(f"{airport.name} ({airport.icao})" for airport in found)


def distances(found: Any) -> str:
    return ", ".join(
        f"{airport.name} {airport._geo_distance:.0f} {airport._geo_distance_unit}"
        for airport in found
    )


def heights(rows: list[dict[str, Any]]) -> str:
    return ", ".join(f"{row['name']} {row['elevation']:,.0f} ft" for row in rows)


def questions() -> list[Question]:
    query = DemoAirport.query
    return [
        Question(
            "Which airport has the code LHR? (unique)",
            'get(iata="LHR")',
            lambda: names([query.get(iata="LHR")]),
        ),
        Question(
            "The two highest",
            'order_by("-elevation").limit(2).values("name", "elevation")',
            lambda: heights(
                query.order_by("-elevation").limit(2).values("name", "elevation").all()
            ),
        ),
        Question(
            "Below the sea, in the Netherlands",
            'filter(DemoAirport.elevation < 0, country="NL").limit(2)',
            lambda: names(query.filter(DemoAirport.elevation < 0, country="NL").limit(2)),
        ),
        Question(
            "Nearest to the Brandenburg Gate",
            'filter(place=(52.516, 13.378), place_radius=30, …_unit="km", limit=2)',
            lambda: distances(
                query.filter(
                    place=(52.516, 13.378),
                    place_radius=30,
                    place_radius_unit="km",
                    place_with_distances=True,
                    limit=2,
                )
            ),
        ),
        Question(
            "Named after a John, in the USA, above 5,000 ft",
            'filter(name__contains="John", country="US", elevation__gt=5000)',
            lambda: names(query.filter(name__contains="John", country="US", elevation__gt=5000)),
        ),
        Question(
            "How many are not in the USA?",
            'exclude(country="US").count()',
            lambda: f"{query.exclude(country='US').count():,}",
        ),
    ]


def reads_processed() -> int:
    """How often the server has read from its clients: a measure of round trips."""
    return int(redis_db.POPOTO_REDIS_DB.info("stats")["total_reads_processed"])


def join(url: str) -> None:
    """Let a further process use the same server."""
    redis_db.set_REDIS_DB_settings(url=url)


def store(rows: list[dict[str, Any]]) -> int:
    """Store some airports; how many."""
    return DemoAirport.bulk_create(map(airport, rows), keep=False)


def batches() -> Iterator[list[dict[str, Any]]]:
    rows = list(airportsdata.load("ICAO").values())
    return (rows[first : first + BATCH] for first in range(0, len(rows), BATCH))


def load(console: Console) -> None:
    """Store all airports from several processes at once, with a progress bar."""
    started = time.perf_counter()
    columns = (TextColumn("[bold]storing airports"), BarColumn(), MofNCompleteColumn())
    with ProcessPoolExecutor(PROCESSES, initializer=join, initargs=(stage.address(),)) as pool:
        # All work is handed out before the progress bar starts a thread, as forks should be.
        waiting = [(len(rows), pool.submit(store, rows)) for rows in batches()]
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("", total=sum(number for number, _ in waiting))
            for _, stored in waiting:
                progress.advance(bar, stored.result())
    seconds = time.perf_counter() - started
    console.print(
        f"{DemoAirport.query.count():,} records, each in six indexes, "
        f"by {PROCESSES} process{'es' * (PROCESSES > 1)} at once, in {seconds:.1f} s."
    )


def answer(console: Console) -> None:
    """Ask the questions and print their answers, with what they cost."""
    for question in questions():
        before, started = reads_processed(), time.perf_counter()
        found = question.ask()
        milliseconds = (time.perf_counter() - started) * 1000
        trips = reads_processed() - before - 1
        cost = f"{trips} round trip{'s' * (trips != 1)}, {milliseconds:.1f} ms"
        console.print(f"[bold]{question.text}[/bold]  [dim]{cost}[/dim]", highlight=False)
        for line, style in ((question.code, "cyan"), (found, "")):
            console.print(f"  {line}", style=style, markup=False, highlight=False)


def main() -> None:
    is_own = stage.enter()
    console = Console()
    place = "a temporary server (REDIS_URL names yours)" if is_own else "the server of REDIS_URL"
    console.print(f"[bold]All airports of the world[/bold], on {place}")
    try:
        load(console)
        console.print("Each question is one query, DemoAirport.query.…:")
        answer(console)
    finally:
        if not is_own:
            DemoAirport.delete_all()


if __name__ == "__main__":
    main()
