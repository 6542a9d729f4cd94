"""Running a compiled query: counting, keys, rows, in an order of the server's or of values."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from popoto.engine.keys import text_of
from popoto.engine.request import Plan
from popoto.engine.tree import Nothing
from popoto.exceptions import StoredDataError
from popoto.models.reading.calls import InexactOrder, QueryCalls, Reading, Row
from popoto.models.reading.ordering import Order, by_key, ordered
from popoto.models.reading.pages import Pages
from popoto.models.record.loading import StoredView
from popoto.models.record.options import ModelOptions
from popoto.models.record.record_keys import told_by_key

logger = logging.getLogger("POPOTO.Query")


class Fetch(QueryCalls):
    """One query under way."""

    @property
    def shards(self) -> Sequence[ModelOptions]:
        """The shards that are asked."""
        return (self.options,)

    @property
    def parts(self) -> Sequence[Fetch]:
        """The same query in each of these."""
        return (self,)

    # Counting ------------------------------------------------------------------------

    def count(self) -> Plan[int]:
        """How many records match."""
        if isinstance(self.operand.node, Nothing):
            return 0
        if self.operand.exact:
            page = yield from self.call(self.operand.node, "count")
            number: int = page.found
            return number
        total = 0
        pages = self.pages(Reading.of(self.options, tuple(self.operand.needs)), Order("any"))
        rows = yield from pages.next()
        while rows is not None:
            total += len(rows)
            rows = yield from pages.next()
        return total

    def exists(self) -> Plan[bool]:
        """Whether any record matches."""
        if isinstance(self.operand.node, Nothing):
            return False
        if self.operand.exact:
            page = yield from self.call(
                self.operand.node, "keys", order=by_key(self.options), limit=1
            )
            return bool(page.found)
        rows = yield from self.rows(Reading(()), Order("any"), limit=1)
        return bool(rows)

    # Reading -------------------------------------------------------------------------

    def keys(self, order: Order, offset: int = 0, limit: int | None = None) -> Plan[list[bytes]]:
        """The keys of the matches, in order (an order of values needs `rows`)."""
        if isinstance(self.operand.node, Nothing) or limit == 0:
            return []
        if self.operand.exact and order.kind != "values":
            try:
                page = yield from self.call(
                    self.operand.node, "keys", order=order, offset=offset, limit=limit
                )
            except InexactOrder:
                return (yield from self.keys(order.by_value(), offset, limit))
            found: list[bytes] = page.found
            return found
        rows = yield from self.rows(Reading(()), order, offset=offset, limit=limit)
        return [row.key.encode("utf-8") for row in rows]

    def pages(
        self, reading: Reading, order: Order, offset: int = 0, limit: int | None = None
    ) -> Pages:
        """The matches page by page, in an order that the server gives."""
        return Pages(self, reading, order, offset, limit, self._rows_by_value)

    def rows(
        self, reading: Reading, order: Order, offset: int = 0, limit: int | None = None
    ) -> Plan[list[Row]]:
        """The matches, in order."""
        if isinstance(self.operand.node, Nothing) or limit == 0:
            return []
        if order.kind == "values":
            return (yield from self._rows_by_value(reading, order, offset, limit))
        pages = self.pages(reading, order, offset, limit)
        found: list[Row] = []
        rows = yield from pages.next()
        while rows is not None:
            found += rows
            rows = yield from pages.next()
        return found

    def last(self, reading: Reading, order: Order) -> Plan[list[Row]]:
        """The last match, if there is any."""
        if self.operand.exact and order.kind != "values":
            try:
                page = yield from self.call(
                    self.operand.node, "records", order=order, offset=-1, limit=1, reading=reading
                )
            except InexactOrder:
                return (yield from self.last(reading, order.by_value()))
            rows = yield from self.settled(self.rows_of(page, reading), reading)
            if rows or not page.found:
                return rows
        keys = yield from self.keys(order)
        while keys:
            rows = yield from self.again([keys.pop()], reading)
            if rows:
                return rows
        return []

    def _rows_by_value(
        self, reading: Reading, order: Order, offset: int, limit: int | None
    ) -> Plan[list[Row]]:
        options = self.options
        names = [each.name for each in order.fields]
        wanted = {*reading.hash_names, *reading.list_names}
        if limit is None:
            everything = Reading.of(options, [*wanted, *names])
            rows = yield from self.rows(everything, Order("any"))
            return self._sorted(rows, order)[offset:]
        # Read just what decides the order, and the records themselves for the winners.
        candidates = yield from self._keys_by_key_fields(order)
        if candidates is None:
            rows = yield from self.rows(Reading.of(options, names), Order("any"))
            candidates = [row.key.encode("utf-8") for row in self._sorted(rows, order)]
        candidates = candidates[offset:]
        found: list[Row] = []
        while candidates and len(found) < limit:
            missing = limit - len(found)
            head, candidates = candidates[:missing], candidates[missing:]
            found += yield from self.again(head, reading)
        return found

    def _keys_by_key_fields(self, order: Order) -> Plan[list[bytes] | None]:
        """The matches in the order of key fields, whose values the keys tell without reading.

        None for other fields, and where a key may stand for several values.
        """
        options = self.options
        names = [each.name for each in order.fields]
        if not self.operand.exact or not all(options.by_name[name].told_by_key for name in names):
            return None
        values: dict[str, dict[str, Any]] = {}
        for key in (yield from self.keys(Order("any"))):
            text = text_of(key)
            told = told_by_key(options, text, names)
            if told is None:
                return None
            values[text] = told
        in_order = ordered(
            options, order, list(values), lambda key: key, lambda key, name: values[key][name]
        )
        return [key.encode("utf-8") for key in in_order]

    def _sorted(self, rows: list[Row], order: Order) -> list[Row]:
        views: dict[str, StoredView] = {
            row.key: StoredView(self.options, row.key, row.stored) for row in rows
        }

        def value_of(row: Row, name: str) -> Any:
            try:
                return views[row.key].value(name)
            except StoredDataError as error:
                logger.warning("%s", error)
                return None

        return ordered(self.options, order, rows, lambda row: row.key, value_of)
