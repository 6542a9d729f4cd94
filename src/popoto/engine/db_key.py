"""`DB_key`: a key as the list of its parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar, cast

from popoto.engine.keys import SEPARATOR, escape, join, shard_name, shards_key, unescape
from popoto.engine.looking_up import members_of
from popoto.engine.nodes import on_cluster
from popoto.engine.request import Plan, Request
from popoto.engine.run import run

_Instance_co = TypeVar("_Instance_co", covariant=True)


class _Loads(Protocol[_Instance_co]):
    def load(self, db_key: str) -> _Instance_co | None: ...


def _flatten(parts: Iterable[Any]) -> Iterator[Any]:
    for part in parts:
        if isinstance(part, (str, bytes)) or not isinstance(part, Iterable):
            yield part
        else:
            yield from _flatten(cast("Iterable[object]", part))


class DB_key(list[Any]):  # noqa: N801  (the documented name)
    """A key as the list of its unescaped parts.

    ``DB_key("Event", ["2024", "01"])`` has three parts: nested iterables are
    flattened, text and bytes are leaves. Compared as a list, unhashable.
    """

    def __init__(self, *parts: Any) -> None:
        super().__init__(_flatten(parts))

    @classmethod
    def from_redis_key(cls, key: str | bytes) -> DB_key:
        """The parts of a stored key."""
        text = key.decode("utf-8") if isinstance(key, bytes) else key
        return cls(*(unescape(part) for part in text.split(SEPARATOR)))

    @staticmethod
    def clean(value: object, *_: object) -> str:
        """Escape one key part."""
        return escape(str(value))

    @staticmethod
    def unclean(value: str) -> str:
        """Undo `clean`."""
        return unescape(value)

    @property
    def redis_key(self) -> str:
        """The key as it is stored."""
        return join(*self)

    #: where it is kept, of a record of a model with several shards
    shard: str | None = None

    @property
    def _is_of_index(self) -> bool:
        return len(self) > 1 and str(self[0]).startswith("$")

    @property
    def _shard(self) -> str:
        """Where it is kept, if it is known; else the model that the key belongs to: its first part,
        or the one after the kind of index.
        """
        return str(self[1 if self._is_of_index else 0]) if self.shard is None else self.shard

    def exists(self) -> bool:
        """Whether this key exists on the server. One command.

        On a cluster two more, if it is not found in the shard that a model without `Meta.shard_by`
        has: a key that was not asked of a record is looked for in the shards that it may be in.
        """
        return run(self._exists())

    def _exists(self) -> Plan[bool]:
        name = self._shard
        if (yield from self._is_in([name])):
            return True
        if self.shard is not None or not (yield from on_cluster()):
            return False
        texts = yield from members_of(shards_key(name), name)
        if not self._is_of_index:
            # One of its parts tells which it is.
            texts = sorted(set(texts).intersection(map(str, self)))
        return (yield from self._is_in([shard_name(name, text) for text in texts]))

    def _is_in(self, shards: Sequence[str]) -> Plan[bool]:
        commands = [("EXISTS", self.redis_key)] * len(shards)
        if not shards:
            return False
        request = Request(commands, shards[0], repeatable=True, shards=shards)
        return any((yield request))

    def get_instance(self, model: _Loads[_Instance_co]) -> _Instance_co | None:
        """The record stored under this key, or None. One command."""
        return model.load(db_key=self.redis_key)

    def __str__(self) -> str:
        return self.redis_key

    def __format__(self, spec: str) -> str:
        return format(self.redis_key, spec)
