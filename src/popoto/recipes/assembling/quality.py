"""How good what was retrieved is: `RetrievalQuality`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from popoto.engine.looking_up import looked_up
from popoto.engine.request import Argument, Plan
from popoto.engine.run import arun, run
from popoto.fields.given import dict_in, number_in, records_in
from popoto.memory.confidence.formula import Evidence

__all__ = [
    "FOK_WEIGHT_CUE_FAMILIARITY",
    "FOK_WEIGHT_PARTIAL_RETRIEVAL",
    "FOK_WEIGHT_SUBTHRESHOLD_ACTIVATION",
    "Cue",
    "Measuring",
    "RetrievalQuality",
    "Yardstick",
    "confidence_command",
    "confidence_of",
    "familiarity",
    "measured",
]

FOK_WEIGHT_CUE_FAMILIARITY: Final = 0.4
FOK_WEIGHT_PARTIAL_RETRIEVAL: Final = 0.4
FOK_WEIGHT_SUBTHRESHOLD_ACTIVATION: Final = 0.2

_UNKNOWN_FAMILIARITY: Final = 0.5


@dataclass
class RetrievalQuality:
    """How good a retrieval is, from what is stored beside its records.

    `avg_confidence`      the mean confidence of the records; 1 for a model without confidence
    `score_spread`        standard deviation of the scores over their mean
    `fok_score`           the feeling of knowing (Koriat 1993): the mean over the cues of
                          0.4 familiarity + 0.4 partial retrieval + 0.2 activation below threshold
    `staleness_ratio`     the share of records whose stored score of the first decay field is absent
                          or below the threshold
    `score_distribution`  a score for each record: the weighted sum of what sorted fields store,
                          those without partition
    `per_cue_fok`         the parts of `fok_score` by the text of a cue, equal ones once
    `fok_by_name`         the same by the name of a cue
    """

    avg_confidence: float = 0.0
    score_spread: float = 0.0
    fok_score: float = 0.0
    staleness_ratio: float = 0.0
    score_distribution: list[float] = field(default_factory=list[float])
    per_cue_fok: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    fok_by_name: dict[str, dict[str, float]] = field(
        default_factory=dict[str, dict[str, float]], repr=False
    )

    @classmethod
    def from_records(
        cls,
        records: Sequence[Any],
        query_cues: Mapping[str, Any] | None = None,
        score_weights: Mapping[str, float] | None = None,
        max_items: int = 10,
        surfacing_threshold: float = 0.5,
    ) -> Self:
        """The quality of records of one class (else TypeError). One command."""
        yardstick = Yardstick.checked(score_weights, max_items, surfacing_threshold)
        found: Self = run(_of_records(cls, records, query_cues, yardstick))
        return found

    @classmethod
    async def async_from_records(
        cls,
        records: Sequence[Any],
        query_cues: Mapping[str, Any] | None = None,
        score_weights: Mapping[str, float] | None = None,
        max_items: int = 10,
        surfacing_threshold: float = 0.5,
    ) -> Self:
        """`from_records` for asyncio."""
        yardstick = Yardstick.checked(score_weights, max_items, surfacing_threshold)
        found: Self = await arun(_of_records(cls, records, query_cues, yardstick))
        return found


@dataclass(frozen=True, slots=True)
class Cue:
    """What was asked for, by which name, and how familiar it is."""

    name: str
    value: Any
    familiar: float

    @classmethod
    def all_of(cls, cues: Mapping[str, Any], familiar: Sequence[float]) -> list[Self]:
        """Cues with the familiarity of each."""
        pairs = zip(cues.items(), familiar, strict=True)
        return [cls(str(name), value, known) for (name, value), known in pairs]


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What records are measured against."""

    weights: Mapping[str, float] | None
    max_items: int
    threshold: float

    @classmethod
    def checked(cls, weights: Any, max_items: Any, threshold: Any) -> Self:
        """Raises TypeError for what is no dict of numbers or no number, ValueError for NaN."""
        by_name = dict_in(weights, "score_weights")
        for name, weight in by_name.items():
            number_in(weight, f"the weight of {name!r}")
        number_in(max_items, "max_items", infinite=True)
        number_in(threshold, "surfacing_threshold", infinite=True)
        return cls(None if weights is None else by_name, max_items, threshold)


