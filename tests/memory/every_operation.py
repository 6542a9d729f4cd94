"""Every public operation of memory fields and mixins, once each, with what it replies."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import MethodType
from typing import Any, TypeAlias

from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    CoOccurrenceField,
    CyclicDecayField,
    DecayingSortedField,
    EventStreamMixin,
    ExistenceFilter,
    FloatField,
    FrequencySketch,
    KeyField,
    Model,
    ObservationProtocol,
    PredictionLedgerMixin,
    RecallProposal,
    StringField,
    WriteFilterMixin,
    clock,
)
from tests.driver import Api
from tests.memory.words import text_of

NOW = 1_700_000_000.0


class Memory(AccessTrackerMixin, WriteFilterMixin, PredictionLedgerMixin, EventStreamMixin, Model):
    name = KeyField()
    agent = StringField(default="a")
    text = StringField(default="")
    weight = FloatField(default=1.0)
    relevance = DecayingSortedField(base_score_field="weight", partition_by="agent")
    rhythm = CyclicDecayField(cycles=[(100, 1.0)], pressure_rate=0.1, partition_by="agent")
    sure = ConfidenceField()
    apart = ConfidenceField(partition_by="agent")
    both = CoOccurrenceField()
    ways = CoOccurrenceField(symmetric=False)
    words = ExistenceFilter(capacity=1000, fingerprint_fn=text_of)
    counts = FrequencySketch(width=100, depth=3, fingerprint_fn=text_of)

    def compute_filter_score(self) -> float:
        return 0.9


#: What an operation is called on, by name; the model stands for its records.
TARGETS: dict[str, Any] = {
    "ConfidenceField": ConfidenceField,
    "CoOccurrenceField": Memory.both,
    "ExistenceFilter": Memory.words,
    "FrequencySketch": Memory.counts,
    "AccessTrackerMixin": Memory,
    "PredictionLedgerMixin": Memory,
    "ObservationProtocol": ObservationProtocol,
    "RecallProposal": RecallProposal,
    "Model": Memory,
}
#: The methods of a model that are those of memory fields.
OF_MODELS = {"touch", "bulk_touch", "resolve_pressure", "strengthen_cycle", "weaken_cycle"}
#: Owner, operation, arguments given the record m, and what it replies.
Step: TypeAlias = tuple[str, str, Callable[[Memory], tuple[Any, ...]], Any]

EVIDENCE = {"confidence": 0.9, "evidence_count": 1, "corroborations": 1, "contradictions": 0}
NOTHING = {"total": 0, "migrated": 0, "errors": [], "partitions": {}}

WRITES: list[Step] = [
    ("Model", "touch", lambda m: ("relevance",), NOW),
    ("Model", "bulk_touch", lambda m: ([m], "rhythm"), NOW),
    ("Model", "resolve_pressure", lambda m: ("rhythm",), NOW),
    ("Model", "strengthen_cycle", lambda m: ("rhythm", 3), [[100, 3.0, 0]]),
    ("Model", "weaken_cycle", lambda m: ("rhythm", 0.5), [[100, 1.5, 0]]),
    ("ConfidenceField", "update_confidence", lambda m: (m, "sure", 0.9), 0.9),
    ("ConfidenceField", "bulk_update_confidence", lambda m: ([(m, 0.9)], "apart"), [0.9]),
    ("CoOccurrenceField", "link", lambda m: (Memory, m.pk, "other", 0.5), 0.5),
    ("CoOccurrenceField", "bulk_link", lambda m: (Memory, [(m.pk, "third")], 0.25), [0.25]),
    ("CoOccurrenceField", "strengthen", lambda m: (Memory, m.pk, "other", 0.25), 0.75),
    ("CoOccurrenceField", "unlink", lambda m: (Memory, m.pk, "third"), None),
    ("CoOccurrenceField", "weaken_all", lambda m: (Memory, "other", 0.5), 0),
    ("AccessTrackerMixin", "on_read", lambda m: (), None),
    ("AccessTrackerMixin", "confirm_access", lambda m: (), 1),
    ("AccessTrackerMixin", "bulk_confirm_access", lambda m: ([m],), [0]),
    ("ObservationProtocol", "on_read", lambda m: (m,), None),
    ("AccessTrackerMixin", "discard_staged_access", lambda m: (), None),
    ("PredictionLedgerMixin", "record_prediction", lambda m: (m, {"x": 4}), None),
    ("PredictionLedgerMixin", "auto_resolve", lambda m: (m, "used"), 0.3),
    ("RecallProposal", "create_batch", lambda m: ([m],), None),
    ("RecallProposal", "resolve", lambda m: (m, "used"), 1),
    ("ObservationProtocol", "on_surfaced", lambda m: ([m], "why", "p"), None),
    ("ObservationProtocol", "on_context_used", lambda m: ([m], {m.pk: "acted"}), None),
]
#: What looks at the server first, so that it cannot follow other writes in one pipeline.
READS: list[Step] = [
    ("ConfidenceField", "get_confidence", lambda m: (m, "sure"), 0.9),
    ("ConfidenceField", "get_confidence_data", lambda m: (m, "apart"), {
        **EVIDENCE, "evidence_count": 2, "corroborations": 2,
    }),
    ("ConfidenceField", "get_confidence_filtered", lambda m: (Memory, "sure", "*:m"), {
        "Memory:m": {**EVIDENCE, "evidence_count": 2, "corroborations": 2},
    }),
    ("ConfidenceField", "migrate_to_partitioned", lambda m: (Memory, "apart"), NOTHING),
    ("CoOccurrenceField", "get_linked", lambda m: (Memory, m.pk), [("other", 0.375)]),
    ("CoOccurrenceField", "propagate", lambda m: (Memory, [m.pk]), {"other": 0.1875}),
    ("ExistenceFilter", "might_exist", lambda m: (Memory, "kubernetes"), True),
    ("ExistenceFilter", "definitely_missing", lambda m: (Memory, "gardening"), True),
    ("ExistenceFilter", "might_exist_batch", lambda m: (Memory, ["ship"]), {"ship": False}),
    ("ExistenceFilter", "might_exist_count", lambda m: (Memory, ["kubernetes", "ship"]), 1),
    ("ExistenceFilter", "fill_ratio", lambda m: (Memory,), 6 / 9585),
    ("FrequencySketch", "get_frequency", lambda m: (Memory, "kubernetes"), 1),
    ("AccessTrackerMixin", "access_count", lambda m: (), 1),
    ("AccessTrackerMixin", "last_accessed", lambda m: (), NOW),
    ("PredictionLedgerMixin", "get_prediction_data", lambda m: (m,), {
        "predicted": {"x": 4},
        "resolved": True,
        "resolution_mode": "observed",
        "prediction_error": 0.3,
        "resolved_at": str(NOW),
        "recorded_at": NOW,
    }),
    ("PredictionLedgerMixin", "get_highest_errors", lambda m: (Memory,), [("Memory:m", 0.3)]),
    ("PredictionLedgerMixin", "error_summary", lambda m: (Memory,), {
        "__all__": {
            "count": 1, "mean": 0.3, "stddev": 0.0, "max": 0.3,
            "p50": 0.3, "p90": 0.3, "p99": 0.3,
        }
    }),
    ("RecallProposal", "get_pending", lambda m: (Memory, "p"), []),
    ("RecallProposal", "expire_stale", lambda m: (Memory, None, 0), []),
    ("PredictionLedgerMixin", "resolve_prediction", lambda m: (m, {"x": 1}), None),
]  # fmt: skip


def operations_with_twins() -> set[tuple[str, str]]:
    """Every public operation that there is, as far as it has an asyncio twin."""
    kinds = (
        *(ConfidenceField, CoOccurrenceField, ExistenceFilter, FrequencySketch),
        *(AccessTrackerMixin, PredictionLedgerMixin, ObservationProtocol, RecallProposal),
    )
    found = {
        (kind.__name__, name.removeprefix("async_"))
        for kind in kinds
        for name, _ in inspect.getmembers(kind, inspect.isroutine)
        if name.startswith("async_")
    }
    return found | {("Model", name) for name in OF_MODELS}


def remembered(api: Api) -> Memory:
    """The record m, as it was just made."""
    with clock.using(NOW):
        made: Memory = api(Memory.create, name="m", text="kubernetes")
    return made


def replies(api: Api, memory: Memory, steps: list[Step], **more: Any) -> Iterator[tuple[str, Any]]:
    """What each step is, and what it replies, one after the other."""
    with clock.using(NOW):
        for owner, name, arguments, _ in steps:
            target = TARGETS[owner]
            on_record = owner in ("AccessTrackerMixin", "Model") and name != "bulk_touch"
            yield (
                name,
                called(api, memory if on_record else target, name, *arguments(memory), **more),
            )


def called(api: Api, target: Any, name: str, *arguments: Any, **more: Any) -> Any:
    """An operation or its twin; a static method and a property have one as well."""
    if api.is_async:
        return api.run(getattr(target, f"async_{name}")(*arguments, **more))
    found = getattr(target, name)
    is_called = isinstance(found, MethodType) or inspect.isroutine(found)
    return found(*arguments, **more) if is_called else found


def wanted(steps: list[Step]) -> list[tuple[str, Any]]:
    """What each step has to reply."""
    return [(name, reply) for _, name, _, reply in steps]


def in_transactions(steps: list[Step]) -> list[list[Step]]:
    """As few as can be: a record is written once in each, and touching writes it."""
    return [steps[:1], steps[1:2], steps[2:]]
