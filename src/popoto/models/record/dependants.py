"""Who depends on the records of a model: the relationships with a rule for their deletion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import ref

from popoto.fields.field import Field
from popoto.fields.on_delete import OnDelete
from popoto.models.record.known_models import how_many_were_defined
from popoto.models.record.reversing import relationships_to


class _Known(NamedTuple):
    """Those of one model, as long as no other one is defined."""

    moment: int
    fields: list[ref[Field[Any]]]


def dependants_of(model: Any) -> Sequence[Field[Any]]:
    """The relationships to a model that say what becomes of records when theirs is deleted."""
    known: _Known | None = model._meta.known_dependants
    if known is None or known.moment != how_many_were_defined():
        fields = [
            ref(field)
            for field in relationships_to(model)
            if field.on_target_deleted is not OnDelete.DO_NOTHING
        ]
        model._meta.known_dependants = known = _Known(how_many_were_defined(), fields)
    return [field for each in known.fields if (field := each()) is not None]
