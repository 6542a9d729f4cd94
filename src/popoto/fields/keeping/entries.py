"""Entries: the members that one record has in the indexes of its model.

A field says which entries a value makes; saving, changing, deleting, moving,
checking and rebuilding all follow from comparing two such lists. An entry's
`place` is where it stands: an entry with the same place replaces the other. `look`
queues the command whose reply tells `stands` whether the index holds the entry.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias, TypeGuard, cast

from popoto.engine.batch import Batch, KeyArgument
from popoto.engine.request import Reply
from popoto.fields.coordinates import geo_score
from popoto.fields.keeping.noting import put_noted
from popoto.fields.keeping.pointers import put_pointer
from popoto.memory.history.noting import Kind

_NO_KEY = KeyArgument()


class SetEntry(NamedTuple):
    """A record key in the set of one value.

    With `values_key`, the distinct texts of the field are kept beside the sets (`text` is None
    for null, which has none), and `coverage_key` counts the records that they cover. `pointed`:
    the field to whose sets popoto 1.8 and later may have pointers; `named_later`: 1.9's own set.
    """

    key: str
    member: str
    field_name: str = ""
    values_key: KeyArgument | None = None
    coverage_key: KeyArgument = _NO_KEY
    text: str | None = None
    pointed: str = ""
    named_later: str = ""
    #: sets of the same value by other texts, in which others may have put the record
    others: tuple[str, ...] = ()

    @property
    def place(self) -> tuple[str, str, str | None]:
        # Two texts may share one set; the one that goes has to leave the list of texts.
        return self.key, self.member, self.text

    def add(self, batch: Batch) -> None:
        if self.values_key is None:
            batch.put("SADD", self.key, self.member)
        else:
            self._with_text("ENTER", batch, self.values_key)

    def point(self, batch: Batch) -> None:
        if self.pointed:
            put_pointer(batch, self.member, self.pointed, self.key)

    def remove(self, batch: Batch) -> None:
        if self.values_key is None:
            for key in (self.key, self.named_later, *self.others):
                if key:
                    batch.put("SREM", key, self.member)
        else:
            self._with_text("LEAVE", batch, self.values_key)

    def look(self, batch: Batch) -> None:
        if self.named_later:
            both = KeyArgument(self.key), KeyArgument(self.named_later)
            batch.put("KEYED", None, "SUNION", "kk", *both)
        else:
            batch.put("SISMEMBER", self.key, self.member)

    def stands(self, reply: Reply) -> bool:
        return reply == 1 or (isinstance(reply, list) and self.member.encode("utf-8") in reply)

    def _with_text(self, command: str, batch: Batch, values_key: KeyArgument) -> None:
        of_field = values_key, self.coverage_key, self.field_name
        text = self.text or "", 0 if self.text is None else 1
        batch.put(command, self.key, self.member, *of_field, *text)


class ScoreEntry(NamedTuple):
    """A record key in a sorted set.

    `kept` is another score that upkeep leaves as it is: that of a moment whose zone the
    published package has dropped from the record, and not from the entry.
    """

    key: str
    member: str
    score: float
    kept: float | None = None

    @property
    def place(self) -> tuple[str, str]:
        return self.key, self.member

    def add(self, batch: Batch) -> None:
        batch.put("ZADD", self.key, self.score, self.member)

    def remove(self, batch: Batch) -> None:
        batch.put("ZREM", self.key, self.member)

    def look(self, batch: Batch) -> None:
        batch.put("ZSCORE", self.key, self.member)

    def stands(self, reply: Reply) -> bool:
        # Servers keep doubles: also of an int beyond what they tell apart.
        return isinstance(reply, bytes) and float(reply) in (float(self.score), self.kept)


class GeoEntry(NamedTuple):
    """A record key in a geo set, at a position within its cells."""

    key: str
    member: str
    longitude: float
    latitude: float

    @property
    def place(self) -> tuple[str, str]:
        return self.key, self.member

    def add(self, batch: Batch) -> None:
        batch.put("GEOADD", self.key, self.longitude, self.latitude, self.member)

    def remove(self, batch: Batch) -> None:
        batch.put("ZREM", self.key, self.member)

    def look(self, batch: Batch) -> None:
        batch.put("ZSCORE", self.key, self.member)

    def stands(self, reply: Reply) -> bool:
        score = geo_score(self.longitude, self.latitude)
        return isinstance(reply, bytes) and float(reply) == float(score)


class SlotEntry(NamedTuple):
    """A digest of several values in the hash of a composite index, naming the record.

    Different values may share a digest (the digest's text is joined with ``:``). In
    a unique index, a record that finds the slot taken by other values stands under
    `alternative`, a digest that no two different tuples share; `values` holds the
    fields and their stored bytes, to tell.
    """

    key: str
    digest: str
    member: str
    alternative: str = ""
    values: tuple[str | bytes, ...] = ()

    @property
    def place(self) -> tuple[str, str, str, str]:
        # Under one digest different values have different alternatives: the old one has to go.
        return self.key, self.digest, self.alternative, self.member

    def add(self, batch: Batch) -> None:
        if self.alternative:
            batch.put("SLOT", self.key, self.digest, self.alternative, self.member, *self.values)
        else:
            batch.put("HSET", self.key, self.digest, self.member)

    def remove(self, batch: Batch) -> None:
        # Only while it names this record: another may have taken the slot over.
        batch.put("HDELIF", self.key, self.digest, self.member)
        if self.alternative:
            batch.put("HDELIF", self.key, self.alternative, self.member)

    def look(self, batch: Batch) -> None:
        batch.put("HMGET", self.key, self.digest, self.alternative)

    def stands(self, reply: Reply) -> bool:
        # An index that is not unique names one of the records that share a slot, and none once
        # that one has left it: no answer follows from it.
        found = reply if isinstance(reply, list) else ()
        return not self.alternative or self.member.encode("utf-8") in found

    def guard(self, batch: Batch, old_member: str) -> int:
        """Demand that no other live record holds these values; the guard's position."""
        return batch.guard(
            "slot",
            self.key,
            self.digest,
            self.alternative,
            self.member,
            old_member,
            *self.values,
        )


class Carried(ABC):
    """What a record has that does not follow from its values; only its place does.

    The place is a key (of a partition, say) and the record's key. When one of these changes it
    is carried along; `kind` says which one of the record's it is then.
    """

    __slots__ = ()

    key: str
    member: str
    kind: str

    @property
    def place(self) -> tuple[str, str]:
        """Where it stands."""
        return self.key, self.member

    def add(self, batch: Batch) -> None:  # noqa: B027 - most come about in other ways
        """Let a stored record have it, if it has none."""

    @abstractmethod
    def begin(self, batch: Batch) -> None:
        """Let a new record have it. What an earlier one has left is not its own."""

    @abstractmethod
    def carry(self, batch: Batch, to: Any) -> None:
        """Take it along to another place, of the same kind."""

    @abstractmethod
    def remove(self, batch: Batch) -> None:
        """Take it away."""

    @abstractmethod
    def look(self, batch: Batch) -> None:
        """Look whether it is there."""

    #: whether it can be told, and be given to another record; the three methods below do so
    can_be_told: ClassVar[bool] = False

    def tell(self, batch: Batch) -> None:  # noqa: B027 - asked only of what can be told
        """Queue the question what it is."""

    def told(self, reply: Reply) -> object:
        """What the reply says: numbers, text, bytes and lists of them. None: there is nothing."""
        return None

    def restore(self, batch: Batch, told: Any) -> None:  # noqa: B027 - as above
        """Let a stored record have what was told, in place of what it has.

        Raises ValueError for what cannot be.
        """

    def stands(self, reply: Reply) -> bool:
        """Whether nothing is missing. A record without one is as it was in the beginning."""
        return True

    def mend(self, batch: Batch) -> None:
        """Let a stored record have what it should, as far as that follows from anything."""
        self.add(batch)


@dataclass(frozen=True, slots=True)
class CompanionEntry(Carried):
    """A field of a hash, or a member of a sorted set, that many records share.

    A new record begins with `first`, the bytes of a hash field, or with nothing. A record that
    was stored before there was a `first` is read as if it had it, and a rebuild lets it have it.
    Where it is given them, histories have that as a change of the kind `noted`, of a field.
    """

    key: str
    member: str
    kind: str
    layout: Literal["hash", "zset"] = "hash"
    first: bytes | None = None
    noted: tuple[Kind, str] | None = None

    def add(self, batch: Batch) -> None:
        if self.first is None:
            return
        if self.noted is None:
            batch.put("HSETNX", self.key, self.member, self.first)
        else:
            kind, field = self.noted
            words = (self.member, self.first)
            put_noted(batch, kind, field, self.member, "HSETNX", self.key, *words)

    def begin(self, batch: Batch) -> None:
        if self.first is not None:
            batch.put("HSET", self.key, self.member, self.first)
        else:
            self.remove(batch)

    def carry(self, batch: Batch, to: CompanionEntry) -> None:
        batch.put("CARRY", self.key, self.layout, self.member, KeyArgument(to.key), to.member)

    def remove(self, batch: Batch) -> None:
        batch.put("HDEL" if self.layout == "hash" else "ZREM", self.key, self.member)

    def look(self, batch: Batch) -> None:
        batch.put("HEXISTS" if self.layout == "hash" else "ZSCORE", self.key, self.member)

    def stands(self, reply: Reply) -> bool:
        return self.first is None or reply == 1

    can_be_told = True

    def tell(self, batch: Batch) -> None:
        batch.put("HGET" if self.layout == "hash" else "ZSCORE", self.key, self.member)

    def told(self, reply: Reply) -> object:
        if not isinstance(reply, bytes):
            return None
        return reply if self.layout == "hash" else float(reply)

    def restore(self, batch: Batch, told: Any) -> None:
        if told is None:
            self.begin(batch)
        elif self.layout == "hash" and isinstance(told, bytes):
            batch.put("HSET", self.key, self.member, told)
        elif self.layout == "zset" and is_score(told):
            batch.put("ZADD", self.key, repr(float(told)), self.member)
        else:
            raise ValueError(f"it is {'bytes' if self.layout == 'hash' else 'a number'}")


def is_score(value: object) -> bool:
    """Whether servers take this for a score."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and not math.isnan(cast("float", value))


def scored(told: Any) -> list[tuple[str, float]]:
    """Pairs of text and score that were told. Raises ValueError for anything else."""
    try:
        pairs: list[tuple[Any, Any]] = [(text, score) for text, score in told]
    except (TypeError, ValueError):
        pairs = [(None, None)]
    if not all(isinstance(text, str) and is_score(score) for text, score in pairs):
        raise ValueError("it is a list of pairs of a text and a number")
    return [(str(text), float(score)) for text, score in pairs]


def told_scores(reply: Reply) -> list[list[Any]] | None:
    """Pairs of text and score, as a list of both in turn tells them; None where there are none."""
    flat = cast("list[bytes]", reply)
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return [[text.decode("utf-8", "replace"), float(score)] for text, score in pairs] or None


Entry: TypeAlias = SetEntry | ScoreEntry | GeoEntry | SlotEntry | Carried


def _is_carried(entry: Entry) -> TypeGuard[Carried]:
    # To ask an abstract class costs ten times as much.
    return type(entry) not in _FOLLOWING


#: The entries that follow from values.
_FOLLOWING = frozenset({SetEntry, ScoreEntry, GeoEntry, SlotEntry})


def replace(
    batch: Batch,
    old: Iterable[Entry],
    new: Iterable[Entry],
    *,
    added_elsewhere: Iterable[Entry] = (),
    heal: bool = False,
    begins: bool = False,
) -> None:
    """Queue what turns the entries `old` into the entries `new`; shared ones are left alone.

    `added_elsewhere` are entries of `new` that a field's own hook adds. With `heal`,
    shared entries are added as well, in case they are missing. Where a record `begins`, the
    old entries are those of another one.
    """
    before, after = set(old), set(new)
    if before:
        kept_places = {entry.place for entry in after}
        targets = {} if begins else {e.kind: e for e in after if _is_carried(e)}
        for entry in before - after:
            if entry.place in kept_places:
                continue
            if _is_carried(entry) and entry.kind in targets:
                entry.carry(batch, targets[entry.kind])
            else:
                entry.remove(batch)
        if not heal:
            # What is carried may be missing although its place stays.
            after = {e for e in after if e not in before or _is_carried(e)}
    for entry in after.difference(added_elsewhere):
        if begins and _is_carried(entry):
            entry.begin(batch)
        else:
            entry.add(batch)
            if isinstance(entry, SetEntry) and not begins:
                entry.point(batch)
