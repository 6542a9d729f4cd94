"""All the airports of the world: stored in bulk, then found by key, value, range and distance.

`make demo`, or `python -m examples.airports`. Without REDIS_URL it runs on a server of its own
that is gone afterwards; on a server of yours it removes what it stored.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import airportsdata
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

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


def airports() -> Iterator[DemoAirport]:
    """The airports of the package airportsdata, as records that are not stored yet."""
    for data in airportsdata.load("ICAO").values():
        yield DemoAirport(
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
    """The first few airports of a result, on one line."""
    listed = list(found)
    shown = ", ".join(f"{airport.name} ({airport.icao})" for airport in listed[:3])
    return shown + (f" … {len(listed):,} in all" if len(listed) > 3 else "")


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
            "Which airport is EDDB?",
            'get(icao="EDDB")',
            lambda: names([query.get(icao="EDDB")]),
        ),
        Question(
            "Who has the code LHR? (unique)",
            'get(iata="LHR")',
            lambda: names([query.get(iata="LHR")]),
        ),
        Question(
            "How many are there in Iceland?",
            'count(country="IS")',
            lambda: f"{query.count(country='IS'):,}",
        ),
        Question(
            "The five highest",
            'order_by("-elevation").limit(5).values("name", "elevation")',
            lambda: heights(
                query.order_by("-elevation").limit(5).values("name", "elevation").all()
            ),
        ),
        Question(
            "Below the sea, in the Netherlands",
            'filter(DemoAirport.elevation < 0, country="NL")',
            lambda: names(query.filter(DemoAirport.elevation < 0, country="NL")),
        ),
        Question(
            "Next to the Brandenburg Gate",
            "filter(place=(52.516, 13.378), place_radius=30, …_with_distances=True, limit=3)",
            lambda: distances(
                query.filter(
                    place=(52.516, 13.378),
                    place_radius=30,
                    place_radius_unit="km",
                    place_with_distances=True,
                    limit=3,
                )
            ),
        ),
        Question(
            "Named after somebody called John, in the USA, above 5,000 ft",
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


def load(console: Console) -> None:
    """Store all airports, with a progress bar."""
    total = len(airportsdata.load("ICAO"))
    columns = (
        TextColumn("[bold]storing airports"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    started = time.perf_counter()
    with Progress(*columns, console=console) as progress:
        DemoAirport.bulk_create(progress.track(airports(), total=total))
    seconds = time.perf_counter() - started
    console.print(
        f"{DemoAirport.query.count():,} records, each in six indexes, in {seconds:.1f} s: "
        f"{total / seconds:,.0f} a second, 1,000 at a time\n"
    )


def answer(console: Console) -> None:
    """Ask the questions and print their answers, with what they cost."""
    table = Table(title="One query, one round trip", title_justify="left", show_lines=True)
    table.add_column("question  ·  DemoAirport.query.…", ratio=5)
    table.add_column("answer", ratio=6)
    table.add_column("trips", justify="right", no_wrap=True)
    table.add_column("ms", justify="right", no_wrap=True)
    for question in questions():
        before, started = reads_processed(), time.perf_counter()
        found = question.ask()
        seconds = time.perf_counter() - started
        trips = reads_processed() - before - 1
        table.add_row(
            f"{question.text}\n[cyan]{question.code}[/cyan]",
            found,
            str(trips),
            f"{seconds * 1000:.1f}",
        )
    console.print(table)


def main() -> None:
    console = Console()
    own_server = "REDIS_URL" not in os.environ
    if own_server:
        redis_db.set_REDIS_DB_settings(url="embedded://")
        console.print("Running on a temporary Valkey server of its own.")
    console.print(
        "On a server of yours: [bold]REDIS_URL=redis://localhost:6379/0 make demo[/bold]\n"
    )
    try:
        load(console)
        answer(console)
    finally:
        if not own_server:
            removed = DemoAirport.delete_all()
            console.print(f"\nRemoved the {removed:,} records again.")


if __name__ == "__main__":
    main()
