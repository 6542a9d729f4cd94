"""Candidates by what cues say: by their words, or by words and meaning.

Rankings are fused by rank (`popoto.models.reading.ranking.fusing`), since their scores have no
common measure. Only what words or meaning find is a candidate: signals of memory and associations
move candidates, and bring none in, except that an associated record may come along.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from popoto.engine.request import Plan
from popoto.engine.together import together
from popoto.models.reading.ranking.composite import Scoring, composite_score
from popoto.models.reading.ranking.fusing import fuse
from popoto.models.reading.ranking.keywords import keyword_ranking
from popoto.models.reading.ranking.similar import semantic_search

__all__ = ["by_words", "by_words_and_meaning"]

Pairs: TypeAlias = list[tuple[str, float]]

#: The constant of reciprocal rank fusion (Cormack, Clarke, Büttcher 2009).
_K: Final = 60
#: How far each ranking reaches, in results that are wanted.
_REACH: Final = 2
#: What a rank among the signals of memory counts, beside one by words or meaning.
_OF_SIGNALS: Final = 0.3


def by_words(
    model: Any,
    filters: Mapping[str, Any],
    cues: Iterable[Any],
    weights: Mapping[str, float],
    limit: int,
    boost: Mapping[str, float] | None,
) -> Plan[list[Any]]:
    """Records with the words of the cues, best first. Two round trips."""
    return (yield from _found(model, filters, cues, weights, limit, boost, meaning=False))


def by_words_and_meaning(
    model: Any,
    filters: Mapping[str, Any],
    cues: Iterable[Any],
    weights: Mapping[str, float],
    limit: int,
    boost: Mapping[str, float] | None,
) -> Plan[list[Any]]:
    """Records with the words of the cues, or near to them in meaning. Two to four round trips."""
    return (yield from _found(model, filters, cues, weights, limit, boost, meaning=True))


def _found(
    model: Any,
    filters: Mapping[str, Any],
    cues: Iterable[Any],
    weights: Mapping[str, float],
    limit: int,
    boost: Mapping[str, float] | None,
    *,
    meaning: bool,
) -> Plan[list[Any]]:
    text = "\n".join(str(cue) for cue in cues if cue is not None)
    spec = model.query.filter(**filters).no_track()._spec
    reach = _REACH * limit
    words = model._meta.listed("keywords")[0].name
    plans: list[Plan[Any]] = [keyword_ranking(spec, text, words, reach)]
    if meaning:
        plans.append(semantic_search(spec, text, None, reach, None, None, None, 1.0))
    if weights:
        plans.append(composite_score(spec, Scoring(weights, _REACH * reach)))
    found = yield from together(*plans)
    lists: dict[str, Pairs] = {"words": found[0]}
    if meaning:
        lists["meaning"] = _pairs(found[1], "_similarity_score")
    candidates = {key for pairs in lists.values() for key, _ in pairs}
    if not candidates:
        return []
    if weights:
        signals = _pairs(found[-1], "_composite_score")
        lists["signals"] = [each for each in signals if each[0] in candidates]
    if boost:
        lists["associated"] = sorted(boost.items(), key=lambda each: (-each[1], each[0]))
    counts = {"signals": _OF_SIGNALS} if weights else None
    return (yield from fuse(spec, lists, _K, limit, None, counts))


def _pairs(records: Sequence[Any], attribute: str) -> Pairs:
    return [(record.pk, getattr(record, attribute)) for record in records]
