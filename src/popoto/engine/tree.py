"""The tree that query.lua evaluates: what to look up, and how results combine.

Nodes are plain data. `encode` writes a tree in the prefix notation that the head
of query.lua describes; keys are declared through the `Keys` collector.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from popoto.engine.request import Argument


class Named(Protocol):
    """How a tree names keys in its arguments."""

    def position(self, key: str) -> Argument:
        """The argument that stands for a key."""
        ...


@dataclass(slots=True)
class Keys:
    """The keys a query declares, by position from 1."""

    positions: dict[str, int] = field(default_factory=dict[str, int])

    def position(self, key: str) -> int:
        return self.positions.setdefault(key, len(self.positions) + 1)


@dataclass(slots=True, frozen=True)
class Everything:
    """Every record of the model."""


@dataclass(slots=True, frozen=True)
class Nothing:
    """No record."""


@dataclass(slots=True, frozen=True)
class Members:
    """The members of a set."""

    key: str


@dataclass(slots=True, frozen=True)
class ScoreRange:
    """The members of a sorted set with a score between two bounds ("(" = exclusive)."""

    key: str
    low: str = "-inf"
    high: str = "+inf"


@dataclass(slots=True, frozen=True)
class Near:
    """The members of a geo set around a point or around a member."""

    key: str
    longitude: float | None
    latitude: float | None
    member: str | None
    radius: float
    unit: str


@dataclass(slots=True, frozen=True)
class RecordKeys:
    """These records, as far as they exist."""

    keys: tuple[str | bytes, ...]


def in_parts(keys: Sequence[str | bytes], size: int) -> Iterator[RecordKeys]:
    """Many records, so many at a time."""
    for first in range(0, len(keys), size):
        yield RecordKeys(tuple(keys[first : first + size]))


@dataclass(slots=True, frozen=True)
class StoredBytes:
    """Records whose hash field holds one of these byte strings (b"" = is missing)."""

    field_name: str
    accepted: tuple[bytes, ...]


@dataclass(slots=True, frozen=True)
class TextMatch:
    """Records whose field text starts with, ends with or contains a text.

    `kind` is ``prefix``, ``suffix`` or ``infix``; with an ``i`` in front, as of ``iwhole``, case
    does not matter, and texts beyond ASCII are found whether they match or not. `set_prefix` is
    the key of a value's set up to the value.
    """

    kind: str
    values_key: str
    coverage_key: str
    field_name: str
    set_prefix: str
    operand: str


@dataclass(slots=True, frozen=True)
class AllOf:
    """Records that every child finds."""

    children: tuple[Node, ...]


@dataclass(slots=True, frozen=True)
class AnyOf:
    """Records that at least one child finds."""

    children: tuple[Node, ...]


@dataclass(slots=True, frozen=True)
class Not:
    """Records of the model that the child does not find."""

    child: Node


Node: TypeAlias = (
    Everything
    | Nothing
    | Members
    | ScoreRange
    | Near
    | RecordKeys
    | StoredBytes
    | TextMatch
    | AllOf
    | AnyOf
    | Not
)

EVERYTHING = Everything()
NOTHING = Nothing()


def _without_repeats(nodes: Sequence[Node]) -> list[Node]:
    """The nodes without repeated leaves, by hashing: there may be ten thousand of them.

    Inner nodes are rarely repeated, and to hash them is to walk all that is below.
    """
    seen: set[Node] = set()
    kept: list[Node] = []
    for node in nodes:
        if not isinstance(node, (AllOf, AnyOf, Not)):
            if node in seen:
                continue
            seen.add(node)
        kept.append(node)
    return kept


def all_of(nodes: Sequence[Node]) -> Node:
    """The conjunction, simplified."""
    children: list[Node] = []
    for node in nodes:
        if isinstance(node, Nothing):
            return NOTHING
        if isinstance(node, AllOf):
            children.extend(node.children)
        elif not isinstance(node, Everything):
            children.append(node)
    children = _without_repeats(children)
    if not children:
        return EVERYTHING
    return children[0] if len(children) == 1 else AllOf(tuple(children))


def any_of(nodes: Sequence[Node]) -> Node:
    """The disjunction, simplified."""
    children: list[Node] = []
    for node in nodes:
        if isinstance(node, Everything):
            return EVERYTHING
        if isinstance(node, AnyOf):
            children.extend(node.children)
        elif not isinstance(node, Nothing):
            children.append(node)
    children = _without_repeats(_united(children))
    if not children:
        return NOTHING
    return children[0] if len(children) == 1 else AnyOf(tuple(children))


def _united(nodes: Sequence[Node]) -> Sequence[Node]:
    """Several comparisons of one hash field as a single one, which reads each record once."""
    accepted: dict[str, dict[bytes, None]] = {}
    for node in nodes:
        if isinstance(node, StoredBytes):
            accepted.setdefault(node.field_name, {}).update(dict.fromkeys(node.accepted))
    if not accepted:
        return nodes
    others = [node for node in nodes if not isinstance(node, StoredBytes)]
    return [*others, *(StoredBytes(name, tuple(found)) for name, found in accepted.items())]


def negated(node: Node) -> Node:
    """The complement within the model, simplified."""
    if isinstance(node, Everything):
        return NOTHING
    if isinstance(node, Nothing):
        return EVERYTHING
    return node.child if isinstance(node, Not) else Not(node)


def key_kinds(node: Node) -> dict[str, str]:
    """The keys that a tree looks at, with the kind of key that each has to be."""
    kinds: dict[str, str] = {}
    waiting: list[Node] = [node]
    while waiting:
        match node := waiting.pop():
            case Members(key):
                kinds[key] = "set"
            case ScoreRange(key) | Near(key):
                kinds[key] = "zset"
            case TextMatch():
                kinds |= {node.values_key: "zset", node.coverage_key: "hash"}
            case AllOf(children) | AnyOf(children):
                waiting.extend(reversed(children))
            case Not(child):
                waiting.append(child)
            case _:
                pass
    return kinds


def encode(node: Node, keys: Named, out: list[Argument]) -> None:
    """Append a tree to the arguments of query.lua. No recursion: trees may be deep."""
    waiting: list[Node] = [node]
    while waiting:
        node = waiting.pop()
        match node:
            case AllOf(children):
                out += ("and", len(children))
                waiting.extend(reversed(children))
            case AnyOf(children):
                out += ("or", len(children))
                waiting.extend(reversed(children))
            case Not(child):
                out.append("not")
                waiting.append(child)
            case _:
                _encode_leaf(node, keys, out)


def _encode_leaf(
    node: Everything | Nothing | Members | ScoreRange | Near | RecordKeys | StoredBytes | TextMatch,
    keys: Named,
    out: list[Argument],
) -> None:
    match node:
        case Everything():
            out.append("all")
        case Nothing():
            out.append("none")
        case Members(key):
            out += ("set", keys.position(key))
        case ScoreRange(key, low, high):
            out += ("range", keys.position(key), low, high)
        case Near():
            out += ("near", keys.position(node.key))
            if node.member is not None:
                out += ("member", node.member, 0)
            else:
                out += ("point", repr(node.longitude), repr(node.latitude))
            out += (repr(node.radius), node.unit)
        case RecordKeys(members):
            out += ("keys", len(members), *members)
        case StoredBytes(field_name, accepted):
            out += ("bytes", field_name, len(accepted), *accepted)
        case TextMatch():
            out += (
                "text",
                node.kind,
                keys.position(node.values_key),
                keys.position(node.coverage_key),
                node.field_name,
                node.set_prefix,
                node.operand,
            )
