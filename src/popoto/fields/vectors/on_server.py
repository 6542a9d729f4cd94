"""Vectors on the server, in the shard of their records. They change in the record's own commit."""

from __future__ import annotations

import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from popoto import redis_db
from popoto.engine import keys
from popoto.engine.batch import Batch, KeyArgument
from popoto.engine.keys import as_text
from popoto.engine.looking_up import asked, lacking_in, looked_up
from popoto.engine.nodes import on_cluster
from popoto.engine.request import Plan, Request, ScriptCall
from popoto.fields.keeping.adjusting import Queued, carried_out
from popoto.fields.keeping.entries import Carried, Entry
from popoto.fields.keeping.families import KeyFamily, companion_family
from popoto.fields.keeping.forgetting import Subject, Trace
from popoto.fields.vectors.keeper import Described, Place, Replaced, Seen, VectorKeeper, told_of
from popoto.fields.vectors.naming import VectorSet
from popoto.memory.commands import put
from popoto.memory.vectors.arrays import Array, packed, unpacked
from popoto.memory.vectors.matrix import Matrix
from popoto.memory.vectors.scripts import FOLLOW

__all__ = ["ServerKeeper"]

logger = logging.getLogger("POPOTO.embedding")

#: How many vectors one call reads.
_PAGE = 1000
#: For how many records more than there are room is made at once: one in so many.
_SPARE = 8
#: So many more records than there are may be remembered.
_MOST_GONE = 256
#: The vectors of so many shards on nodes of a cluster are in memory.
_MOST_SHARDS = 256


@dataclass(frozen=True, slots=True)
class VectorEntry(Carried):
    """The vector of a record, which is carried along when the record moves."""

    key: str
    member: str
    changes: str
    note: str
    kind: str
    #: the vector set, where one is used
    named: str = ""

    def begin(self, batch: Batch) -> None:
        """A commit that creates a record says what vector it has, or that it has none."""

    def carry(self, batch: Batch, to: VectorEntry) -> None:
        changes, note = KeyArgument(self.changes), KeyArgument(self.note)
        put(batch, "REHOUSE", self.key, self.member, changes, note, to.member)
        self._take_out(batch)

    def remove(self, batch: Batch) -> None:
        batch.put("HDEL", self.key, self.member)
        batch.put("ZREM", self.changes, self.member)
        self._take_out(batch)

    def _take_out(self, batch: Batch) -> None:
        if self.named:
            put(batch, "UNNAME", self.named, self.member)

    def look(self, batch: Batch) -> None:
        batch.put("HEXISTS", self.key, self.member)


