"""A model that requires its partition: no read is of more than one, and none finds another's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from popoto import (
    AccessTrackerMixin,
    BM25Field,
    ConfidenceField,
    CoOccurrenceField,
    DecayingSortedField,
    EmbeddingField,
    ExistenceFilter,
    FrequencySketch,
    GeoField,
    IndexedField,
    KeyField,
    ListField,
    Model,
    ModelException,
    PredictionLedgerMixin,
    Q,
    RecallProposal,
    Relationship,
    SortedField,
    StringField,
)
from popoto.cli import main
from popoto.cli.exporting import Export
from popoto.embeddings import AbstractEmbeddingProvider
from popoto.engine.request import Request
from popoto.engine.run import run
from popoto.exceptions import QueryException
from popoto.models.query import Query
from popoto.models.query_builder import QueryBuilder
from popoto.recipes import ContextAssembler
from tests.driver import Api
from tests.memory.words import text_of


class Lengths(AbstractEmbeddingProvider):
    """Two numbers, alike for every text."""

    model_name = "lengths"
    dimensions = 2
    max_batch_size = 100

    def embed(self, texts: Any, input_type: Any = None) -> Any:
        return [[1.0, 0.001 * len(text)] for text in texts]


class Note(AccessTrackerMixin, PredictionLedgerMixin, Model):
    name = KeyField()
    agent = IndexedField(default="a")
    text = StringField(default="")
    number = SortedField(type=int, default=0)
    relevance = DecayingSortedField(partition_by="agent")
    sure = ConfidenceField(partition_by="agent")
    near = CoOccurrenceField()
    words = BM25Field(source="text")
    vector = EmbeddingField(source="text", provider=Lengths(), store="server")
    seen = ExistenceFilter(capacity=100, fingerprint_fn=text_of)
    counts = FrequencySketch(width=100, depth=3, fingerprint_fn=text_of)

    class Meta:
        require_partition = "agent"


class Keyed(Model):
    agent = KeyField()
    name = KeyField()
    near = CoOccurrenceField()

    class Meta:
        require_partition = "agent"


Read = Callable[[Api, Any], Any]
#: The second by a partitioned field, whether the model requires its partition or not.
REFUSED = r"Note: .* Meta.require_partition names agent|Note.relevance is partitioned by agent"

#: Reads of what `query` finds: the model's `Query`, or a builder.
OF_QUERIES: dict[str, Read] = {
    "all": lambda api, query: api(query.all),
    "count": lambda api, query: api(query.count),
    "exists": lambda api, query: api(query.exists),
    "first": lambda api, query: api(query.first),
    "last": lambda api, query: api(query.last),
    "keys": lambda api, query: api(query.keys),
    "values": lambda api, query: api(query.values("name").all),
    "values_list": lambda api, query: api(query.values_list("name").all),
    "only": lambda api, query: api(query.only("name").all),
    "iteration": lambda api, query: list(query),
    "order_by": lambda api, query: api(query.order_by("-number").all),
    "limit": lambda api, query: api(query.limit(1).all),
    "no_track": lambda api, query: api(query.no_track().all),
    "exclude": lambda api, query: api(query.exclude(name="nobody").all),
    "sum": lambda api, query: api(query.sum, "number"),
    "avg": lambda api, query: api(query.avg, "number"),
    "min": lambda api, query: api(query.min, "number"),
    "max": lambda api, query: api(query.max, "number"),
    "group_count": lambda api, query: api(query.group_count, "name"),
    "explain": lambda api, query: api(query.explain),
    "delete": lambda api, query: api(query.delete),
    "update": lambda api, query: api(query.update, number=7),
    "renew_ttl": lambda api, query: api(query.renew_ttl, 100),
    "top_by_decay": lambda api, query: api(query.top_by_decay, "relevance"),
    "keyword_search": lambda api, query: api(query.keyword_search, "plan"),
    "semantic_search": lambda api, query: api(query.semantic_search, "plan"),
    "semantic_search with what is near": lambda api, query: api(
        query.semantic_search, "plan", co_occurrence_boost={"Note:b1": 9.0}
    ),
    "composite_score": lambda api, query: api(query.composite_score, {"number": 1.0}),
    "composite_score with what is near": lambda api, query: api(
        query.composite_score, {"number": 1.0}, co_occurrence_boost={"Note:b1": 9.0}
    ),
    "recall": lambda api, query: api(query.recall, "plan"),
    "recall with what is near": lambda api, query: api(
        query.recall, "plan", cues=["Note:b1"], explain=True
    ),
    "fuse": lambda api, query: api(query.fuse, words=[("Note:b1", 1.0)]),
}
#: Of the model alone.
AT_LARGE: dict[str, Read] = {
    "get by key": lambda api, model: api(model.query.get, "Note:b1"),
    "get by key and value": lambda api, model: api(model.query.get, "Note:b1", number=1),
    "get by key fields": lambda api, model: api(model.query.get, name="b1"),
    "get by others": lambda api, model: api(model.query.get, number=1),
    "what an index says": lambda api, model: model.query.answered_by_index("number", {"number": 1}),
    "load": lambda api, model: api(model.load, "Note:b1"),
    "get_many": lambda api, model: api(model.query.get_many, ["Note:b1"]),
    "get_untracked": lambda api, model: model.query.get_untracked("Note:b1"),
    "keys(catchall=True)": lambda api, model: api(model.query.keys, catchall=True),
    "filter_for_keys_set": lambda api, model: model.query.filter_for_keys_set(number=1),
    "filter of nothing": lambda api, model: api(model.query.filter(number__gte=0).count),
    "get_or_create": lambda api, model: api(model.get_or_create, name="b1"),
    "update_or_create": lambda api, model: api(model.update_or_create, name="b1", defaults={}),
    "bulk_delete": lambda api, model: api(model.bulk_delete, model.query.filter(number=1)),
    "bulk_update": lambda api, model: api(
        model.bulk_update, model.query.filter(number=1), number=2
    ),
    "BM25Field.search": lambda api, model: api(BM25Field.search, model, "words", "plan"),
    "load_embeddings": lambda api, model: api(EmbeddingField.load_embeddings, model),
    "get_confidence_filtered": lambda api, model: api(
        ConfidenceField.get_confidence_filtered, model, "sure"
    ),
    "get_linked": lambda api, model: api(model.near.get_linked, model, "Note:b1"),
    "propagate": lambda api, model: api(model.near.propagate, model, ["Note:b1"]),
    "might_exist": lambda api, model: api(model.seen.might_exist, model, "plan"),
    "definitely_missing": lambda api, model: api(model.seen.definitely_missing, model, "plan"),
    "might_exist_batch": lambda api, model: api(model.seen.might_exist_batch, model, ["plan"]),
    "might_exist_count": lambda api, model: api(model.seen.might_exist_count, model, ["plan"]),
    "fill_ratio": lambda api, model: api(model.seen.fill_ratio, model),
    "get_frequency": lambda api, model: api(model.counts.get_frequency, model, "plan"),
    "get_highest_errors": lambda api, model: api(model.get_highest_errors, model),
    "error_summary": lambda api, model: api(model.error_summary, model),
    "get_pending": lambda api, model: api(RecallProposal.get_pending, model),
    "assemble": lambda api, model: api(
        ContextAssembler(model, {"relevance": 1.0}).assemble, {"topic": "plan"}
    ),
}
#: What of `Query` and its builder asks nothing by itself.
NO_READS = {"filter", "filtered", "options", "offset", "computed_sort", "prefetch_related"}
NO_READS |= {"select_related", "keys_of", "using"}
#: Tried under another name.
ALSO = {"get", "get_many", "get_untracked", "filter_for_keys_set", "iterator", "async_iterator"}
ALSO |= {"answered_by_index"}


@pytest.fixture
def notes() -> None:
    Note.create(name="a1", agent="a", text="the plan of a", number=1)
    Note.create(name="b1", agent="b", text="the plan of b", number=1)


@pytest.mark.parametrize("name", OF_QUERIES)
def test_no_query_is_of_more_than_one_partition(api: Api, notes: None, name: str) -> None:
    read = OF_QUERIES[name]
    for query in (
        Note.query,
        Note.query.filter(number=1),
        Note.query.filter(agent__in=["a", "b"]),
        Note.query.filter(agent=None),
        Note.query.filter(Q(agent="a") | Q(number=1)),
        Note.query.filter(Q(agent="a") | Q(agent="b")),
        Note.query.filter(~Q(agent="a")),
        Note.query.exclude(agent="a"),
    ):
        with pytest.raises(QueryException, match=REFUSED):
            read(api, query)
    assert {words[b"agent"] for words in stored()} == {b"a", b"b"}


def stored() -> list[dict[bytes, bytes]]:
    asked = [("HMGET", key, "agent", "number") for key in ("Note:a1", "Note:b1")]
    found = run(Request.of(*asked, shard="Note", repeatable=True).plan())
    return [{b"agent": each[0][1:], b"number": each[1]} for each in found]


@pytest.mark.parametrize("name", AT_LARGE)
def test_no_read_is_at_large(api: Api, notes: None, name: str) -> None:
    before = stored()
    with pytest.raises(QueryException, match=r"Note: .* Meta.require_partition names agent"):
        AT_LARGE[name](api, Note)
    assert stored() == before


def _of(name: str) -> Callable[[Api, Note], Any]:
    """A read of a record: a property, and its asyncio twin."""

    def read(api: Api, note: Note) -> Any:
        return api.run(getattr(note, f"async_{name}")()) if api.is_async else getattr(note, name)

    return read


#: What is done with one record, given an instance of it.
OF_RECORDS: dict[str, Callable[[Api, Note], Any]] = {
    "access_count": _of("access_count"),
    "last_accessed": _of("last_accessed"),
    "on_read": lambda api, note: api(note.on_read),
    "confirm_access": lambda api, note: api(note.confirm_access),
    "discard_staged_access": lambda api, note: api(note.discard_staged_access),
    "get_confidence": lambda api, note: api(ConfidenceField.get_confidence, note, "sure"),
    "get_confidence_data": lambda api, note: api(ConfidenceField.get_confidence_data, note, "sure"),
    "update_confidence": lambda api, note: api(
        ConfidenceField.update_confidence, note, "sure", 0.1
    ),
    "record_prediction": lambda api, note: api(Note.record_prediction, note, {"x": 2}),
    "get_prediction_data": lambda api, note: api(Note.get_prediction_data, note),
    "resolve_prediction": lambda api, note: api(Note.resolve_prediction, note, {"x": 1}),
    "auto_resolve": lambda api, note: api(Note.auto_resolve, note, "used"),
    "create_batch": lambda api, note: api(RecallProposal.create_batch, [note]),
    "resolve": lambda api, note: api(RecallProposal.resolve, note, "used"),
}


@pytest.mark.single_server("compares what one server holds")
@pytest.mark.parametrize("name", OF_RECORDS)
def test_the_key_of_anothers_record_is_not_enough(
    api: Api, notes: None, redis_client: redis.Redis, name: str
) -> None:
    theirs = Note.query.get(agent="b", name="b1")
    assert theirs is not None
    Note.record_prediction(theirs, {"x": 1})
    before = {key: redis_client.dump(key) for key in redis_client.keys("*")}
    for given in (Note(name="b1"), Note(name="b1", agent="a")):
        with pytest.raises(QueryException, match=r"of a record that was not read .*query\.get"):
            OF_RECORDS[name](api, given)
    assert {key: redis_client.dump(key) for key in redis_client.keys("*")} == before
    OF_RECORDS[name](api, theirs)


@pytest.mark.parametrize("name", OF_QUERIES)
def test_no_query_finds_what_is_anothers(api: Api, notes: None, name: str) -> None:
    queries = [Note.query.filter(agent="a", name="b1")]
    # These take their partition from plain keywords alone.
    if name.partition(" ")[0] not in ("top_by_decay", "recall"):
        queries += [
            Note.query.filter(Q(agent="a") & Q(name="b1")),
            Note.query.filter((Q(agent="a") & Q(name="b1")) | (Q(name="b1") & Q(agent="a"))),
            Note.query.filter(Note.agent == "a").filter(name="b1"),
        ]
    for query in queries:
        found = OF_QUERIES[name](api, query) if name not in ("exclude", "explain") else None
        assert found in (None, False, 0, [], {}, 0.0), found
    assert Note.query.filter(agent="b").count() == 1


@pytest.mark.parametrize("name", OF_QUERIES)
def test_a_query_of_one_partition_is_answered(api: Api, notes: None, name: str) -> None:
    """By the same words that find nothing of another's."""
    lists = {"fuse", "explain"}
    found = OF_QUERIES[name](api, Note.query.filter(agent="b"))
    assert found or (name == "exclude" and found == [])
    if isinstance(found, list) and name not in lists and isinstance(found[0], Note):
        assert [note.name for note in found] == ["b1"]


