"""`explain_confidence`: today's confidence of a record, step by step from its history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from popoto.engine.batch import Batch
from popoto.engine.request import Plan, Request
from popoto.engine.run import arun, run
from popoto.fields.confidence.evidence import readable
from popoto.fields.given import record_in
from popoto.fields.history.entries import HistoryEntry, entries_in, kept_by, key_of, moment
from popoto.memory.confidence.formula import Evidence
from popoto.memory.history.noting import History, history_key

__all__ = [
    "ConfidenceExplanation",
    "ConfidenceStep",
    "async_explain_confidence",
    "explain_confidence",
]


@dataclass(frozen=True, slots=True)
class ConfidenceStep:
    """One change of a confidence, computed anew.

    `before`, `after`  the evidence on both sides, by the formula
    `entry`            what the history says of it
    `follows`          whether it goes on where the step before it has ended. If not, something that
                       is not in the history has changed the evidence, and the replay takes it up as
                       the entry says it was
    """

    before: Evidence
    after: Evidence
    entry: HistoryEntry
    follows: bool = True

    def __str__(self) -> str:
        entry = self.entry
        if entry.signal is None:
            sum_ = f"taken over: {self.after.confidence!r}"
        else:
            old, number = self.before.confidence, self.after.evidence_count
            sum_ = f"{old!r} + ({entry.signal!r} - {old!r}) / sqrt({number})"
            sum_ += f" = {self.after.confidence!r}"
        return f"{moment(entry.at)}  {sum_} ({entry.reason})"


@dataclass(frozen=True, slots=True)
class ConfidenceExplanation:
    """How a confidence came about. Its text tells it line by line.

    `record`, `field`  the record's key and the field's name
    `confidence`       today's, as it is stored
    `evidence_count`   the number of signals behind it
    `start`            the evidence with which the replay begins
    `steps`            what followed, each computed from the one before it
    `replayed`         the evidence that the last step comes to
    """

    record: str
    field: str
    confidence: float
    evidence_count: int
    start: Evidence
    steps: tuple[ConfidenceStep, ...]
    replayed: Evidence
    history: History

    @property
    def is_exact(self) -> bool:
        """Whether the replay comes to the stored confidence, to the last bit."""
        found = self.replayed
        return (found.confidence, found.evidence_count) == (self.confidence, self.evidence_count)

    @property
    def is_whole(self) -> bool:
        """Whether every signal is among the steps: nothing was cut off, and nothing lacks."""
        return not self.missing and all(step.follows for step in self.steps) and self.is_exact

    @property
    def missing(self) -> int:
        """How many signals came before the first step: those are in the history no more."""
        return self.start.evidence_count

    def __str__(self) -> str:
        lines = [
            f"{self.record} {self.field}: {self.confidence!r} after {_signals(self.evidence_count)}"
        ]
        if self.missing:
            lines.append(
                f"  begins with {self.start.confidence!r}: {_signals(self.missing)} before that "
                f"cannot be replayed ({self._bounds}, and may have begun later than the record)"
            )
        else:
            lines.append(f"  begins with {self.start.confidence!r}")
        for step in self.steps:
            if not step.follows:
                was = step.before
                lines.append(
                    f"  goes on with {was.confidence!r} after {_signals(was.evidence_count)}: "
                    "something changed it that is not in the history"
                )
            lines.append(f"  {step}")
        if not self.is_exact:
            lines.append(
                f"  comes to {self.replayed.confidence!r} after "
                f"{_signals(self.replayed.evidence_count)}, which is not what is stored: something "
                "changed it that is not in the history"
            )
        return "\n".join(lines)

    @property
    def _bounds(self) -> str:
        length, age = self.history.max_length, self.history.age
        bounds = [] if length is None else [f"{length} entries"]
        bounds += [] if age is None else [f"{age:g} seconds"]
        kept = " and ".join(bounds) or "everything"
        return f"the history keeps {kept}"


def _signals(number: int) -> str:
    return f"{number} signal" if number == 1 else f"{number} signals"


def explain_confidence(record: Any, field_name: str | None = None) -> ConfidenceExplanation:
    """Compute a record's confidence anew from its history, and compare it with what is stored.

    `field_name` may be left out where the model has one `ConfidenceField`. The history may have
    been cut (`History`), or may have begun later than the record: the replay then starts from the
    first state that it knows (`start`, `missing`). Raises ModelException for a model without
    `Meta.history`, TypeError for a name that is no ConfidenceField. One command.
    """
    return run(_explaining(record, field_name))


async def async_explain_confidence(
    record: Any, field_name: str | None = None
) -> ConfidenceExplanation:
    """`explain_confidence` for asyncio."""
    return await arun(_explaining(record, field_name))


def _explaining(record: Any, field_name: str | None) -> Plan[ConfidenceExplanation]:
    options = record_in(record, "explain_confidence()")._meta
    history = kept_by(options)
    field = _field_of(options, field_name)
    key = key_of(record)
    saved: Mapping[str, Any] = record._saved_field_values if record._stored else {}
    place: list[Any] = [
        saved[name] if name in saved else getattr(record, name) for name in field.partition_by
    ]
    # One script, so that no signal comes between the number and its history.
    batch = Batch()
    number_key, stream_key = field.partition_key(place), history_key(options.model_name, key)
    batch.put("KIND", number_key, "hash")
    batch.put("KIND", stream_key, "stream")
    batch.put("HGET", number_key, key)
    batch.put("XRANGE", stream_key, "-", "+")
    (reply,) = yield Request.of(batch.call(), shard=options.shard, repeatable=True)
    # Any: bytes, and the entries of a stream.
    told: list[Any] = Batch.replies_of(reply)
    *_, stored, found = told
    evidence = readable(stored, key) or Evidence(field.initial_confidence)
    entries = [
        entry
        for entry in entries_in(found, history)
        if entry.kind == "confidence" and entry.field == field.name
    ]
    steps = _replayed(entries)
    return ConfidenceExplanation(
        key,
        field.name,
        evidence.confidence,
        evidence.evidence_count,
        steps[0].before if steps else evidence,
        tuple(steps),
        steps[-1].after if steps else evidence,
        history,
    )


def _field_of(options: Any, name: str | None) -> Any:
    fields: Sequence[Any] = options.listed("confidence")
    if name is None and len(fields) == 1:
        return fields[0]
    found = [field for field in fields if field.name == name]
    if not found:
        names = ", ".join(field.name for field in fields) or "it has none"
        raise TypeError(f"name a ConfidenceField of {options.model_name} ({names}), got {name!r}")
    return found[0]


def _replayed(entries: Iterable[HistoryEntry]) -> list[ConfidenceStep]:
    steps: list[ConfidenceStep] = []
    now: Evidence | None = None
    for entry in entries:
        number = entry.evidence_count or 0
        if entry.signal is None:
            # Evidence that was moved here: nothing computes it.
            said = Evidence(entry.after, number)
            steps.append(ConfidenceStep(now or said, said, entry))
        else:
            said = Evidence(entry.before, number - 1)
            follows = now is None or _same(now, said)
            before = now if now is not None and follows else said
            steps.append(ConfidenceStep(before, before.learned(entry.signal), entry, follows))
        now = steps[-1].after
    return steps


def _same(one: Evidence, other: Evidence) -> bool:
    return (one.confidence, one.evidence_count) == (other.confidence, other.evidence_count)
