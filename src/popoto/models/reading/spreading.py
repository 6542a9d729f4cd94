"""Questions to a model with `Meta.shard_by` that concern several shards of a cluster.

Each shard is asked for what it may add to the window (as many as offset and limit together), all of
them in one round trip to each node, and what they answer is merged by the order of the query. So
results are those of the same records on a single server.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from popoto.engine.nodes import on_cluster
from popoto.engine.request import Plan
from popoto.exceptions import QueryException
from popoto.fields.asking.operands import Operand
from popoto.fields.keeping.shards import all_asked, known_shards
from popoto.models.reading.calls import PAGE, Reading, Row
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.fixing import fixed_shards
from popoto.models.reading.ordering import Order
from popoto.models.reading.pages import Pages
from popoto.models.reading.spec import QuerySpec
from popoto.models.record.options import ModelOptions

__all__ = ["Spread", "check_in_one_shard", "fetch_of", "in_each_shard", "shards_asked"]

Answer = TypeVar("Answer")


def fetch_of(spec: QuerySpec, operand: Operand) -> Plan[Fetch]:
    """What fetches the matches of a compiled query, from the shards that it concerns."""
    shards = yield from shards_asked(spec)
    if len(shards) == 1:
        return Fetch(shards[0], operand)
    return Spread(spec.options, operand, [Fetch(each, operand) for each in shards])


class Spread(Fetch):
    """One query under way in several shards, or in none."""

    def __init__(self, options: ModelOptions, operand: Operand, fetches: Sequence[Fetch]) -> None:
        super().__init__(options, operand)
        self.fetches = fetches

    @property
    def shards(self) -> Sequence[ModelOptions]:
        return [each.options for each in self.fetches]

    @property
    def parts(self) -> Sequence[Fetch]:
        return self.fetches

    def count(self) -> Plan[int]:
        return sum((yield from self._all(lambda fetch: fetch.count())))

    def exists(self) -> Plan[bool]:
        return any((yield from self._all(lambda fetch: fetch.exists())))

    def keys(self, order: Order, offset: int = 0, limit: int | None = None) -> Plan[list[bytes]]:
        if order.kind not in ("any", "key"):
            rows = yield from self.rows(Reading(()), order, offset, limit)
            return [row.key.encode("utf-8") for row in rows]
        end = None if limit is None else offset + limit
        found = yield from self._all(lambda fetch: fetch.keys(order, 0, end))
        keys = [key for some in found for key in some]
        if order.kind == "key":
            keys.sort()
        return keys[offset:end]

    def pages(
        self, reading: Reading, order: Order, offset: int = 0, limit: int | None = None
    ) -> Pages:
        return _SpreadPages(self, reading, order, offset, limit)

    def rows(
        self, reading: Reading, order: Order, offset: int = 0, limit: int | None = None
    ) -> Plan[list[Row]]:
        if order.kind == "values":
            return (yield from self._rows_by_value(reading, order, offset, limit))
        end = None if limit is None else offset + limit
        read = self._with_order(reading, order)
        found = yield from self._all(lambda fetch: fetch.rows(read, order, 0, end))
        return self._merged((row for rows in found for row in rows), order)[offset:end]

    def last(self, reading: Reading, order: Order) -> Plan[list[Row]]:
        read = self._with_order(reading, order)
        found = yield from self._all(lambda fetch: fetch.last(read, order))
        return self._merged((row for rows in found for row in rows), order)[-1:]

    def again(self, keys: Sequence[bytes], reading: Reading) -> Plan[list[Row]]:
        wanted: dict[str, list[bytes]] = {}
        for key in keys:
            wanted.setdefault(self.options.at(key.decode("utf-8")).shard, []).append(key)
        asked = [each for each in self.fetches if each.options.shard in wanted]
        found = yield from self._all(
            lambda fetch: fetch.again(wanted[fetch.options.shard], reading), asked
        )
        by_key = {row.key.encode("utf-8"): row for rows in found for row in rows}
        return [by_key[key] for key in keys if key in by_key]

    def _all(
        self, question: Callable[[Fetch], Plan[Answer]], asked: Sequence[Fetch] | None = None
    ) -> Plan[list[Answer]]:
        """The answers of these shards, or of all."""
        return (yield from all_asked(self.fetches if asked is None else asked, question))

    def _with_order(self, reading: Reading, order: Order) -> Reading:
        """What is read of records, and what their order follows from."""
        names = {each.name for each in order.fields}
        if names.issubset((*reading.hash_names, *reading.list_names)):
            return reading
        return Reading.of(self.options, (*reading.hash_names, *reading.list_names, *names))

    def _merged(self, rows: Iterable[Row], order: Order) -> list[Row]:
        if order.kind == "found":
            return sorted(rows, key=_by_distance)
        return list(rows) if order.kind == "any" else self._sorted([*rows], order)


class _SpreadPages(Pages):
    """The pages of a query to several shards: all keys first, then the records of each page."""

    def __init__(
        self, spread: Spread, reading: Reading, order: Order, offset: int, limit: int | None
    ) -> None:
        super().__init__(spread, reading, order, offset, limit, spread.rows)
        self._spread = spread

    def next(self) -> Plan[list[Row] | None]:
        if self.rest is None:
            self.rest = yield from self._spread.keys(self.order, *self.window)
        if not self.rest:
            return None
        head, self.rest = self.rest[:PAGE], self.rest[PAGE:]
        return (yield from self._spread.again(head, self.reading))


def _by_distance(row: Row) -> tuple[float, bytes]:
    return math.inf if row.distance is None else row.distance, row.key.encode("utf-8")


def shards_asked(spec: QuerySpec) -> Plan[list[ModelOptions]]:
    """The shards that a query concerns: on a single server, and of most models, one.

    Those that its conditions name, else all that are registered: one round trip, and one for each
    further 1,000 shards.
    """
    options = spec.options
    if not options.is_spread or not (yield from on_cluster()):
        return [options]
    named = fixed_shards(options, spec.conditions)
    return named if named is not None else (yield from known_shards(options))


def in_each_shard(spec: QuerySpec) -> Plan[list[QuerySpec]]:
    """The query as one for each of the shards that it concerns."""
    return [spec.changed(within=each) for each in (yield from shards_asked(spec))]


def check_in_one_shard(spec: QuerySpec, what: str = "this query") -> Plan[None]:
    """Raises QueryException for what has to be answered by one shard, and may concern several."""
    options = spec.options
    if not options.is_spread or fixed_shards(options, spec.conditions) == []:
        return
    if (yield from on_cluster()):
        name = options.shard_by
        raise QueryException(
            f"{options.model_name}: {what} is answered by one shard, and it does not say by which "
            f"(Meta.shard_by is {name!r}; shards are on different nodes of the cluster). Give the "
            f"value: filter({name}=…)"
        )
