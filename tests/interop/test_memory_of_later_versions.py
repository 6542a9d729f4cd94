"""Memory fields beside 1.8.0 and 1.10.1: one layout, the same numbers, but for how evidence counts.

The stories are those told beside 1.6.1. From 1.8 on the initial confidence counts as one
observation more, and the n-th piece of evidence moves it by 1 / (n + 1) of the way, where 1.6.1 and
this package move it by 1 / sqrt(n); docs/migrating.md says so. Each reads what the other has left.
"""

from __future__ import annotations

from typing import Any

import pytest
import redis

from .sides import PeerError, PublishedSide, Side
from .stories import DAY, NOW, STORIES, Step
from .test_memory import left, play, same

pytestmark = pytest.mark.interop

CLAIM = "Claim:m"
#: What later versions refuse: activation that would not fade.
UNFADING: Step = (0, "edges", ["ways", "propagate", ["s"], 2, 1.0, 0.0])
#: Stories in which no confidence moves.
ALIKE = ("decay", "cycles", "associations", "reads", "predictions", "worth", "proposals")


def told(about: str) -> list[Step]:
    """A story without what these versions do in another way."""
    return [step for step in STORIES[about] if step != UNFADING and step[1] != "confidence"]


def stored(server: redis.Redis) -> dict[bytes, Any]:
    """What is left, but for confidences, which move in another way."""
    return {
        key: content for key, content in left(server).items() if not key.startswith(b"$ConfidencF:")
    }


@pytest.mark.parametrize("who", ["ours", "later and ours", "ours and later"])
@pytest.mark.parametrize("about", ALIKE)
def test_the_numbers_are_the_same(
    about: str, who: str, ours: Side, later: PublishedSide, redis_client: redis.Redis
) -> None:
    story = told(about)
    wanted = play(story, later), stored(redis_client)
    redis_client.flushall()
    sides: dict[str, Side] = {"ours": ours, "later": later}
    replies = play(story, *(sides[name] for name in who.split(" and ")))
    for step, reply, found in zip(story, wanted[0], replies, strict=True):
        assert same(reply, found), f"{step}: {reply} there, {found} here"
    found_here = stored(redis_client)
    assert found_here.keys() == wanted[1].keys()
    for key, content in wanted[1].items():
        assert same(content, found_here[key]), f"{key!r}: {content} there, {found_here[key]} here"


# Confidence --------------------------------------------------------------------------------------


def learn(side: Side, *signals: float) -> list[float]:
    steps: list[Step] = [(1, "learn", [CLAIM, "sure", signal]) for signal in signals]
    return play(steps, side)


def entry(side: Side) -> dict[str, float]:
    found: dict[str, float] = side.call(
        "at", moment=NOW + DAY, what="confidence", arguments=[CLAIM, "sure"]
    )
    return {name: value for name, value in found.items() if name != "single"}


def test_evidence_counts_by_another_formula(ours: Side, later: PublishedSide) -> None:
    play([(0, "keep", ["Claim", {"name": "m"}])], later)
    assert same(learn(later, 0.9, 0.9, 0.1), [0.7, 0.7 + 0.2 / 3, 0.6])
    play([(0, "forget", [CLAIM]), (0, "keep", ["Claim", {"name": "m"}])], ours)
    assert same(learn(ours, 0.9, 0.9, 0.1), [0.9, 0.9, 0.9 - 0.8 / 3**0.5])


def test_each_goes_on_from_what_the_other_has_left(ours: Side, later: PublishedSide) -> None:
    play([(0, "keep", ["Claim", {"name": "m"}])], later)
    learn(later, 0.9, 0.2)
    assert same(entry(ours), entry(later))
    before = entry(ours)
    assert (before["evidence_count"], before["corroborations"]) == (2, 1)
    (here,) = learn(ours, 1)
    assert same(here, before["confidence"] + (1 - before["confidence"]) / 3**0.5)
    assert same(entry(later), entry(ours))
    (there,) = learn(later, 0)
    assert same(there, here - here / 5)
    assert same(entry(ours), entry(later))
    assert entry(ours)["evidence_count"] == 4


@pytest.mark.parametrize("about", ["outcomes", "events", "confidence"])
def test_all_but_the_numbers_of_confidence_is_the_same_story(
    about: str, ours: Side, later: PublishedSide, redis_client: redis.Redis
) -> None:
    keys = []
    for side in (later, ours):
        redis_client.flushall()
        play(STORIES[about], side)
        keys.append(
            {
                key: sorted(content) if isinstance(content, dict) else len(content)
                for key, content in left(redis_client).items()
            }
        )
    assert keys[0] == keys[1]


def test_activation_that_would_not_fade_is_refused_there(ours: Side, later: PublishedSide) -> None:
    links: list[Step] = [(0, "edges", ["ways", "link", "s", "t", 0.5])]
    play(links, later)
    with pytest.raises(PeerError, match="Contraction invariant"):
        play([UNFADING], later)
    assert play([UNFADING], ours) == [{"t": 0.5}]