def test_every_read_of_queries_is_tried() -> None:
    methods = {name for name in (*dir(Query), *dir(QueryBuilder)) if not name.startswith("_")}
    methods = {name.removeprefix("async_") for name in methods} - {"model_class"}
    tried = {name.partition(" ")[0] for name in OF_QUERIES} | NO_READS | ALSO
    assert methods - tried == set()


def test_a_record_is_read_within_its_partition(api: Api, notes: None) -> None:
    assert api(Note.query.get, name="b1", agent="a") is None
    note = api(Note.query.get, name="b1", agent="b")
    assert note.text == "the plan of b"
    assert api(note.refresh).text == "the plan of b"
    assert api(ConfidenceField.get_confidence, note, "sure") is not None
    assert api(Note.get_or_create, name="b1", agent="b")[1] is False
    assert [each.name for each in Note.query.filter(agent="b").iterator()] == ["b1"]


class Shared(Model):
    """Its indexes are partitioned by texts that several agents may share."""

    name = KeyField()
    agent = StringField(null=True)
    text = StringField(default="plan")
    relevance = DecayingSortedField(partition_by="agent")
    words = BM25Field(source="text", partition_by="agent")


ALIKE: dict[str, Read] = {
    name: OF_QUERIES[name]
    for name in ("top_by_decay", "keyword_search", "recall", "count", "all", "delete")
} | {
    "search": lambda api, query: api(
        BM25Field.search, Shared, "words", "plan", **query._spec.keywords
    ),
    "assemble": lambda api, query: (
        api(
            ContextAssembler(Shared, {"relevance": 1.0}, retrieval_mode="composite").assemble,
            {"topic": "plan"},
            partition_filters=query._spec.keywords,
        ).records
    ),
}


