"""`WriteFilterMixin`: what is not worth keeping is not saved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from popoto._unknown_names import is_strict, tell
from popoto.engine.batch import Batch
from popoto.engine.request import Reply
from popoto.exceptions import SkipSaveException
from popoto.fields.constants import Defaults
from popoto.fields.describing import describe
from popoto.fields.keeping.commit import Commit
from popoto.fields.keeping.entries import Carried, CompanionEntry, Entry
from popoto.fields.keeping.families import KeyFamily, companion_family
from popoto.fields.keeping.naming import model_name_of
from popoto.fields.mixin_settings import check_numbers
from popoto.memory.composite import signals
from popoto.memory.composite.signals import Signal

__all__ = ["WriteFilterMixin"]


class WriteFilterMixin:
    """Saves a record only if its score is high enough. List it among the bases of a model.

    Define `compute_filter_score`. A score below `_wf_min_threshold` keeps the record from
    being saved (`save()` returns False, nothing is written); from `_wf_priority_threshold` on the
    record is in a sorted set of those with priority, under its score, as long as the last
    saved score is that high. Both thresholds are those of `Defaults` unless the class has
    its own.
    """

    _write_filter_score: float

    @classmethod
    def _check_model(cls) -> None:
        check_numbers(cls, "_wf_min_threshold", "_wf_priority_threshold")

    def compute_filter_score(self) -> Any:
        """How much the record is worth keeping: a number.

        What is none counts 0, NaN too, with a UserWarning; UnknownNameError where names are strict.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define compute_filter_score()")

    @property
    def _wf_min_threshold(self) -> float:
        return Defaults.WF_MIN_THRESHOLD

    @property
    def _wf_priority_threshold(self) -> float:
        return Defaults.WF_PRIORITY_THRESHOLD

    def _check_write_filter(self) -> float:
        """The score, which is kept as `_write_filter_score`. Raises SkipSaveException."""
        given = self.compute_filter_score()
        score = _as_score(given)
        if score is None:
            record: Any = self
            tell(
                f"{type(self).__name__}.compute_filter_score() returned {describe(given)}, "
                "which is no number and counts as 0; return a number (is a return missing?)",
                refuse=is_strict(record._meta.strict),
            )
            score = 0.0
        self._write_filter_score = score
        if score < self._wf_min_threshold:
            raise SkipSaveException(
                f"{type(self).__name__}: its score {score:g} is below threshold "
                f"{self._wf_min_threshold:g}"
            )
        return score

    def _wf_key(self, kind: str) -> str:
        """The key of what is kept for all records of the model: ``priority``."""
        return _key_of(type(self), kind)

    # What takes part in saving ----------------------------------------------------

    def _before_save(self, update_fields: object) -> None:
        self._check_write_filter()

    def _on_commit(self, batch: Batch, commit: Commit) -> None:
        if commit.operation == "delete":
            return
        score = self.__dict__.get("_write_filter_score")
        if score is None:  # no save: its related record goes, and it lets go (SET_NULL)
            return
        if score >= self._wf_priority_threshold:
            batch.put("ZADD", self._wf_key("priority"), repr(score), commit.key)
        else:
            batch.put("ZREM", self._wf_key("priority"), commit.key)

    @classmethod
    def _priority_signal(cls) -> Signal:
        return signals.scores(_key_of(cls, "priority"))

    @classmethod
    def _companion_entries(cls, key: str) -> list[Entry]:
        return [CompanionEntry(_key_of(cls, "priority"), key, "$WF", "zset")]

    def _following_entries(self) -> list[Carried]:
        score = _as_score(self.compute_filter_score()) or 0.0
        if score < self._wf_priority_threshold:
            return []
        record: Any = self
        return [PriorityEntry(self._wf_key("priority"), record.pk, "$WF", "zset", score=score)]

    @classmethod
    def _key_families(cls) -> list[KeyFamily]:
        key = _key_of(cls, "priority")
        return [companion_family("priority", key, "zset", is_open=False)]


@dataclass(frozen=True, slots=True)
class PriorityEntry(CompanionEntry):
    """A record that has priority by what is stored of it.

    Any score is left as it was saved: a save may have known more than what it stored.
    """

    score: float = 0.0

    def mend(self, batch: Batch) -> None:
        batch.put("ZADD", self.key, "NX", repr(self.score), self.member)

    def stands(self, reply: Reply) -> bool:
        return reply is not None


def _as_score(given: Any) -> float | None:
    """A score as a number; None for what is no number."""
    try:
        score = float(given)
    except (TypeError, ValueError, OverflowError):
        return None
    return None if math.isnan(score) else score


def _key_of(model: type, kind: str) -> str:
    return f"$WF:{model_name_of(model)}:{kind}"
