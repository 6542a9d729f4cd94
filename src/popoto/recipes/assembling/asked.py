"""What a context is to be made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from popoto.exceptions import QueryException
from popoto.fields.describing import describe
from popoto.models.reading.spec import QuerySpec
from popoto.recipes.assembling.gating import Gate

__all__ = ["Asked", "checked_dict"]


def checked_dict(what: str, given: Any, example: str) -> dict[str, Any]:
    """What is given by name, as a dict of its own. Raises QueryException for anything else."""
    if not isinstance(given, Mapping):
        raise QueryException(f"{what} must be a dict, such as {example}, got {describe(given)}")
    return dict(cast("Mapping[str, Any]", given))


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be gathered."""

    model: Any
    weights: Mapping[str, float]
    cues: Mapping[str, Any]
    filters: Mapping[str, Any]
    mode: str
    max_items: int
    threshold: float
    depth: int
    #: relationships of the model to itself that associate its records
    traversed: tuple[str, ...] = ()
    gate: Gate | None = None
    #: the BM25Field whose words are searched
    keywords: str | None = None

    @property
    def spec(self) -> QuerySpec:
        """The query of the records that may be gathered; its reads are not staged."""
        spec: QuerySpec = self.model.query.filter(**self.filters).no_track()._spec
        return spec
