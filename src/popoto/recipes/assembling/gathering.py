"""Where the records of a context come from: what cues pull, and what pushes itself forward."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from popoto.engine.request import Plan
from popoto.engine.together import together
from popoto.exceptions import QueryException
from popoto.fields.constants import Defaults
from popoto.models.reading.ranking.composite import Scoring, composite_score
from popoto.recipes.assembling.quality import familiarity
from popoto.recipes.assembling.searching import by_words, by_words_and_meaning

__all__ = ["MODES", "Asked", "Gathered", "gathered", "mode_of", "pulled"]

_LEAST_ACTIVATION: Final = 0.01


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be gathered."""

    model: Any
    weights: Mapping[str, float]
    cues: Mapping[str, Any]
    filters: Mapping[str, Any]
    mode: str
    max_items: int
    threshold: float
    depth: int


@dataclass(frozen=True, slots=True)
class Gathered:
    """Candidates by where they came from, best first, and how familiar each cue is."""

    pull: Sequence[Any]
    push: Sequence[Any]
    familiar: Sequence[float]


# Ways to retrieve ------------------------------------------------------------------------------

#: The candidates for what was asked, at most so many, with numbers that lift records by their keys.
Retrieve = Callable[[Asked, int, "Mapping[str, float] | None"], Plan[list[Any]]]


def _composite(asked: Asked, limit: int, boost: Mapping[str, float] | None) -> Plan[list[Any]]:
    """By the weighted signals alone: what the cues say does not count."""
    spec = asked.model.query.filter(**asked.filters).no_track()._spec
    return composite_score(spec, Scoring(asked.weights, limit, co_occurrence_boost=boost))


def _lexical(asked: Asked, limit: int, boost: Mapping[str, float] | None) -> Plan[list[Any]]:
    """By the words of the cues."""
    cues = asked.cues.values()
    return by_words(asked.model, asked.filters, cues, asked.weights, limit, boost)


def _hybrid(asked: Asked, limit: int, boost: Mapping[str, float] | None) -> Plan[list[Any]]:
    """By the words of the cues, and by their meaning."""
    cues = asked.cues.values()
    return by_words_and_meaning(asked.model, asked.filters, cues, asked.weights, limit, boost)


MODES: Final[Mapping[str, Retrieve]] = {
    "hybrid": _hybrid,
    "lexical": _lexical,
    "composite": _composite,
}

#: What a model must have for a mode, as its options list fields.
_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "hybrid": ("keywords", "embedding"),
    "lexical": ("keywords",),
    "composite": (),
}


def mode_of(model: Any, wanted: str) -> str:
    """The mode to retrieve by: the wanted one; `auto` is the first that the model allows.

    Raises QueryException for a mode that it does not allow, or that is none.
    """
    if wanted not in ("auto", *_NEEDS):
        raise QueryException(f"retrieval_mode must be auto, {', '.join(_NEEDS)}; got {wanted!r}")
    allowed = [
        mode for mode, words in _NEEDS.items() if all(model._meta.listed(word) for word in words)
    ]
    if wanted == "auto":
        return allowed[0]
    if wanted not in allowed:
        raise QueryException(
            f"{model.__name__} cannot be searched like this: retrieval_mode={wanted!r} needs a "
            "BM25Field, hybrid an EmbeddingField as well; composite ranks by score_weights alone"
        )
    return wanted


# Gathering -------------------------------------------------------------------------------------


def gathered(asked: Asked) -> Plan[Gathered]:
    """Everything that may stand in a context. One round trip, two more for associations."""
    cues = list(asked.cues.values())
    found = yield from together(
        _push(asked), familiarity(asked.model, cues), pulled(asked, 2 * asked.max_items)
    )
    push, familiar = found[:2]
    pull: Sequence[Any] = found[2]
    if not any(familiar):
        pull = []
    elif pull:
        pull = yield from _lifted(asked, pull)
    return Gathered(pull, push, familiar)


def pulled(asked: Asked, limit: int, boost: Mapping[str, float] | None = None) -> Plan[list[Any]]:
    """The best records for the cues. Without cues, none."""
    if not asked.cues:
        return []
    return (yield from MODES[asked.mode](asked, limit, boost))


def _push(asked: Asked) -> Plan[list[Any]]:
    """Records whose cycles and pressure have brought them above the threshold."""
    fields = asked.model._meta.listed("cyclic")
    if not fields:
        return []
    spec = asked.model.query.filter(**asked.filters).no_track()._spec
    least = asked.threshold if asked.threshold > 0 else None
    scoring = Scoring({fields[0].name: 1.0}, asked.max_items, min_score=least)
    return (yield from composite_score(spec, scoring))


def _lifted(asked: Asked, pull: Sequence[Any]) -> Plan[Sequence[Any]]:
    """The candidates once more, those lifted that are associated with the first of them."""
    fields = asked.model._meta.listed("edges")
    if not fields or asked.max_items <= 0:
        return pull
    seeds: list[str] = [record.pk for record in pull[: asked.max_items]]
    decay = Defaults.CO_OCCURRENCE_DECAY_PER_HOP
    spreading: Plan[dict[str, float]] = fields[0]._spreading(
        asked.model, seeds, asked.depth, decay, _LEAST_ACTIVATION
    )
    reached = yield from spreading
    boost = {key: number for key, number in reached.items() if key not in seeds}
    if not boost:
        return pull
    return (yield from pulled(asked, 2 * asked.max_items, boost))
