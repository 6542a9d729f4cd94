"""The second part of `make demo`: the memory of a colleague over twelve simulated weeks.

It remembers what it was told at work. Every day it is shown the four memories that matter most,
and is told what became of them: relevance decays and comes back, confidence moves, cycles and
associations are learned. Time is simulated, so twelve weeks take a moment.

`python -m examples.colleague` runs it alone. Without REDIS_URL it runs on a server of its own; on a
server of yours it removes what it stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from rich.console import Console
from rich.table import Table

from examples import stage
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
    table = Table(box=None, pad_edge=False)
    table.add_column(f"the best {SHOWN} memories of each day", no_wrap=True)
    table.add_column("shown, by week")
    table.add_column("certainty", justify="right")
    table.add_column("reads", justify="right")
    for memory in DemoMemory.query.no_track().all():
        weeks = [days[first : first + 7] for first in range(0, len(days), 7)]
        bars = "".join(BLOCKS[sum(memory.text in day for day in week)] for week in weeks)
        table.add_row(memory.text, bars, f"{memory.certainty:.2f}", str(memory.access_count))
    return table


def links() -> str:
    """Which two memories bring each other to mind."""
    pairs: set[tuple[str, ...]] = set()
    for memory in DemoMemory.query.no_track().all():
        for key, _ in DemoMemory.together.get_linked(DemoMemory, memory.pk, limit=1):
            pairs.add(tuple(sorted([memory.text, key.partition(":")[2]])))
    return "".join(f"Bring each other to mind: {one}\n{other:>75}" for one, other in sorted(pairs))


def main() -> None:
    """Live twelve weeks and show what came of it."""
    stage.enter()
    console = Console()
    DemoMemory.delete_all()
    try:
        remember()
        days = [live(day) for day in range(7 * WEEKS)]
        console.print(f"[bold]A colleague's memory[/bold] after {WEEKS} weeks")
        console.print(
            "Relevance decays, returns weekly and builds up while nothing happens;\n"
            "what helped is shown more often, what was contradicted loses its certainty."
        )
        console.print(picture(days))
        console.print(links(), highlight=False)
    finally:
        DemoMemory.delete_all()


if __name__ == "__main__":
    main()
