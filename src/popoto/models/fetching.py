"""Running a compiled query: calls of query.lua, page by page."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis.exceptions

from popoto.engine import keys
from popoto.engine.request import Argument, Plan, Reply, Request, ScriptCall
from popoto.engine.scripts import QUERY
from popoto.engine.tree import Keys, Node, Nothing, RecordKeys, all_of, encode, key_kinds
from popoto.exceptions import QueryException, StoredDataError
from popoto.fields.field import Field
from popoto.fields.operands import Operand
from popoto.models import expiry
from popoto.models.loading import StoredView
from popoto.models.options import ModelOptions
from popoto.models.ordering import BY_KEY, Order, by_key, ordered
from popoto.models.repair import repair

logger = logging.getLogger("POPOTO.Query")

#: How many records one call reads, so that none holds the server for long.
PAGE = 2000
#: Sets up to this size are counted by looking for every record; larger ones are trusted
#: where no record is due to have expired.
TRUST = 5000


@dataclass(slots=True)
class Row:
    """One record that a query found: its key, the bytes that were read, its distance."""

    key: str
    stored: dict[str, Any]
    distance: float | None = None


@dataclass(slots=True)
class Page:
    """The reply of one call."""

    found: list[Any]
    rest: list[bytes]
    distances: list[bytes]


@dataclass(slots=True, frozen=True)
class Reading:
    """Which fields a query reads of each record."""

    hash_names: tuple[str, ...]
    list_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: ModelOptions, names: Sequence[str]) -> Reading:
        return cls(
            tuple(name for name in options.hash_names if name in names),
            tuple(name for name in options.list_names if name in names),
        )

    @classmethod
    def everything(cls, options: ModelOptions) -> Reading:
        return cls(tuple(options.hash_names), tuple(options.list_names))


class InexactOrder(Exception):
    """The scores of the ordering index do not tell all values apart: order by the values."""


class Fetch:
    """One query under way."""

    def __init__(self, options: ModelOptions, operand: Operand) -> None:
        self.options = options
        self.operand = operand

    # One call ----------------------------------------------------------------------

    def _call(
        self,
        node: Node,
        mode: str,
        *,
        order: Order = BY_KEY,
        offset: int = 0,
        limit: int | None = None,
        reading: Reading | None = None,
    ) -> Plan[Page]:
        options = self.options
        keys = Keys()
        for key in (options.class_set_key, options.expiry_key, options.expiry_values_key):
            keys.position(key)
        reading = reading or Reading(())
        arguments: list[Argument] = [
            mode,
            offset,
            -1 if limit is None else limit,
            PAGE,
            TRUST,
            order.kind,
            0 if order.key is None else keys.position(order.key),
            order.exact_to,
            1 if order.reverse else 0,
            len(reading.hash_names),
            *reading.hash_names,
            len(reading.list_names),
            *reading.list_names,
        ]
        encode(node, keys, arguments)
        call = ScriptCall(QUERY, list(keys.positions), arguments)
        try:
            (reply,) = yield Request((call,), options.shard, repeatable=True)
        except redis.exceptions.ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            raise (yield from self._wrong_kind(node, order)) from error
        found, rest, due, distances, dead = reply
        if due:
            yield from expiry.sweep(options, due)
        if dead and options.self_repair:
            left = _without(dead, due)
            if left:
                yield from repair(options, left, node)
        if found == b"inexact":
            raise InexactOrder
        return Page(found, rest, distances)

    def _wrong_kind(self, node: Node, order: Order) -> Plan[QueryException]:
        """Which of a query's keys another program uses for something else."""
        options = self.options
        expected = {options.class_set_key: "set", options.expiry_key: "zset", **key_kinds(node)}
        if order.key is not None:
            expected[order.key] = "zset"
        kinds: list[Reply] = yield Request(
            [("TYPE", key) for key in expected], options.shard, repeatable=True
        )
        wrong = [
            f"{key!r} is a {kind.decode()} instead of a {expected[key]}"
            for key, kind in zip(expected, kinds, strict=True)
            if kind.decode() not in ("none", expected[key])
        ]
        found = "; ".join(wrong) or "a key of one of its records is no hash"
        return QueryException(
            f"{options.model_name} cannot be queried: {found}. Rename or delete that key."
        )

    def _rows(self, page: Page, reading: Reading) -> list[Row]:
        width = len(reading.hash_names)
        names = reading.hash_names
        distances = page.distances
        rows: list[Row] = []
        for position, (key, values) in enumerate(page.found):
            stored = {
                name: value for name, value in zip(names, values, strict=False) if value is not None
            }
            if reading.list_names:
                for name, items in zip(reading.list_names, values[width:], strict=True):
                    stored[name] = tuple(items)
            # Empty for a match that another condition found.
            distance = float(distances[position]) if distances and distances[position] else None
            rows.append(Row(key.decode("utf-8"), stored, distance))
        return rows

    # Counting ------------------------------------------------------------------------

    def count(self) -> Plan[int]:
        """How many records match."""
        if isinstance(self.operand.node, Nothing):
            return 0
        if self.operand.exact:
            page = yield from self._call(self.operand.node, "count")
            return int(page.found)  # pyright: ignore[reportArgumentType]
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
            page = yield from self._call(
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
                page = yield from self._call(
                    self.operand.node, "keys", order=order, offset=offset, limit=limit
                )
            except InexactOrder:
                return (yield from self.keys(order.by_value(), offset, limit))
            return page.found
        rows = yield from self.rows(Reading(()), order, offset=offset, limit=limit)
        return [row.key.encode("utf-8") for row in rows]

    def pages(
        self, reading: Reading, order: Order, offset: int = 0, limit: int | None = None
    ) -> Pages:
        """The matches page by page, in an order that the server gives."""
        return Pages(self, reading, order, offset, limit)

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
                page = yield from self._call(
                    self.operand.node, "records", order=order, offset=-1, limit=1, reading=reading
                )
            except InexactOrder:
                return (yield from self.last(reading, order.by_value()))
            return self._rows(page, reading)
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
        names = [name for name, _ in order.fields]
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
        names = [name for name, _ in order.fields]
        if not self.operand.exact or not all(_is_told_by_key(options, name) for name in names):
            return None
        values: dict[str, dict[str, Any]] = {}
        for key in (yield from self.keys(Order("any"))):
            text = key.decode("utf-8")
            told = _told_by_key(options, text, names)
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

    def again(self, keys: Sequence[bytes], reading: Reading) -> Plan[list[Row]]:
        """Read these matches, as far as they still match, in the order of `keys`."""
        needed = self._with_needs(reading)
        node = all_of([RecordKeys(tuple(keys)), self.operand.node])
        page = yield from self._call(node, "records", order=Order("found"), reading=needed)
        by_key = {row.key.encode("utf-8"): row for row in self._rows(page, needed)}
        rows = [by_key[key] for key in keys if key in by_key]
        return self.matching(rows)

    def _with_needs(self, reading: Reading) -> Reading:
        if self.operand.exact:
            return reading
        names = {*reading.hash_names, *reading.list_names, *self.operand.needs}
        return Reading.of(self.options, tuple(names))

    def matching(self, rows: list[Row]) -> list[Row]:
        """The rows that pass what Python has to check."""
        if self.operand.exact:
            return rows
        logger.debug(
            "Client-side filter on %s of %s",
            ", ".join(sorted(self.operand.needs)),
            self.options.model_name,
        )
        try:
            return [row for row in rows if self._passes(row)]
        except RecursionError as error:
            raise QueryException(
                f"{self.options.model_name}: conditions that Python has to check are nested too "
                "deeply in each other; build a flatter Q"
            ) from error

    def _passes(self, row: Row) -> bool:
        try:
            return self.operand.test(StoredView(self.options, row.key, row.stored))
        except StoredDataError as error:
            logger.warning("left out of a query's results: %s", error)
            return False


def _without(dead: Sequence[Reply], swept: Sequence[Reply]) -> list[Reply]:
    """What is reported of dead records (key, note, key, …), without those that were swept."""
    gone = set(swept[::2])
    pairs = zip(dead[::2], dead[1::2], strict=True)
    return [part for key, note in pairs if key not in gone for part in (key, note)]


def _is_told_by_key(options: ModelOptions, name: str) -> bool:
    """Whether the text of a record key says the value of this field, as a rule."""
    field = options.fields[name]
    cls = type(field)
    return (
        name in options.key_names
        and field.type in (str, int)
        and cls.text_of is Field.text_of
        and cls.canonical is Field.canonical
    )


def _told_by_key(options: ModelOptions, key: str, names: Sequence[str]) -> dict[str, Any] | None:
    """The values of key fields in a record key; None if it may stand for others as well."""
    parts = key.split(keys.SEPARATOR)
    if len(parts) != options.db_key_length:
        return None
    told: dict[str, Any] = {}
    for name in names:
        part = parts[options.get_db_key_index_position(name)]
        is_text = options.fields[name].type is str
        if is_text and (part == "None" or keys.ESCAPED_SEPARATOR in part):
            return None
        value: str | int | None = keys.unescape(part)
        if not is_text:
            try:
                value = None if part == "None" else int(value)
            except ValueError:
                return None
        told[name] = value
    return told


class Pages:
    """The pages of a query: the first call finds all keys, later ones read further records.

    A record of a later page is read only if it still matches.
    """

    def __init__(
        self, fetch: Fetch, reading: Reading, order: Order, offset: int, limit: int | None
    ) -> None:
        self.fetch = fetch
        self.reading = reading
        self.order = order
        self.skip = 0 if fetch.operand.exact else offset
        self.offset = offset if fetch.operand.exact else 0
        self.limit = limit
        self.window = offset, limit
        self.left = limit
        self.rest: list[bytes] | None = None
        self.distances: list[bytes] = []

    def next(self) -> Plan[list[Row] | None]:
        """The next rows (perhaps none of a page), or None at the end."""
        fetch = self.fetch
        if self.rest is None:
            needed = fetch._with_needs(self.reading)
            try:
                page = yield from fetch._call(
                    fetch.operand.node,
                    "records",
                    order=self.order,
                    offset=self.offset,
                    limit=self.limit if fetch.operand.exact else None,
                    reading=needed,
                )
            except InexactOrder:
                self.rest = []
                order = self.order.by_value()
                return (yield from fetch._rows_by_value(self.reading, order, *self.window))
            self.rest = page.rest
            self.distances = page.distances[len(page.found) :]
            return self._cut(fetch.matching(fetch._rows(page, needed)))
        if not self.rest or self.left == 0:
            return None
        head, self.rest = self.rest[:PAGE], self.rest[PAGE:]
        rows = yield from fetch.again(head, self.reading)
        if self.distances:
            by_key = dict(zip(head, self.distances, strict=False))
            self.distances = self.distances[PAGE:]
            for row in rows:
                distance = by_key[row.key.encode("utf-8")]
                row.distance = float(distance) if distance else None
        return self._cut(rows)

    def _cut(self, rows: list[Row]) -> list[Row]:
        if self.skip:
            skipped = min(self.skip, len(rows))
            self.skip -= skipped
            rows = rows[skipped:]
        if self.left is not None:
            rows = rows[: self.left]
            self.left -= len(rows)
        return rows


__all__ = ["PAGE", "TRUST", "Fetch", "Pages", "Reading", "Row"]
