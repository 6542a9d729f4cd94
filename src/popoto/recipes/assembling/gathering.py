"""Where the records of a context come from: what cues pull, and what pushes itself forward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from popoto.engine.request import Plan
from popoto.engine.together import together
from popoto.memory.composite.signals import Signal, given
from popoto.models.reading.ranking.asked import Scoring
from popoto.models.reading.ranking.composite import composite_score
from popoto.recipes.assembling.asked import Asked
from popoto.recipes.assembling.quality import familiarity
from popoto.recipes.assembling.retrieving import retrieval
from popoto.recipes.assembling.traversing import traversed

__all__ = ["Gathered", "gathered", "probed"]

_LEAST_ACTIVATION: Final = 0.01


@dataclass(frozen=True, slots=True)
class Gathered:
    """Candidates by where they came from, best first, and how familiar each cue is.

    `considered`: what was pulled before the gate decided. `gate`: what that said, if there is one.
    """

    pull: Sequence[Any]
    push: Sequence[Any]
    familiar: Sequence[float]
    considered: Sequence[Any]
    gate: dict[str, Any] | None = None


def gathered(asked: Asked) -> Plan[Gathered]:
    """Everything that may stand in a context.

    Two round trips: one to rank, and one to read what was ranked and what associations lift. One
    where records are ranked by signals alone, and no associations are followed. Walking along
    relationships is one more for each step, and a gate is one more.
    """
    cues = list(asked.cues.values())
    push, familiar, pull = yield from together(
        _push(asked), _familiar(asked, cues), _pulled(asked, 2 * asked.max_items)
    )
    pulled = yield from _read(pull, familiar)
    if asked.gate is None:
        return Gathered(pulled, push, familiar, pulled)
    told = yield from asked.gate.decided(asked.model, pulled)
    return Gathered([] if asked.gate.refuses(told) else pulled, push, familiar, pulled, told)


def probed(asked: Asked, limit: int) -> Plan[Gathered]:
    """The best so many for the cues, without what associations lift. As many round trips."""
    cues = list(asked.cues.values())
    familiar, pull = yield from together(_familiar(asked, cues), _pulled(asked, limit, lifts=False))
    pulled = yield from _read(pull, familiar)
    return Gathered(pulled, [], familiar, pulled)


def _familiar(asked: Asked, cues: Sequence[Any]) -> Plan[list[float]]:
    return familiarity(asked.model, cues, asked.spec.options)


def _read(pull: Plan[list[Any]], familiar: Sequence[float]) -> Plan[list[Any]]:
    """What was ranked, unless nobody knows any of the cues."""
    return (yield from pull) if any(familiar) else []


def _pulled(asked: Asked, limit: int, *, lifts: bool = True) -> Plan[Plan[list[Any]]]:
    """The best for the cues are ranked; what that returns reads them. Without cues, none.

    Where nothing is lifted, records that are ranked by signals are read at once.
    """
    if not asked.cues or limit <= 0:
        return _at_hand([])
    way = retrieval(asked)
    fields = asked.model._meta.listed("edges") if lifts else ()
    follows = bool(fields or (lifts and asked.traversed))
    if not follows and way.reads_at_once:
        return _at_hand((yield from way.read([], limit)))
    ranking = yield from way.ranked(limit)
    if not ranking:
        return _at_hand([])
    lifting: list[Signal] = []
    seeds = [key for key, _ in ranking[: asked.max_items]]
    if fields:
        lifting.append(fields[0].spreading_signal(seeds, asked.depth, _LEAST_ACTIVATION))
    if lifts and asked.traversed:
        lifting.append(given((yield from traversed(asked, seeds))))
    return way.read(ranking, limit, lifting)


def _at_hand(records: list[Any]) -> Plan[list[Any]]:
    return records
    yield  # a plan, though it asks for nothing


def _push(asked: Asked) -> Plan[list[Any]]:
    """Records whose cycles and pressure have brought them above the threshold."""
    fields = asked.model._meta.listed("cyclic")
    if not fields:
        return []
    least = asked.threshold if asked.threshold > 0 else None
    scoring = Scoring({fields[0].name: 1.0}, asked.max_items, min_score=least)
    return (yield from composite_score(asked.spec, scoring))
