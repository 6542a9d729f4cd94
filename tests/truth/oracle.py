"""An independent opinion on a server's state: do index entries and records agree?

The rule: an index entry exists if and only if the stored record has that value. What
must be there is worked out here from the bytes of the hashes, with msgpack alone and
from the documented layout; of the models only their declarations are read. None of the
package's code for keys, encoding or entries takes part.

    assert violations(redis_client, Pet, Owner) == []

A record that has expired, and whose entries were not swept yet, may leave just the
entries that its note in the expiry registry leads to, and none of its companions. One that
was deleted by hand may leave a note that tells nothing, without a time.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, cast

import msgpack
import redis

from popoto import Model
from popoto.fields.auto_field_mixin import AutoFieldMixin
from popoto.fields.geo_field import GeoField
from popoto.fields.indexed_field_mixin import IndexedFieldMixin
from popoto.fields.key_field_mixin import KeyFieldMixin
from popoto.fields.relationship import Relationship
from popoto.fields.shortcuts import ListField, SortedField, SortedKeyField
from popoto.fields.sorted_field_mixin import SortedFieldMixin
from popoto.fields.unique_field_mixin import UniqueFieldMixin
from tests.cluster_client import ClusterClient, logical

__all__ = ["State", "record_key", "records", "snapshot", "violations"]

#: By how many milliseconds two notes of one moment may differ.
ROUNDING = 2

_SNAPSHOT = """
local now = redis.call('TIME')
local found = {tostring(now[1] * 1000 + math.floor(now[2] / 1000))}
local readers = {
  hash = {'HGETALL'}, set = {'SMEMBERS'},
  list = {'LRANGE', 0, -1}, zset = {'ZRANGE', 0, -1, 'WITHSCORES'},
}
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  local kind = redis.call('TYPE', key).ok
  local content = {}
  local reader = readers[kind]
  if reader then
    content = redis.call(reader[1], key, unpack(reader, 2))
  end
  found[#found + 1] = {key, kind, redis.call('PTTL', key), content}
end
return found
"""


@dataclass
class Key:
    """One key of the server: its type, milliseconds to live (None = no end), and content."""

    kind: str
    lives: int | None
    content: Any


@dataclass
class State:
    """The whole database at one moment."""

    now: int
    keys: dict[str, Key] = field(default_factory=dict[str, Key])

    def members(self, key: str) -> set[str]:
        found = self.keys.get(key)
        if found is None or found.kind != "set":
            return set()
        return cast("set[str]", found.content)

    def scores(self, key: str) -> dict[str, float]:
        found = self.keys.get(key)
        if found is None or found.kind != "zset":
            return {}
        return cast("dict[str, float]", found.content)

    def pairs(self, key: str) -> dict[str, bytes]:
        found = self.keys.get(key)
        if found is None or found.kind != "hash":
            return {}
        return cast("dict[str, bytes]", found.content)


def snapshot(client: redis.Redis) -> State:
    """Everything on the server, as it is at one moment (one script, so nothing moves).

    Of a cluster, node after node, under the logical names.
    """
    is_cluster = isinstance(client, ClusterClient)
    nodes: Sequence[redis.Redis] = client.nodes if is_cluster else [client]
    answers = [cast("list[Any]", each.eval(_SNAPSHOT, 0, "*")) for each in nodes]
    state = State(int(answers[0][0]))
    for moment, *entries in answers:
        later = int(moment) - state.now
        for raw_key, kind, lives, content in entries:
            key = _text(logical(raw_key) if is_cluster else raw_key)
            left = None if lives < 0 else lives + later
            state.keys[key] = Key(kind.decode(), left, _content(kind.decode(), content))
    return state


def _content(kind: str, raw: Sequence[bytes]) -> Any:
    if kind == "hash":
        return {_text(name): value for name, value in zip(raw[::2], raw[1::2], strict=True)}
    if kind == "set":
        return {_text(member) for member in raw}
    if kind == "zset":
        pairs = zip(raw[::2], raw[1::2], strict=True)
        return {_text(member): float(score) for member, score in pairs}
    return list(raw)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


# The documented layout, spelled out once more -------------------------------------------------


def escaped(part: str) -> str:
    part = part.replace("/", "//")
    for character in "'?*^[]-":
        part = part.replace(character, "/" + character)
    return part.replace(":", "{&#58;}")


def prefix_of(kind: type) -> str:
    return f"${kind.__name__.strip('Field')}F"


def decoded(raw: bytes) -> Any:
    """Stored bytes as a value, by the table of the layout."""
    tree = msgpack.unpackb(raw, strict_map_key=False)
    if not isinstance(tree, dict) or "as_encodable" not in tree:
        return cast("Any", tree)
    payload: Any = tree["as_encodable"]
    readers: dict[str, Callable[[Any], Any]] = {
        "__Decimal__": Decimal,
        "__tuple__": tuple,
        "__set__": lambda items: frozenset(map(repr, items)),
        "__datetime__": datetime.fromisoformat,
        "__date__": date.fromisoformat,
        "__time__": time.fromisoformat,
    }
    for marker, read in readers.items():
        if tree.get(marker) is True:
            return read(payload)
    return cast("Any", tree)


def _standing_in(field: Any) -> Any:
    """What a record counts as that was stored before there was the field."""
    is_own = field.key or field.unique or callable(field.default)
    return None if is_own else field.default


def value_of(kind: type, raw: bytes | None) -> Any:
    """A field's value; numbers that other writers stored in another type in the field's own."""
    if raw is None:
        return None
    value = decoded(raw)
    if kind in (int, float, Decimal) and isinstance(value, (int, float, str)):
        return value if type(value) is bool else kind(value)
    return value


def score_of(kind: type, value: Any) -> float:
    if kind is datetime:
        return cast("datetime", value).timestamp()
    if kind is date:
        return cast("date", value).toordinal()
    return float(value)


def geo_score(latitude: float, longitude: float) -> float:
    """The 52 bits under which a geo set keeps a place: longitude and latitude interleaved."""
    last = (1 << 26) - 1
    row = min(int((latitude + 85.05112878) / (2 * 85.05112878) * (1 << 26)), last)
    column = min(int((longitude + 180.0) / 360.0 * (1 << 26)), last)
    bits = 0
    for position in range(26):
        bits |= (row >> position & 1) << (2 * position)
        bits |= (column >> position & 1) << (2 * position + 1)
    return float(bits)


def _is_valued(target: Any) -> bool:
    """Whether a field keeps one set of records for each value."""
    if isinstance(target, (AutoFieldMixin, SortedFieldMixin, Relationship)):
        return False
    marked = isinstance(target, (KeyFieldMixin, IndexedFieldMixin, UniqueFieldMixin))
    return marked or bool(target.indexed or target.unique)


def spelled(kind: type[Any], value: Any) -> str:
    """The one text of a value in a field of this type."""
    if kind is int and isinstance(value, bool):
        return str(int(value))
    if kind is float and value == 0:
        return "0.0"
    is_moment = isinstance(value, datetime) and value.tzinfo is not None
    return str(value.astimezone(UTC) if is_moment else value)


def record_key(model: type[Model], values: Mapping[str, Any]) -> str:
    """The key of a record with these key values."""
    fields = sorted((name, each) for name, each in model._meta.fields.items() if each.key)
    parts = (escaped(spelled(each.type, values[name])) for name, each in fields)
    return ":".join([model.__name__, *parts])


# One model ------------------------------------------------------------------------------------


class _Check:
    """What the records of one model demand, and what is there instead."""

    def __init__(self, state: State, model: type[Model], *, complete: bool) -> None:
        self.state = state
        self.model = model
        self.name = model.__name__
        self.complete = complete
        self.fields: dict[str, Any] = dict(model._meta.fields)
        self.problems: list[str] = []
        self.sets: dict[str, set[str]] = {}
        self.scores: dict[str, dict[str, float]] = {}
        #: entries that may, but need not, be there: those of expired records
        self.left: dict[str, set[str]] = {}
        self.left_slots: set[tuple[str, str, str]] = set()
        self.slots: dict[str, dict[str, set[str]]] = {}
        self.lists: set[str] = set()

    def say(self, problem: str) -> None:
        self.problems.append(f"{self.name}: {problem}")

    # Records ----------------------------------------------------------------------------------

    def living(self) -> dict[str, dict[str, bytes]]:
        start = f"{self.name}:"
        return {
            key: found.content
            for key, found in self.state.keys.items()
            if key.startswith(start) and found.kind == "hash"
        }

    def values(self, stored: Mapping[str, bytes]) -> dict[str, Any]:
        return {
            name: value_of(each.type, stored[name]) if name in stored else _standing_in(each)
            for name, each in self.fields.items()
        }

    def run(self) -> list[str]:
        living = self.living()
        self.sets[f"$Class:{self.name}"] = set(living)
        for key, stored in living.items():
            values = self.values(stored)
            if record_key(self.model, values) != key:
                self.say(f"the record {key!r} holds the key values of another")
            missing = [
                name for name, each in self.fields.items() if each.in_hash and name not in stored
            ]
            if missing and self.complete:
                self.say(f"the record {key!r} is a fragment, without {missing}")
            self.demand(key, values, self.sets, self.scores)
            self.demand_slots(key, values, stored)
        self.expired(set(living))
        self.compare_sets()
        self.compare_scores()
        self.compare_slots()
        self.check_unique(living)
        self.check_lists(living)
        self.check_texts(living)
        return self.problems

    def demand(
        self,
        key: str,
        values: Mapping[str, Any],
        sets: dict[str, set[str]],
        scores: dict[str, dict[str, float]],
    ) -> None:
        for name, each in self.fields.items():
            value = values[name]
            start = f"{prefix_of(type(each))}:{self.name}:{name}"
            if isinstance(each, (SortedField, SortedKeyField)):
                parts = [escaped(self.spelled(values, part)) for part in each.partition_by]
                if value is None:
                    if not each.null:
                        self.say(f"{key!r} has no value for the sorted field {name}")
                else:
                    scores.setdefault(":".join([start, *parts]), {})[key] = score_of(
                        each.type, value
                    )
            elif isinstance(each, GeoField):
                if value is not None and None not in value:
                    scores.setdefault(start, {})[key] = geo_score(*map(float, value))
            elif isinstance(each, Relationship):
                if value is not None:
                    sets.setdefault(f"{start}:{value}", set()).add(key)
            elif _is_valued(each):
                sets.setdefault(f"{start}:{escaped(spelled(each.type, value))}", set()).add(key)

    def spelled(self, values: Mapping[str, Any], name: str) -> str:
        return spelled(self.fields[name].type, values[name])

    def digests(
        self, names: Sequence[str], values: Mapping[str, Any], stored: Mapping[str, bytes]
    ) -> tuple[str, str] | None:
        if any(values[name] is None for name in names):
            return None
        text = ":".join(self.spelled(values, name) for name in names)
        exact = b"".join(b"%d:%b" % (len(stored[name]), stored[name]) for name in names)
        return (
            hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16],
            hashlib.sha256(exact).hexdigest()[:32],
        )

    def demand_slots(
        self, key: str, values: Mapping[str, Any], stored: Mapping[str, bytes]
    ) -> None:
        for names, unique in self.model._meta.indexes:
            slot = f"$Index:{self.name}:{':'.join(names)}"
            digests = self.digests(names, values, stored)
            demanded = self.slots.setdefault(slot, {})
            if digests is not None:
                demanded[key] = set(digests if unique else digests[:1])

    # Expired records --------------------------------------------------------------------------

    def expired(self, living: set[str]) -> None:
        registry = self.state.scores(f"$Expiry:{self.name}")
        notes = self.state.pairs(f"$Expiry:{self.name}:values")
        lost = {key for key, note in notes.items() if note == b"\x80" and key not in registry}
        for key in lost & self.state.keys.keys():
            self.say(f"nothing is known of what {key!r} held, which is there")
        notes = {key: note for key, note in notes.items() if key not in lost}
        for key in registry.keys() ^ notes.keys():
            self.say(f"only one half of the expiry registry knows {key!r}")
        for key, moment in registry.items():
            note = notes.get(key)
            packed: Any = {} if note is None else msgpack.unpackb(note, raw=True)
            noted = {name.decode(): raw for name, raw in dict(packed).items()}
            if key in living:
                self.check_note(key, moment, noted)
                continue
            if moment > self.state.now + ROUNDING:
                self.say(f"{key!r} is gone, and is registered to expire only later")
            self.leave(key, noted)
        for key in living - registry.keys():
            if self.state.keys[key].lives is not None:
                self.say(f"{key!r} expires and the registry does not know it")

    def check_note(self, key: str, moment: float, noted: Mapping[str, bytes]) -> None:
        record = self.state.keys[key]
        if record.lives is None:
            # Made permanent since: the note is forgotten when it is due.
            return
        if abs(self.state.now + record.lives - moment) > ROUNDING:
            self.say(f"{key!r} expires at another time than it is registered for")
        for name in self.model._meta.index_names:
            if noted.get(name) != record.content.get(name):
                self.say(f"the expiry note of {key!r} is out of date in {name}")

    def leave(self, key: str, noted: Mapping[str, bytes]) -> None:
        self.left.setdefault(f"$Class:{self.name}", set()).add(key)
        values = self.values(noted)
        sets: dict[str, set[str]] = {}
        scores: dict[str, dict[str, float]] = {}
        self.demand(key, values, sets, scores)
        for name in (*sets, *scores):
            self.left.setdefault(name, set()).add(key)
        for names, _ in self.model._meta.indexes:
            digests = self.digests(names, values, noted)
            for digest in digests or ():
                self.left_slots.add((f"$Index:{self.name}:{':'.join(names)}", digest, key))

    # Comparing --------------------------------------------------------------------------------

    def own(self, kind: str, prefixes: Iterable[str]) -> list[str]:
        """The keys of one type that start so: those that this model's indexes may have."""
        starts = tuple(prefixes)
        found: list[str] = []
        for key, each in self.state.keys.items():
            if not (key in starts or key.startswith(tuple(f"{start}:" for start in starts))):
                continue
            if each.kind == kind:
                found.append(key)
            elif not (kind == "set" and each.kind in ("hash", "zset")):
                self.say(f"{key!r} is a {each.kind} where a {kind} belongs")
        return found

    def prefixes(self, wanted: Callable[[Any], bool]) -> list[str]:
        return [
            f"{prefix_of(type(each))}:{self.name}:{name}"
            for name, each in self.fields.items()
            if wanted(each)
        ]

    def compare_sets(self) -> None:
        starts = self.prefixes(lambda each: _is_valued(each) or isinstance(each, Relationship))
        there = self.own("set", [*starts, f"$Class:{self.name}"])
        for key in {*there, *self.sets}:
            actual = self.state.members(key)
            demanded = self.sets.get(key, set())
            for member in demanded - actual:
                self.say(f"missing: {member!r} in the set {key!r}")
            for member in actual - demanded - self.left.get(key, set()):
                self.say(f"ghost: {member!r} in the set {key!r}")

    def compare_scores(self) -> None:
        starts = self.prefixes(
            lambda each: isinstance(each, (SortedField, SortedKeyField, GeoField))
        )
        there = self.own("zset", starts)
        for key in {*there, *self.scores}:
            actual = self.state.scores(key)
            demanded = self.scores.get(key, {})
            for member in demanded.keys() - actual.keys():
                self.say(f"missing: {member!r} in the sorted set {key!r}")
            for member in actual.keys() - demanded.keys() - self.left.get(key, set()):
                self.say(f"ghost: {member!r} in the sorted set {key!r}")
            for member in demanded.keys() & actual.keys():
                if not _same_score(demanded[member], actual[member]):
                    self.say(
                        f"wrong score of {member!r} in {key!r}: "
                        f"{actual[member]!r} instead of {demanded[member]!r}"
                    )

    def compare_slots(self) -> None:
        for names, unique in self.model._meta.indexes:
            slot = f"$Index:{self.name}:{':'.join(names)}"
            demanded = self.slots.get(slot, {})
            held: dict[str, list[str]] = {}
            for digest, raw in self.state.pairs(slot).items():
                holder = _text(raw)
                if digest in demanded.get(holder, ()):
                    held.setdefault(holder, []).append(digest)
                elif (slot, digest, holder) not in self.left_slots:
                    self.say(f"ghost: {holder!r} under {digest} in {slot!r}")
            for holder, digests in held.items():
                if len(digests) > 1:
                    self.say(f"ghost: {holder!r} stands twice in {slot!r}")
            # Without uniqueness, one slot can name only one of the records that share it.
            for holder in demanded.keys() - held.keys() if unique else ():
                self.say(f"missing: {holder!r} in {slot!r}")

    def check_unique(self, living: Mapping[str, Mapping[str, bytes]]) -> None:
        claims: dict[tuple[Any, ...], str] = {}
        groups = [(name,) for name, each in self.fields.items() if each.unique]
        groups += [names for names, unique in self.model._meta.indexes if unique]
        for key, stored in living.items():
            values = self.values(stored)
            for names in groups:
                found = tuple(values[name] for name in names)
                if None in found:
                    continue
                holder = claims.setdefault((names, *map(repr, found)), key)
                if holder != key:
                    self.say(f"two owners of {names}={found}: {holder!r} and {key!r}")

    def check_lists(self, living: Mapping[str, object]) -> None:
        capped = {
            name: each.max_length
            for name, each in self.fields.items()
            if isinstance(each, ListField) and each.max_length is not None
        }
        for key, found in self.state.keys.items():
            if not key.startswith(f"{self.name}:") or found.kind != "list":
                continue
            owner, _, name = key.rpartition("::")
            if owner not in living or name not in capped:
                self.say(f"the list {key!r} belongs to no record")
                continue
            if len(found.content) > capped[name]:
                self.say(f"{key!r} has {len(found.content)} elements")
            ends, owner_ends = found.lives, self.state.keys[owner].lives
            if (ends is None) != (owner_ends is None) or (
                ends is not None and abs(ends - (owner_ends or 0)) > ROUNDING
            ):
                self.say(f"{key!r} does not end when its record does")

    def check_texts(self, living: Mapping[str, Mapping[str, bytes]]) -> None:
        covered = self.state.pairs(f"$Values:{self.name}")
        texts_of = {
            name: each
            for name, each in self.fields.items()
            if each.type is str and _is_valued(each)
        }
        for name in covered.keys() - texts_of.keys():
            self.say(f"$Values counts {name}, which keeps no texts")
        for name, each in texts_of.items():
            start = f"{prefix_of(type(each))}:{self.name}:{name}:"
            entered = sum(
                len(self.state.members(key)) for key in self.state.keys if key.startswith(start)
            )
            if int(covered.get(name, b"0")) != entered:
                self.say(f"$Values counts {covered.get(name)!r} for {name}, {entered} are entered")
            texts = self.state.scores(f"$Values:{self.name}:{name}")
            for key, stored in living.items():
                value = value_of(str, stored.get(name))
                if value is not None and value not in texts:
                    self.say(f"missing: the text {value!r} of {key!r} in $Values of {name}")
            for text in texts:
                if not self.state.members(start + escaped(text)):
                    self.say(f"ghost: the text {text!r} in $Values of {name}")


def _same_score(left: float, right: float) -> bool:
    return left == right or (math.isinf(left) and math.isinf(right) and (left > 0) == (right > 0))


# The public side ------------------------------------------------------------------------------


def violations(
    client: redis.Redis, *models: type[Model], complete: bool = True, strict: bool = False
) -> list[str]:
    """Every place where entries and records disagree, in both directions.

    `complete` demands that every record holds every field of its model, as whole saves
    leave it. `strict` allows no leftovers of expired records either.
    """
    state = snapshot(client)
    found = [
        problem for model in models for problem in _Check(state, model, complete=complete).run()
    ]
    if strict:
        found += [f"not swept: {key!r}" for key in state.keys if key.startswith("$Expiry:")]
    return sorted(found)


def records(client: redis.Redis, model: type[Model]) -> dict[str, dict[str, Any]]:
    """The living records by key, decoded: hash fields and capped lists."""
    state = snapshot(client)
    check = _Check(state, model, complete=False)
    found: dict[str, dict[str, Any]] = {}
    for key, stored in check.living().items():
        values = check.values(stored)
        for name, each in check.fields.items():
            if not each.in_hash:
                items = state.keys.get(f"{key}::{name}")
                values[name] = [decoded(item) for item in items.content] if items else []
        found[key] = values
    return found
