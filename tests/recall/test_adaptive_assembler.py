"""`AdaptiveAssembler`: windows, candidates, what is kept."""

from __future__ import annotations

import json
import math
import random
from concurrent.futures import ThreadPoolExecutor
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


def test_after_a_worse_candidate_the_best_so_far_are_used_again(api: Api) -> None:
    """Not those that it began with."""
    inner = Inner({"relevance": 0.6, "confidence": 0.4})
    inner.samples = [0.2] * 3 + [0.5] * 6 + [0.1] * 3
    assembler = adaptive(inner)
    for _ in range(12):
        api(assembler.assemble, {"q": "x"})
    assert tuple(assembler.current_weights.values()) == pytest.approx((0.65, 0.35))


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


@pytest.mark.parametrize("sample", [math.nan, math.inf, -math.inf])
def test_a_quality_that_is_not_finite_does_not_count(
    sample: float, caplog: pytest.LogCaptureFixture
) -> None:
    inner = Inner({"a": 0.5, "b": 0.5})
    inner.samples = [sample, 0.3, 0.3]
    assembler = adaptive(inner, window_size=2)
    for _ in range(3):
        assembler.assemble()
    assert "quality_metric gave" in caplog.text
    assert assembler.baseline_quality == pytest.approx(0.3)


def test_the_quality_is_always_asked_for() -> None:
    inner = Inner({"a": 0.5, "b": 0.5})
    inner.samples = [0.1]
    result = adaptive(inner).assemble({"q": "x"}, agent_id="a", assess_quality=False)
    assert inner.seen == [({"q": "x"}, {"agent_id": "a", "assess_quality": True})]
    assert result.metadata["quality"].fok_score == 0.1


def test_the_assembler_in_use_is_a_copy_and_is_asked_by_name(api: Api) -> None:
    class Named(Inner):
        def assemble(self, **options: Any) -> AssemblyResult:
            return super().assemble(**options)

        async def async_assemble(self, **options: Any) -> AssemblyResult:
            return super().assemble(**options)

    given = Named({"a": 0.5, "b": 0.5})
    given.samples = [0.1]
    assembler = adaptive(given, window_size=1)
    assert assembler.inner is given
    api(assembler.assemble, {"q": "x"})
    assert assembler.inner is not given
    assert assembler.inner.score_weights == assembler.current_weights != given.score_weights


def test_samples_of_a_candidate_have_a_window_of_their_own() -> None:
    inner = Inner({"a": 0.5, "b": 0.5})
    inner.samples = [0.1, 0.1, 0.3, 0.2, 0.3]
    assembler = adaptive(inner, window_size=2)
    seen: list[tuple[int, int]] = []
    for _ in range(5):
        assembler.assemble()
        seen.append((len(assembler._current_window), len(assembler._candidate_window)))
    assert seen == [(1, 0), (0, 0), (0, 1), (0, 0), (1, 0)]


def test_the_same_samples_in_another_order_are_as_good() -> None:
    inner = Inner({"a": 0.5, "b": 0.5})
    # Added up from the left, the candidate's three are less by the last digit.
    inner.samples = [0.1, 0.2, 0.3, 0.3, 0.2, 0.1]
    assembler = adaptive(inner)
    for _ in range(6):
        assembler.assemble()
    assert assembler.current_weights != {"a": 0.5, "b": 0.5}
    assert assembler.baseline_quality == pytest.approx(0.2)


def test_defaults() -> None:
    quality = RetrievalQuality(fok_score=0.6, avg_confidence=0.5)
    assert _default_quality_metric(quality) == pytest.approx(0.3)
    assembler = AdaptiveAssembler(Inner({"a": 1}))
    assert assembler._window_size == 20
    assembler.current_weights["a"] = 5
    assert assembler.current_weights == {"a": 1}


def test_a_margin_keeps_noise_from_moving_weights() -> None:
    for margin, weights in ((0.0, (0.65, 0.35)), (0.1, (0.6, 0.4)), (0.01, (0.65, 0.35))):
        inner = Inner({"relevance": 0.6, "confidence": 0.4})
        inner.samples = [0.2] * 3 + ([0.2] * 3 if margin == 0 else [0.25] * 3)
        assembler = adaptive(inner, margin=margin)
        for _ in range(6):
            assembler.assemble()
        assert tuple(assembler.current_weights.values()) == pytest.approx(weights)


@pytest.mark.parametrize("calls", range(10))
def test_what_was_learned_survives_a_restart(calls: int) -> None:
    samples = [0.2, 0.3, 0.2, 0.5, 0.4, 0.5, 0.1, 0.2, 0.1, 0.6, 0.7, 0.8]
    weights = {"relevance": 0.6, "confidence": 0.4}
    whole, rng = Inner(weights), random.Random(0)
    whole.samples = list(samples)
    one = adaptive(whole)
    before, after = Inner(weights), Inner(weights)
    before.samples, after.samples = samples[:calls], samples[calls:]
    first = adaptive(before, rng=rng)
    for _ in range(calls):
        first.assemble()
    second = adaptive(after, rng=rng, state=json.loads(json.dumps(first.state)))
    assert second.state == first.state
    for place in range(len(samples)):
        one.assemble()
        if place >= calls:
            second.assemble()
    assert second.state == one.state
    assert after.score_weights is weights


def test_a_state_of_other_weights_is_refused() -> None:
    state = adaptive(Inner({"a": 0.5, "b": 0.5})).state
    with pytest.raises(ValueError, match="state is one of the weights a, b"):
        adaptive(Inner({"a": 0.5, "c": 0.5}), state=state)


def test_a_call_counts_for_the_weights_that_it_began_with() -> None:
    inner = Inner({"a": 0.5, "b": 0.5})
    assembler = adaptive(inner, window_size=1)
    nested: list[bool] = []

    class Overtaken(Inner):
        def assemble(self, query_cues: Any = None, **options: Any) -> AssemblyResult:
            if not nested:
                nested.append(True)
                # Another thread's call is over first, and ends the window.
                self.samples = [0.2]
                assembler.assemble()
                self.samples = [0.9]
            return super().assemble(query_cues, **options)

    inner.__class__ = Overtaken
    assembler.assemble()
    assert (assembler.baseline_quality, assembler.is_testing_candidate) == (0.2, True)


def test_threads_share_one(api: Api) -> None:
    inner = Inner({"a": 0.5, "b": 0.5})
    inner.samples = [0.5] * 400
    assembler = adaptive(inner, window_size=7)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(400):
            pool.submit(assembler.assemble)
    assert inner.samples == []
    assert len(assembler.state["window"]) < 7
    assert sum(assembler.current_weights.values()) == pytest.approx(1)
