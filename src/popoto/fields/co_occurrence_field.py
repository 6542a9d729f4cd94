"""`CoOccurrenceField`: what is remembered together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from popoto._former_names import formerly
from popoto._stock import stock
from popoto.engine import keys
from popoto.engine.request import Plan
from popoto.engine.run import arun, run
from popoto.exceptions import ModelException
from popoto.fields.associations.edges import (
    LEAST_WEIGHT,
    EdgeChange,
    EdgeEntry,
    Edges,
    end_of,
    ends_of,
    finite,
    linked,
    strengthened_event,
)
from popoto.fields.associations.spreading import spread
from popoto.fields.constants import Defaults
from popoto.fields.describing import describe
from popoto.fields.field import LEFT_OUT, Field, LeftOut
from popoto.fields.given import model_in, pairs_in
from popoto.fields.keeping.adjusting import carried_out
from popoto.fields.keeping.entries import Entry
from popoto.fields.keeping.families import KeyFamily, Layout
from popoto.fields.keeping.proposals import ProposalEntry, pending_family
from popoto.fields.keeping.shards import every_shard
from popoto.fields.valueless_field_mixin import ValuelessFieldMixin
from popoto.memory.composite.signals import Signal, spreading
from popoto.memory.finite import is_number

__all__ = ["CoOccurrenceField"]


class CoOccurrenceField(ValuelessFieldMixin[Any], Field[Any]):
    """Weighted edges between keys, normally those of records. The attribute itself is None.

    `symmetric`     an edge leads both ways, with one weight
    `max_edges`     how many edges one key has; the lightest go
    `decay_factor`  what `weaken_all` multiplies weights by, from 0 to below 1;
                    `Defaults.CO_OCCURRENCE_DECAY_FACTOR` if left out

    Methods are called on the field (``Model.associations``) with the model and keys, or records in
    the place of keys. The edges of a record, from it and to it, are gone with it, and follow it to
    another key. Each method has a native asyncio twin, ``async_…``; `pipeline` may be a
    transaction. Whether a key is that of a record only the server knows, and nobody asks: there may
    be edges before their records. ValueError or TypeError for what can be no key.
    """

    option_defaults: ClassVar[dict[str, Any]] = {
        "symmetric": True,
        "max_edges": 500,
        "decay_factor": None,
    }
    shown_keywords: ClassVar[tuple[str, ...]] = ("symmetric", "max_edges", "decay_factor")

    values_are = "edges to other records"
    follows_from = "link() and strengthen()"

    symmetric: bool
    max_edges: int
    decay_factor: float

    def __init__(
        self,
        symmetric: bool = True,
        max_edges: int = 500,
        decay_factor: float | None = None,
        **options: Any,
    ) -> None:
        factor = Defaults.CO_OCCURRENCE_DECAY_FACTOR if decay_factor is None else decay_factor
        super().__init__(symmetric=symmetric, max_edges=max_edges, decay_factor=factor, **options)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        most: object = self.max_edges
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise ModelException(f"max_edges must be an int of 1 or more, got {describe(most)}")
        factor: object = self.decay_factor
        if not is_number(factor) or not 0 <= self.decay_factor < 1:
            raise ModelException(
                f"decay_factor must be a number from 0 to below 1, got {describe(factor)}"
            )

    def bind(self, model_name: str, name: str) -> None:
        super().bind(model_name, name)
        self.stem = f"{self.field_class_key}:{model_name}:{name}"
        incoming = "" if self.symmetric else f"$CoOccurrenceIn:{model_name}:{name}:"
        self.edges = Edges(self.stem + keys.SEPARATOR, incoming, name)

    # What is kept ---------------------------------------------------------------

    @property
    def deciding_names(self) -> tuple[str, ...]:
        return ()

    @property
    def registries(self) -> frozenset[str]:
        return super().registries | {"edges"}

    @property
    def makes_entries(self) -> bool:
        return True

    @stock
    def entries(self, key: str, values: Mapping[str, Any]) -> Sequence[Entry]:
        return (EdgeEntry.of(self.edges, key, self.name), ProposalEntry.of(self.model_name, key))

    def key_families(self) -> Sequence[KeyFamily]:
        outgoing = _family("companions", self.name, self.stem, "zset")
        if self.symmetric:
            return (outgoing, pending_family(self.model_name))
        stem = self.edges.incoming.rstrip(keys.SEPARATOR)
        incoming = _family("", self.name, stem, "set")
        return (outgoing, incoming, pending_family(self.model_name))

    def kept_keys(self, key: str) -> Sequence[str]:
        found = [self.edges.key_of(key)]
        if not self.symmetric:
            found.append(self.edges.incoming + key)
        return found

    # Keys -----------------------------------------------------------------------

    @formerly(model_class="model_class_or_instance")
    def get_edge_key(self, model_class_or_instance: Any, pk: Any) -> str:
        """The sorted set of what the edges of a key lead to, by weight."""
        return self._field_in(model_class_or_instance, "get_edge_key()").edges.key_of(str(pk))

    def get_edge_key_prefix(self, model_class: Any) -> str:
        """What these keys begin with."""
        return self._field_in(model_class, "get_edge_key_prefix()").edges.stem

    def _field_in(self, model: Any, what: str) -> CoOccurrenceField:
        """The field of this name in a model, which may have inherited it. Raises TypeError."""
        field = model_in(model, f"{self.label}: {what}")._meta.by_name.get(self.name)
        if isinstance(field, CoOccurrenceField):
            return field
        raise TypeError(
            f"{self.label}: {what} takes a model with a CoOccurrenceField {self.name!r}, which "
            f"{model._meta.model_name} does not have"
        )

    # Changing edges -------------------------------------------------------------

    def link(
        self,
        model_class: Any,
        source_pk: Any,
        target_pk: Any,
        initial_weight: float | LeftOut = LEFT_OUT,
        pipeline: Any = None,
    ) -> Any:
        """An edge from one key to another, unless there is one; its weight, or the pipeline.

        The weight is `Defaults.CO_OCCURRENCE_INITIAL_WEIGHT` if left out. Where a key has more than
        `max_edges` edges, its lightest one goes, perhaps the new one. Raises ValueError for an edge
        to itself and a weight that is not finite. One command.
        """
        return run(self._linking(model_class, [(source_pk, target_pk)], initial_weight, pipeline))

    async def async_link(
        self,
        model_class: Any,
        source_pk: Any,
        target_pk: Any,
        initial_weight: float | LeftOut = LEFT_OUT,
        pipeline: Any = None,
    ) -> Any:
        """`link` for asyncio."""
        pairs = [(source_pk, target_pk)]
        return await arun(self._linking(model_class, pairs, initial_weight, pipeline))

    def bulk_link(
        self,
        model_class: Any,
        pairs: Iterable[tuple[Any, Any]],
        initial_weight: float | LeftOut = LEFT_OUT,
        pipeline: Any = None,
    ) -> Any:
        """`link` of many pairs in one step; the weights in order, or the pipeline. One command."""
        plan = self._linking(model_class, pairs, initial_weight, pipeline, single=False)
        return run(plan)

    async def async_bulk_link(
        self,
        model_class: Any,
        pairs: Iterable[tuple[Any, Any]],
        initial_weight: float | LeftOut = LEFT_OUT,
        pipeline: Any = None,
    ) -> Any:
        """`bulk_link` for asyncio."""
        plan = self._linking(model_class, pairs, initial_weight, pipeline, single=False)
        return await arun(plan)

    def _linking(
        self,
        model: Any,
        pairs: Iterable[tuple[Any, Any]],
        weight: float | LeftOut,
        pipeline: Any,
        *,
        single: bool = True,
    ) -> Plan[Any]:
        number = Defaults.CO_OCCURRENCE_INITIAL_WEIGHT if isinstance(weight, LeftOut) else weight
        text = repr(finite("initial_weight", number))
        field = self._field_in(model, "link()")
        changes = [
            field._change(model, "LINK", *ends_of(source, target), text, field.max_edges)
            for source, target in pairs_in(pairs, "bulk_link()", "key, key")
        ]
        return self._changing(model, changes, pipeline, single=single)

    def strengthen(
        self,
        model_class: Any,
        source_pk: Any,
        target_pk: Any,
        delta: float = 0.05,
        pipeline: Any = None,
    ) -> Any:
        """Add to the weight of an edge, which is made if there is none; the new weight.

        None with a pipeline. Raises ValueError unless delta is above 0 and finite, and for an
        edge to itself. One command.
        """
        return run(self._strengthening(model_class, source_pk, target_pk, delta, pipeline))

    async def async_strengthen(
        self,
        model_class: Any,
        source_pk: Any,
        target_pk: Any,
        delta: float = 0.05,
        pipeline: Any = None,
    ) -> Any:
        """`strengthen` for asyncio."""
        return await arun(self._strengthening(model_class, source_pk, target_pk, delta, pipeline))

    def _strengthening(
        self, model: Any, source: Any, target: Any, delta: float, pipeline: Any
    ) -> Plan[Any]:
        if finite("delta", delta) <= 0:
            raise ValueError(f"delta must be > 0, got {delta!r}")
        one, other = ends_of(source, target)
        field = self._field_in(model, "strengthen()")
        event = [] if pipeline is not None else strengthened_event(model, one, other, delta)
        change = EdgeChange(
            model,
            field.edges,
            "STRENGTHEN",
            one,
            other,
            repr(float(delta)),
            field.max_edges,
            event=event,
            signal=float(delta),
        )
        found = yield from self._changing(model, [change], pipeline)
        return found if pipeline is None else None

    def unlink(
        self, model_class: Any, source_pk: Any, target_pk: Any, pipeline: Any = None
    ) -> None:
        """Remove an edge, if there is one. One command."""
        run(self._unlinking(model_class, source_pk, target_pk, pipeline))

    async def async_unlink(
        self, model_class: Any, source_pk: Any, target_pk: Any, pipeline: Any = None
    ) -> None:
        """`unlink` for asyncio."""
        await arun(self._unlinking(model_class, source_pk, target_pk, pipeline))

    def _unlinking(self, model: Any, source: Any, target: Any, pipeline: Any) -> Plan[None]:
        field = self._field_in(model, "unlink()")
        change = field._change(model, "UNLINK", end_of(source), end_of(target))
        yield from carried_out([change], pipeline)

    def weaken_all(
        self, model_class: Any, pk: Any, factor: float | None = None, pipeline: Any = None
    ) -> Any:
        """Multiply the weights of all edges of a key, mirrored ones included; below 0.001 they go.

        The factor is `decay_factor` if left out. Returns how many of its edges went, or the
        pipeline. Raises ValueError for a factor that is not between 0 and 1. One command, which
        grows with the edges of the key.
        """
        return run(self._weakening(model_class, pk, factor, pipeline))

    async def async_weaken_all(
        self, model_class: Any, pk: Any, factor: float | None = None, pipeline: Any = None
    ) -> Any:
        """`weaken_all` for asyncio."""
        return await arun(self._weakening(model_class, pk, factor, pipeline))

    def _weakening(self, model: Any, pk: Any, factor: float | None, pipeline: Any) -> Plan[Any]:
        field = self._field_in(model, "weaken_all()")
        number: Any = field.decay_factor if factor is None else factor
        if not is_number(number) or not 0 <= number <= 1:
            raise ValueError(f"factor must be between 0 and 1, got {number!r}")
        key = end_of(pk)
        words = ("WEAKEN", key, repr(float(number)), repr(LEAST_WEIGHT))
        views: list[Any] = [model._meta.at(key)]
        if pipeline is None:
            views = yield from every_shard(views[0])
        changes = [
            EdgeChange(model, field.edges, *words, signal=float(number), options=view)
            for view in views
        ]
        found = yield from carried_out(changes, pipeline)
        return sum(found) if pipeline is None else pipeline

    def _change(self, model: Any, name: str, pk: str, *arguments: Any) -> EdgeChange:
        return EdgeChange(model, self.edges, name, pk, *arguments)

    def _changing(
        self, model: Any, changes: Sequence[EdgeChange], pipeline: Any, *, single: bool = True
    ) -> Plan[Any]:
        found = yield from carried_out(changes, pipeline)
        if pipeline is not None:
            return pipeline
        return found[0] if single else found

    # Reading --------------------------------------------------------------------

    def get_linked(
        self, model_class: Any, pk: Any, min_weight: float = 0.01, limit: int = 20
    ) -> list[tuple[str, float]]:
        """What the edges of a key lead to, with their weights, the heaviest first.

        A negative limit lifts it. One command.
        """
        return run(self._linked(model_class, pk, min_weight, limit))

    async def async_get_linked(
        self, model_class: Any, pk: Any, min_weight: float = 0.01, limit: int = 20
    ) -> list[tuple[str, float]]:
        """`get_linked` for asyncio."""
        return await arun(self._linked(model_class, pk, min_weight, limit))

    def propagate(
        self,
        model_class: Any,
        seed_pks: Iterable[Any],
        depth: int = 2,
        decay_per_hop: float | LeftOut = LEFT_OUT,
        threshold: float = 0.01,
    ) -> dict[str, float]:
        """The keys that activation reaches from the seeds, which are left out, and how strongly.

        Spreading activation (Collins and Loftus 1975), breadth first: each hop multiplies by
        `decay_per_hop` (`Defaults.CO_OCCURRENCE_DECAY_PER_HOP`) and the weight of the edge; of
        several ways the best one counts; what falls below `threshold` goes no further. Depth 0
        gives the seeds with 1. One command, which grows with the edges within reach.
        """
        return run(self._spreading(model_class, seed_pks, depth, decay_per_hop, threshold))

    async def async_propagate(
        self,
        model_class: Any,
        seed_pks: Iterable[Any],
        depth: int = 2,
        decay_per_hop: float | LeftOut = LEFT_OUT,
        threshold: float = 0.01,
    ) -> dict[str, float]:
        """`propagate` for asyncio."""
        return await arun(self._spreading(model_class, seed_pks, depth, decay_per_hop, threshold))

    def _linked(
        self, model: Any, pk: Any, min_weight: float, limit: int
    ) -> Plan[list[tuple[str, float]]]:
        edges = self._field_in(model, "get_linked()").edges
        model._meta.isolation.check_keys_tell("get_linked()")
        return linked(model, edges, end_of(pk), min_weight, limit)

    def _spreading(
        self, model: Any, seeds: Iterable[Any], depth: int, decay: float | LeftOut, threshold: float
    ) -> Plan[dict[str, float]]:
        field = self._field_in(model, "propagate()")
        model._meta.isolation.check_keys_tell("propagate()")
        number = Defaults.CO_OCCURRENCE_DECAY_PER_HOP if isinstance(decay, LeftOut) else decay
        return spread(model, field.edges, seeds, depth, number, threshold, field.max_edges)

    def spreading_signal(self, seed_pks: Sequence[str], depth: int, threshold: float) -> Signal:
        """What activation from these keys reaches (`propagate`), as a signal of a ranking."""
        decay = Defaults.CO_OCCURRENCE_DECAY_PER_HOP
        stem = self.edges.stem
        return spreading(stem, seed_pks, int(depth), decay, threshold, self.max_edges)


def _family(section: str, name: str, stem: str, layout: Layout) -> KeyFamily:
    return KeyFamily(section, name, stem, layout, is_open=True, derived=False, foreign=True)
