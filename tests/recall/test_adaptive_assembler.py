"""`AdaptiveAssembler`: windows, candidates, what is kept."""

from __future__ import annotations

import random
from typing import Any

import pytest

from popoto import AdaptiveAssembler, AssemblyResult, RetrievalQuality
from popoto.recipes.adaptive_assembler import _default_quality_metric
from tests.driver import Api


class Inner:
    """An assembler of which the quality is told beforehand."""

    def __init__(self, weights: dict[str, float]) -> None:
        self.score_weights = weights
        self.samples: list[float | None] = []
        self.seen: list[Any] = []

    def assemble(self, query_cues: Any = None, **options: Any) -> AssemblyResult:
        self.seen.append((query_cues, options))
        sample = self.samples.pop(0)
        if sample is None:
            return AssemblyResult()
        return AssemblyResult(metadata={"quality": RetrievalQuality(fok_score=sample)})

    async def async_assemble(self, query_cues: Any = None, **options: Any) -> AssemblyResult:
        return self.assemble(query_cues, **options)


def adaptive(inner: Inner, **options: Any) -> AdaptiveAssembler:
    options = {"window_size": 3, "rng": random.Random(0), **options}
    return AdaptiveAssembler(inner, quality_metric=lambda quality: quality.fok_score, **options)


def test_the_worked_trace(api: Api) -> None:
    given = {"relevance": 0.6, "confidence": 0.4}
    inner = Inner(given)
    assembler = adaptive(inner)
    assert assembler.baseline_quality is None
    for sample, baseline, testing, weights in (
        (0.2, 0.2, True, (0.65, 0.35)),
        (0.5, 0.5, False, (0.65, 0.35)),
        (0.4, 0.4, True, (0.6, 0.4)),
        (0.6, 0.6, False, (0.6, 0.4)),
        (0.7, 0.7, True, (0.65, 0.35)),
        (0.1, 0.7, False, (0.6, 0.4)),
    ):
        inner.samples += [sample] * 3
        for _ in range(3):
            api(assembler.assemble, {"q": "x"})
        assert assembler.baseline_quality == pytest.approx(baseline)
        assert assembler.is_testing_candidate is testing
        assert tuple(assembler.current_weights.values()) == pytest.approx(weights)
    assert inner.score_weights is given
    assert given == {"relevance": 0.6, "confidence": 0.4}


@pytest.mark.parametrize(
    ("weights", "proposals"),
    [
        ({"a": 0.07, "b": 0.88}, [{"a": 0.12, "b": 0.83}, {"a": 0.05, "b": 0.9}]),
        ({"a": 0.9, "b": 0.05}, [{"a": 0.85, "b": 0.1}, None]),
        ({"a": 2, "b": 0}, [{"a": 0.9, "b": 0.05}]),
        ({"a": 1}, [None]),
        ({}, [None]),
    ],
)
def test_weights_stay_within_bounds(weights: dict[str, float], proposals: list[Any]) -> None:
    assembler = adaptive(Inner(weights))
    for expected in proposals:
        found = assembler._propose_candidate()
        assert found == (None if expected is None else pytest.approx(expected))
    assert len(assembler._current_window) == 0


def test_calls_that_tell_nothing_do_not_count(caplog: pytest.LogCaptureFixture) -> None:
    inner = Inner({"a": 0.5, "b": 0.5})
    inner.samples = [None, 0.3]
    assembler = AdaptiveAssembler(inner, quality_metric=lambda quality: "no number")
    assembler.assemble()
    assembler.assemble()
    assert "quality_metric failed" in caplog.text
    assert assembler._current_window == []
    with pytest.raises(IndexError):
        assembler.assemble()
    assert assembler._current_window == []


def test_the_quality_is_always_asked_for() -> None:
    inner = Inner({"a": 0.5, "b": 0.5})
    inner.samples = [0.1]
    result = adaptive(inner).assemble({"q": "x"}, agent_id="a", assess_quality=False)
    assert inner.seen == [({"q": "x"}, {"agent_id": "a", "assess_quality": True})]
    assert result.metadata["quality"].fok_score == 0.1


def test_defaults() -> None:
    quality = RetrievalQuality(fok_score=0.6, avg_confidence=0.5)
    assert _default_quality_metric(quality) == pytest.approx(0.3)
    assembler = AdaptiveAssembler(Inner({"a": 1}))
    assert assembler._window_size == 20
    assembler.current_weights["a"] = 5
    assert assembler.current_weights == {"a": 1}
