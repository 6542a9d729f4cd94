"""A model of which each agent has a shard of its own, on a cluster of three nodes.

After every test, each shard has been looked at as the single server that it would be.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import redis

from popoto import (
    AutoKeyField,
    IndexedField,
    KeyField,
    Model,
    ModelException,
    Relationship,
    StringField,
    UniqueField,
    redis_db,
    transaction,
)
from popoto.engine.db_key import DB_key
from popoto.engine.request import Plan, Request
from popoto.engine.run import run
from popoto.engine.scanning import Scan
from popoto.exceptions import (
    AlreadyExistsError,
    KeyMutationError,
    ProtectedError,
    QueryException,
    UniquenessError,
)
from popoto.fields.keeping.shards import forget_empty
from popoto.models.writing.save_request import SaveRequest
from popoto.models.writing.single import save
from popoto.redis_db import POPOTO_REDIS_DB
from tests.driver import Api

from .models import Note, Person, Pin, holder

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

AGENTS = ("ann", "bob", "cleo", "dan")


def some(numbers: int = 3, agents: tuple[str, ...] = AGENTS) -> None:
    for agent in agents:
        for number in range(numbers):
            Note.create(agent=agent, number=number, topic="even" if number % 2 == 0 else "odd")


def registered(nodes: list[redis.Redis]) -> set[bytes]:
    return set().union(*(node.smembers("{Note}$Shards:Note") for node in nodes if serves(node)))


def serves(node: redis.Redis, tag: str = "Note") -> bool:
    try:
        node.exists(f"{{{tag}}}")
    except redis.ResponseError:
        return False
    return True


# Where records are -----------------------------------------------------------------------------


def test_agents_are_on_different_nodes(api: Api, nodes: list[redis.Redis]) -> None:
    for agent in AGENTS:
        api(Note.create, agent=agent, number=1, topic="t")
        assert holder(nodes, f"Note:{agent}").exists(f"{{Note:{agent}}}Note:{agent}:1")
    assert len({id(holder(nodes, f"Note:{agent}")) for agent in AGENTS}) > 1
    assert registered(nodes) == {agent.encode() for agent in AGENTS}


@pytest.mark.parametrize(
    ("agent", "tag"),
    [
        ("a}b", "Note:a%7Db"),
        ("{&#58;}", "Note::"),
        ("a:b", "Note:a:b"),
        ("100%", "Note:100%25"),
        ("", "Note:"),
        ("a*[b]?", "Note:a*[b]?"),
        ("line\nline", "Note:line%0Aline"),
        ("ü€", "Note:ü€"),
    ],
)
def test_any_text_makes_a_shard(api: Api, nodes: list[redis.Redis], agent: str, tag: str) -> None:
    record = api(Note.create, agent=agent, number=1, topic="t", rank=4)
    assert holder(nodes, tag).exists(f"{{{tag}}}{record.pk}")
    assert api(Note.query.get, record.pk) == record
    assert record.db_key.exists()
    assert api(Note.query.get_many, [record.pk]) == [record]
    assert api(Note.query.filter(agent=agent, rank__gt=3).all) == [record]
    api(record.delete)
    assert api(Note.query.filter(agent=agent).count) == 0


def test_a_key_that_is_written_out_is_looked_for_in_its_shard(api: Api) -> None:
    for agent in ("ann", "a:b", "{x}"):
        record = api(Note.create, agent=agent, number=1, topic="odd")
        assert DB_key.from_redis_key(record.pk).exists()
        assert DB_key("Note", agent, 1).exists()
        assert not DB_key("Note", agent, 2).exists()
    assert not DB_key("Note", "bob", 1).exists()
    assert DB_key("$IndexF", "Note", "topic", "odd").exists()
    assert DB_key("$Class", "Note").exists()
    assert not DB_key("$IndexF", "Note", "topic", "even").exists()
    Person.create(name="ann")
    assert DB_key("Person", "ann").exists()
    assert not DB_key("Person", "bob").exists()


def test_null_is_a_shard_of_its_own(api: Api) -> None:
    class Loose(Model):
        agent = KeyField(null=True)
        number = KeyField(type=int)

        class Meta:
            shard_by = "agent"
            name = "Note"

    record = api(Loose.create, number=1)
    assert POPOTO_REDIS_DB.exists("{Note:None}Note:None:1")
    assert api(Loose.query.filter(agent=None).all) == [record]
    api(record.delete)


# One record ------------------------------------------------------------------------------------


def test_the_life_of_a_record(api: Api) -> None:
    some()
    record = api(Note.create, agent="ann", number=7, topic="x", code="c", tags=["a", "b"])
    with pytest.raises(AlreadyExistsError):
        api(Note.create, agent="ann", number=7)
    with pytest.raises(UniquenessError, match="code"):
        api(Note.create, agent="ann", number=8, code="c")
    other = api(Note.create, agent="bob", number=8, code="c")
    found = api(Note.query.get, agent="ann", number=7)
    assert (found.tags, found.topic) == (["a", "b"], "x")
    found.topic, found.rank = "y", 3
    api(found.save)
    found.tags.append("c")
    api(found.save, update_fields=["tags"])
    assert api(found.atomic_increment, "rank", 2) == 5
    api(record.refresh)
    assert (record.topic, record.rank, record.tags) == ("y", 5, ["a", "b", "c"])
    record.number = 9
    with pytest.raises(KeyMutationError):
        api(record.save)
    api(record.save, migrate_key=True)
    assert api(Note.query.get_many, ["Note:ann:9", "Note:ann:7", "Note:bob:8"]) == [
        record,
        None,
        other,
    ]
    assert api(record.delete) is True
    assert api(Note.query.get, "Note:ann:9") is None
    assert api(Note.query.filter(agent="ann").count) == 3


def test_a_record_does_not_move_to_another_shard(api: Api) -> None:
    record = api(Note.create, agent="ann", number=1, topic="t")
    record.agent = "bob"
    with pytest.raises(
        ModelException, match=r"Note.agent: 'Note:ann:1' cannot move to 'bob'.*delete"
    ):
        api(record.save, migrate_key=True)
    with pytest.raises(ModelException, match="cannot move to 'bob'"):
        record.save(migrate_key=True, pipeline=POPOTO_REDIS_DB.pipeline())
    with pytest.raises(ModelException, match="cannot move to 'bob'"), transaction() as together:
        together.save(record, migrate_key=True)
    assert api(Note.query.get, "Note:ann:1").topic == "t"
    assert api(Note.query.filter(agent="bob").count) == 0
    copy = api(Note.create, agent="bob", number=1, topic=record.topic)
    record.agent = "ann"
    api(record.delete)
    assert api(Note.query.filter(agent="bob").all) == [copy]


def test_on_a_single_server_it_moves(api: Api, redis_client: redis.Redis) -> None:
    path = redis_client.connection_pool.connection_kwargs["path"]
    redis_db.set_REDIS_DB_settings(unix_socket_path=path)
    record = api(Note.create, agent="ann", number=1, topic="t")
    record.agent = "bob"
    api(record.save, migrate_key=True)
    assert redis_client.exists("Note:bob:1")
    assert not redis_client.keys("{*")
    assert not redis_client.exists("$Shards:Note")
    with transaction() as together:
        together.create(Note, agent="dan", number=1)
        together.create(Note, agent="eve", number=1)
    assert api(Note.query.filter().count) == 3


def test_a_loaded_record_is_written_where_it_was_found(api: Api) -> None:
    record = api(Note.create, agent="ann", number=1, topic="t")
    (found,) = api(Note.query.filter(agent="ann").only("topic").all)
    found.topic = "u"
    api(found.save)
    assert api(record.refresh).topic == "u"
    fresh = Note(agent="ann", number=1, topic="v")
    api(fresh.save)
    assert api(Note.query.filter(agent="ann", topic="v").all) == [record]


# Several records -------------------------------------------------------------------------------


def test_many_records_are_stored_each_in_its_shard(api: Api, nodes: list[redis.Redis]) -> None:
    records = [Note(agent=agent, number=n, rank=n) for n in range(50) for agent in AGENTS]
    assert api(Note.bulk_create, records) == records
    for agent in AGENTS:
        assert api(Note.query.filter(agent=agent).count) == 50
    assert registered(nodes) == {agent.encode() for agent in AGENTS}
    assert api(Note.query.get_many, [each.pk for each in records]) == records
    assert api(Note.bulk_update, records, topic="new") == 200
    assert api(Note.query.filter(agent="bob", topic="new").count) == 50
    assert api(Note.raw_update, [each.pk for each in records[:8]], body="raw") == 8
    assert api(Note.bulk_delete, records[4:]) == 196
    assert {each.body for each in api(Note.query.get_many, [r.pk for r in records[:4]])} == {"raw"}


def test_a_batch_with_a_row_that_is_refused_writes_nothing(api: Api) -> None:
    api(Note.create, agent="cleo", number=0, code="taken")
    rows = [Note(agent=agent, number=1, code="taken") for agent in AGENTS]
    with pytest.raises(ModelException, match=r"row 2.*code.*nothing of its batch was written"):
        api(Note.bulk_create, rows)
    assert [api(Note.query.filter(agent=agent).count) for agent in AGENTS] == [0, 0, 1, 0]
    refused: list[int] = []
    api(Note.bulk_create, rows, on_error=lambda row: refused.append(row.position))
    assert refused == [2]
    assert [api(Note.query.filter(agent=agent).count) for agent in AGENTS] == [1, 1, 1, 1]


def test_a_transaction_keeps_to_one_shard(api: Api) -> None:
    first = api(Note.create, agent="ann", number=1, rank=1)
    together = transaction()
    together.increment(first, "rank", 4)
    together.create(Note, agent="ann", number=2, topic="t")
    api(together.commit)
    assert api(Note.query.filter(agent="ann", rank=5).count) == 1
    across = transaction()
    across.save(first)
    across.create(Note, agent="bob", number=2)
    with pytest.raises(ModelException, match="one shard, not Note:ann, Note:bob"):
        api(across.commit)
    assert api(Note.query.filter(agent="bob").count) == 0


def test_a_pipeline_takes_records_of_a_shard(nodes: list[redis.Redis]) -> None:
    pipeline = POPOTO_REDIS_DB.pipeline()
    Note.create(agent="ann", number=1, topic="t", pipeline=pipeline)
    Note(agent="ann", number=2, topic="t").save(pipeline=pipeline)
    pipeline.execute()
    assert Note.query.filter(agent="ann", topic="t").count() == 2
    assert registered(nodes) == {b"ann"}


def test_get_or_create_in_a_shard(api: Api) -> None:
    first, created = api(Note.get_or_create, agent="ann", number=1, defaults={"topic": "t"})
    assert created
    assert api(Note.get_or_create, agent="ann", number=1) == (first, False)
    found, created = api(Note.get_or_create, agent="ann", topic="t", defaults={"number": 5})
    assert (found, created) == (first, False)
    found, created = api(Note.get_or_create, agent="bob", topic="t", defaults={"number": 5})
    assert created
    assert found.pk == "Note:bob:5"
    assert api(Note.update_or_create, agent="bob", number=5, defaults={"rank": 2})[0].rank == 2
    with pytest.raises(QueryException, match="is answered by one shard"):
        api(Note.get_or_create, topic="nowhere", defaults={"agent": "dan", "number": 1})
    assert api(Note.query.filter(agent="dan").count) == 0


# References ------------------------------------------------------------------------------------


def test_records_refer_to_each_other_across_shards(api: Api) -> None:
    api(Person.create, name="p")
    first = api(Note.create, agent="ann", number=1, author="Person:p")
    second = api(Note.create, agent="bob", number=1, reply_to=first)
    third = api(Note.create, agent="ann", number=2, reply_to=first)
    (found,) = api(Note.query.filter(agent="bob").select_related("reply_to__author").all)
    assert found.reply_to == first
    assert found.reply_to.author.name == "p"
    assert api(first.delete) is True
    for each in (second, third):
        api(each.refresh)
        assert each.reply_to is None


def test_who_depends_on_a_record_is_found_in_every_shard(api: Api) -> None:
    first, second, third = (api(Note.create, agent=agent, number=1) for agent in AGENTS[:3])
    for number in (1, 2):
        api(Pin.create, number=number, note=first)
    second.rests_on = first
    api(second.save)
    with pytest.raises(ProtectedError, match="Note:bob:1"):
        api(first.delete)
    with pytest.raises(ProtectedError, match="Note:bob:1"):
        api(Note.query.filter(number=1).exclude(agent="bob").delete)
    assert api(Pin.query.count) == 2
    assert api(third.delete) is True
    api(second.delete)
    assert api(first.delete) is True
    assert (api(Pin.query.count), api(Note.query.count)) == (0, 0)


def test_a_reference_is_read_when_it_is_looked_at() -> None:
    Person.create(name="p", age=3)
    first = Note.create(agent="ann", number=1, author="Person:p")
    Note.create(agent="bob", number=1, reply_to=first)
    assert Note.query.get("Note:bob:1").reply_to.author.age == 3


class Reply(Model):
    """Nobody depends on it but others of its own."""

    agent = KeyField()
    reply_to = Relationship("self", on_delete="SET_NULL")

    class Meta:
        name = "Note"
        shard_by = "agent"


def test_a_record_lets_go_of_one_in_another_shard(api: Api) -> None:
    first = api(Reply.create, agent="ann")
    second = api(Reply.create, agent="bob", reply_to=first)
    assert api(first.delete) is True
    assert api(Reply.query.filter(agent="bob", reply_to__isnull=True).all) == [second]
    api(second.delete)


# Queries that say which shard ------------------------------------------------------------------


def test_a_query_for_one_shard_asks_that_alone(api: Api) -> None:
    some(6)
    ann = Note.query.filter(agent="ann")
    assert [each.pk for each in api(ann.all)] == [f"Note:ann:{number}" for number in range(6)]
    assert api(ann.filter(topic="odd").count) == 3
    assert api(ann.filter(number__in=[4, 5]).keys) == [b"Note:ann:4", b"Note:ann:5"]
    assert api(ann.order_by("-number").limit(2).values_list("number", flat=True).all) == [5, 4]
    assert api(ann.exists) is True
    assert api(ann.first).number == 0
    assert api(ann.last).number == 5
    assert api(ann.sum, "number") == 15
    assert api(ann.group_count, "topic") == {"even": 3, "odd": 3}
    assert api(Note.query.filter(pk="Note:bob:3").all) == [Note(agent="bob", number=3)]
    assert api(Note.query.filter(agent="ann", number=3).update, topic="x") == 1
    assert api(ann.filter(topic="x").delete) == 1
    assert [each.number for each in ann.iterator(chunk_size=2)] == [0, 1, 2, 4, 5]


def test_what_cannot_be_in_shards_is_refused_when_the_class_is_made() -> None:
    def model(shard_by: Any, **fields: Any) -> type[Model]:
        meta = type("Meta", (), {"shard_by": shard_by, **fields.pop("meta", {})})
        return type("Refused", (Model,), {"agent": KeyField(), **fields, "Meta": meta})

    for named, message in (
        ("agnet", "shard_by.*agnet"),
        ("topic", "'topic' is no part of the record key.*make it a KeyField"),
        (7, "must be the name of a KeyField"),
        ("price", "equal Decimals"),
        ("key", "generated"),
    ):
        with pytest.raises(ModelException, match=message):
            model(
                named,
                topic=IndexedField(),
                price=KeyField(type=Decimal),
                key=AutoKeyField(),
            )
    with pytest.raises(ModelException, match=r"Refused.code is unique.*\('agent', 'code'\)"):
        model("agent", code=UniqueField())
    with pytest.raises(ModelException, match=r"Meta.indexes: \('a', 'b'\) is unique.*'agent'"):
        model("agent", a=StringField(), b=StringField(), meta={"unique_together": (("a", "b"),)})
    model("agent", code=StringField(), meta={"unique_together": (("agent", "code"),)})


# Which shards there are ------------------------------------------------------------------------


def test_a_shard_that_was_taken_out_meanwhile_is_put_back(nodes: list[redis.Redis]) -> None:
    """Somebody empties the model between the registration and the commit of a first record."""
    registrations = 0

    def with_rival() -> Plan[int]:
        nonlocal registrations
        plan = save(Note(agent="ann", number=1), SaveRequest())
        step = next(plan)
        while True:
            answer = yield step
            if isinstance(step, Request) and step.shard == "Note":
                registrations += 1
                if registrations == 1:
                    yield from forget_empty(Note._meta)
                    assert registered(nodes) == set()
            try:
                step = plan.send(answer)
            except StopIteration:
                return registrations

    assert run(with_rival()) == 2
    assert registered(nodes) == {b"ann"}


def test_shards_without_records_are_forgotten(nodes: list[redis.Redis]) -> None:
    some(1)
    Note.query.filter(agent="bob").delete()
    assert registered(nodes) == {agent.encode() for agent in AGENTS}
    assert Note.query.filter().count() == 3
    run(forget_empty(Note._meta))
    assert registered(nodes) == {b"ann", b"cleo", b"dan"}
    Note.create(agent="bob", number=1)
    assert Note.query.filter().count() == 4


def test_a_shard_that_somebody_comes_into_while_it_is_taken_out_stays(
    nodes: list[redis.Redis],
) -> None:
    def with_rival() -> Plan[None]:
        plan = forget_empty(Note._meta)
        step = next(plan)
        while True:
            answer = yield step
            if isinstance(step, Request) and step.commands[0][0] == "SREM":  # type: ignore[index]
                # By a commit that had looked for the shard before.
                Person.create(name="p")
                holder(nodes, "Note:ann").sadd("{Note:ann}$Class:Note", "Note:ann:1")
            try:
                step = plan.send(answer)
            except StopIteration:
                return

    Note.create(agent="ann", number=1).delete()
    run(with_rival())
    assert registered(nodes) == {b"ann"}
    holder(nodes, "Note:ann").flushall()


def test_a_shard_is_scanned_by_itself() -> None:
    for agent in ("a*[bc]", "ab"):
        Note.create(agent=agent, number=1)
    found: list[bytes] = []
    scan = Scan(Note._meta.in_shard("a*[bc]").shard, b"Note:*", 1000)
    while (page := run(scan.next())) is not None:
        found += page
    assert found == [b"Note:a/*/[bc/]:1"]


def test_only_the_first_record_of_a_shard_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    Note.create(agent="ann", number=1)
    sent: list[Any] = []
    kind = type(redis_db.connection())
    call = kind.call
    monkeypatch.setattr(
        kind,
        "call",
        lambda self, args, **keywords: sent.append(args[0]) or call(self, args, **keywords),
    )
    Note.create(agent="ann", number=2)
    assert sent == ["EVALSHA"]


class Private(Model):
    agent = KeyField()
    name = KeyField()

    class Meta:
        name = "Note"
        shard_by = "agent"
        require_partition = "agent"


def test_who_has_to_name_the_partition_never_asks_all_shards(api: Api) -> None:
    record = api(Private.create, agent="ann", name="a")
    for query in (Private.query.filter(), Private.query.filter(agent__in=["ann", "bob"])):
        for method in (query.all, query.count, query.exists, query.keys, query.delete):
            with pytest.raises(QueryException, match="require_partition names agent"):
                api(method)
    assert api(Private.query.filter(agent="ann").all) == [record]
    assert api(Private.query.get, record.pk) == record
    api(record.delete)