def _of_records(
    cls: type[RetrievalQuality],
    records: Sequence[Any] | None,
    cues: Mapping[str, Any] | None,
    yardstick: Yardstick,
) -> Plan[Any]:
    cues = dict_in(cues, "query_cues")
    several = records_in(() if records is None else records, "RetrievalQuality.from_records()")
    if not several:
        return cls()
    models: list[Any] = []
    for record in several:
        model: Any = record.__class__
        if model not in models:
            models.append(model)
    if len(models) > 1:
        names = ", ".join(sorted(model.__name__ for model in models))
        raise TypeError(f"the records are of several classes: {names}")
    known = yield from familiarity(models[0], list(cues.values()))
    found: RetrievalQuality = yield from measured(
        models[0], several, several, Cue.all_of(cues, known), yardstick
    )
    return found if cls is RetrievalQuality else cls(**vars(found))


def familiarity(model: Any, values: Sequence[Any], options: Any = None) -> Plan[list[float]]:
    """How familiar the values of cues are: 1 or 0, and 0.5 where nothing can tell. One command.

    `options`: to one shard of a model that has several.
    """
    fields = model._meta.listed("existence")
    if not fields or not values:
        return [_UNKNOWN_FAMILIARITY] * len(values)
    asked = [str(value) for value in values]
    asking: Plan[list[bool]] = fields[0]._found(model, asked, options)
    return [1.0 if each else 0.0 for each in (yield from asking)]


def measured(
    model: Any,
    records: Sequence[Any],
    candidates: Sequence[Any],
    cues: Sequence[Cue],
    yardstick: Yardstick,
) -> Plan[RetrievalQuality]:
    """The quality of records that were chosen among candidates. One command."""
    measuring = Measuring(model, records, candidates, cues, yardstick)
    if not measuring.commands:
        return measuring.quality([])
    replies = yield from looked_up(measuring.commands, model._meta.shard, shards=measuring.shards)
    return measuring.quality(replies)


class Measuring:
    """What has to be looked up for a quality, and what it is. See `measured`."""

    def __init__(
        self,
        model: Any,
        records: Sequence[Any],
        candidates: Sequence[Any],
        cues: Sequence[Cue],
        yardstick: Yardstick,
    ) -> None:
        self.model = model
        self.records = records
        self.candidates = candidates
        self.cues = cues
        self.yardstick = yardstick
        self._groups: dict[str, list[Any]] = {}
        for record in {record.pk: record for record in (*records, *candidates)}.values():
            model._meta.isolation.check_had(record, "the quality")
            self._groups.setdefault(record._meta.shard, []).append(record)
        self._keys: list[str] = [each.pk for group in self._groups.values() for each in group]
        by_name = {each.name: each for each in model._meta.listed("sorted")}
        self._sorted = [by_name[name] for name in yardstick.weights or {} if name in by_name]
        self._confident = model._meta.listed("confidence")[:1]
        self.commands: list[tuple[Argument, ...]] = []
        #: of a model with several shards, that of each command
        self.shards: list[str] | None = None if model._meta.shard_by is None else []
        for each in self._sorted:
            for shard, group in self._groups.items():
                keys = [record.pk for record in group]
                self._put(("ZMSCORE", each.sorted_set_key, *keys), shard)
        for each in self._confident:
            for shard, group in self._groups.items():
                for record in group:
                    self._put(confidence_command(each, record), shard)

    def _put(self, command: tuple[Argument, ...], shard: str) -> None:
        self.commands.append(command)
        if self.shards is not None:
            self.shards.append(shard)

    def quality(self, replies: Sequence[Any]) -> RetrievalQuality:
        """By what the commands have replied."""
        stored, weights = self._stored(replies), self.yardstick.weights
        scores = _proxies(stored, weights)
        distribution = [] if scores is None else [scores[record.pk] for record in self.records]
        by_name, fok = _feeling_of_knowing(self.candidates, scores, self.cues, self.yardstick)
        return RetrievalQuality(
            avg_confidence=_mean([stored.confidences[each.pk] for each in self.records], 1.0),
            score_spread=_spread(distribution),
            fok_score=fok,
            staleness_ratio=_staleness(self.model, self.records, stored, self.yardstick),
            score_distribution=distribution,
            per_cue_fok={str(cue.value): dict(by_name[cue.name]) for cue in self.cues},
            fok_by_name=by_name,
        )

    def _stored(self, replies: Sequence[Any]) -> _Stored:
        confidences, keys = dict.fromkeys(self._keys, 1.0), self._keys
        if not replies:
            return _Stored(confidences, {})
        width = len(self._groups)
        last = len(self._sorted) * width
        columns = [
            [score for column in replies[first : first + width] for score in column]
            for first in range(0, last, width)
        ]
        evidence = replies[last:]
        for each in self._confident:
            for key, bytes_ in zip(keys, evidence, strict=True):
                confidences[key] = confidence_of(bytes_, each.initial_confidence)
        scores = {
            each.name: {
                key: None if score is None else float(score)
                for key, score in zip(keys, column, strict=True)
            }
            for each, column in zip(self._sorted, columns, strict=True)
        }
        return _Stored(confidences, scores)


