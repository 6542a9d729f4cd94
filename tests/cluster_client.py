"""A client of a whole cluster that knows keys by their logical names, as tests do.

Popoto puts a model's hash tag in front of the keys of its records on a cluster. Tests that look at
what is stored say ``Shop:a`` on every engine: this client adds the tag where it asks, and takes it
off where it answers. A name that belongs to no model stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import redis
import redis.client
from redis.crc import key_slot

from popoto import Model
from tests.cluster_nodes import SLOTS, node

Words = Sequence[Any]

#: Commands whose words after the name are all keys. Their replies can be added, or put in a row.
SEVERAL_KEYS = {"DEL", "EXISTS", "MGET", "TOUCH", "UNLINK"}
TWO_KEYS = {"RENAME", "RENAMENX", "SMOVE", "LMOVE", "COPY"}
COUNTED_KEYS = {"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO"}
STREAMS = {"XREAD", "XREADGROUP"}
#: Commands about a node, which all nodes are asked.
EVERY_NODE = {
    *("ACL", "CLIENT", "CONFIG", "DBSIZE", "FLUSHALL", "FLUSHDB", "INFO", "PUBSUB", "SCRIPT"),
    *("SLOWLOG", "LATENCY", "MEMORY STATS"),
}
ANY_NODE = {"COMMAND", "ECHO", "PING", "PUBLISH", "TIME"}


class ClusterClient(redis.Redis):
    """redis-py's commands on logical names, for clusters of `tests.cluster_nodes`."""

    def __init__(self, ports: Sequence[int], primaries: int = 3) -> None:
        super().__init__(port=ports[0])
        self.nodes = [node(port) for port in ports[:primaries]]
        self._models: set[str] = set()
        #: names of no model, until something else is asked
        self._strangers: set[str] = set()
        #: the models whose events go into a stream, by what the names of its keys begin with
        self._streams: dict[str, str] = {}

    def close(self) -> None:
        for each in self.nodes:
            each.close()
        super().close()

    def execute_command(self, *args: Any, **options: Any) -> Any:
        self.forget_strangers()
        name = str(args[0]).upper().split(" ")[0]
        if name == "KEYS":
            return self._keys(args[1])
        if name in EVERY_NODE:
            return _together([each.execute_command(*args, **options) for each in self.nodes])
        if name in ANY_NODE:
            return self.nodes[0].execute_command(*args, **options)
        if name in SEVERAL_KEYS and len(args) > 2:
            replies = [self.execute_command(name, key, **options) for key in args[1:]]
            return sum(replies) if name != "MGET" else [reply for (reply,) in replies]
        if name == "MSET":
            pairs = zip(args[1::2], args[2::2], strict=True)
            return all(self.execute_command("SET", *pair) for pair in pairs)
        words, slot = self.physical(args)
        return self.node_of(slot).execute_command(*words, **options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Any:
        return ClusterPipeline(self, transaction)

    def scan_iter(
        self,
        match: Any = None,
        count: int | None = None,
        _type: str | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        for key in self.keys("*" if match is None else match):
            if _type is None or self.type(key) == _type.lower().encode():
                yield key

    def physical(self, words: Words, *, looks: bool = True) -> tuple[list[Any], int]:
        """A command with the tags in front of its keys, and the slot of the first of them.

        `looks` says whether what the name does not tell may be looked for among what is stored.
        """
        named = list(words)
        positions = _key_positions(named)
        for position in positions:
            named[position] = self._physical(_bytes(named[position]), looks)
        return named, key_slot(named[positions[0]]) if positions else 0

    def node_of(self, slot: int) -> redis.Redis:
        return self.nodes[min(slot // (SLOTS // len(self.nodes)), len(self.nodes) - 1)]

    def _physical(self, name: bytes, looks: bool) -> bytes:
        tag = self._tag(name.decode(errors="surrogateescape"))
        is_stream = name.startswith(b"stream:")
        if tag is not None and not is_stream:
            return f"{{{tag}}}".encode() + name
        # Several models may have streams of one name.
        asked = self.nodes if looks else []
        stored = (found for each in asked for found in each.keys(b"{*}" + _literally(name)))
        other = name if tag is None else f"{{{tag}}}".encode() + name
        return next((found for found in stored if logical(found) == name), other)

    def _tag(self, name: str) -> str | None:
        if name.startswith("{") and "}" in name and self._is_model(name[1:].partition("}")[0]):
            return None
        family, _, rest = name.partition(":")
        if family == "stream":
            self._look_at_models()
            return self._streams.get(rest.partition(":")[0])
        model = rest.partition(":")[0] if family.startswith("$") else family
        return model if self._is_model(model) else None

    def forget_strangers(self) -> None:
        """Models may have been defined meanwhile."""
        self._strangers.clear()

    def _is_model(self, name: str) -> bool:
        if name not in self._models and name not in self._strangers:
            self._look_at_models()
            self._strangers.update({name} - self._models)
        return name in self._models

    def _look_at_models(self) -> None:
        for each in _below(Model):
            if hasattr(each, "_meta"):
                self._models.add(each._meta.model_name)
                if getattr(each, "_stream_name", None):
                    self._streams[each._stream_name] = each._meta.model_name

    def _keys(self, pattern: Any) -> list[bytes]:
        wanted = _as_expression(_bytes(pattern))
        names = (logical(key) for each in self.nodes for key in each.keys("*"))
        return [name for name in names if wanted.fullmatch(name)]


class ClusterPipeline(redis.client.Pipeline):
    """A transaction where all keys are in one slot, else a pipeline for each node."""

    def __init__(self, owner: ClusterClient, transaction: bool) -> None:
        super().__init__(owner.connection_pool, owner.response_callbacks, transaction, None)
        self.owner = owner
        self.whole = transaction

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        queued: list[tuple[Words, dict[str, Any]]] = list(self.command_stack)
        self.reset()
        self.owner.forget_strangers()
        named = [self.owner.physical(words, looks=False) for words, _ in queued]
        whole = self.whole and len({slot for _, slot in named}) == 1
        replies: list[Any] = [None] * len(queued)
        for each in self.owner.nodes:
            mine = [at for at, (_, slot) in enumerate(named) if self.owner.node_of(slot) is each]
            real = each.pipeline(transaction=whole)
            real.command_stack = [(tuple(named[at][0]), queued[at][1]) for at in mine]
            for at, reply in zip(mine, real.execute(raise_on_error=False), strict=True):
                replies[at] = reply
        if raise_on_error:
            self.raise_first_error(queued, replies)
        return replies

    def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        raise NotImplementedError("WATCH is about one server: mark the test single_server")


def _key_positions(words: Words) -> Sequence[int]:
    name = str(words[0]).upper()
    if name in COUNTED_KEYS:
        return range(3, 3 + int(words[2]))
    if name in STREAMS:
        first = [_bytes(word).upper() for word in words].index(b"STREAMS") + 1
        return range(first, first + (len(words) - first) // 2)
    if name in TWO_KEYS:
        return (1, 2)
    if name in {"OBJECT", "XGROUP", "XINFO", "BITOP"}:
        return (2,)
    return (1,)


def _together(replies: list[Any]) -> Any:
    """One answer of what each node has answered: numbers are added, lists joined."""
    first = replies[0]
    if isinstance(first, bool) or not isinstance(first, (int, list, dict)):
        return first
    if isinstance(first, int):
        return sum(replies)
    if isinstance(first, dict):
        names = dict.fromkeys(name for reply in replies for name in reply)
        return {n: _together([reply[n] for reply in replies if n in reply]) for n in names}
    if first and isinstance(first[0], bool):
        return [any(each) for each in zip(*replies, strict=True)]
    if first and isinstance(first[0], tuple):  # PUBSUB NUMSUB
        return [(each[0][0], sum(n for _, n in each)) for each in zip(*replies, strict=True)]
    return [entry for reply in replies for entry in reply]


def _below(model: type[Model]) -> Iterable[type[Model]]:
    for each in model.__subclasses__():
        yield each
        yield from _below(each)


def logical(key: bytes) -> bytes:
    """A key of a node without its hash tag."""
    tag, closed, name = key.partition(b"}")
    return name if closed and tag.startswith(b"{") else key


def _bytes(word: Any) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode(errors="surrogateescape")


def _literally(name: bytes) -> bytes:
    return re.sub(rb"([\\*?\[\]^])", rb"\\\1", name)


def _as_expression(pattern: bytes) -> re.Pattern[bytes]:
    """A glob of the server as a regular expression."""
    parts: list[bytes] = []
    for part in re.findall(rb"\\.|\[(?:\\.|[^\]])*\]|.", pattern, re.DOTALL):
        if part == b"*":
            parts.append(b".*")
        elif part == b"?":
            parts.append(b".")
        elif part.startswith(b"[") and len(part) > 1:
            parts.append(part)
        else:
            parts.append(re.escape(part.removeprefix(b"\\") or b"\\"))
    return re.compile(b"".join(parts), re.DOTALL)
