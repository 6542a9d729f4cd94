"""What an assembled context does to records: shown ones are read, proposed, or suppress others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from popoto import clock
from popoto.engine.batch import Batch
from popoto.engine.request import Plan
from popoto.fields.confidence.evidence import Learning
from popoto.fields.keeping.adjusting import Adjustment, carried_out
from popoto.fields.surfacing import Proposing

__all__ = ["take_effect"]


class _Staging(Adjustment):
    """A record that is shown was read."""

    what = "assemble()"
    takes_constructed = True

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        self.instance.on_read(pipeline=batch)


def take_effect(
    model: Any,
    shown: Sequence[Any],
    proactive: Sequence[Any],
    suppressed: Sequence[Any],
    partition: str,
    signal: float,
) -> Plan[None]:
    """All effects in one step; records that are gone meanwhile are left out. One command."""
    effects: list[Adjustment] = []
    if hasattr(model, "on_read") and getattr(model, "_track_reads", True):
        effects += [_Staging(record) for record in shown]
    now = clock.now()
    effects += [Proposing(record, partition, now) for record in proactive]
    for field in model._meta.listed("confidence")[:1]:
        effects += [Learning(record, field, signal) for record in suppressed]
    yield from carried_out(effects, skips_missing=True)
