"""Where the records of a context come from: what cues pull, and what pushes itself forward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from popoto.engine.request import Plan
from popoto.engine.together import together
from popoto.fields.constants import Defaults
from popoto.models.reading.ranking.asked import Scoring
from popoto.models.reading.ranking.composite import composite_score
from popoto.recipes.assembling.asked import Asked
from popoto.recipes.assembling.quality import familiarity
from popoto.recipes.assembling.retrieving import Retrieval, retrieval

__all__ = ["Gathered", "gathered", "pulled"]

_LEAST_ACTIVATION: Final = 0.01


@dataclass(frozen=True, slots=True)
class Gathered:
    """Candidates by where they came from, best first, and how familiar each cue is."""

    pull: Sequence[Any]
    push: Sequence[Any]
    familiar: Sequence[float]


def gathered(asked: Asked) -> Plan[Gathered]:
    """Everything that may stand in a context.

    What retrieving takes, with which the rest shares its first round trip; two more for
    associations.
    """
    cues = list(asked.cues.values())
    retrieving = retrieval(asked)
    limit = 2 * asked.max_items
    found = yield from together(
        _push(asked), familiarity(asked.model, cues), pulled(retrieving, limit)
    )
    push, familiar = found[:2]
    pull: Sequence[Any] = found[2]
    if not any(familiar):
        pull = []
    elif pull:
        pull = yield from _lifted(retrieving, pull, limit)
    return Gathered(pull, push, familiar)


def pulled(retrieving: Retrieval, limit: int) -> Plan[list[Any]]:
    """The best records for the cues. Without cues, none."""
    if not retrieving.asked.cues:
        return []
    return (yield from retrieving.best(limit))


def _push(asked: Asked) -> Plan[list[Any]]:
    """Records whose cycles and pressure have brought them above the threshold."""
    fields = asked.model._meta.listed("cyclic")
    if not fields:
        return []
    least = asked.threshold if asked.threshold > 0 else None
    scoring = Scoring({fields[0].name: 1.0}, asked.max_items, min_score=least)
    return (yield from composite_score(asked.spec, scoring))


def _lifted(retrieving: Retrieval, pull: Sequence[Any], limit: int) -> Plan[Sequence[Any]]:
    """The candidates once more, those lifted that are associated with the first of them."""
    asked = retrieving.asked
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
    return (yield from retrieving.best(limit, boost))
