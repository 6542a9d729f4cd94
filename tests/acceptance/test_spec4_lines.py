"""Where promises of retrieval and recipes collide, or came later: one test for each line."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import redis

import popoto
from popoto import (
    AccessTrackerMixin,
    AdaptiveAssembler,
    AssemblyResult,
    BM25Field,
    ConfidenceField,
    ContentField,
    ContextAssembler,
    CyclicDecayField,
    DecayingSortedField,
    Defaults,
    EmbeddingField,
    ExistenceFilter,
    FloatField,
    KeyField,
    Model,
    QueryException,
    RetrievalQuality,
    SortedField,
    StreamConsumer,
    StringField,
    WriteFilterMixin,
    clock,
)
from popoto.embeddings import AbstractEmbeddingProvider
from popoto.embeddings.local import SentenceTransformerProvider
from popoto.fields.embedding_field import invalidate_cache
from popoto.recipes import PolicyEntry, SubconsciousMemory
from popoto.recipes.policy_cache import crystallization_handler
from popoto.stores import FilesystemStore
from tests.driver import Api
from tests.vectors.provider import TABLE, Known

NOW = 1_700_000_000.0
DAY = 86_400


class Doc(Model):
    name = KeyField()
    text = StringField(default="")
    words = BM25Field(source="text")


class Fact(AccessTrackerMixin, WriteFilterMixin, Model):
    agent_id = KeyField()
    name = KeyField()
    content = StringField(default="known")
    importance = FloatField(default=0.5)
    rank = SortedField(type=float, default=0.0)
    rel = DecayingSortedField(decay_rate=0.5, partition_by="agent_id")
    conf = ConfidenceField(0.5)
    seen = ExistenceFilter(fingerprint_fn=lambda record: record.content)

    def compute_filter_score(self) -> float:
        return self.importance


class Vague(Model):
    name = KeyField()
    text = StringField(null=True)
    vector = EmbeddingField(source="text", provider=Known(TABLE))


@pytest.fixture(autouse=True)
def _own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("POPOTO_CONTENT_PATH", str(tmp_path))
    invalidate_cache()
    yield
    invalidate_cache()


def facts(*names: str, **values: Any) -> list[Fact]:
    return [Fact.create(**{"agent_id": "a", "name": name, **values}) for name in names]


# Where what was written and what was done disagree (18) ----------------------------------------


def test_18_the_idf_of_an_unknown_word_is_what_the_formula_says() -> None:
    for number in range(4):
        Doc.create(name=str(number), text="redis")
    found = BM25Field.get_idf(Doc, "words", ["nowhere"])
    assert found["nowhere"] == pytest.approx(math.log(2 * 4 + 2))


def test_18_composite_score_takes_similarities_before_the_temperature() -> None:
    names = list(inspect.signature(Doc.query.composite_score).parameters)
    assert names[:8] == [
        *("indexes", "limit", "aggregate", "min_score", "post_filter"),
        *("co_occurrence_boost", "similarity_boost", "temperature"),
    ]


def test_18_searches_and_statistics_are_public() -> None:
    Doc.create(name="a", text="redis cluster")
    assert [each.name for each in Doc.query.keyword_search("redis")] == ["a"]
    assert [each.name for each in Doc.query.fuse(words=[("Doc:a", 1.0)])] == ["a"]
    BM25Field.recompute_stats(Doc, "words")
    assert BM25Field.filter_selective_tokens(Doc, "words", ["redis", "nowhere"]) == ["nowhere"]


def test_18_collecting_content_removes_what_nothing_refers_to(tmp_path: Path) -> None:
    class Book(Model):
        name = KeyField()
        text = ContentField(store=FilesystemStore(str(tmp_path)))

    kept, gone = (Book.create(name=name, text=f"text of {name}") for name in "ab")
    gone.delete()
    assert ContentField.garbage_collect(Book, min_age_seconds=0) == 1
    assert Book.query.get(name="a").text == kept.text


def test_18_content_is_read_at_the_first_touch(tmp_path: Path) -> None:
    class Book(Model):
        name = KeyField()
        text = ContentField(store=FilesystemStore(str(tmp_path)))

    Book.create(name="a", text="long")
    for path in tmp_path.rglob("*.txt"):
        path.unlink()
    for found in (Book.query.get(name="a"), Book.query.filter(name="a")[0], Book.query.all()[0]):
        with pytest.raises(FileNotFoundError, match="Content file missing"):
            _ = found.text


def test_18_a_field_without_a_cache_has_none() -> None:
    class Uncached(Model):
        name = KeyField()
        text = StringField()
        vector = EmbeddingField(source="text", provider=Known(TABLE), cache=False)

    Uncached.create(name="a", text="a")
    one, _ = EmbeddingField.load_embeddings(Uncached)
    other, _ = EmbeddingField.load_embeddings(Uncached)
    assert one is not other


@pytest.mark.parametrize("outcome", ["acted", "used", "dismissed", "contradicted", "deferred"])
def test_18_five_outcomes_are_reported(api: Api, outcome: str) -> None:
    memory = SubconsciousMemory(Fact, "a", {"rank": 1})
    api(memory.report_outcomes, AssemblyResult(records=facts("a")), outcome)
    with pytest.raises(ValueError, match="vague"):
        api(memory.report_outcomes, AssemblyResult(records=facts("b")), "vague")


def test_18_defaults_are_read_where_they_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    told = (Defaults.DECAY_RATE, Defaults.WF_MIN_THRESHOLD, Defaults.CO_OCCURRENCE_INITIAL_WEIGHT)
    assert told == (0.1, 0.1, 0.1)
    one, two = facts("1", rank=1.0) + facts("2")
    monkeypatch.setattr(Defaults, "COMPETITIVE_SUPPRESSION_SIGNAL", 0.2)
    monkeypatch.setattr(Defaults, "DEFAULT_SURFACING_THRESHOLD", 0.7)
    assembler = ContextAssembler(Fact, {"rank": 1}, max_items=1)
    assert assembler.surfacing_threshold == 0.7
    assert assembler.assemble({"q": "known"}, agent_id="a").records[0].pk == one.pk
    assert ConfidenceField.get_confidence(two, "conf") == 0.2


def test_18_collecting_vectors_needs_the_word_of_the_class() -> None:
    parameters = inspect.signature(EmbeddingField.garbage_collect).parameters
    assert parameters["min_age_seconds"].default == 300
    Vague.create(name="a", text="a").delete()
    assert EmbeddingField.garbage_collect(Vague, 0) == 0


def test_18_staleness_looks_at_stored_moments() -> None:
    class Plain(Model):
        name = KeyField()
        rel = DecayingSortedField()

    plain = [Plain.create(name=name) for name in "ab"]
    assert RetrievalQuality.from_records(plain, None, {"rel": 1}).staleness_ratio == 0.0
    assert RetrievalQuality.from_records(facts(*"ab"), None, {"rel": 1}).staleness_ratio == 1.0


def test_18_features_of_policies_are_dicts() -> None:
    entry = PolicyEntry.create(
        agent_id="a", state_fingerprint="f", action_type="act", state_features={"t": 1}
    )
    assert PolicyEntry.query.get(redis_key=entry.pk).state_features == {"t": 1}


def test_18_a_budget_counts_what_is_shown() -> None:
    facts(*"abc", content="known " * 200)
    result = ContextAssembler(Fact, {"rank": 1}, max_tokens=400).assemble({"q": "known"}, "a")
    assert len(result.records) == 1
    assert result.metadata["token_count"] > 200


# What looks wrong and is asserted (20) ---------------------------------------------------------


def test_20_1_assessing_three_fresh_records(api: Api) -> None:
    for record, signal in zip(facts(*"abc"), (0.9, 0.5, 0.3), strict=True):
        ConfidenceField.update_confidence(record, "conf", signal)
    assembler = ContextAssembler(Fact, {"rel": 1}, max_items=5)
    found = api(assembler.assess, {"x": "known", "y": "known"}, {"agent_id": "a"})
    assert (found.staleness_ratio, found.score_spread) == (1.0, 0.0)
    assert found.score_distribution == [0, 0, 0]
    assert found.fok_score == pytest.approx(0.64)
    assert found.avg_confidence == pytest.approx(0.566667, rel=1e-5)


def test_20_2_quality_of_records_is_that_of_their_context(api: Api) -> None:
    for number, name in enumerate("abc"):
        facts(name, rank=0.2 * number + 0.1)
    assembler = ContextAssembler(Fact, {"rank": 1, "rel": 0.5}, max_items=5)
    cues = {"x": "known", "y": "other"}
    result = api(assembler.assemble, cues, "a", assess_quality=True)
    again = api(RetrievalQuality.from_records, result.records, cues, {"rank": 1, "rel": 0.5}, 5)
    assert len(result.records) == 3
    assert vars(again) == vars(result.metadata["quality"])


def test_20_3_the_default_counter_and_what_budgets_let_through(api: Api) -> None:
    assert ContextAssembler(Fact, {})._token_counter("hello world") == 2
    facts(*"abcde")
    kept = []
    for most in (50, 200, 5000):
        assembler = ContextAssembler(Fact, {"rank": 1}, 30, most)
        kept.append(len(api(assembler.assemble, {"q": "known"}, "a").records))
    assert kept[0] < 5
    assert kept == sorted(kept)
    assert kept[-1] == 5
    facts(*(f"l{number}" for number in range(30)), content="known " * 133)
    assembler = ContextAssembler(Fact, {"rank": 1}, 30, 100)
    assert 1 <= len(api(assembler.assemble, {"q": "known"}, "a").records) <= 29


def test_20_4_numbers_of_words_stand_where_they_stood(redis_client: redis.Redis) -> None:
    Doc.create(name="d1", text="redis redis redis deployment")
    prefix = Doc.words._key_prefix(Doc)
    assert prefix == "$BM25:Doc:words"
    assert redis_client.zscore(f"{prefix}:dl", "Doc:d1") == 4
    assert redis_client.zscore(f"{prefix}:tf:Doc:d1", "redis") == 3
    assert redis_client.get(f"{prefix}:n") == b"1"


def test_20_5_content_stands_where_it_stood(tmp_path: Path) -> None:
    store = FilesystemStore(str(tmp_path))
    reference = store.save(b"hello", key="a", model_class_name="D")
    digest = hashlib.sha256(b"hello").hexdigest()
    assert reference == f"$CF:{digest}:D/a.txt"
    assert (tmp_path / "D" / "a.txt").read_bytes() == b"hello"
    assert store._parse_reference(reference) == (digest, "D/a.txt")
    store.save(b"x", key="a/b:c*d", model_class_name="D")
    assert [each.name for each in (tmp_path / "D").glob("a_*")] == ["a_b_c_d.txt"]
    store.save(b"other", key="a", model_class_name="D")
    assert Path(store._version_path(digest)).read_bytes() == b"hello"
    assert store.load(reference) == b"hello"


def test_20_6_vectors_stand_where_they_stood(tmp_path: Path) -> None:
    Vague.create(name="x", text="a")
    name = hashlib.sha256(b"Vague:x").hexdigest() + ".npy"
    directory = tmp_path / ".embeddings" / "Vague"
    vector = numpy.load(directory / name)
    assert (len(name), vector.dtype, vector.tolist()) == (68, numpy.float32, [3, 4, 0])
    assert json.loads((directory / "_index.json").read_text()) == {name: "Vague:x"}


def test_20_7_scores_are_raw_and_leave_no_key(api: Api, redis_client: redis.Redis) -> None:
    facts("a", rank=10.0)
    facts("b", rank=30.0)
    query = Fact.query.filter(agent_id="a")
    found = api(query.composite_score, {"rank": 1, "conf": 1}, min_score=15, temperature=10)
    assert [(each.name, each._composite_score) for each in found] == [("b", 3.05)]
    assert redis_client.keys("$CSQ*") == []
    assert api(query.composite_score, {"nothing": 1}, limit=0) == []
    with pytest.raises(QueryException, match="non-empty indexes"):
        api(query.composite_score, {}, limit=0)


class Noisy:
    """An assembler whose contexts are the better the more relevance counts, with noise."""

    def __init__(self, seed: int) -> None:
        self.score_weights = {"relevance": 0.5, "confidence": 0.5}
        self.noise = random.Random(seed)

    def assemble(self, query_cues: Any = None, **options: Any) -> AssemblyResult:
        told = 0.3 + 0.5 * self.score_weights["relevance"] + self.noise.gauss(0, 0.02)
        return AssemblyResult(metadata={"quality": RetrievalQuality(fok_score=told)})


def test_20_8_weights_that_assemble_better_are_found() -> None:
    better = 0
    for seed in range(42, 47):
        inner = Noisy(seed)
        given = dict(inner.score_weights)
        assembler = AdaptiveAssembler(
            inner, 10, lambda quality: quality.fok_score, 0.1, random.Random(seed)
        )
        first = [assembler.assemble().metadata["quality"].fok_score for _ in range(50)]
        for _ in range(400):
            assembler.assemble()
        last = [assembler.assemble().metadata["quality"].fok_score for _ in range(50)]
        better += sum(last) >= 1.05 * sum(first)
        assert inner.score_weights == given
    assert better >= 4


@pytest.mark.single_server("on a cluster dead letters stay in the slot of their stream")
def test_20_9_what_is_delivered_too_often_is_a_dead_letter(redis_client: redis.Redis) -> None:
    def fail(entries: Any) -> None:
        raise RuntimeError("no")

    redis_client.xadd("work", {"n": "1"})
    consumer = StreamConsumer("work", "g", "c", fail, block_ms=10, claim_timeout_ms=0)
    for _ in range(consumer.max_retries + 1):
        with pytest.raises(RuntimeError):
            consumer.process_batch_sync()
        assert redis_client.xpending("work", "g")["pending"] == 1
    consumer.process_batch_sync()
    assert redis_client.xlen("dead:work") == 1
    assert redis_client.xpending("work", "g")["pending"] == 0


@pytest.mark.parametrize(("successes", "failures", "made"), [(8, 0, 1), (2, 0, 0), (2, 8, 0)])
def test_20_10_what_succeeds_in_one_call_becomes_an_entry(
    successes: int, failures: int, made: int
) -> None:
    told = {"state_fingerprint": "f", "action_type": "act"}
    outcomes = ["success"] * successes + ["failure"] * failures
    entries = [(f"{n}-0", {**told, "outcome": each}) for n, each in enumerate(outcomes)]
    asyncio.run(crystallization_handler(entries))
    assert PolicyEntry.query.count() == made


def test_20_11_a_refused_save_is_false_and_no_memory(api: Api) -> None:
    assert api(Fact(agent_id="a", name="x", importance=0.01).save) is False

    class Sentence(WriteFilterMixin, Model):
        memory_id = popoto.AutoKeyField()
        agent_id = KeyField()
        content = StringField()
        importance = FloatField()
        rank = SortedField(type=float, default=0.0)

        def compute_filter_score(self) -> float:
            return self.importance

    memory = SubconsciousMemory(Sentence, "a", {"rank": 1})
    assert api(memory.extract_memories, "Not worth keeping at all.", importance=0.01) == []
    assert len(api(memory.extract_memories, "Well worth keeping it.", importance=0.9)) == 1


def test_20_records_of_another_agent_never_come_in_by_an_index_of_all(api: Api) -> None:
    facts("mine")
    facts("theirs", agent_id="b", rank=99.0)
    found = api(Fact.query.filter(agent_id="a").composite_score, {"rank": 1, "conf": 1, "rel": 1})
    assert [each.name for each in found] == ["mine"]


def test_20_a_record_that_is_shown_is_read_once(api: Api, redis_client: redis.Redis) -> None:
    facts(*"abc")
    api(ContextAssembler(Fact, {"rank": 1}, 2).assemble, {"q": "known"}, "a")
    lengths = [redis_client.llen(f"$AT:Fact:staged:Fact:a:{name}") for name in "abc"]
    assert sorted(lengths) == [0, 1, 1]


# What came later (21) --------------------------------------------------------------------------


def test_21_equal_scores_of_words_come_in_the_order_of_keys(api: Api) -> None:
    for name in "cab":
        Doc.create(name=name, text="the same words")
    assert [key for key, _ in BM25Field.search(Doc, "words", "same")] == ["Doc:a", "Doc:b", "Doc:c"]
    allowed = BM25Field.search(Doc, "words", "same", allowed_keys=["Doc:b", "Doc:zz"])
    assert [key for key, _ in allowed] == ["Doc:b"]


def test_21_the_mode_of_retrieval_follows_from_the_fields() -> None:
    for name in ("redis cluster", "python"):
        Doc.create(name=name, text=name)
    for mode in ("auto", "lexical"):
        assembler = ContextAssembler(Doc, {}, retrieval_mode=mode)
        found = assembler.assemble({"q": "which cluster?"}).records
        assert [each.name for each in found] == ["redis cluster"]
    with pytest.raises(QueryException, match="hybrid"):
        ContextAssembler(Doc, {}, retrieval_mode="hybrid").assemble({"q": "cluster"})


def test_21_another_process_sees_new_vectors_at_once(tmp_path: Path) -> None:
    Vague.create(name="a", text="a")
    assert [each.name for each in Vague.query.semantic_search("right")] == ["a"]
    # As another process would: a directory of its own in memory.
    Vague.create(name="near", text="right")
    invalidate_cache("Vague")
    assert [each.name for each in Vague.query.semantic_search("right")] == ["near", "a"]


def test_21_sentence_transformers_are_a_provider() -> None:
    assert issubclass(SentenceTransformerProvider, AbstractEmbeddingProvider)


def test_21_entries_that_are_claimed_again_are_handled_again(redis_client: redis.Redis) -> None:
    handled: list[str] = []

    def handler(entries: Any) -> None:
        handled.extend(fields["n"] for _, fields in entries)
        if len(handled) == 1:
            raise RuntimeError("once")

    redis_client.xadd("work", {"n": "1"})
    consumer = StreamConsumer("work", "g", "c", handler, block_ms=10, claim_timeout_ms=0)
    with pytest.raises(RuntimeError):
        consumer.process_batch_sync()
    consumer.process_batch_sync()
    assert handled == ["1", "1"]
    assert redis_client.xpending("work", "g")["pending"] == 0


def test_21_cyclic_scores_surface_by_the_clock_of_the_process() -> None:
    class Tide(Model):
        name = KeyField()
        high = CyclicDecayField(decay_rate=0.5)

    with clock.using(NOW - 100 * DAY):
        Tide.create(name="old")
    with clock.using(NOW - DAY):
        Tide.create(name="new")
    with clock.using(NOW):
        result = ContextAssembler(Tide, {}).assemble()
    assert [each.name for each in result.proactive] == ["new"]
