"""What a recall was asked for: by which signals, and how much each counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from popoto.exceptions import QueryException
from popoto.fields.associations.edges import end_of
from popoto.fields.describing import describe
from popoto.memory.composite.signals import Signal
from popoto.memory.recall.formula import WEIGHTS, reads_value, saturated
from popoto.models.reading.planning import AnyField
from popoto.models.reading.ranking.asked import checked_number
from popoto.models.reading.ranking.composite import signal_named
from popoto.models.reading.ranking.keywords import keyword_field
from popoto.models.reading.ranking.similar import embedding_field
from popoto.models.reading.spec import QuerySpec
from popoto.models.record.options import ModelOptions

__all__ = [
    "ASSOCIATIONS",
    "LATE",
    "LENGTH",
    "MEANING",
    "NEIGHBOURS",
    "OF_TEXT",
    "SESSION",
    "SPEAKER",
    "WORDS",
    "MemorySignal",
    "Recalling",
    "Signals",
    "key_of_cue",
    "told_of_order",
    "told_of_words",
]

WORDS: Final = "words"
MEANING: Final = "meaning"
LENGTH: Final = "length"
ASSOCIATIONS: Final = "associations"
LATE: Final = "late_interaction"
NEIGHBOURS: Final = "neighbours"
SESSION: Final = "session"
SPEAKER: Final = "speaker"
#: What the text of a record says; the order of records builds on these.
OF_TEXT: Final = (WORDS, MEANING, LENGTH)
_READS: Final = "access_count"


@dataclass(frozen=True, slots=True)
class Recalling:
    """What a recall was asked for; see `recall` in `query_rankings`.

    `boost`: further activation by record key, as associations tell it. `verified`: False leaves it
    to who reads the records whether they exist and match, and saves the round trip for those that
    words have not brought: these have nothing of memory, and a text of the usual length.
    """

    text: Any
    limit: Any
    field: str | None = None
    signals: Iterable[str] | None = None
    weights: Mapping[str, float] | None = None
    cues: Iterable[Any] | None = None
    min_score: Any = None
    boost: Mapping[str, float] | None = None
    verified: bool = True

    def check(self, options: ModelOptions) -> None:
        """Raise QueryException for cues that are no list of keys."""
        is_one = isinstance(self.cues, (str, bytes)) or hasattr(self.cues, "_meta")
        if is_one or not isinstance(self.cues or (), Iterable):
            raise QueryException(
                f"{options.model_name}: cues are records or their keys, such as [record], got "
                f"{describe(self.cues)}"
            )


@dataclass(frozen=True, slots=True)
class MemorySignal:
    """A number that memory has for records, and how it is read."""

    name: str
    signal: Signal
    #: what a record has of which nothing is kept
    absent: float
    value: Callable[[float], float]
    #: whose it is; None: a mixin's
    field: AnyField | None = None

    def read(self, told: bytes) -> float:
        """The value of what the server has told."""
        return self.value(float(told)) if told else self.absent


@dataclass(frozen=True, slots=True)
class Signals:
    """The signals that count, by name, each with its weight."""

    weights: Mapping[str, float]
    keywords: AnyField | None
    embedding: AnyField | None
    memory: tuple[MemorySignal, ...]

    def has(self, name: str) -> bool:
        """Whether a signal counts."""
        return name in self.weights

    @property
    def is_in_order(self) -> bool:
        """Whether it counts what was said before and after."""
        return self.has(NEIGHBOURS) or self.has(SESSION)

    @property
    def is_parted(self) -> bool:
        """Whether it is about one partition of several."""
        fields = [] if self.keywords is None else [self.keywords]
        fields += [each.field for each in self.memory if each.field is not None]
        return any(field.partition_names for field in fields)

    @classmethod
    def of(cls, spec: QuerySpec, asked: Recalling) -> Signals:
        """What counts by default, or as asked for. Raises QueryException."""
        options = spec.options
        defaults = _defaults(spec, asked)
        if WORDS not in defaults and MEANING not in defaults:
            raise QueryException(
                f"{options.model_name} has no text that recall() could compare with a question: "
                "give it a BM25Field, an EmbeddingField or both"
            )
        given = asked.weights or {}
        wanted = _names(spec, asked.signals, defaults, given)
        weights: dict[str, float] = {}
        for name in wanted:
            weight = defaults.get(name, 0.0)
            if name == NEIGHBOURS and LATE in wanted:
                # Words just before and after count there already.
                weight = 0.0
            if name in given:
                weight = checked_number(options, f"the weight of {name!r}", given[name])
            if weight:
                weights[name] = weight
        if WORDS not in weights and MEANING not in weights:
            raise QueryException(
                f"{options.model_name}: recall() needs the words or the meaning of its question; "
                "composite_score() ranks by other signals alone"
            )
        has_index = WORDS in weights or LENGTH in weights
        return cls(
            weights,
            keyword_field(options, asked.field) if has_index else None,
            embedding_field(spec, source_of(options, asked.field)) if MEANING in weights else None,
            tuple(_memory_signal(spec, name) for name in weights if name not in _NO_INDEX),
        )


#: Signals that no index of numbers tells.
_NO_INDEX: Final = frozenset({*OF_TEXT, ASSOCIATIONS, LATE, NEIGHBOURS, SESSION, SPEAKER})


def told_of_order(options: ModelOptions) -> tuple[str, ...]:
    """The signals that a model has because it tells the order of its records, or who speaks."""
    declared = options.recall
    if declared is None:
        return ()
    of_order = () if declared.order is None else (NEIGHBOURS, SESSION)
    return of_order if declared.speaker is None else (*of_order, SPEAKER)


def told_of_words(spec: QuerySpec, field: str | None) -> tuple[str, ...]:
    """The signals that a model has because the vectors of its words are kept.

    `field`: the BM25Field by which it is searched, where it has several.
    """
    embedding = embedding_field(spec, source_of(spec.options, field))
    return (LATE,) if embedding.tells_words else ()


def source_of(options: ModelOptions, field: str | None) -> str | None:
    """The text whose words are searched: that of this BM25Field, or of the only one."""
    fields = options.listed("keywords")
    found = [each.source for each in fields if len(fields) == 1 or each.name == field]
    return found[0] if found else None


def _defaults(spec: QuerySpec, asked: Recalling) -> dict[str, float]:
    """The signals that a model has, with the weights that they have by default."""
    options = spec.options
    found: dict[str, float] = {}
    if options.listed("keywords"):
        found |= {WORDS: WEIGHTS[WORDS], LENGTH: WEIGHTS[LENGTH]}
    if options.listed("embedding"):
        found[MEANING] = WEIGHTS[MEANING]
        found |= {name: WEIGHTS[name] for name in told_of_words(spec, asked.field)}
    found |= {field.name: WEIGHTS["decay"] for field in options.listed("decay")}
    found |= {field.name: WEIGHTS["confidence"] for field in options.listed("confidence")}
    if hasattr(spec.model, "_access_signal"):
        found[_READS] = WEIGHTS["access"]
    if options.listed("edges") or asked.boost:
        found[ASSOCIATIONS] = WEIGHTS[ASSOCIATIONS]
    return found | {name: WEIGHTS[name] for name in told_of_order(options)}


def _names(
    spec: QuerySpec,
    signals: Iterable[str] | None,
    defaults: Mapping[str, float],
    given: Mapping[str, float],
) -> list[str]:
    """The names of the signals that are to count. Raises QueryException."""
    options = spec.options
    if not isinstance(given, Mapping):
        raise QueryException(
            f"{options.model_name}: weights are numbers by the name of a signal, got "
            f"{describe(given)}"
        )
    if signals is None:
        names = [*defaults, *(name for name in given if name not in defaults)]
    elif isinstance(signals, (str, bytes)) or not isinstance(signals, Iterable):
        raise QueryException(
            f"{options.model_name}: signals are names, such as ['words'], got {describe(signals)}"
        )
    else:
        names = list(dict.fromkeys(signals))
        left_out = [name for name in given if name not in names]
        if left_out:
            raise QueryException(
                f"{options.model_name}: {', '.join(map(describe, left_out))} has a weight, but "
                "is none of the signals that are asked for"
            )
    for name in names:
        if name not in defaults and name in _NO_INDEX | {_READS}:
            raise QueryException(
                f"{options.model_name} has no signal {name!r}; it has {', '.join(defaults)}"
            )
        if name not in defaults and name not in given:
            raise QueryException(
                f"{options.model_name}: {describe(name)} counts nothing by default: give it a "
                f"weight, or name one of {', '.join(defaults)}"
            )
    return names


def _memory_signal(spec: QuerySpec, name: str) -> MemorySignal:
    """How a signal of memory is read; any other index is read as it is. Raises QueryException."""
    options = spec.options
    signal = signal_named(spec, name)
    if name == _READS:
        return MemorySignal(name, signal, 0.0, reads_value)
    field = options.by_name.get(name)
    if field is not None and field in options.listed("decay"):
        return MemorySignal(name, signal, 0.0, saturated, field)
    if field is not None and field in options.listed("confidence"):
        return MemorySignal(name, signal, field.initial_confidence, float, field)
    return MemorySignal(name, signal, 0.0, float, field)


def key_of_cue(cue: Any) -> str:
    """The record key that a cue stands for: that of a record, or the cue itself.

    Raises QueryException for what is neither.
    """
    try:
        return end_of(cue)
    except (TypeError, ValueError) as error:
        raise QueryException(
            f"cues are records or their keys, and one of them is {describe(cue)}"
        ) from error