@pytest.mark.parametrize("name", ALIKE)
@pytest.mark.parametrize(("ours", "theirs"), [("a:b", "a{&#58;}b"), ("a{&#58;}b", "a:b")])
def test_a_partition_whose_index_has_another_name_in_it_is_one_of_its_own(
    api: Api, name: str, ours: str, theirs: str
) -> None:
    api(Shared.create, name="ours", agent=ours)
    api(Shared.create, name="theirs", agent=theirs)
    found = ALIKE[name](api, Shared.query.filter(agent=ours))
    if name in ("delete", "count"):
        assert found == 1
    elif name == "search":
        assert [key for key, _ in found] == ["Shared:ours"]
    else:
        assert [each.name for each in found] == ["ours"]
    assert api(Shared.query.get, name="theirs").text == "plan"


def test_contexts_are_of_one_partition(api: Api, notes: None) -> None:
    for mode in ("composite", "lexical", "hybrid"):
        assembler = ContextAssembler(Note, {"relevance": 1.0}, retrieval_mode=mode)
        found = api(assembler.assemble, {"topic": "plan"}, partition_filters={"agent": "a"})
        assert [record.name for record in found.records] == ["a1"]


def test_a_key_that_tells_its_partition_is_enough(api: Api) -> None:
    Keyed.create(agent="a", name="x")
    assert api(Keyed.query.get, "Keyed:a:x").agent == "a"
    assert api(Keyed.query.get, agent="a", name="x").agent == "a"
    assert len(api(Keyed.query.get_many, ["Keyed:a:x"])) == 1
    assert Keyed.query.get_untracked("Keyed:a:x").agent == "a"
    assert api(Keyed.near.get_linked, Keyed, "Keyed:a:x") == []
    assert api(Keyed.near.propagate, Keyed, ["Keyed:a:x"]) == {}
    with pytest.raises(QueryException):
        api(Keyed.query.get, name="x")
    with pytest.raises(QueryException):
        api(Keyed.query.all)


