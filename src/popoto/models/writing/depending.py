"""Finding who depends on records that are to be deleted, and what is to become of them.

Nothing is written here. The sets of a relationship tell who refers to whom; the commit looks at
them again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from popoto.engine.codec import Stored
from popoto.engine.looking_up import looked_up
from popoto.engine.request import Argument, Plan
from popoto.exceptions import ProtectedError
from popoto.fields.field import Field
from popoto.fields.keeping.shards import every_shard
from popoto.fields.on_delete import OnDelete
from popoto.models.record.dependants import dependants_of
from popoto.models.record.record import Record
from popoto.models.record.sharding import shards_of
from popoto.models.writing.rows import chunks

#: How many records are looked for, or read, by one request.
CHUNK = 500
#: How many sets one request asks for in all shards: of each of these records one in each.
_MOST_SETS = 25_000
_MOST_HOLDERS = 1_000


class Holder(NamedTuple):
    """A record that protects another one by referring to it."""

    field: Field[Any]
    key: str
    target: str


class Relatives:
    """What becomes of other records when those of `roots` are deleted."""

    def __init__(self, roots: Mapping[str, type[Record]], others: Collection[str]) -> None:
        self.roots = roots
        #: records that refer to none that goes, whatever a set says
        self.strangers: set[str] = set()
        #: records that others write, or delete later
        self._others = others
        #: the records that go, the roots first, those that depend on others behind them
        self.going: dict[str, type[Record]] = dict(roots)
        #: by record: its model, and the fields that are set to null
        self.cleared: dict[str, tuple[type[Record], set[str]]] = {}
        #: by record that goes: all that refer to it
        self.referrers: dict[str, list[str]] = {}
        self._holders: list[Holder] = []

    @property
    def number(self) -> int:
        """How many records go or change beside the roots."""
        return len(self.going) - len(self.roots) + len(self.cleared)

    def note(self, field: Field[Any], target: str, member: str) -> bool:
        """Take note that a record refers to one that goes; whether it goes too, which is new."""
        self.referrers.setdefault(target, []).append(member)
        rule = field.on_target_deleted
        if member in self.going or member in self._others:
            return False
        if rule is OnDelete.CASCADE:
            self.going[member] = field.owner
            self.cleared.pop(member, None)
            return True
        if rule is OnDelete.SET_NULL:
            self.cleared.setdefault(member, (field.owner, set()))[1].add(field.name)
        elif rule is OnDelete.PROTECT:
            self._holders.append(Holder(field, member, target))
        return False

    def reasons(self, instance: Record) -> dict[str, Stored]:
        """The fields by which a record refers to records that go, and their stored bytes."""
        return {
            field.name: instance._stored[field.name]
            for field in instance._meta.by_name.values()
            if field.on_target_deleted in (OnDelete.CASCADE, OnDelete.SET_NULL)
            and field.referred_key(instance) in self.going
        }

    def check_holders(self, outcome: str) -> Plan[None]:
        """Raise ProtectedError where records that stay, and are there, protect one that goes."""
        there: list[Holder] = []
        for chunk in chunks((each for each in self._holders if each.key not in self.going), CHUNK):
            for field, holders in _by_field(chunk):
                replies = yield from looked_up(
                    [("EXISTS", each.key) for each in holders],
                    field.model_name,
                    before_writing=True,
                    shards=shards_of(field.owner._meta, (each.key for each in holders)),
                )
                there += [each for each, n in zip(holders, replies, strict=True) if n]
            if len(there) > _MOST_HOLDERS:
                break
        if there:
            raise _protected(there, outcome)


def leaving(model: type[Record], wanted: Plan[Sequence[str]], batch_size: int) -> Plan[set[str]]:
    """The keys of all records that are to be deleted, if others may have a say in that.

    Raises ProtectedError before any of them is, whichever batch it comes in.
    """
    if not dependants_of(model):
        return set()
    keys = yield from wanted
    if len(keys) > batch_size:
        yield from find_relatives(dict.fromkeys(keys, model))
    return set(keys)


def find_relatives(
    roots: Mapping[str, type[Record]],
    others: Collection[str] = (),
    outcome: str = "nothing was written",
    *,
    protects: bool = True,
) -> Plan[Relatives]:
    """Who depends on these records, level by level. Raises ProtectedError.

    `others`: records that have no say, since they are written with these, or deleted later.
    `outcome`: what an error says of what was written. Without `protects` nobody is asked.
    One round trip (on a cluster to each node) for each level and relationship, one more for each
    500 records on a level, or for 25,000 if they are looked for in each of many shards; and one
    that asks which shards there are.
    """
    found = Relatives(roots, others)
    level: Mapping[str, type[Record]] = roots
    while level:
        deeper: dict[str, type[Record]] = {}
        shards: dict[type[Record], list[str]] = {}
        for model in dict.fromkeys(level.values()):
            keys = [key for key, each in level.items() if each is model]
            for field in dependants_of(model):
                if field.owner not in shards:
                    views = yield from every_shard(field.owner._meta)
                    shards[field.owner] = [each.shard for each in views]
                for chunk in chunks(keys, CHUNK):
                    for target, members in (
                        yield from _referrers(field, shards[field.owner], chunk)
                    ):
                        deeper |= {
                            member: field.owner
                            for member in members
                            if found.note(field, target, member)
                        }
        level = deeper
    if protects:
        yield from found.check_holders(outcome)
    return found


def _referrers(
    field: Field[Any], shards: Sequence[str], keys: Sequence[str]
) -> Plan[list[tuple[str, list[str]]]]:
    """For each of these records, those that refer to it by this field, from any of the shards."""
    found: dict[str, dict[str, None]] = {key: {} for key in keys}
    for some in chunks(((shard, key) for shard in shards for key in keys), _MOST_SETS):
        cursors: dict[tuple[str, str], Argument] = dict.fromkeys(some, 0)
        while cursors:
            replies = yield from looked_up(
                [
                    ("SSCAN", field.value_set_prefix + key, cursor, "COUNT", 1000)
                    for (_, key), cursor in cursors.items()
                ],
                field.owner._meta.shard,
                before_writing=True,
                shards=[shard for shard, _ in cursors],
            )
            left: dict[tuple[str, str], Argument] = {}
            for place, (cursor, page) in zip(cursors, replies, strict=True):
                if page:
                    members = (member.decode("utf-8", "surrogateescape") for member in page)
                    found[place[1]].update(dict.fromkeys(members))
                if int(cursor):
                    left[place] = cursor
            cursors = left
    return [(key, list(members)) for key, members in found.items()]


def _by_field(holders: Sequence[Holder]) -> list[tuple[Field[Any], list[Holder]]]:
    fields = {id(each.field): each.field for each in holders}
    return [(field, [each for each in holders if each.field is field]) for field in fields.values()]


def _protected(holders: Sequence[Holder], outcome: str) -> ProtectedError:
    first = holders[0]
    told = ", ".join(repr(each.key) for each in holders[:5])
    number = f"more than {_MOST_HOLDERS}" if len(holders) > _MOST_HOLDERS else str(len(holders))
    more = ", …" if len(holders) > 5 else ""
    labels = ", ".join(dict.fromkeys(each.field.label for each in holders))
    return ProtectedError(
        f"{first.target!r} cannot be deleted, since records refer to it by {labels} "
        f"(on_delete=PROTECT), {number} of them: {told}{more}; {outcome}. Delete them first, or "
        "let them refer to another record.",
        [each.key for each in holders[:_MOST_HOLDERS]],
    )
