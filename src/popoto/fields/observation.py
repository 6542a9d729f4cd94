"""`ObservationProtocol`: what became of the records that an agent was shown.

The numbers are those of `Defaults` at the moment of the call, or those that were assigned to the
names of this module by which popoto 1.6 had them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from popoto import clock
from popoto._unknown_names import is_strict, tell
from popoto.engine.batch import Batch
from popoto.engine.keys import SEPARATOR
from popoto.engine.request import Plan, Reply
from popoto.engine.run import arun, run
from popoto.fields.access_tracker import AccessTrackerMixin, Confirming, Discarding
from popoto.fields.confidence.evidence import Learning
from popoto.fields.constants import Defaults
from popoto.fields.cycles.adjusting import Amplifying, Releasing
from popoto.fields.describing import describe
from popoto.fields.given import record_in, records_in
from popoto.fields.keeping.adjusting import Adjustment, Touching, carried_out
from popoto.fields.prediction_ledger import PredictionLedgerMixin
from popoto.fields.predictions.ledger import Resolving, note_resolved
from popoto.fields.surfacing import RecallProposal, Withdrawing

__all__ = ["VALID_OUTCOMES", "ObservationProtocol", "RecallProposal"]

VALID_OUTCOMES: Final = frozenset({"acted", "used", "dismissed", "deferred", "contradicted"})

#: The names by which popoto 1.6 had these numbers here. A module attribute of one of these names
#: that was assigned to holds instead of that of `Defaults`.
_NUMBERS: Final = frozenset(
    {
        "ACTED_CONFIDENCE_SIGNAL",
        "CONTRADICTED_CONFIDENCE_SIGNAL",
        "ACTED_CYCLE_STRENGTHEN_FACTOR",
        "DISMISSED_CYCLE_WEAKEN_FACTOR",
        "CONTRADICTED_CYCLE_WEAKEN_FACTOR",
        "AUTO_DISCHARGE_CONFIDENCE_THRESHOLD",
    }
)


def __getattr__(name: str) -> Any:
    if name in _NUMBERS:
        return getattr(Defaults, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _number(name: str) -> float:
    return float(globals().get(name, getattr(Defaults, name)))


#: What brings outcomes about, in histories.
_CAUSE: Final = "on_context_used"


class ObservationProtocol:
    """Tells records what became of them: read, surfaced, acted on, contradicted.

    Stateless; each method has a native asyncio twin, ``async_…``.
    """

    @staticmethod
    def on_read(instance: Any, pipeline: Any = None) -> None:
        """A record was read: stage it, if its model tracks accesses. One command."""
        if hasattr(instance, "on_read"):
            instance.on_read(pipeline=pipeline)
        else:
            record_in(instance, "on_read()")

    @staticmethod
    async def async_on_read(instance: Any, pipeline: Any = None) -> None:
        """`on_read` for asyncio."""
        if hasattr(instance, "async_on_read"):
            await instance.async_on_read(pipeline=pipeline)
        else:
            record_in(instance, "on_read()")

    @staticmethod
    def on_surfaced(
        instances: Sequence[Any],
        reason: str = "proactive",
        partition: str | None = None,
        pipeline: Any = None,
    ) -> None:
        """Records were proposed to an agent; see `RecallProposal.create_batch`."""
        if instances:
            RecallProposal.create_batch(instances, reason, partition, pipeline)

    @staticmethod
    async def async_on_surfaced(
        instances: Sequence[Any],
        reason: str = "proactive",
        partition: str | None = None,
        pipeline: Any = None,
    ) -> None:
        """`on_surfaced` for asyncio."""
        if instances:
            await RecallProposal.async_create_batch(instances, reason, partition, pipeline)

    @staticmethod
    def on_context_used(
        instances: Sequence[Any],
        outcome_map: Mapping[str, str],
        pipeline: Any = None,
        partition: str | None = None,
    ) -> None:
        """Let records learn what became of them.

        `outcome_map` has an outcome (`VALID_OUTCOMES`) for record keys (or records); records that
        it leaves out count as deferred, and what is no such key is told of. Records that are not
        stored are left out. Proposals of the records are resolved, those of one `partition` or,
        without, wherever they are pending.

        Raises ValueError for an outcome that is none, TypeError unless the records come in a
        list, before anything is done. All effects on the records of one model are one step: one
        command, whatever their number. `pipeline` may be a transaction.
        """
        run(_observing(instances, outcome_map, pipeline, partition))

    @staticmethod
    async def async_on_context_used(
        instances: Sequence[Any],
        outcome_map: Mapping[str, str],
        pipeline: Any = None,
        partition: str | None = None,
    ) -> None:
        """`on_context_used` for asyncio."""
        await arun(_observing(instances, outcome_map, pipeline, partition))


def _observing(
    given: Sequence[Any],
    outcome_map: Mapping[str, str],
    pipeline: Any,
    partition: str | None,
) -> Plan[None]:
    if not given:
        return
    if not isinstance(outcome_map, Mapping):
        raise TypeError(
            "on_context_used() takes a dict of record keys and their outcomes, such as "
            f"{{record.pk: 'acted'}}, got {outcome_map!r}"
        )
    for key, outcome in outcome_map.items():
        if not isinstance(outcome, str) or outcome not in VALID_OUTCOMES:
            raise ValueError(
                f"Invalid outcome {describe(outcome)} for {key!r}; outcomes are "
                f"{sorted(VALID_OUTCOMES)}"
            )
    instances = records_in(given, "on_context_used()")
    outcomes = _by_key(instances, outcome_map)
    adjustments: list[Adjustment] = []
    seen: set[str] = set()
    for instance in instances:
        if not instance._stored or instance.pk in seen:
            # Never stored, or shown twice.
            continue
        seen.add(instance.pk)
        adjustments += _effects(instance, outcomes.get(instance.pk, "deferred"), partition)
    yield from carried_out(adjustments, pipeline, skips_missing=True)
    for instance in instances:
        if outcomes.get(instance.pk) in getattr(instance, "_pl_auto_resolve_errors", ()):
            note_resolved(instance, pipeline)


def _by_key(instances: Sequence[Any], outcome_map: Mapping[Any, str]) -> Mapping[str, str]:
    """The outcomes by record key. Tells of what can be no record's key.

    Keys of other models are no mistake: one map may serve a call for each model.
    """
    outcomes: dict[str, str] = {}
    for key, outcome in outcome_map.items():
        if hasattr(key, "_meta"):
            found = key.pk
        else:
            found = key.decode("utf-8", "surrogateescape") if isinstance(key, bytes) else key
        if not isinstance(found, str) or SEPARATOR not in found:
            names = sorted({type(instance).__name__ for instance in instances})
            tell(
                f"on_context_used(): {key!r} is the key of no record of "
                f"{', '.join(names)}, so its outcome has no effect; use record.pk",
                refuse=is_strict(),
            )
            continue
        outcomes[found] = outcome
    return outcomes


def _effects(instance: Any, outcome: str, partition: str | None) -> Iterator[Adjustment]:
    """What an outcome does to one record: the touch, and all the rest as one."""
    if outcome == "acted":
        names = [field.name for field in instance._meta.listed("decay") if field.is_clock]
        if names:
            noting = instance._meta.noting(_CAUSE, outcome)
            yield Touching(instance, names, clock.now(), noting)
    parts = [*_parts(instance, outcome), Withdrawing(instance, partition)]
    yield _Outcome(instance, parts, outcome)


def _parts(instance: Any, outcome: str) -> Iterator[Adjustment]:
    options = instance._meta
    cyclic, confident = options.listed("cyclic"), options.listed("confidence")
    if isinstance(instance, AccessTrackerMixin):
        confirms = outcome in ("acted", "used")
        yield Confirming(instance) if confirms else Discarding(instance)
    factor = _FACTORS.get(outcome)
    if factor is not None:
        yield from (Amplifying(instance, field, _number(factor)) for field in cyclic)
    if outcome == "acted":
        yield from (Releasing(instance, field) for field in cyclic if field.pressure_rate)
    signal = _SIGNALS.get(outcome)
    if signal is not None:
        yield from (Learning(instance, field, _number(signal)) for field in confident)
    if isinstance(instance, PredictionLedgerMixin):
        error = instance._pl_auto_resolve_errors.get(outcome)
        if error is not None:
            yield Resolving(instance, error, "observed")
    if outcome == "contradicted":
        threshold = _number("AUTO_DISCHARGE_CONFIDENCE_THRESHOLD")
        for doubted in confident:
            for field in cyclic:
                if field.pressure_rate:
                    yield Releasing(instance, field, below=(doubted, threshold))


#: What amplitudes are multiplied by, and the signal for confidence, after each outcome.
_FACTORS: Final = {
    "acted": "ACTED_CYCLE_STRENGTHEN_FACTOR",
    "dismissed": "DISMISSED_CYCLE_WEAKEN_FACTOR",
    "contradicted": "CONTRADICTED_CYCLE_WEAKEN_FACTOR",
}
_SIGNALS: Final = {
    "acted": "ACTED_CONFIDENCE_SIGNAL",
    "contradicted": "CONTRADICTED_CONFIDENCE_SIGNAL",
}


class _Outcome(Adjustment):
    """Several adjustments of one record as one."""

    what = "on_context_used()"

    def __init__(self, instance: Any, parts: Sequence[Adjustment], outcome: str) -> None:
        super().__init__(instance)
        self.noting = instance._meta.noting(_CAUSE, outcome)
        self.parts = parts
        self.names = tuple(dict.fromkeys(name for part in parts for name in part.names))
        self.computed = tuple(dict.fromkeys(name for part in parts for name in part.computed))
        self._ends: list[int] = []

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        self._ends = []
        first = len(batch)
        for part in self.parts:
            part.put(batch, key, values)
            self._ends.append(len(batch) - first)

    def finish(self, replies: Sequence[Reply]) -> None:
        start = 0
        for part, end in zip(self.parts, self._ends, strict=True):
            part.finish(replies[start:end])
            start = end
