"""The confidence gate: nothing is recalled where nobody is sure enough of the best of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from popoto.engine.looking_up import looked_up
from popoto.engine.request import Plan
from popoto.exceptions import QueryException
from popoto.fields.describing import describe
from popoto.models.reading.ranking.asked import as_number
from popoto.recipes.assembling.quality import confidence_command, confidence_of

__all__ = ["Gate", "checked_gate"]

_MODES: Final = ("refuse", "flag")


@dataclass(frozen=True, slots=True)
class Gate:
    """How sure one has to be, and what becomes of records where one is not."""

    threshold: float
    mode: str

    def decided(self, model: Any, pulled: Sequence[Any]) -> Plan[dict[str, Any]]:
        """What the gate says of records, best first. The confidence of the first decides.

        One command, none without records.
        """
        told: dict[str, Any] = {
            "applied": bool(pulled),
            "gate_score": None,
            "threshold": self.threshold,
            "mode": self.mode,
            "gated": False,
        }
        if not pulled:
            return told
        field = model._meta.listed("confidence")[0]
        asked = [confidence_command(field, pulled[0])]
        (evidence,) = yield from looked_up(asked, pulled[0]._meta.shard)
        told["gate_score"] = confidence_of(evidence, field.initial_confidence)
        told["gated"] = told["gate_score"] < self.threshold
        if told["gated"]:
            told["refused_keys"] = [record.pk for record in pulled]
        return told

    def refuses(self, told: dict[str, Any]) -> bool:
        """Whether the records stay out."""
        return bool(told["gated"]) and self.mode == "refuse"


def checked_gate(model: Any, threshold: Any, mode: Any) -> Gate | None:
    """The gate that is asked for, None without a threshold. Raises QueryException."""
    if mode not in _MODES:
        raise QueryException(
            f"confidence_gate_mode must be {' or '.join(_MODES)}, got {describe(mode)}"
        )
    if threshold is None:
        return None
    if not 0 <= as_number(threshold) <= 1:
        raise QueryException(
            "confidence_gate_threshold must be a number from 0 to 1, as confidences are, or None, "
            f"got {describe(threshold)}"
        )
    if not model._meta.listed("confidence"):
        raise QueryException(
            f"confidence_gate_threshold needs a ConfidenceField, of which {model.__name__} has none"
        )
    return Gate(float(threshold), mode)