class ServerKeeper(VectorKeeper):
    """Vectors in a hash of all records, with a sorted set of when each has changed."""

    def __init__(self, place: Place, form: str) -> None:
        super().__init__(place, form)
        stem = keys.SEPARATOR.join(("$EmbeddingF", place.model_name, place.field_name))
        self._vectors = f"{stem}:vectors"
        self._changes = f"{stem}:changes"
        self._note = f"{stem}:note"
        self._named = f"{stem}:nearest" if place.is_named else ""

    def _following(self) -> Plan[Following]:
        """What is in memory of these vectors. Of shards on one server it is one matrix."""
        name, shard = self.place.model_name, self.place.shard
        is_apart = shard != name and (yield from on_cluster())
        return followed(name, (shard if is_apart else "", self._vectors))

    # In a commit ---------------------------------------------------------------------------

    def store(
        self, vectors: Mapping[str, Array], cleared: Sequence[str], described: Described | None
    ) -> Plan[Mapping[str, Replaced]]:
        """All is in the commit."""
        return {}
        yield  # a plan, though it asks for nothing

    def put(self, batch: Batch, key: str, vector: Array, described: Described) -> None:
        put(
            batch,
            "EMBED",
            self._vectors,
            key,
            KeyArgument(self._changes),
            KeyArgument(self._note),
            packed(vector, self.form),
            *described,
            _new_epoch(),
        )

    def take(self, batch: Batch, key: str) -> None:
        changes, note = KeyArgument(self._changes), KeyArgument(self._note)
        put(batch, "UNEMBED", self._vectors, key, changes, note)

    def look(self, batch: Batch, key: str) -> None:
        batch.put("HEXISTS", self._vectors, key)

    def entries(self, key: str) -> tuple[Entry, ...]:
        kind = f"{self.place.field_name}:vector"
        return (VectorEntry(self._vectors, key, self._changes, self._note, kind, self._named),)

    def families(self) -> tuple[KeyFamily, ...]:
        name = self.place.field_name
        whole = [self._note, self._named] if self._named else [self._note]
        return (
            companion_family(name, self._vectors, is_open=False),
            companion_family(name, self._changes, "zset", is_open=False),
            *(KeyFamily("", name, key, "whole", derived=False) for key in whole),
        )

    def forgetting(self, subject: Subject) -> Plan[Trace]:
        """The vectors have gone with the records; what processes remember of them goes here."""
        shard = self.place.shard
        (vectors, note) = yield from looked_up(
            [("HKEYS", self._vectors), ("HGET", self._note, "epoch")], shard
        )
        left = [key for key in vectors if subject.owns(key.decode("utf-8", "replace"))]
        if subject.records and note is not None:
            # With another epoch, each reads all vectors anew before it searches again.
            commands: list[tuple[str, ...]] = [("HSET", self._note, "epoch", _new_epoch())]
            if self._named:
                commands.append(("DEL", self._named))
            yield Request(commands, shard, repeatable=True)
        following = yield from self._following()
        following.drop(list(subject.records), following.version)
        return Trace(len(vectors), 0, len(left))

    # Searching -----------------------------------------------------------------------------

    def seen(self) -> Plan[Seen]:
        following = (yield from self._following()) if self.place.is_cached else Following()
        described = yield from following.catch_up(self)
        moment = following.version
        return Seen.of(following.matrix, described, moment)

    def at_hand(self) -> Seen | None:
        if not self.place.is_cached:
            return None
        name, shard = self.place.model_name, self.place.shard
        places = ("",) if shard == name else (shard, "")
        known = (_FOLLOWING.get((name, (each, self._vectors))) for each in places)
        following = next((each for each in known if each is not None), None)
        if following is None:
            return None
        # The number first: what changes meanwhile is newer than that.
        moment = following.version
        return Seen.of(following.matrix, None, moment)

    @property
    def vector_set(self) -> VectorSet | None:
        if not self._named:
            return None
        return VectorSet(self._named, self._note, self._changes, self._vectors, self.place.shard)

    def forget(self, keys: Iterable[str], seen: Seen) -> None:
        # What a replica lacks may not have come to it yet.
        if redis_db.reads_replicas():
            return
        for following in list(_FOLLOWING.values()):
            if following.matrix is seen.matrix:
                following.drop(keys, seen.moment)

    def changes_since(self, epoch: str, version: int) -> Plan[list[Any]]:
        """What has changed since then; see following.lua."""
        call = ScriptCall(
            FOLLOW, [self._note, self._changes, self._vectors], [epoch, version, _PAGE]
        )
        kinds = ((self._note, "hash"), (self._changes, "zset"), (self._vectors, "hash"))
        request = Request.of(call, shard=self.place.shard, repeatable=True)
        (reply,) = yield from asked(request, kinds)
        found: list[Any] = reply
        return found

    def members(self) -> Plan[list[bytes]]:
        """All records that have, or had, a vector."""
        (reply,) = yield from looked_up([("ZRANGE", self._changes, 0, -1)], self.place.shard)
        found: list[bytes] = reply
        return found

    # Catching up ---------------------------------------------------------------------------

    def lacking(self, keys: Sequence[str]) -> Plan[list[str]]:
        return lacking_in(self._vectors, keys, self.place.shard)

    def described(self) -> Plan[Described | None]:
        (reply,) = yield from looked_up(
            [("HMGET", self._note, "model", "dimensions", "form")], self.place.shard
        )
        return told_of(self._note, reply)

    def begin_anew(self, owner: Any, options: Any, described: Described) -> Plan[None]:
        epoch = _new_epoch()

        def queue(batch: Batch) -> None:
            changes, note = KeyArgument(self._changes), KeyArgument(self._note)
            put(batch, "REFORM", self._vectors, changes, note, *described, epoch)

        yield from carried_out([Queued(owner, "reembed()", queue, options)])