def test_records_that_lead_to_a_partition_are_read_within_it(api: Api) -> None:
    class Link(Model):
        name = KeyField()
        note = Relationship(Note)

    note = Note.create(name="b1", agent="b")
    Link.create(name="one", note=note)
    with pytest.raises(QueryException, match="require_partition"):
        api(Link.query.filter(note__number=0).all)
    (link,) = api(Link.query.filter(note__number=0, note__agent="b").all)
    assert link.name == "one"


def test_upkeep_is_of_all_partitions(api: Api, notes: None) -> None:
    assert api(Note.check_indexes)["total"] == 0
    assert api(Note.rebuild_indexes) == 2
    assert api(Note.clean_indexes) == 0
    assert len([*Export(Note, batch_size=10).lines()]) == 2
    assert api(Note.delete_all) == 2


def test_several_fields_are_all_to_be_fixed(api: Api) -> None:
    class Both(Model):
        name = KeyField()
        tenant = StringField()
        agent = StringField()

        class Meta:
            require_partition = ("tenant", "agent")

    Both.create(name="x", tenant="t", agent="a")
    with pytest.raises(QueryException, match=r"names tenant, agent"):
        api(Both.query.filter(tenant="t").all)
    assert len(api(Both.query.filter(tenant="t", agent="a").all)) == 1


