"""The table of docs/concurrency.md: what each operation promises under which fault.

Every cell of it is a test, which reads the cell: an operation that is missing there, or a cell that
says something else than what happens, fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis

import popoto
from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    CoOccurrenceField,
    CyclicDecayField,
    DecayingSortedField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    ObservationProtocol,
    PredictionLedgerMixin,
    RecallProposal,
    StringField,
    redis_db,
)
from popoto.exceptions import (
    NothingWrittenError,
    NotReplicatedError,
    OutcomeUnknownError,
    OutcomeUnknownTimeoutError,
)
from popoto.testing.faults import FaultProxy
from tests.driver import Api, expires_fields

PAGE = Path(__file__).parents[2] / "docs" / "concurrency.md"


class Page(Model):
    """What reads of it write nothing, and saves of it can be seen."""

    name = KeyField()
    kind = IndexedField(default="plain")


class Seen(AccessTrackerMixin, Model):
    name = KeyField()
    relevance = DecayingSortedField()
    certainty = ConfidenceField()


class Note(PredictionLedgerMixin, Model):
    name = KeyField()
    kind = IndexedField(default="plain")
    text = StringField(default="")
    visits = IntField(default=0)
    log = ListField(max_length=3)
    relevance = DecayingSortedField()
    tense = CyclicDecayField(cycles=[(86400, 1.0)], pressure_rate=0.1)
    certainty = ConfidenceField(partition_by="kind")
    others = CoOccurrenceField()


EDGES: Any = Note._meta.by_name["others"]


def change(note: Note, **values: Any) -> Note:
    for name, value in values.items():
        setattr(note, name, value)
    return note


def transact(api: Api, note: Note) -> None:
    together = popoto.transaction()
    together.save(change(note, kind="other"))
    together.create(Note, name="b")
    api(together.commit)


@dataclass
class Act:
    """An operation, and what its writing request has in it (of a read, its request)."""

    call: Callable[[Api, Note], Any]
    mark: bytes = b"EVALSHA"
    #: what has to be there before
    before: Callable[[Any], Any] = field(default=lambda _: None)
    model: type[Any] = Note


def use(api: Api, note: Any) -> None:
    outcomes = {note.pk: "acted"}
    if api.is_async:
        api.run(ObservationProtocol.async_on_context_used([note], outcomes))
    else:
        ObservationProtocol.on_context_used([note], outcomes)


def predicted(note: Note) -> None:
    Note.record_prediction(note, {"x": 1})


def surfaced(note: Any) -> None:
    note.on_read()
    ObservationProtocol.on_surfaced([note])


ACTS: dict[str, Act] = {
    "create": Act(lambda api, _: api(Note.create, name="b")),
    "get_or_create": Act(lambda api, _: api(Note.get_or_create, name="b")),
    "update_or_create": Act(
        lambda api, _: api(Note.update_or_create, name="a", defaults={"text": "x"})
    ),
    "save": Act(lambda api, note: api(change(note, text="x").save)),
    "save(update_fields=…)": Act(
        lambda api, note: api(change(note, text="x").save, update_fields=["text"])
    ),
    "save(migrate_key=True)": Act(
        lambda api, note: api(change(note, name="b").save, migrate_key=True)
    ),
    "save of indexed fields": Act(
        lambda api, note: api(change(note, kind="other").save, update_fields=["kind"]),
        model=Page,
    ),
    "delete": Act(lambda api, note: api(note.delete)),
    "atomic_increment": Act(lambda api, note: api(note.atomic_increment, "visits", 1)),
    "push": Act(lambda api, note: api(note.log.push, "x")),
    "renew_ttl": Act(lambda api, note: api(note.renew_ttl, 100)),
    "expire_field": Act(lambda api, note: api(note.expire_field, "text", 100), b"HPEXPIRE"),
    "bulk_create": Act(lambda api, _: api(Note.bulk_create, [Note(name="b"), Note(name="c")])),
    "bulk_update": Act(lambda api, note: api(Note.bulk_update, [note], text="x")),
    "bulk_delete": Act(lambda api, note: api(Note.bulk_delete, [note])),
    "raw_update": Act(lambda api, note: api(Note.raw_update, [note.pk], text="x")),
    "transaction": Act(transact),
    "touch": Act(lambda api, note: api(note.touch, "relevance")),
    "update_confidence": Act(
        lambda api, note: api(ConfidenceField.update_confidence, note, "certainty", 0.9)
    ),
    "link": Act(lambda api, note: api(EDGES.link, Note, note.pk, "Note:z")),
    "strengthen": Act(lambda api, note: api(EDGES.strengthen, Note, note.pk, "Note:z")),
    "weaken_all": Act(
        lambda api, note: api(EDGES.weaken_all, Note, note.pk, 0.5),
        before=lambda note: EDGES.link(Note, note.pk, "Note:z"),
    ),
    "confirm_access": Act(lambda api, note: api(note.confirm_access), before=surfaced, model=Seen),
    "discard_staged_access": Act(
        lambda api, note: api(note.discard_staged_access), b"$AT:Seen:staged", surfaced, Seen
    ),
    "record_prediction": Act(lambda api, note: api(Note.record_prediction, note, {"x": 1})),
    "resolve_prediction": Act(
        lambda api, note: api(Note.resolve_prediction, note, {"x": 2}), before=predicted
    ),
    "on_context_used": Act(
        use,
        before=surfaced,
        model=Seen,
    ),
    "RecallProposal.create_batch": Act(
        lambda api, note: api(RecallProposal.create_batch, [note]), b"ZADD"
    ),
    "RecallProposal.resolve": Act(
        lambda api, note: api(RecallProposal.resolve, note, "acted"), b"ZREM", surfaced, Seen
    ),
    "get": Act(lambda api, _: api(Note.query.get, name="a"), b"HMGET"),
    "all": Act(lambda api, _: api(Note.query.filter(kind="plain").all)),
    "count": Act(lambda api, _: api(Note.query.count, kind="plain")),
    "refresh": Act(lambda api, note: api(note.refresh), b"HMGET"),
    "get_confidence": Act(
        lambda api, note: api(ConfidenceField.get_confidence, note, "certainty"), b"HGET"
    ),
    "get_linked": Act(lambda api, note: api(EDGES.get_linked, Note, note.pk), b"ZREVRANGEBYSCORE"),
}


# The table -------------------------------------------------------------------------------------


def table() -> dict[str, dict[str, str]]:
    """The cells, by operation and fault."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith("|")
    ]
    head = next(row for row in rows if row[0] == "operation")
    found: dict[str, dict[str, str]] = {}
    for row in rows[rows.index(head) + 2 :]:
        if len(row) != len(head):
            break
        for name in re.findall(r"`([^`]+)`( of indexed fields)?", row[0]):
            found["".join(name)] = dict(zip(head[1:], row[1:], strict=True))
    return found


