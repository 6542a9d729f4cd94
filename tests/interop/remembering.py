"""What a side of the harness can do with memory, written once against the documented API.

`Remembering(popoto)` works with this package and with the published one. Each operation happens
`at` a moment, which both packages take from `time.time`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any
from unittest import mock

# The published package has no type information.
Record = Any


def memory_models(package: Any) -> dict[str, Any]:
    """Models with every memory field and mixin that keeps something beside a record."""

    class Memory(package.AccessTrackerMixin, package.PredictionLedgerMixin, package.Model):  # type: ignore[misc, name-defined]
        name = package.KeyField()
        agent = package.Field(type=str, null=True, default="a")
        weight = package.Field(type=float, default=1.0)
        relevance = package.DecayingSortedField(decay_rate=0.5, base_score_field="weight")
        rhythm = package.CyclicDecayField(
            decay_rate=0.3,
            cycles=[(604800, 3.0), (86400, 1.0, 60)],
            pressure_rate=0.1,
            partition_by="agent",
        )
        calm = package.CyclicDecayField(cycles=[(31536000, 2.0)])
        sure = package.ConfidenceField()
        apart = package.ConfidenceField(initial_confidence=0.8, partition_by="agent")

        _max_access_log = 3

    class Claim(package.Model):  # type: ignore[misc, name-defined]
        name = package.KeyField()
        agent = package.Field(type=str, null=True, default="a")
        sure = package.ConfidenceField()
        apart = package.ConfidenceField(initial_confidence=0.8, partition_by="agent")

    class Node(package.Model):  # type: ignore[misc, name-defined]
        name = package.KeyField()
        both = package.CoOccurrenceField()
        ways = package.CoOccurrenceField(symmetric=False, max_edges=3)

    class Note(package.WriteFilterMixin, package.Model):  # type: ignore[misc, name-defined]
        name = package.KeyField()
        worth = package.Field(type=float, default=0.5)

        def compute_filter_score(self) -> Any:
            return self.worth

    class Told(package.PredictionLedgerMixin, package.EventStreamMixin, package.Model):  # type: ignore[misc, name-defined]
        name = package.KeyField()
        sure = package.ConfidenceField()

        _stream_name = "told"
        _stream_metadata_fields = ("name",)

    return {model.__name__: model for model in (Memory, Claim, Node, Note, Told)}


class Remembering:
    """Operations on the models of `memory_models`. Records are named by their keys."""

    def __init__(self, package: ModuleType) -> None:
        self._package: Any = package
        self._known: dict[str, Any] = {}

    def at(self, moment: float, what: str, arguments: Sequence[Any]) -> Any:
        """The result of one operation at a moment."""
        with mock.patch("time.time", return_value=moment), warnings.catch_warnings():
            # The published package warns of its own use of asyncio.
            warnings.simplefilter("ignore")
            return getattr(self, f"_{what}")(*arguments)

    def _model(self, name: str) -> Any:
        if not self._known:
            self._known = memory_models(self._package)
        return self._known[name]

    def _record(self, key: str) -> Record:
        """A record as it is stored; reads are staged elsewhere."""
        model = self._model(key.partition(":")[0])
        tracks = getattr(model, "_track_reads", None)
        if tracks is not None:
            model._track_reads = False
        try:
            record = model.query.get(redis_key=key)
        finally:
            if tracks is not None:
                model._track_reads = tracks
        if record is None:
            raise LookupError(f"nothing is stored under {key!r}")
        return record

    def _memory_field(self, key: str, name: str) -> tuple[Any, Any]:
        model = self._model(key)
        return model, model._meta.fields[name]

    # -- records --------------------------------------------------------------

    def _keep(self, model: str, values: dict[str, Any]) -> bool:
        """Saves a new record; whether that was done."""
        return self._model(model)(**values).save() is not False

    def _change(self, key: str, values: dict[str, Any], only: Any = None) -> bool:
        record = self._record(key)
        for name, value in values.items():
            setattr(record, name, value)
        return record.save(update_fields=only) is not False

    def _forget(self, key: str) -> bool:
        return bool(self._record(key).delete())

    def _rekey(self, key: str, values: dict[str, Any]) -> None:
        record = self._record(key)
        for name, value in values.items():
            setattr(record, name, value)
        record.save(migrate_key=True)

    def _shown(self, key: str, field: str) -> Any:
        return getattr(self._record(key), field)

    def _upkeep(self, model: str, what: str) -> Any:
        found = getattr(self._model(model), what)()
        return found["total"] if isinstance(found, dict) else int(found)

    # -- decay and cycles -----------------------------------------------------

    def _touch(self, key: str, field: str) -> Any:
        return self._record(key).touch(field)

    def _resolve_pressure(self, key: str, field: str) -> Any:
        return self._record(key).resolve_pressure(field)

    def _strengthen_cycle(self, key: str, field: str, *factor: float) -> Any:
        return self._cycles(self._record(key).strengthen_cycle(field, *factor))

    def _weaken_cycle(self, key: str, field: str, *factor: float) -> Any:
        return self._cycles(self._record(key).weaken_cycle(field, *factor))

    def _cycles(self, found: Any) -> Any:
        """Cycles of three elements: a fourth is for this package alone."""
        return [list(cycle[:3]) for cycle in found]

    def _top(self, field: str, n: int, lookup: dict[str, Any]) -> list[str]:
        query = self._model("Memory").query.filter(**lookup).no_track()
        return [str(each.name) for each in query.top_by_decay(field, n=n)]

    def _scores(self, index: str, *more: Any) -> Any:
        """The scores that the script of the contract gives, by record key."""
        modules = self._package.fields
        server = self._package.redis_db.POPOTO_REDIS_DB
        is_cyclic = len(more) > 4
        name = "CYCLIC_DECAY_LUA" if is_cyclic else "DECAY_SCORE_LUA"
        module = modules.cyclic_decay_field if is_cyclic else modules.decaying_sorted_field
        number = 3 if is_cyclic else 1
        flat = server.eval(getattr(module, name), number, index, *more)
        return {
            key.decode(): float(score) for key, score in zip(flat[::2], flat[1::2], strict=True)
        }

    # -- confidence -----------------------------------------------------------

    def _learn(self, key: str, field: str, signal: float) -> float:
        return float(
            self._package.ConfidenceField.update_confidence(self._record(key), field, signal)
        )

    def _confidence(self, key: str, field: str) -> dict[str, float]:
        found = self._package.ConfidenceField.get_confidence_data(self._record(key), field)
        single = self._package.ConfidenceField.get_confidence(self._record(key), field)
        return {**{name: float(value) for name, value in found.items()}, "single": float(single)}

    def _filtered(self, model: str, field: str, pattern: str) -> Any:
        read = self._package.ConfidenceField.get_confidence_filtered
        return {
            key if isinstance(key, str) else key.decode(): {
                name: float(value) for name, value in found.items()
            }
            for key, found in read(self._model(model), field, pattern).items()
        }

    def _migrate(self, model: str, field: str, dry_run: bool) -> Any:
        move = self._package.ConfidenceField.migrate_to_partitioned
        report = move(self._model(model), field, dry_run=dry_run)
        return {**report, "errors": sorted(each["member_key"] for each in report["errors"])}

    # -- associations ---------------------------------------------------------

    def _edges(self, field: str, what: str, *arguments: Any) -> Any:
        """A method of the field; links reply nothing, as the published package cuts weights."""
        model, found = self._memory_field("Node", field)
        reply = getattr(found, what)(model, *arguments)
        return None if what == "link" else reply

    def _weight_of_link(self, source: str, target: str, weight: float) -> Any:
        model, field = self._memory_field("Node", "both")
        return field.link(model, source, target, weight)

    # -- reads ----------------------------------------------------------------

    def _read(self, key: str) -> None:
        self._record(key).on_read()

    def _confirm(self, key: str) -> Any:
        return self._record(key).confirm_access()

    def _discard(self, key: str) -> Any:
        return self._record(key).discard_staged_access()

    def _accesses(self, key: str) -> Any:
        record = self._record(key)
        return [record.access_count, record.last_accessed]

    # -- predictions ----------------------------------------------------------

    def _predict(self, key: str, predicted: Any) -> None:
        record = self._record(key)
        type(record).record_prediction(record, predicted)

    def _resolve(self, key: str, actual: Any) -> Any:
        record = self._record(key)
        return type(record).resolve_prediction(record, actual)

    def _auto_resolve(self, key: str, outcome: str) -> Any:
        record = self._record(key)
        return type(record).auto_resolve(record, outcome)

    def _prediction(self, key: str) -> Any:
        record = self._record(key)
        found = type(record).get_prediction_data(record)
        return None if found is None else {name: found[name] for name in sorted(found)}

    def _predicted(self, key: str) -> Any:
        return self._prediction(key)["predicted"]

    def _worst_keys(self, model: str) -> list[str]:
        kind = self._model(model)
        return [key for key, _ in kind.get_highest_errors(kind)]

    def _error(self, predicted: Any, actual: Any) -> Any:
        return self._model("Memory").compute_prediction_error(predicted, actual)

    def _worst(self, model: str) -> Any:
        kind = self._model(model)
        return [kind.get_highest_errors(kind), kind.error_summary(kind)]

    def _worst_by(self, model: str, group_by: str) -> Any:
        kind = self._model(model)
        return kind.error_summary(kind, group_by=group_by)

    # -- worth ----------------------------------------------------------------

    def _priority(self, model: str) -> Any:
        server = self._package.redis_db.POPOTO_REDIS_DB
        return [key.decode() for key in server.zrange(f"$WF:{model}:priority", 0, -1)]

    # -- outcomes -------------------------------------------------------------

    def _surface(self, keys: list[str], *partition: str) -> None:
        records = [self._record(key) for key in keys]
        chosen = partition[0] if partition else None
        self._package.ObservationProtocol.on_surfaced(records, partition=chosen)

    def _observe(self, outcomes: dict[str, str]) -> None:
        records = [self._record(key) for key in outcomes]
        self._package.ObservationProtocol.on_context_used(records, outcomes)

    def _observe_in(self, partition: str, outcomes: dict[str, str]) -> None:
        """Only this package takes a partition."""
        records = [self._record(key) for key in outcomes]
        observe = self._package.ObservationProtocol.on_context_used
        observe(records, outcomes, partition=partition)

    def _pending(self, model: str, *partition: str) -> Any:
        read = self._package.RecallProposal.get_pending
        return [list(each) for each in read(self._model(model), *partition)]

    def _settle(self, key: str, *partition: str) -> Any:
        chosen = partition[0] if partition else None
        return self._package.RecallProposal.resolve(self._record(key), "acted", partition=chosen)

    def _expire_stale(self, model: str, ttl: float) -> Any:
        expire = self._package.RecallProposal.expire_stale
        return sorted(expire(self._model(model), ttl=ttl))
