"""A query being carried out: compiled, ordered, fetched, and its rows shaped."""

from __future__ import annotations

import logging
from typing import Any

from popoto._unknown_names import is_strict, tell
from popoto.engine.request import Plan
from popoto.fields.asking.operands import Operand
from popoto.models.reading import ordering
from popoto.models.reading.calls import Reading, Row
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.fixing import check_fixed
from popoto.models.reading.ordering import Order
from popoto.models.reading.planning import Planner
from popoto.models.reading.projecting import projected
from popoto.models.reading.read_hooks import read_hooks
from popoto.models.reading.related import attach_references, check_related
from popoto.models.reading.spec import QuerySpec, check_count, check_values
from popoto.models.reading.spreading import check_in_one_shard, fetch_of
from popoto.models.record.loading import always_loaded, new_instance

logger = logging.getLogger("POPOTO.Query")


class Execution:
    """A `QuerySpec` being evaluated, once."""

    def __init__(self, spec: QuerySpec, *, eager_references: bool = False) -> None:
        self.spec = spec
        self.options = spec.options
        self.eager_references = eager_references
        self.limit = check_count(self.options, "limit", spec.limit)
        self.offset = check_count(self.options, "offset", spec.offset) or 0

    def compile(self) -> Plan[tuple[Fetch, Order]]:
        fetch = yield from self.matches()
        order_by = self.spec.order_by
        if self.spec.computed_sort is None:
            return fetch, ordering.choose(self.options, fetch.operand, order_by, self.spec.nulls)
        if order_by is not None:
            logger.warning(
                "%s: computed_sort overrides order_by=%r", self.options.model_name, order_by
            )
        return fetch, ordering.by_key(self.options)

    def unordered(self) -> Plan[Fetch]:
        """What matches, in whatever order, in one shard.

        QueryException where the conditions leave it to several shards of a cluster.
        """
        operand = yield from self._operand()
        yield from check_in_one_shard(self.spec)
        return Fetch(self.options, operand)

    def matches(self) -> Plan[Fetch]:
        """What matches, in whatever order, in all shards."""
        operand = yield from self._operand()
        return (yield from fetch_of(self.spec, operand))

    def _operand(self) -> Plan[Operand]:
        spec = self.spec
        if spec.values is not None:
            check_values(self.options, spec.values)
        if spec.only is not None:
            check_values(self.options, spec.only, "only")
        if spec.related:
            check_related(self.options, spec.related)
        if spec.order_by is not None or spec.nulls is not None:
            ordering.parse(self.options, spec.order_by, spec.nulls)
        if self.options.isolation and not spec.at_large:
            check_fixed(self.options, spec.conditions)
        planner = Planner(spec.model, spec.answered_by_index)
        operand: Operand = yield from planner.compile(spec.conditions)
        if planner.wants_distances and "distance_unit" not in operand.extra:
            tell(
                f"{self.options.model_name}: distances are known of records within one circle, "
                "which all conditions ask for, not within or without several; these have none",
                refuse=is_strict(self.options.strict),
            )
        return operand

    def count(self) -> Plan[int]:
        fetch = yield from self.matches()
        return (yield from fetch.count())

    def exists(self) -> Plan[bool]:
        if self.limit == 0:
            return False
        fetch = yield from self.matches()
        if self.offset:
            return (yield from fetch.count()) > self.offset
        return (yield from fetch.exists())

    def keys(self) -> Plan[list[bytes]]:
        fetch, order = yield from self.compile()
        computed = self.spec.computed_sort
        if computed is None:
            return (yield from fetch.keys(order, self.offset, self.limit))
        rows = yield from fetch.rows(self.reading(), order)
        end = None if self.limit is None else self.offset + self.limit
        found = [*zip(self.shaped(fetch, rows), [row.key for row in rows], strict=True)]
        found.sort(key=lambda pair: computed[0](pair[0]), reverse=computed[1])
        return [key.encode("utf-8", "surrogateescape") for _, key in found[self.offset : end]]

    def reading(self) -> Reading:
        if self.spec.values is None:
            only = self.spec.only
            if only is not None:
                return Reading.of(self.options, [*only, *always_loaded(self.options)])
            return Reading.everything(self.options)
        return Reading.of(self.options, self.spec.values)

    def results(self) -> Plan[list[Any]]:
        """The rows: instances, dicts, tuples or values."""
        if self.limit == 0:
            yield from self.compile()
            return []
        fetch, order = yield from self.compile()
        computed = self.spec.computed_sort
        if computed is not None:
            rows = yield from fetch.rows(self.reading(), order)
            found = self.shaped(fetch, rows)
            found.sort(key=computed[0], reverse=computed[1])
            end = None if self.limit is None else self.offset + self.limit
            return (yield from self.finished(found[self.offset : end]))
        rows = yield from fetch.rows(self.reading(), order, self.offset, self.limit)
        return (yield from self.finished(self.shaped(fetch, rows)))

    def last(self) -> Plan[Any]:
        """The last row, or None."""
        if self.spec.computed_sort is not None or self.limit is not None or self.offset:
            found = yield from self.results()
            return found[-1] if found else None
        fetch, order = yield from self.compile()
        rows = yield from fetch.last(self.reading(), order)
        found = yield from self.finished(self.shaped(fetch, rows))
        return found[-1] if found else None

    def shaped(self, fetch: Fetch, rows: list[Row]) -> list[Any]:
        """Rows as instances, dicts, tuples or values."""
        spec = self.spec
        if spec.values is not None:
            return projected(self.options, rows, spec.values, spec.shape)
        unit = fetch.operand.extra.get("distance_unit")
        deferred: frozenset[str] = frozenset()
        if spec.only is not None:
            read = self.reading()
            deferred = frozenset(self.options.stored_names).difference(
                read.hash_names, read.list_names
            )
        instances: list[Any] = []
        for row in rows:
            instance = new_instance(
                spec.model,
                row.key,
                row.stored,
                resolves_references=self.eager_references,
                deferred=deferred,
            )
            if unit is not None and row.distance is not None:
                instance._geo_distance = row.distance
                instance._geo_distance_unit = unit
            instances.append(instance)
        return instances

    def finished(self, found: list[Any]) -> Plan[list[Any]]:
        """Related records and read hooks, for the rows that are returned."""
        if self.spec.values is None and found:
            if self.spec.related:
                yield from attach_references(found, self.spec.related)
            if self.spec.tracked:
                yield from read_hooks(self.spec.model, found)
        return found