def _new_epoch() -> str:
    return secrets.token_hex(8)


class Following:
    """A matrix that follows the vectors on the server: it asks for what has changed."""

    def __init__(self) -> None:
        self.matrix = Matrix()
        self._epoch: str = ""
        #: the number of the latest change that is known
        self.version: int = 0
        #: by record, the number of its change that is known
        self._versions: dict[str, int] = {}

    def catch_up(self, keeper: ServerKeeper) -> Plan[Described | None]:
        """Ask until there is nothing newer. One round trip, one more for every 1,000 changes."""
        while True:
            asked = self._epoch, self.version
            note, size, changes = yield from keeper.changes_since(*asked)
            described = told_of(keeper._note, note[2:])
            if self._take(asked, note[0], described, size, changes) and len(changes) < 3 * _PAGE:
                break
        has_many_gone = len(self._versions) > size + _MOST_GONE + size // 8
        if has_many_gone and not redis_db.reads_replicas():
            known, moment = set(self._versions), self.version
            living = {as_text(member) for member in (yield from keeper.members())}
            self.drop(known - living, moment)
        return described

    def _take(
        self,
        asked: tuple[str, int],
        epoch_told: bytes | None,
        described: Described | None,
        size: int,
        changes: list[Any],
    ) -> bool:
        """Take changes over, each unless a later one is known. False: ask again."""
        epoch = (epoch_told or b"").decode("ascii", "replace")
        with self.matrix.lock:
            if epoch != self._epoch:
                self._epoch, self.version, self._versions = epoch, 0, {}
                self.matrix.clear()
            if asked[0] == epoch and asked[1] > self.version:
                # Another thread has begun anew meanwhile: what lies between is not known.
                return False
            if described is not None and size > 2 * len(self.matrix):
                self.matrix.reserve(size + size // _SPARE, described.dimensions)
            for place in range(0, len(changes), 3):
                version = int(float(changes[place + 1]))
                key = as_text(changes[place])
                if key is not None:
                    self._put(key, version, changes[place + 2], described)
                self.version = max(self.version, version)
        return True

    def _put(self, key: str, version: int, data: bytes | None, described: Described | None) -> None:
        if self._versions.get(key, 0) >= version or described is None:
            return
        self._versions[key] = version
        try:
            if data is None:
                self.matrix.drop(key)
            else:
                self.matrix.put(key, unpacked(data, described.form, described.dimensions))
        except ValueError as error:
            self.matrix.drop(key)
            logger.warning("the vector of %r is left out of searches: %s", key, error)

    def drop(self, keys: Iterable[str], moment: int) -> None:
        """Forget records that were gone at a moment, unless they came back since then."""
        with self.matrix.lock:
            for key in keys:
                if self._versions.get(key, 0) <= moment:
                    self._versions.pop(key, None)
                    self.matrix.drop(key)


#: By model, and by shard and key. What is in memory follows the server, whoever asks.
_FOLLOWING: OrderedDict[tuple[str, tuple[str, str]], Following] = OrderedDict()
_FOLLOWING_LOCK = threading.Lock()


def followed(model_name: str, place: tuple[str, str]) -> Following:
    """What is in memory of the vectors of one place. That of few shards is, the latest."""
    with _FOLLOWING_LOCK:
        found = _FOLLOWING.get((model_name, place))
        if found is None:
            found = _FOLLOWING[model_name, place] = Following()
        _FOLLOWING.move_to_end((model_name, place))
        shards = [each for each in _FOLLOWING if each[1][0]]
        for each in shards[:-_MOST_SHARDS]:
            del _FOLLOWING[each]
        return found


def forget_followed(model_name: str | None) -> None:
    """Forget the vectors in memory of the models of this name, or of all."""
    with _FOLLOWING_LOCK:
        for each in list(_FOLLOWING):
            if model_name in (None, each[0]):
                del _FOLLOWING[each]
