"""Fields that were left out when a record was loaded: read at the first access."""

from __future__ import annotations

from typing import Any

from popoto.engine import keys
from popoto.engine.blocking import check_may_block
from popoto.engine.codec import Stored
from popoto.engine.request import Command, Plan, Request
from popoto.engine.run import run
from popoto.exceptions import NotStoredError

__all__ = ["read_deferred"]


def read_deferred(instance: Any, name: str) -> Stored | None:
    """The bytes that the record holds of a field by now, which the instance has from then on.

    None where it holds none. Raises BlockingReadError where that would block an event loop, and
    NotStoredError when the record is gone. One round trip.
    """
    label = instance._meta.by_name[name].label
    check_may_block(
        f"{label} was left out by only(), and reading it now",
        f"Name it in only(), or await record.async_refresh([{name!r}]) first",
    )
    return run(_read(instance, name, label))


def _read(instance: Any, name: str, label: str) -> Plan[Stored | None]:
    options, key = instance._meta, instance._redis_key
    is_list = name in options.list_names
    command: Command = (
        ("LRANGE", keys.capped_list_key(key, name), 0, -1) if is_list else ("HGET", key, name)
    )
    found, exists = yield Request([command, ("EXISTS", key)], options.shard, repeatable=True)
    if not exists:
        raise NotStoredError(
            f"{label} of {key!r} was left out by only(), and the record is not stored any more"
        )
    stored: Stored | None = tuple(found) if is_list else found
    if stored is not None:
        instance._stored[name] = stored
    return stored