def test_it_is_inherited_and_can_be_lifted() -> None:
    class Base(Model):
        name = KeyField()
        agent = StringField()

        class Meta:
            abstract = True
            require_partition = "agent"

    class Strict(Base):
        pass

    class Free(Base):
        class Meta:
            require_partition = None

    with pytest.raises(QueryException):
        Strict.query.all()
    assert Free.query.all() == []


@pytest.mark.parametrize(
    "wrong", ["nothing", 5, (), ("agent", "nothing"), "place", "tags", object()]
)
def test_what_cannot_be_required(wrong: object) -> None:
    with pytest.raises(ModelException, match=r"Wrong.Meta.require_partition"):

        class Wrong(Model):
            name = KeyField()
            agent = StringField()
            place = GeoField()
            tags = ListField(max_length=3)

            class Meta:
                require_partition = wrong


def test_commands_are_of_all_partitions(
    notes: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, path = f"{__name__}:Note", str(tmp_path / "notes")
    assert main(["export", model, "-o", path]) == 0
    assert "Note: 2 records" in capsys.readouterr().err
    assert main(["models", model]) == 0
    told = capsys.readouterr().out
    assert "records: 2" in told
    # These have keys of all records together.
    for name in ("$FS:Note:counts", "$BM25:Note:words", "$EmbeddingF:Note:vector:note"):
        assert name in told
    assert main(["verify", model, "--against", path]) == 0


class Ticket(Model):
    number = KeyField()
    agent = IndexedField(default="a")

    class Meta:
        require_partition = "agent"


def test_a_record_of_no_partition_could_be_found_by_nobody_and_is_refused(api: Api) -> None:
    for save in (
        Ticket(number="1", agent=None).save,
        lambda: Ticket.bulk_create([Ticket(number="1", agent=None)]),
        lambda: Ticket.create(number="1", agent=None),
    ):
        with pytest.raises(ModelException, match=r"Ticket.agent: invalid value None"):
            save()
    ticket = api(Ticket.create, number="1")
    ticket.agent = None
    with pytest.raises(ModelException, match=r"Ticket.agent: invalid value None"):
        api(ticket.save)
    with pytest.raises(ModelException, match=r"Ticket.agent: invalid value None"):
        api(Ticket.query.filter(agent="a").update, agent=None)
    assert api(Ticket.query.get, number="1", agent="a") == ticket
