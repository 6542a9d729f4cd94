"""What a query will do, told without reading a record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from popoto.engine.request import Plan
from popoto.engine.tree import (
    AllOf,
    AnyOf,
    Everything,
    Members,
    Near,
    Node,
    Not,
    Nothing,
    RecordKeys,
    ScoreRange,
    StoredBytes,
    TextMatch,
)
from popoto.models.reading.calls import PAGE
from popoto.models.reading.executing import Execution
from popoto.models.reading.fixing import fixed_shards
from popoto.models.reading.ordering import Order
from popoto.models.reading.spec import QuerySpec


@dataclass(slots=True, frozen=True)
class Explanation:
    """How a query is answered. ``str()`` gives all of it as text.

    `operands`   what the server looks up, a line each, deeper operands indented
    `order`      what decides the order, and where
    `in_python`  what the server cannot decide and is filtered or ordered here
    `commands`   how many commands are sent
    `shards`     how many shards of a cluster are asked, of a model with `Meta.shard_by`
    `round_trips`  how many round trips they take (of several shards, to each node); one more for
                 each further page of records.
                 Related records that conditions ask for were read to explain the query: they
                 are not counted
    """

    model_name: str
    operands: tuple[str, ...]
    order: str
    in_python: tuple[str, ...]
    commands: int
    round_trips: int
    shards: int = 1

    def __str__(self) -> str:
        lines = [f"Query on {self.model_name}"]
        lines += [f"  {line}" for line in self.operands]
        lines.append(f"  order: {self.order}")
        lines += [f"  in Python: {each}" for each in self.in_python]
        if self.shards != 1:
            lines.append(f"  in each of {self.shards} shards, whose answers are merged")
        lines.append(
            f"  sends {self.commands} command(s) in {self.round_trips} round trip(s), and one "
            f"more for every further {PAGE} records"
        )
        return "\n".join(lines)

    __repr__ = __str__


def explain(spec: QuerySpec) -> Plan[Explanation]:
    """Compile a query and describe it. Related records and own lookups are asked for."""
    execution = Execution(spec)
    fetch, order = yield from execution.compile()
    operand = fetch.operand
    in_python: list[str] = []
    if not operand.exact:
        in_python.append(
            f"each match is tested by its {', '.join(sorted(operand.needs))}: the index finds "
            "candidates only"
        )
    if spec.computed_sort is not None:
        in_python.append("all matches are read and ordered by computed_sort")
    elif order.places is not None:
        in_python.append("all matches are put in the order of the list")
    elif order.kind == "values":
        names = _signed(order)
        in_python.append(f"all matches are ordered by {names}, whose values are read")
    if spec.related:
        in_python.append(f"related records are attached: {', '.join(spec.related)}")
    sends = _sends(execution, order, operand.node)
    shards = len(fetch.shards)
    # Which shards there are is asked for, unless conditions say so.
    asked = int(fixed_shards(spec.options, spec.conditions) is None and shards != 1)
    return Explanation(
        spec.options.model_name,
        tuple(lines_of(operand.node)),
        _described(spec, order),
        tuple(in_python),
        asked + sends * shards,
        asked + sends,
        shards,
    )


def _sends(execution: Execution, order: Order, node: Node) -> int:
    spec = execution.spec
    if isinstance(node, Nothing) or execution.limit == 0:
        return 0
    by_value = order.kind == "values" and execution.limit is not None
    return 1 + by_value + _levels(spec.related)


def _levels(names: Sequence[str]) -> int:
    """How many relationships are followed: a__b leads through a, which is asked for once."""
    paths = [name.split("__") for name in names]
    return len({tuple(path[:depth]) for path in paths for depth in range(1, len(path) + 1)})


def _signed(order: Order) -> str:
    return ", ".join(f"-{each.name}" if each.descending else each.name for each in order.fields)


def _described(spec: QuerySpec, order: Order) -> str:
    if spec.computed_sort is not None:
        return "computed_sort, in Python"
    if order.places is not None:
        return "the list that filter_query answered with, in Python"
    nulls = "" if spec.nulls is None else f" with nulls {spec.nulls}"
    if order.kind in ("score", "nulls_first", "nulls_last"):
        return f"{_signed(order)}{nulls}, along the sorted set {order.key}"
    if order.kind == "values":
        return f"{_signed(order)}{nulls}, in Python"
    if order.kind == "found":
        return "distance, nearest first, on the server"
    return f"record key, along the sorted set {order.key}"


def lines_of(root: Node) -> Iterator[str]:
    """A line for each operand, those of a deep tree too: nothing here calls itself."""
    waiting = [(root, 0)]
    while waiting:
        node, depth = waiting.pop()
        yield "  " * depth + _line(node)
        match node:
            case AllOf(children) | AnyOf(children):
                waiting += [(child, depth + 1) for child in reversed(children)]
            case Not(child):
                waiting.append((child, depth + 1))
            case _:
                pass


def _line(node: Node) -> str:  # noqa: PLR0911 - one for each kind of node
    match node:
        case Everything():
            return "all records"
        case Nothing():
            return "nothing: no record can match, and nothing is sent"
        case Members(key):
            return f"members of {key}"
        case ScoreRange(key, low, high):
            return f"range {low} to {high} of {key}"
        case Near():
            centre = node.member or f"({node.latitude}, {node.longitude})"
            return f"within {node.radius:g} {node.unit} of {centre} in {node.key}"
        case RecordKeys(found):
            return f"{len(found)} record(s) by key"
        case StoredBytes(name, accepted):
            return f"records whose stored {name} is one of {len(accepted)} value(s), each looked at"
        case TextMatch():
            return f"{node.kind} {node.operand!r} among the texts of {node.values_key}"
        case AllOf():
            return "all of"
        case AnyOf():
            return "any of"
        case Not():
            return "not"
