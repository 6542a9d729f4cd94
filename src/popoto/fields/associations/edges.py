"""Edges between keys: where they stand, and how they change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

from popoto import clock
from popoto.engine.batch import Batch
from popoto.engine.looking_up import looked_up
from popoto.engine.request import Argument, Plan, Reply
from popoto.exceptions import ModelException
from popoto.fields.describing import describe
from popoto.fields.given import number_in, results_wanted
from popoto.fields.keeping.adjusting import Adjustment
from popoto.fields.keeping.entries import Carried, scored, told_scores
from popoto.fields.keeping.noting import put_noted
from popoto.fields.keeping.shards import in_every_shard
from popoto.memory.finite import is_number

__all__ = [
    "EdgeChange",
    "EdgeEntry",
    "Edges",
    "end_of",
    "ends_of",
    "finite",
    "linked",
]

#: Weights below this are as good as none.
LEAST_WEIGHT = 0.001


#: What is the key of nothing, though it has a text.
_NO_KEYS = (bool, list, tuple, set, frozenset, dict, type)


def end_of(given: Any) -> str:
    """The key that an edge may end at: a text, what else has one (a number, a UUID), a record.

    It need not be that of a record, which only the server could tell. Raises ValueError for None,
    an empty text and a record without a key, TypeError for what can be no key.
    """
    if isinstance(given, bytes):
        key = given.decode("utf-8", "surrogateescape")
    elif given is None or isinstance(given, _NO_KEYS) or callable(given):
        kind, shown = (ValueError if given is None else TypeError), cast("object", given)
        raise kind(
            f"an edge leads from a key to a key, got {describe(shown)}: give a record or its pk"
        )
    elif hasattr(given, "_meta"):
        key = str(given.pk)
        names = given._meta.key_names
        if not given._stored and any(getattr(given, name) is None for name in names):
            raise ValueError(
                f"an edge leads from a key to a key, and {describe(given)} has none yet: save it"
            )
    else:
        key = str(given)
    if not key:
        raise ValueError("an edge leads from a key to a key, and '' is none")
    return key


def ends_of(source: Any, target: Any) -> tuple[str, str]:
    """The keys at both ends of an edge. Raises as `end_of`, and ValueError where they are one."""
    one, other = end_of(source), end_of(target)
    if one == other:
        raise ValueError(f"an edge from {one!r} to itself is a self-loop: link two keys")
    return one, other


def finite(name: str, value: Any) -> float:
    """A finite number that is called so. Raises ValueError."""
    if not is_number(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return float(value)


@dataclass(frozen=True, slots=True)
class Edges:
    """The edges of one field: what their keys begin with, and whether they go both ways."""

    stem: str
    #: what the sets of incoming edges begin with; "" for symmetric ones, which need none
    incoming: str
    #: the field
    name: str

    def key_of(self, pk: str) -> str:
        """The sorted set of what the edges of a key lead to, by weight."""
        return self.stem + pk

    def put(
        self,
        batch: Batch,
        name: str,
        pk: str,
        *arguments: Argument,
        signal: float | None = None,
    ) -> None:
        """Queue a command of edges.lua."""
        words = (self.stem, self.incoming, pk, *arguments)
        put_noted(batch, "link", self.name, pk, name, self.key_of(pk), *words, signal=signal)


@dataclass(frozen=True, slots=True)
class EdgeEntry(Carried):
    """All edges of a record, from it and to it."""

    key: str
    member: str
    kind: str
    edges: Edges

    @classmethod
    def of(cls, edges: Edges, record: str, kind: str) -> Self:
        """The edges of one record; `key` is the sorted set of those from it."""
        return cls(edges.key_of(record), record, kind, edges)

    def begin(self, batch: Batch) -> None:
        """Edges may lead to a record before it exists: they stay."""

    def carry(self, batch: Batch, to: EdgeEntry) -> None:
        self.edges.put(batch, "REKEY", self.member, to.member)

    def remove(self, batch: Batch) -> None:
        self.edges.put(batch, "FORSAKE", self.member)

    def mend(self, batch: Batch) -> None:
        self.edges.put(batch, "PAIR", self.member)

    def look(self, batch: Batch) -> None:
        self.edges.put(batch, "UNPAIRED", self.member)

    def stands(self, reply: Reply) -> bool:
        return reply == 0

    can_be_told = True

    def tell(self, batch: Batch) -> None:
        batch.put("ZRANGE", self.key, 0, -1, "WITHSCORES")

    def told(self, reply: Reply) -> object:
        return told_scores(reply)

    def restore(self, batch: Batch, told: Any) -> None:
        flat = [part for target, weight in scored(told or []) for part in (target, repr(weight))]
        self.edges.put(batch, "RELATE", self.member, *flat)


#: What changes of edges are called where users ask for them.
_CAUSES = {"LINK": "link", "STRENGTHEN": "strengthen", "UNLINK": "unlink", "WEAKEN": "weaken_all"}


class EdgeChange(Adjustment):
    """A change of the edges of one key, which need not be that of a record."""

    needs_record = False

    def __init__(
        self,
        model: Any,
        edges: Edges,
        name: str,
        pk: str,
        *arguments: Argument,
        event: Sequence[Argument] = (),
        signal: float | None = None,
        options: Any = None,
    ) -> None:
        """`options`: those of the shard, of edges of a key that tells none."""
        self.cause = _CAUSES[name]
        super().__init__(model)
        self.signal = signal
        self.edges = edges
        self.name = name
        self.what = f"{name.lower()} of {pk!r}"
        self.pk = pk
        self.arguments = arguments
        # Of whichever of these goes or moves in the same step, the edge goes or moves along.
        self.ends = (pk,) if name == "WEAKEN" else (pk, str(arguments[0]))
        # An edge may be there before its records, and is looked for in every shard.
        self.outlasts_records = name in ("LINK", "STRENGTHEN")
        self.event = event
        self.options = options or model._meta.at(pk)
        if self.options.is_spread and name != "WEAKEN":
            # What is no record is where its edge leads to.
            self.options = self.options.at(str(arguments[0]))

    def check_shard(self) -> None:
        if self.options.is_spread:
            ends = self.pk if self.name == "WEAKEN" else f"{self.pk} - {self.arguments[0]!s}"
            raise ModelException(
                f"{self.options.model_name}: edges are in the shard of a record (Meta.shard_by is "
                f"{self.options.shard_by!r}), and {ends!r} names none: one end of an edge has to "
                "be a record's key; nothing was written"
            )
        other = self.pk if self.name == "WEAKEN" else str(self.arguments[0])
        place = self.options.at(other).shard_text
        if place is not None and place != self.options.shard_text:
            raise ModelException(
                f"{self.options.model_name}: an edge joins records of one shard "
                f"(Meta.shard_by is {self.options.shard_by!r}), and {self.pk!r} and {other!r} may "
                "be on different nodes of the cluster; nothing was written. Give both the same "
                f"{self.options.shard_by}, or leave Meta.shard_by out"
            )

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        self.edges.put(batch, self.name, self.pk, *self.arguments, signal=self.signal)
        if self.event:
            batch.execute_command(*self.event)

    def finish(self, replies: Sequence[Reply]) -> Any:
        reply: Any = replies[0]
        return float(reply) if self.name in ("LINK", "STRENGTHEN") else reply


def strengthened_event(model: Any, source: str, target: str, delta: float) -> list[Argument]:
    """The event of an edge that was strengthened; empty for a model without a stream."""
    name = getattr(model, "_stream_name", None)
    if not name:
        return []
    key = f"stream:{name}:{source}" if model._stream_partition_field else f"stream:{name}"
    fields: dict[str, object] = {
        "model": model._meta.model_name,
        "pk": source,
        "op": "strengthen",
        "ts": clock.now(),
        "changed_fields": "",
        **dict.fromkeys(model._stream_metadata_fields, ""),
        "source_pk": source,
        "target_pk": target,
        "delta": delta,
    }
    trimming: list[Argument] = []
    if model._stream_max_length is not None:
        trimming = ["MAXLEN", "~", model._stream_max_length]
    pairs = [str(part) for pair in fields.items() for part in pair]
    return ["XADD", key, *trimming, "*", *pairs]


# Reading -----------------------------------------------------------------------------------


def linked(
    model: Any, edges: Edges, pk: str, min_weight: float, limit: int
) -> Plan[list[tuple[str, float]]]:
    """What the edges of a key lead to, the heaviest first."""
    count = results_wanted(limit)
    least = number_in(min_weight, "min_weight", infinite=True)
    if count == 0:
        return []
    weights = ("+inf", repr(least), "WITHSCORES", "LIMIT", 0, max(count, -1))
    commands = [("ZREVRANGEBYSCORE", edges.key_of(pk), *weights)]
    # What is no record has edges in the shards of those that they lead to.
    options: Any = model._meta.at(pk)
    told = yield from in_every_shard(options, lambda each: looked_up(commands, each.shard))
    pairs = [
        (float(weight), key)
        for (flat,) in told
        for key, weight in zip(flat[::2], flat[1::2], strict=True)
    ]
    if len(told) > 1:
        pairs.sort(reverse=True)
    found = [(key.decode("utf-8", "replace"), weight) for weight, key in pairs]
    return found if count < 0 else found[:count]
