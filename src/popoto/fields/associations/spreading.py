"""What activation reaches: within one shard in one script, else from shard to shard.

The edges of a key that is no record (a topic) are in the shards of the records that they lead to.
So activation that comes to such a key goes on in all others, as on a server that has all edges.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from popoto.engine.keys import SEPARATOR
from popoto.engine.looking_up import asked
from popoto.engine.request import Argument, Plan, Reply, Request, ScriptCall
from popoto.fields.associations.edges import Edges, end_of, finite
from popoto.fields.describing import describe
from popoto.fields.keeping.shards import all_asked, are_apart, known_shards
from popoto.memory.associations.scripts import PROPAGATE, PROPAGATE_APART

__all__ = ["spread"]

#: What activation begins with.
_FIRST: Final = 1.0


def spread(
    model: Any,
    edges: Edges,
    seeds: Iterable[Any],
    depth: int,
    decay: float,
    threshold: float,
    most: int,
) -> Plan[dict[str, float]]:
    """The keys that activation from the seeds reaches.

    One command. Of a model with several shards on a cluster one for each shard that seeds are in,
    and as many more for all of them as there are keys of no record on the way, one after another.
    """
    is_one = isinstance(seeds, (str, bytes)) or hasattr(seeds, "_meta")
    if is_one or not isinstance(seeds, Iterable):
        raise TypeError(f"propagate() takes several keys: pass a list, not {describe(seeds)}")
    try:
        hops = operator.index(depth)
    except TypeError as error:
        raise TypeError(f"depth must be a whole number of hops, got {describe(depth)}") from error
    names = list(dict.fromkeys(map(end_of, seeds)))
    for label, value in (("decay_per_hop", decay), ("threshold", threshold)):
        finite(label, value)
    if not names or hops < 0:
        return {}
    if hops == 0:
        return dict.fromkeys(names, 1.0)
    numbers: list[Argument] = [repr(float(decay)), repr(float(threshold)), most]
    options: Any = model._meta
    if (yield from are_apart(options)):
        found = yield from _Walk(options, edges, numbers).plan(names, hops)
        return {key: activation for key, activation in found.items() if key not in names}
    keys = [edges.key_of(name) for name in names]
    call = ScriptCall(PROPAGATE, keys, [edges.stem, hops, *numbers, *names])
    (flat,) = yield from asked(
        Request.of(call, shard=options.shard, repeatable=True), ((key, "zset") for key in keys)
    )
    return {key.decode("utf-8", "replace"): float(number) for key, number in _pairs(flat)}


def _pairs(flat: Sequence[Any]) -> Iterable[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


@dataclass(frozen=True, slots=True)
class _Front:
    """Keys that activation goes on from in one shard, how strongly, and how many hops are left."""

    view: Any
    hops: int
    strengths: Mapping[str, float]


@dataclass(slots=True)
class _Walk:
    """One spreading under way, through the shards of a model."""

    options: Any
    edges: Edges
    #: decay per hop, threshold, how many edges of one key count
    numbers: Sequence[Argument]
    found: dict[str, float] = field(default_factory=dict[str, float])
    #: of keys that are no records: how strongly, and with how many hops left, they were passed
    _passed: dict[str, list[tuple[float, int]]] = field(
        default_factory=dict[str, list[tuple[float, int]]]
    )
    _every: Sequence[Any] | None = None

    def plan(self, seeds: Sequence[str], hops: int) -> Plan[dict[str, float]]:
        """What is reached, with the seeds as far as they are."""
        fronts = yield from self._begun(seeds, hops)
        while fronts:
            replies = yield from all_asked(fronts, self._asked)
            going_on: dict[tuple[str, int], float] = {}
            for front, (reached, left) in zip(fronts, replies, strict=True):
                for key, number in _pairs(reached):
                    name = key.decode("utf-8", "replace")
                    self.found[name] = max(self.found.get(name, 0.0), float(number))
                for place in range(0, len(left), 3):
                    at = left[place].decode("utf-8", "replace"), front.hops - left[place + 2]
                    going_on[at] = max(going_on.get(at, 0.0), float(left[place + 1]))
            fronts = yield from self._gone_on(going_on)
        return self.found

    def _begun(self, seeds: Sequence[str], hops: int) -> Plan[list[_Front]]:
        by_shard: dict[str, tuple[Any, dict[str, float]]] = {}
        for seed in seeds:
            view = self.options.at(seed)
            views: Sequence[Any] = [view]
            if view.is_spread:
                self._passed[seed] = [(_FIRST, hops)]
                views = yield from self._shards()
            for each in views:
                by_shard.setdefault(each.shard, (each, {}))[1][seed] = _FIRST
        return [_Front(view, hops, strengths) for view, strengths in by_shard.values()]

    def _gone_on(self, going_on: Mapping[tuple[str, int], float]) -> Plan[list[_Front]]:
        """All shards, from keys that were not gone on from as strongly with as many hops left."""
        by_hops: dict[int, dict[str, float]] = {}
        for (key, hops), strength in sorted(going_on.items(), key=lambda each: -each[0][1]):
            passed = self._passed.setdefault(key, [])
            if all(strength > other or hops > left for other, left in passed):
                passed.append((strength, hops))
                by_hops.setdefault(hops, {})[key] = strength
        if not by_hops:
            return []
        views = yield from self._shards()
        return [_Front(view, hops, keys) for hops, keys in by_hops.items() for view in views]

    def _shards(self) -> Plan[Sequence[Any]]:
        if self._every is None:
            self._every = yield from known_shards(self.options)
        return self._every

    def _asked(self, front: _Front) -> Plan[Any]:
        edges, options = self.edges, front.view
        keys = [edges.key_of(name) for name in front.strengths]
        head = (edges.stem, front.hops, *self.numbers, options.model_name + SEPARATOR)
        parts = [part for name, weight in front.strengths.items() for part in (name, repr(weight))]
        call = ScriptCall(PROPAGATE_APART, keys, [*head, options.db_key_length - 1, *parts])
        replies: list[Reply] = yield from asked(
            Request.of(call, shard=options.shard, repeatable=True), ((key, "zset") for key in keys)
        )
        return replies[0]
