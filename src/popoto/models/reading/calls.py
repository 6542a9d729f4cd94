"""Calls of query.lua: what one asks for, and the rows that its reply tells."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis.exceptions

from popoto.engine.codec import Stored
from popoto.engine.keys import capped_list_key, text_of
from popoto.engine.looking_up import members_of
from popoto.engine.request import Argument, Command, Plan, Request, ScriptCall
from popoto.engine.scripts import QUERY
from popoto.engine.tree import Everything, Keys, Node, RecordKeys, all_of, encode, key_kinds
from popoto.exceptions import QueryException, StoredDataError
from popoto.fields.asking.operands import Operand, View
from popoto.models.beside.leftovers import repair, sweep
from popoto.models.beside.misplaced import put_right
from popoto.models.reading.ordering import BY_KEY, Order
from popoto.models.record.loading import StoredView
from popoto.models.record.options import ModelOptions

logger = logging.getLogger("POPOTO.Query")

#: How many records one call reads, so that none holds the server for long.
PAGE = 2000
#: Models with more records are walked in the order of the sorted set of their keys, where
#: samples say that it covers them; popoto 1.6 does not keep it.
TRUST = 5000


@dataclass(slots=True)
class Row:
    """One record that a query found: its key, the bytes that were read, its distance."""

    key: str
    stored: dict[str, Stored]
    distance: float | None = None


@dataclass(slots=True)
class Page:
    """The reply of one call."""

    #: how many there are, their keys, or keys with values, as the mode of the call has it
    found: Any
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


class QueryCalls:
    """The calls of query.lua for one compiled query."""

    def __init__(self, options: ModelOptions, operand: Operand) -> None:
        self.options = options
        self.operand = operand
        #: how many questions were asked
        self.sent = 0
        #: records that an index has told, and that do not match: what they hold, and in which
        #: fields they do not
        self.misplaced: dict[str, tuple[Mapping[str, Stored], list[str]]] = {}

    def call(
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
        self.sent += 1
        try:
            (reply,) = yield Request((call,), options.shard, repeatable=True)
        except redis.exceptions.ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            raise (yield from self.wrong_kind(node, order)) from error
        found, rest, due, distances, dead, stood = reply
        if due:
            yield from sweep(options, due)
        if dead and options.self_repair:
            yield from repair(options, dead, due, node, stood)
        if found == b"inexact":
            raise InexactOrder
        return Page(found, rest, distances)

    def wrong_kind(
        self, node: Node, order: Order = BY_KEY, others: Mapping[str, str] | None = None
    ) -> Plan[QueryException]:
        """Which of a query's keys another program uses for something else."""
        options = self.options
        expected = {options.class_set_key: "set", options.expiry_key: "zset", **key_kinds(node)}
        expected |= others or {}
        if order.key is not None:
            expected[order.key] = "zset"
        kinds: list[bytes] = yield Request(
            [("TYPE", key) for key in expected], options.shard, repeatable=True
        )
        wrong = [
            f"{key!r} is a {kind.decode()} instead of a {expected[key]}"
            for key, kind in zip(expected, kinds, strict=True)
            if kind.decode() not in ("none", expected[key])
        ]
        if not wrong:
            wrong = yield from self._records_of_another_kind()
        found = "; ".join(wrong) or "a key of one of its records holds something else"
        return QueryException(
            f"{options.model_name} cannot be queried: {found}. Rename or delete that key."
        )

    def _records_of_another_kind(self) -> Plan[list[str]]:
        """The first key of a record that holds something else. O(records): somebody has to look."""
        options = self.options
        keys = yield from members_of(options.class_set_key, options.shard)
        for first in range(0, len(keys), PAGE):
            page = {
                name: kind
                for key in keys[first : first + PAGE]
                for name, kind in (
                    (key, "hash"),
                    *((capped_list_key(key, each), "list") for each in options.list_names),
                )
            }
            kinds: list[bytes] = yield Request(
                [("TYPE", key) for key in page], options.shard, repeatable=True
            )
            for (key, expected), kind in zip(page.items(), kinds, strict=True):
                if kind.decode() not in ("none", expected):
                    return [f"{key!r} is a {kind.decode()} instead of a {expected}"]
        return []

    def rows_of(self, page: Page, reading: Reading) -> list[Row]:
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
            rows.append(Row(text_of(key), stored, distance))
        return rows

    def again(self, keys: Sequence[bytes], reading: Reading) -> Plan[list[Row]]:
        """Read these matches, as far as they still match, in the order of `keys`."""
        needed = self.with_needs(reading)
        if isinstance(self.operand.node, Everything) and self._shows_absence(needed):
            rows = yield from self._read(keys, needed)
            if rows is not None:
                return (yield from self.settled(rows, needed))
        node = all_of([RecordKeys(tuple(keys)), self.operand.node])
        page = yield from self.call(node, "records", order=Order("found"), reading=needed)
        by_key = {row.key.encode("utf-8"): row for row in self.rows_of(page, needed)}
        rows = [by_key[key] for key in keys if key in by_key]
        return (yield from self.settled(rows, needed))

    def _shows_absence(self, reading: Reading) -> bool:
        """Whether a record that is gone is told by what is read of it."""
        return any(name in reading.hash_names for name in self.options.key_names)

    def _read(self, record_keys: Sequence[bytes], reading: Reading) -> Plan[list[Row] | None]:
        """Records one by one, which costs the server less than a script does.

        None where a key of another program stands among them: the script says which.
        """
        commands: list[Command] = []
        for key in record_keys:
            commands.append(("HMGET", key, *reading.hash_names))
            commands += [
                ("LRANGE", capped_list_key(text_of(key), name), 0, -1)
                for name in reading.list_names
            ]
        self.sent += 1
        try:
            replies: list[list[bytes | None]] = yield Request(
                commands, self.options.shard, repeatable=True
            )
        except redis.exceptions.ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            return None
        width = 1 + len(reading.list_names)
        found = [
            [key, [*replies[place], *replies[place + 1 : place + width]]]
            for key, place in zip(record_keys, range(0, len(replies), width), strict=True)
            if any(value is not None for value in replies[place])
        ]
        return self.rows_of(Page(found, [], []), reading)

    def with_needs(self, reading: Reading) -> Reading:
        if self.operand.exact:
            return reading
        names = {*reading.hash_names, *reading.list_names, *self.operand.needs}
        return Reading.of(self.options, tuple(names))

    def settled(self, rows: list[Row], reading: Reading) -> Plan[list[Row]]:
        """The rows that match; entries of others are put right."""
        found = self.matching(rows, reading)
        yield from self.put_right()
        return found

    def put_right(self) -> Plan[bool]:
        """Put the entries right of records that were read and do not match; whether there were."""
        misplaced, self.misplaced = self.misplaced, {}
        if not misplaced or not self.options.self_repair:
            return False
        return (yield from put_right(self.options, misplaced, self.operand.node))

    def matching(self, rows: list[Row], reading: Reading) -> list[Row]:
        """The rows that pass what Python has to check."""
        if self.operand.exact:
            for name, shows, test in self.operand.shown:
                if name not in reading.hash_names:
                    continue
                if not all(map(shows, [row.stored.get(name) for row in rows])):
                    rows = [row for row in rows if self._holds(row, name, test)]
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

    def _holds(self, row: Row, name: str, test: Callable[[View], bool]) -> bool:
        """Whether a record that an index has told matches; what cannot be read is believed."""
        view = StoredView(self.options, row.key, row.stored)
        try:
            if test(view):
                return True
        except StoredDataError:
            return True
        _, names = self.misplaced.setdefault(row.key, (row.stored, []))
        names.append(name)
        return False

    def _passes(self, row: Row) -> bool:
        try:
            return self.operand.test(StoredView(self.options, row.key, row.stored))
        except StoredDataError as error:
            logger.warning("left out of a query's results: %s", error)
            return False
