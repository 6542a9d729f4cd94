"""How long a stored record has left."""

from __future__ import annotations

from typing import Final

from popoto.engine.request import Plan, Request
from popoto.exceptions import NotStoredError
from popoto.models.record.record import Record
from popoto.models.record.stored import stored_key

_GONE: Final = -2


def remaining_ttl(instance: Record) -> Plan[float | None]:
    """The plan of `Model.remaining_ttl`."""
    key = stored_key(instance, f"{instance._meta.model_name}.remaining_ttl()")
    milliseconds: int
    (milliseconds,) = yield Request([("PTTL", key)], instance._meta.shard, repeatable=True)
    if milliseconds == _GONE:
        raise NotStoredError(f"{key!r} is not stored any more (deleted or expired)")
    return None if milliseconds < 0 else milliseconds / 1000
