"""Vectors for records that are stored already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from popoto.engine.batch import Batch
from popoto.engine.codec import NIL
from popoto.engine.outcome import other_model
from popoto.engine.request import Plan, Reply
from popoto.fields.keeping.adjusting import Adjustment, carried_out
from popoto.fields.vectors.embedding import Embedded, provider_failure
from popoto.fields.vectors.preparing import Preparing, text_at_hand

__all__ = ["embed_records"]


class _Embedding(Adjustment):
    """A stored record is given the vector of a text, or none, if that is its text still."""

    what = "embedding"

    def __init__(self, instance: Any, field: Any, held: Any, found: Embedded | None) -> None:
        super().__init__(instance)
        self.names = (field.source,)
        self._field = field
        self._held = held
        self._found = found
        self._is_late = False

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        self._is_late = values[self._field.source] != self._held
        if self._is_late:
            return
        batch.put("HSET", key, self._field.name, bytes(self._found or NIL))
        if self._found is None:
            self._field.clear(batch, key)
        else:
            self._field.put(batch, key, self._found)

    def finish(self, replies: Sequence[Reply]) -> bool | None:
        return None if self._is_late else self._found is not None


def embed_records(
    field: Any, preparing: Preparing, instances: Sequence[Any], *, are_marked: bool
) -> Plan[int]:
    """Make vectors of the texts of these records and write them; how many were written.

    Those without a text lose what they have: a vector, and the mark of a missing one.
    """
    held = [text_at_hand(instance, field.source) for instance in instances]
    texts = yield from preparing.texts(instances)
    there = [place for place, text in enumerate(texts) if text]
    wanted = [text for text in texts if text]
    try:
        vectors = yield from preparing.made(wanted)
    except Exception as error:
        failure = provider_failure(preparing.label, error, "what was embedded before is stored")
        raise failure from error
    empty = [
        place
        for place, value in enumerate(held)
        if value in (None, "")
        and (are_marked or instances[place]._stored.get(field.name, NIL) != NIL)
    ]
    adjustments: list[Adjustment] = [
        _Embedding(instances[place], field, held[place], None) for place in empty
    ]
    made: dict[str, Any] = {}
    for place, found in zip(there, vectors, strict=True):
        if found is None:
            continue
        made[instances[place].pk] = found
        adjustments.append(_Embedding(instances[place], field, held[place], found))
    described = next((each.described for each in made.values()), None)
    told = yield from preparing.keeper.described()
    if told is not None and described is not None and not described.agrees(told):
        raise other_model(preparing.label, told, described)
    written = [each.instance for each in adjustments]
    results: list[bool | None] = yield from carried_out(adjustments, skips_missing=True)
    # Now it is known whose text it still is: what others have written meanwhile stays.
    done = [each.pk for each, result in zip(written, results, strict=True) if result is not None]
    kept = {key: made[key].vector for key in done if key in made}
    cleared = [key for key in done if key not in made]
    yield from preparing.keeper.store(kept, cleared, described)
    return sum(bool(each) for each in results)
