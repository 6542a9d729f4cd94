"""The end of `make demo`: a journal is read in, asked, and remembered better for it.

Every entry is a memory, kept at the time of which it tells. A question brings entries to mind by
their words, by how relevant they still are and how certain they seem, and each says why. What
became of an answer is told to the memory, and the same question is asked again.

`python -m examples.castaway` runs it alone. Without REDIS_URL it runs on a server of its own; on a
server of yours it removes what it stored. The journal is Robinson Crusoe's, `castaway.txt`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from examples import stage
from popoto import (
    AccessTrackerMixin,
    BM25Field,
    ConfidenceField,
    DecayingSortedField,
    KeyField,
    Model,
    ObservationProtocol,
    StringField,
    clock,
)

JOURNAL = Path(__file__).with_name("castaway.txt")
#: The day after the last entry, and a week after that.
TODAY, LATER = "1659-11-18", "1659-11-25"
QUESTIONS = [
    "What did he kill for food?",
    "What did he fear in the thunder?",
    "What became of the ship?",
]
#: Which entries the last question should have brought to mind, and which it should not.
OUTCOMES = {"1659-10-25": "acted", "1659-10-01": "contradicted"}
SHOWN = 2
WIDTH = 64
#: What memory counts beside words; a tenth if nothing is said.
WEIGHT = 0.3


class DemoEntry(AccessTrackerMixin, Model):
    """What a day was like."""

    day = KeyField()
    text = StringField()
    words = BM25Field(source="text", analyzer="english")
    certainty = ConfidenceField()
    relevance = DecayingSortedField(base_score_field="certainty")


@dataclass(frozen=True)
class Thought:
    """An entry that a question brought to mind, and why."""

    entry: DemoEntry
    score: float
    parts: tuple[Any, ...]


def entries() -> Iterator[tuple[str, str]]:
    """Day and text of every entry of the journal."""
    _, *blocks = JOURNAL.read_text(encoding="utf-8").strip().split("\n\n")
    for block in blocks:
        day, _, text = block.partition(" ")
        yield day, text


def noon(day: str) -> float:
    return datetime.fromisoformat(f"{day} 12:00").replace(tzinfo=UTC).timestamp()


def read_in() -> None:
    """Keep every entry, at noon of its day."""
    for day, text in entries():
        with clock.using(noon(day)):
            DemoEntry.create(day=day, text=text)


def think_of(question: str, limit: int = SHOWN) -> list[Thought]:
    """What comes to mind: found by words, and weighed with what memory says of it."""
    weights = {"certainty": WEIGHT, "relevance": WEIGHT}
    found = DemoEntry.query.recall(question, limit=limit, weights=weights, explain=True)
    why = found.explain().results
    return [Thought(entry, each.score, each.parts) for entry, each in zip(found, why, strict=True)]


def telling(text: str, question: str) -> str:
    """A line of a text, from the part on that has most words of the question."""
    stems = {word[:4] for word in re.findall(r"\w{4,}", question.lower())}
    clauses = re.split(r"(?<=[;,.]) ", text)
    counts = [sum(stem in clause.lower() for stem in stems) for clause in clauses]
    best = " ".join(clauses[counts.index(max(counts)) :])
    return best if len(best) <= WIDTH else f"{best[:WIDTH].rpartition(' ')[0]} …"


def picture(questions: list[str]) -> str:
    """What each of these questions brings to mind, and why."""
    lines: list[str] = []
    for question in questions:
        lines.append(f"[bold]{question}[/bold]")
        for thought in think_of(question):
            said = telling(thought.entry.text, question)
            lines.append(f"  [cyan]{thought.entry.day}[/cyan]  {said}")
            lines.append(f"        {thought.score:.2f}  = {reasons(thought)}")
    return "\n".join(lines)


def reasons(thought: Thought) -> str:
    """The three signals that count most."""
    most = sorted(thought.parts, key=lambda part: -abs(part.value * part.weight))
    named = [f"{part.name} {part.value:.2f} * {part.weight:g}" for part in most[:3]]
    return " + ".join([*named, *(["…"] if len(most) > 3 else [])])


def learn(question: str) -> None:
    """Tell the memory what became of what it thought of."""
    thoughts = [thought.entry for thought in think_of(question)]
    outcomes = {entry.pk: OUTCOMES.get(entry.day, "deferred") for entry in thoughts}
    ObservationProtocol.on_context_used(thoughts, outcomes)


def main() -> None:
    """Read the journal, ask, tell what became of it, ask again."""
    stage.enter()
    console = Console()
    DemoEntry.delete_all()
    try:
        read_in()
        number = DemoEntry.query.count()
        console.print(f"[bold]A castaway's memory[/bold]: {number} entries, asked on {TODAY}")
        with clock.using(noon(TODAY)):
            console.print(picture(QUESTIONS))
            learn(QUESTIONS[-1])
        console.print(f"Told that the wreck is right and the floating ship is past, by {LATER}:")
        with clock.using(noon(LATER)):
            console.print(picture(QUESTIONS[-1:]))
        console.print("By meaning as well: an EmbeddingField, and pip install 'popoto\\[minilm]'.")
    finally:
        DemoEntry.delete_all()


if __name__ == "__main__":
    main()
