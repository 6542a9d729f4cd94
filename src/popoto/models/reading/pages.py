"""The rows of a query page by page, so that no call holds the server for long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from popoto.engine.request import Plan
from popoto.models.reading.calls import PAGE, InexactOrder, QueryCalls, Reading, Row
from popoto.models.reading.ordering import Order

#: All rows (of a window) in an order of values, which Python decides.
ByValue: TypeAlias = Callable[[Reading, Order, int, "int | None"], Plan[list[Row]]]


#: How often a part of the matches is asked for while entries of records are put right.
_TRIES: Final = 3


class Pages:
    """The pages of a query: the first call finds all keys, later ones read further records.

    A record of a later page is read only if it still matches. Where the index turns out not to
    tell all values apart, `by_value` gives all rows at once.
    """

    def __init__(
        self,
        calls: QueryCalls,
        reading: Reading,
        order: Order,
        offset: int,
        limit: int | None,
        by_value: ByValue,
    ) -> None:
        self.calls = calls
        self.by_value = by_value
        self.reading = reading
        self.order = order
        self.skip = 0 if calls.operand.exact else offset
        self.offset = offset if calls.operand.exact else 0
        self.limit = limit
        self.window = offset, limit
        self.left = limit
        self.rest: list[bytes] | None = None
        self.distances: list[bytes] = []

    def next(self) -> Plan[list[Row] | None]:
        """The next rows (perhaps none of a page), or None at the end."""
        calls = self.calls
        if self.rest is None:
            try:
                return self._cut((yield from self._first()))
            except InexactOrder:
                self.rest = []
                order = self.order.by_value()
                return (yield from self.by_value(self.reading, order, *self.window))
        if not self.rest or self.left == 0:
            return None
        head, self.rest = self.rest[:PAGE], self.rest[PAGE:]
        rows = yield from calls.again(head, self.reading)
        if self.distances:
            by_key = dict(zip(head, self.distances, strict=False))
            self.distances = self.distances[PAGE:]
            for row in rows:
                distance = by_key[row.key.encode("utf-8")]
                row.distance = float(distance) if distance else None
        return self._cut(rows)

    def _first(self) -> Plan[list[Row]]:
        """The rows of the first page, and the keys of the others."""
        calls = self.calls
        needed = calls.with_needs(self.reading)
        tries = _TRIES if self.limit is not None or self.offset else 1
        while True:
            page = yield from calls.call(
                calls.operand.node,
                "records",
                order=self.order,
                offset=self.offset,
                limit=self.limit if calls.operand.exact else None,
                reading=needed,
            )
            rows = calls.matching(calls.rows_of(page, needed), needed)
            were_wrong = yield from calls.put_right()
            tries -= 1
            if were_wrong and tries > 0:
                # Some of so many, or of those before them, were no matches.
                continue
            self.rest = page.rest
            self.distances = page.distances[len(page.found) :]
            return rows

    def _cut(self, rows: list[Row]) -> list[Row]:
        if self.skip:
            skipped = min(self.skip, len(rows))
            self.skip -= skipped
            rows = rows[skipped:]
        if self.left is not None:
            rows = rows[: self.left]
            self.left -= len(rows)
        return rows