@dataclass(frozen=True, slots=True)
class _Stored:
    """What is stored beside records, by record key."""

    confidences: Mapping[str, float]
    #: in the sorted sets of weighted fields
    scores: Mapping[str, Mapping[str, float | None]]


def confidence_command(field: Any, record: Any) -> tuple[Argument, ...]:
    """The command that reads what a confidence field knows of a record."""
    values = [getattr(record, name) for name in field.partition_by]
    return "HGET", field.partition_key(values), record.pk


def confidence_of(evidence: bytes | None, initial: float) -> float:
    """The confidence that evidence tells; the initial one where there is none, or none to read."""
    if evidence is None:
        return initial
    try:
        return Evidence.unpacked(evidence).confidence
    except ValueError:
        return initial


# The parts of it -------------------------------------------------------------------------------


def _proxies(stored: _Stored, weights: Mapping[str, float] | None) -> dict[str, float] | None:
    """The weighted sum of stored scores of each record; None without weights."""
    if weights is None:
        return None
    totals = dict.fromkeys(stored.confidences, 0.0)
    for name, column in stored.scores.items():
        for key, score in column.items():
            totals[key] += weights[name] * (score or 0.0)
    return totals


def _mean(numbers: Sequence[float], otherwise: float) -> float:
    return math.fsum(numbers) / len(numbers) if numbers else otherwise


def _spread(numbers: Sequence[float]) -> float:
    mean = _mean(numbers, 0.0)
    if abs(mean) < 1e-9:
        return 0.0
    return math.sqrt(_mean([(number - mean) ** 2 for number in numbers], 0.0)) / mean


def _staleness(model: Any, records: Sequence[Any], stored: _Stored, yardstick: Yardstick) -> float:
    fields = model._meta.listed("decay")[:1]
    if not records or not fields or fields[0].name not in (yardstick.weights or {}):
        return 0.0
    column = stored.scores.get(fields[0].name, {})
    scores = [column.get(record.pk) for record in records]
    stale = [score for score in scores if score is None or score < yardstick.threshold]
    return len(stale) / len(records)


def _feeling_of_knowing(
    candidates: Sequence[Any],
    scores: Mapping[str, float] | None,
    cues: Sequence[Cue],
    yardstick: Yardstick,
) -> tuple[dict[str, dict[str, float]], float]:
    most = max(yardstick.max_items, 1)
    partial = min(len(candidates), most) / most
    below = 0.0
    if candidates and scores and yardstick.weights:
        numbers = [scores[record.pk] for record in candidates]
        below = sum(0 < number < yardstick.threshold for number in numbers) / len(candidates)
    parts = {
        cue.name: {
            "cue_familiarity": cue.familiar,
            "partial_retrieval_count": partial,
            "subthreshold_activation": below,
            "component_score": FOK_WEIGHT_CUE_FAMILIARITY * cue.familiar
            + FOK_WEIGHT_PARTIAL_RETRIEVAL * partial
            + FOK_WEIGHT_SUBTHRESHOLD_ACTIVATION * below,
        }
        for cue in cues
    }
    return parts, _mean([each["component_score"] for each in parts.values()], 0.0)
