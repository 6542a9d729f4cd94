"""`refresh`: loading a record's stored values again."""

from __future__ import annotations

from collections.abc import Iterable

from popoto.engine.looking_up import looked_up
from popoto.engine.request import Plan
from popoto.exceptions import NotStoredError
from popoto.models.record.field_names import known_names
from popoto.models.record.loading import read_commands, stored_of
from popoto.models.record.record import Record
from popoto.models.record.stored import stored_key


def refresh(instance: Record, names: Iterable[str] | None) -> Plan[None]:
    """The plan of `Model.refresh`; see there."""
    options = instance._meta
    fields = options.by_name
    wanted = list(fields)
    if names is not None:
        wanted = known_names(fields, names, options.model_name, call="refresh", keyword="fields")
    key = stored_key(instance, f"{options.model_name} cannot be refreshed")
    replies = yield from looked_up(read_commands(options, key), options.shard)
    found = stored_of(options, replies[0], replies[1:])
    if found is None:
        raise NotStoredError(f"{key!r} is not stored any more (deleted or expired)")
    values = vars(instance)
    references: dict[str, str] = values.get("_references", {})
    dangling: dict[str, str] = values.get("_dangling", {})
    instance._deferred = instance._deferred.difference(wanted)
    for name in wanted:
        values.pop(name, None)
        references.pop(name, None)
        dangling.pop(name, None)
        if instance._unconfirmed:
            instance._unconfirmed.pop(name, None)
        if name in found:
            instance._stored[name] = found[name]
        else:
            instance._stored.pop(name, None)
    instance._is_persisted = True
