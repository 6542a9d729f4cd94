"""That no record matches a lookup, as a guard of the commit that creates one for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from popoto.engine.batch import Batch, KeyArgument
from popoto.engine.codec import Stored
from popoto.engine.request import Argument, Plan
from popoto.engine.tree import encode
from popoto.exceptions import QueryException, StoredDataError
from popoto.fields.asking.conditions import Q
from popoto.fields.asking.operands import Operand
from popoto.models.reading.calls import Reading
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.ordering import Order
from popoto.models.reading.planning import Planner
from popoto.models.reading.spec import QuerySpec
from popoto.models.reading.spreading import check_in_one_shard
from popoto.models.record.loading import StoredView
from popoto.models.record.record import Record

__all__ = ["Absence", "absence"]

#: So many different values may stand in the way of a lookup that the server cannot decide alone.
_MOST_KNOWN = 10_000


class Absence:
    """A lookup that has found no record, and what records hold that may look like matches.

    The server finds candidates by the tree of a query. Where that may find more than what matches
    (numbers that doubles do not tell apart), and where an entry names a record of another value,
    Python decides: what candidates hold that do not match is told with the guard, so that only
    what nobody has looked at stands in the way.
    """

    def __init__(self, spec: QuerySpec, operand: Operand) -> None:
        self.model = spec.model
        self.options = spec.options
        #: whether the server needs no help of Python
        self.is_exact = operand.exact
        self._operand = operand
        needed = Reading.of(self.options, tuple(operand.needs))
        self._reading = needed
        self._fields = (*needed.hash_names, *(f"*{name}" for name in needed.list_names))
        self._known: set[bytes] = set()

    def look(self) -> Plan[None]:
        """Look at the candidates, to know what those hold that do not match."""
        if not self._fields:
            return
        candidates = Operand(self._operand.node, lambda _: True)
        rows = yield from Fetch(self.options, candidates).rows(self._reading, Order("any"))
        for row in rows:
            try:
                if self._operand.test(StoredView(self.options, row.key, row.stored)):
                    continue
            except StoredDataError:
                pass  # It is found by no query either.
            self._known.add(self._held(row.stored))
            if len(self._known) > _MOST_KNOWN:
                raise self._undecided()

    def put(self, batch: Batch) -> None:
        """Demand that still no record matches."""
        options = self.options
        words: list[Argument] = [
            KeyArgument(options.expiry_key),
            KeyArgument(options.expiry_values_key),
            len(self._fields),
            *self._fields,
            len(self._known),
            *self._known,
        ]
        encode(self._operand.node, _Named(), words)
        batch.guard_unmatched(options.class_set_key, *words)

    def _held(self, stored: Mapping[str, Stored]) -> bytes:
        """What a record holds of the fields that decide, as lua/finding/finding.lua writes it."""
        texts: list[bytes] = []
        for name in self._reading.hash_names:
            value: Any = stored.get(name)
            texts.append(b"0:" if value is None else b"1:" + _with_size(value))
        for name in self._reading.list_names:
            items = stored.get(name, ())
            texts += [b"*%d:" % len(items), *(_with_size(each) for each in items)]
        return b"".join(texts)

    def _undecided(self) -> QueryException:
        names = ", ".join(sorted(self._operand.needs))
        return QueryException(
            f"{self.options.model_name}: the server cannot tell by {names} alone whether a record "
            f"matches, and more than {_MOST_KNOWN} values would have to be compared; nothing was "
            "written. Give the whole key or a unique field, or index one of the fields of the "
            "lookup."
        )


class _Named:
    """Keys by their names; their positions are told when the batch is sent."""

    def position(self, key: str) -> Argument:
        return KeyArgument(key)


def _with_size(value: Any) -> bytes:
    return b"%d:" % len(value) + bytes(value)


def absence(model: type[Record], lookup: Mapping[str, Any]) -> Plan[Absence]:
    """The absence of what a lookup asks for, as far as the server tells it.

    A field with a `filter_query` of its own names what it has found, not what others store later.
    QueryException where records of several shards of a cluster may match.
    """
    spec = QuerySpec(model, (Q(**lookup),))
    operand = yield from Planner(model).compile(spec.conditions)
    yield from check_in_one_shard(spec, "whether no record matches")
    return Absence(spec, operand)
