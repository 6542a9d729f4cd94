"""The second part of `make demo`: the memory of a colleague over twelve simulated weeks.

It remembers what it was told at work. Every day it is shown the four memories that matter most,
and is told what became of them: relevance decays and comes back, confidence moves, cycles and
associations are learned. Time is simulated, so twelve weeks take a moment.

`python -m examples.colleague` runs it alone. Without REDIS_URL it runs on a server of its own; on a
server of yours it removes what it stored.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from rich.console import Console
from rich.table import Table

from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    CoOccurrenceField,
    CyclicDecayField,
    KeyField,
    Model,
    ObservationProtocol,
    TemporalPeriod,
    clock,
    redis_db,
)

DAY = 86_400
WEEKS = 12
SHOWN = 4
#: A Monday morning. The weekly cycle has its crest there.
START = 1_700_463_600.0
BLOCKS = " ▁▂▃▄▅▆▇"


class DemoMemory(AccessTrackerMixin, Model):
    """Something that the colleague was told."""

    text = KeyField()
    relevance = CyclicDecayField(
        decay_rate=0.5,
        base_score_field="certainty",
        cycles=[(TemporalPeriod.WEEKLY, 0.5, START)],
        pressure_rate=0.004,
    )
    certainty = ConfidenceField()
    together = CoOccurrenceField()


@dataclass(frozen=True)
class Told:
    """A sentence, and what becomes of it by the day of the week (0: Monday)."""

    text: str
    outcomes: Mapping[int, str] = field(default_factory=dict[int, str])
    otherwise: str = "deferred"

    def outcome(self, day: int) -> str:
        """What became of it when it was shown on a day since the start."""
        return self.outcomes.get(day % 7, self.otherwise)


TOLD = [
    Told("The report for the board is due on Mondays.", {0: "acted"}, "dismissed"),
    Told("The office is closed on Fridays.", {}, "contradicted"),
    Told("Ms Okafor likes to be called in the morning.", {1: "acted", 3: "acted"}, "used"),
    Told("The printer upstairs needs a firm push.", {}, "used"),
    Told("The cafeteria has new chairs.", {}, "dismissed"),
    Told("Before the report, ask Lin for the figures.", {0: "acted"}, "deferred"),
]
BY_TEXT = {told.text: told for told in TOLD}


def remember() -> None:
    """Store what was told on the day before."""
    with clock.using(START - DAY):
        DemoMemory.bulk_create([DemoMemory(text=told.text) for told in TOLD])


def live(day: int) -> list[str]:
    """Show the best memories of a day, and tell them what became of them; their texts."""
    with clock.using(START + day * DAY):
        shown = DemoMemory.query.top_by_decay(n=SHOWN)
        outcomes = {memory.pk: BY_TEXT[memory.text].outcome(day) for memory in shown}
        ObservationProtocol.on_context_used(shown, outcomes)
        acted = [memory for memory in shown if outcomes[memory.pk] == "acted"]
        for one, other in pairwise(acted):
            DemoMemory.together.strengthen(DemoMemory, one.pk, other.pk)
    return [memory.text for memory in shown]


def picture(days: list[list[str]]) -> Table:
    """What the colleague has learned: one line for each memory."""
    table = Table(title=f"Twelve weeks, {SHOWN} memories a day", title_justify="left", box=None)
    for heading in ("memory", "days shown, week by week", "certainty", "reads", "together with"):
        table.add_column(heading, justify="right" if heading in ("certainty", "reads") else "left")
    for memory in DemoMemory.query.no_track().all():
        weeks = [days[first : first + 7] for first in range(0, len(days), 7)]
        bars = "".join(BLOCKS[sum(memory.text in day for day in week)] for week in weeks)
        linked = DemoMemory.together.get_linked(DemoMemory, memory.pk, limit=1)
        table.add_row(
            memory.text,
            bars,
            f"{memory.certainty:.2f}",
            str(memory.access_count),
            linked[0][0].partition(":")[2][:18] + "…" if linked else "",
        )
    return table


def main() -> None:
    """Live twelve weeks and show what came of it."""
    if "REDIS_URL" not in os.environ:
        redis_db.set_REDIS_DB_settings(url="embedded://")
    console = Console(width=max(Console().width, 100))
    DemoMemory.delete_all()
    try:
        remember()
        days = [live(day) for day in range(7 * WEEKS)]
        console.print("\n[bold]A colleague's memory[/bold]")
        console.print(
            "Relevance decays, returns weekly and builds up while nothing happens; what helped is "
            "shown\nmore often, what was contradicted loses its certainty."
        )
        console.print(picture(days))
    finally:
        DemoMemory.delete_all()


if __name__ == "__main__":
    main()
