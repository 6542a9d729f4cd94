"""What follows from a change of certain fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from popoto.fields.field import Field
from popoto.models.record.composites import CompositeIndex


@dataclass(slots=True, frozen=True)
class Decision:
    """What a change of certain fields decides.

    `fields` and `composites` make the entries that may change; `names` are all
    fields whose values those entries follow from. `covers_change` says whether these are
    all that changes.
    """

    names: tuple[str, ...]
    fields: tuple[Field[Any], ...]
    composites: tuple[CompositeIndex, ...]
    covers_change: bool = False