CELLS = [(name, fault) for name, cells in table().items() for fault in cells]


def test_every_operation_stands_in_the_table() -> None:
    assert set(table()) == set(ACTS)


def test_every_fault_of_the_table_is_tried() -> None:
    assert {fault for _, fault in CELLS} == set(FAULTS)


# What happens ----------------------------------------------------------------------------------


@dataclass
class Trial:
    """One operation under one fault."""

    api: Api
    proxy: FaultProxy
    server: redis.Redis
    note: Note
    act: Act

    def call(self) -> Exception | None:
        try:
            self.act.call(self.api, self.note)
        except (redis.RedisError, popoto.ModelException) as error:
            return error
        return None

    def state(self) -> dict[bytes, bytes | None]:
        keys = [key for key in self.server.keys("*") if not key.startswith(b"$Late")]
        return {key: self.server.dump(key) for key in sorted(keys)}


def unreachable(trial: Trial) -> Exception | None:
    redis_db.set_REDIS_DB_settings(host="127.0.0.1", port=1)
    return trial.call()


def lost(trial: Trial) -> Exception | None:
    trial.proxy.lose_reply(trial.act.mark)
    return trial.call()


def lost_with_the_server(trial: Trial) -> Exception | None:
    trial.proxy.lose_reply(trial.act.mark, then=trial.proxy.refuse)
    return trial.call()


def without_patience(trial: Trial) -> None:
    """Wait for no reply for long, but for what follows the one that does not come: that is to
    arrive in time on a busy machine."""
    redis_db.set_REDIS_DB_settings(host="127.0.0.1", port=trial.proxy.port, socket_timeout=1)


def no_reply(trial: Trial) -> Exception | None:
    without_patience(trial)
    trial.proxy.stall(trial.act.mark)
    return trial.call()


def late(trial: Trial) -> Exception | None:
    without_patience(trial)
    held = trial.proxy.hold(trial.act.mark)
    error = trial.call()
    held.deliver()
    return error


def no_memory(trial: Trial) -> Exception | None:
    trial.server.config_set("maxmemory", 1)
    try:
        return trial.call()
    finally:
        trial.server.config_set("maxmemory", 0)


def no_replicas(trial: Trial) -> Exception | None:
    with popoto.wait_for_replicas(1, timeout=0.01):
        trial.api = Api(is_async=trial.api.is_async)
        try:
            return trial.call()
        finally:
            trial.api.close()


FAULTS: dict[str, Callable[[Trial], Exception | None]] = {
    "no server": unreachable,
    "reply lost": lost,
    "reply lost, then no server": lost_with_the_server,
    "no reply in time": no_reply,
    "arrives late": late,
    "memory full": no_memory,
    "no replica has it": no_replicas,
}


def assert_is(cell: str, error: Exception | None, *, is_changed: bool, writes: bool) -> None:
    if cell == "done":
        assert error is None
        assert is_changed is writes
    elif cell == "nothing":
        assert isinstance(error, NothingWrittenError)
        assert not is_changed
    elif cell == "unknown":
        assert isinstance(error, OutcomeUnknownError)
        assert not isinstance(error, NotReplicatedError)
    elif cell == "unknown, final":
        assert isinstance(error, OutcomeUnknownTimeoutError)
        assert not is_changed
    elif cell == "stored":
        assert isinstance(error, NotReplicatedError)
        assert is_changed
    else:
        assert cell == "no answer"
        assert isinstance(error, redis.ConnectionError | redis.TimeoutError)
        assert not isinstance(error, NothingWrittenError | OutcomeUnknownError)


READS = {"get", "all", "count", "refresh", "get_confidence", "get_linked"}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "fault"), CELLS)
def test_what_happens_is_what_the_table_says(
    api: Api, proxy: FaultProxy, redis_client: redis.Redis, name: str, fault: str
) -> None:
    if name == "expire_field" and not expires_fields(redis_client):
        return
    act = ACTS[name]
    # Once in vain, so that the server knows the scripts.
    for _ in range(2):
        redis_client.flushdb()
        note = act.model.create(name="a")
        act.before(note)
        if _ == 0:
            act.call(api, note)
    before = (trial := Trial(api, proxy, redis_client, note, act)).state()
    error = FAULTS[fault](trial)
    is_changed = trial.state() != before
    assert_is(table()[name][fault], error, is_changed=is_changed, writes=name not in READS)
