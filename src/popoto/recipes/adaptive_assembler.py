"""`AdaptiveAssembler`: finds out which weights assemble better contexts."""

from __future__ import annotations

import copy
import logging
import math
import random
import statistics
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from popoto._unknown_names import is_strict, tell
from popoto.fields.constants import Defaults
from popoto.fields.describing import describe
from popoto.fields.given import is_mapping, number_in
from popoto.recipes.assembling.quality import RetrievalQuality
from popoto.recipes.context_assembler import AssemblyResult

__all__ = ["AdaptiveAssembler"]

logger = logging.getLogger("POPOTO.AdaptiveAssembler")

_LEAST: Final = 0.05
_MOST: Final = 0.9
_TRIES: Final = 3


def _default_quality_metric(quality: RetrievalQuality) -> float:
    return quality.fok_score * quality.avg_confidence


class AdaptiveAssembler:
    """Tries other weights for an assembler, and keeps those that measure as well or better.

    Two states take turns: one window of calls measures the weights there are, the next one a
    candidate, in which a bit of one weight has moved to another: with fewer than two weights there
    is nothing to learn. Each weight stays from 0.05 to 0.9. The assembler that was handed in is
    never changed: a shallow copy, `inner` from then on, has other weights.

    `window_size`          how many calls are judged together;
                           `Defaults.ADAPTIVE_QUALITY_WINDOW_SIZE`
    `quality_metric`       a number for a `RetrievalQuality`, by default its `fok_score` times its
                           `avg_confidence`. Where it fails the call does not count
    `weight_perturbation`  how much of a weight moves, above 0 and at most 1: others give a
                           UserWarning
    `rng`                  the `random.Random` that decides which
    `margin`               how much better than the baseline a candidate has to measure; by 0,
                           one that measures the same is kept, so that noise moves weights
    `state`                where to go on: what `state` of an earlier one was, of the same weights

    What was learned is kept in this object alone, unless you store its `state`. Threads and tasks
    may share it: a call counts for the weights that it began with.
    """

    def __init__(
        self,
        inner: Any,
        window_size: int | None = None,
        quality_metric: Callable[[RetrievalQuality], Any] | None = None,
        weight_perturbation: float = 0.05,
        rng: random.Random | None = None,
        *,
        margin: float = 0.0,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        if not hasattr(inner, "score_weights"):
            raise TypeError(f"AdaptiveAssembler takes a ContextAssembler, got {describe(inner)}")
        if quality_metric is not None and not callable(quality_metric):
            raise TypeError(
                f"quality_metric must be a function of a RetrievalQuality, got "
                f"{describe(quality_metric)}"
            )
        self.inner = inner
        size = Defaults.ADAPTIVE_QUALITY_WINDOW_SIZE if window_size is None else window_size
        self._window_size = size
        if number_in(size, "window_size") < 1 or size != int(size):
            raise ValueError(f"window_size must be a number of calls, 1 or more, got {size!r}")
        self._quality_metric = quality_metric or _default_quality_metric
        self._weight_perturbation = number_in(weight_perturbation, "weight_perturbation")
        if not 0 < self._weight_perturbation <= 1:
            tell(
                "AdaptiveAssembler: weights move by more than 0 and at most 1 to any purpose, got "
                f"weight_perturbation={describe(weight_perturbation)}",
                refuse=is_strict(),
            )
        if rng is not None and not callable(getattr(rng, "sample", None)):
            raise TypeError(f"rng must be a random.Random, got {describe(rng)}")
        self._rng = rng or random.Random()
        self._original: dict[str, float] = dict(inner.score_weights)
        self._baseline: float | None = None
        self._is_testing = False
        #: samples of the weights that are kept, and those of a candidate
        self._current_window: list[float] = []
        self._candidate_window: list[float] = []
        self._margin = number_in(margin, "margin", infinite=True)
        self._lock = threading.Lock()
        if state is not None:
            self._restore(state)

    @property
    def state(self) -> dict[str, Any]:
        """All that was learned so far, as JSON can have it: hand it to another one, as `state`."""
        with self._lock:
            return {
                "weights": self.current_weights,
                "kept": dict(self._original),
                "baseline": self._baseline,
                "testing": self._is_testing,
                "window": list(self._window),
            }

    def _restore(self, state: Mapping[str, Any]) -> None:
        parts = ("weights", "kept", "baseline", "testing", "window")
        if not is_mapping(state) or any(part not in state for part in parts):
            raise ValueError(
                f"state must be what `state` of an AdaptiveAssembler was, got {describe(state)}"
            )
        if not state["weights"].keys() == state["kept"].keys() == self._original.keys():
            raise ValueError(
                f"the state is one of the weights {', '.join(state['weights'])}; those of the "
                f"assembler are {', '.join(self._original)}"
            )
        self._original = {name: float(state["kept"][name]) for name in self._original}
        self._use({name: float(state["weights"][name]) for name in self._original})
        self._baseline = state["baseline"]
        self._is_testing = bool(state["testing"])
        self._window[:] = [float(sample) for sample in state["window"]]

    @property
    def _window(self) -> list[float]:
        return self._candidate_window if self._is_testing else self._current_window

    @property
    def current_weights(self) -> dict[str, float]:
        """A copy of the weights that are in use."""
        return dict(self.inner.score_weights)

    @property
    def baseline_quality(self) -> float | None:
        """What the kept weights measured; None before the first window is full."""
        return self._baseline

    @property
    def is_testing_candidate(self) -> bool:
        """Whether the weights in use are a candidate."""
        return self._is_testing

    def assemble(
        self, query_cues: Mapping[str, Any] | None = None, **options: Any
    ) -> AssemblyResult:
        """As the assembler's own, always with the quality."""
        inner = self.inner
        result: AssemblyResult = inner.assemble(
            query_cues=query_cues, **{**options, "assess_quality": True}
        )
        self._learn(result, inner)
        return result

    async def async_assemble(
        self, query_cues: Mapping[str, Any] | None = None, **options: Any
    ) -> AssemblyResult:
        """`assemble` for asyncio."""
        inner = self.inner
        result: AssemblyResult = await inner.async_assemble(
            query_cues=query_cues, **{**options, "assess_quality": True}
        )
        self._learn(result, inner)
        return result

    # Learning -------------------------------------------------------------------

    def _learn(self, result: AssemblyResult, inner: Any) -> None:
        quality = result.metadata.get("quality")
        if quality is None:
            return
        try:
            sample = float(self._quality_metric(quality))
        except Exception as error:  # noqa: BLE001 - a metric of the caller's own, of any kind
            logger.warning("quality_metric failed, so that this call does not count: %r", error)
            return
        if not math.isfinite(sample):
            # It would decide every comparison of the windows that it is in.
            logger.warning("quality_metric gave %r, so that this call does not count", sample)
            return
        with self._lock:
            if inner is self.inner:
                self._take(sample)

    def _take(self, sample: float) -> None:
        self._window.append(sample)
        if len(self._window) >= self._window_size:
            # Exact, so that the order of samples decides nothing between two windows.
            mean = statistics.fmean(self._window)
            self._window.clear()
            if self._is_testing:
                self._judge(mean)
            else:
                self._begin(mean)

    def _begin(self, mean: float) -> None:
        """The weights in use are measured: try others."""
        self._baseline = mean
        candidate = self._propose_candidate()
        if candidate is not None:
            self._use(candidate)
            self._is_testing = True

    def _judge(self, mean: float) -> None:
        """A candidate is measured: keep it, or go back."""
        self._is_testing = False
        if self._baseline is None or mean >= self._baseline + self._margin:
            self._original = self.current_weights
            self._baseline = mean
        else:
            self._use(self._original)

    def _use(self, weights: Mapping[str, float]) -> None:
        inner = copy.copy(self.inner)
        inner.score_weights = dict(weights)
        self.inner = inner

    def _propose_candidate(self) -> dict[str, float] | None:
        """Weights of which one has given a bit to another; None where that changes nothing."""
        weights = self.current_weights
        if len(weights) < 2:
            return None
        step = self._weight_perturbation
        for _ in range(_TRIES):
            giver, taker = self._rng.sample(list(weights), 2)
            less = min(max(weights[giver] - step, _LEAST), _MOST)
            more = min(max(weights[taker] + step, _LEAST), _MOST)
            if less != weights[giver] or more != weights[taker]:
                return {**weights, giver: less, taker: more}
        return None
