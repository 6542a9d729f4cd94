"""What is done to memories of either side of `twins`."""

from __future__ import annotations

import json
import random
from typing import Any

import popoto
from popoto import (
    AdaptiveAssembler,
    BM25Field,
    ConfidenceField,
    ContentField,
    ContextAssembler,
    EmbeddingField,
    ObservationProtocol,
    RecallProposal,
    RetrievalQuality,
    transaction,
)
from popoto.recipes import SubconsciousMemory
from popoto.recipes.policy_cache import initialize_q_value, update_q_value

from .deeds import agent, deed
from .twins import AGENTS, DAY, WORDS, Side

NAMES = ("a", "b", "c:c", "d")
TOPICS = ("a topic", "another")


def memory_key(side: Side, r: random.Random, whose: str | None = None) -> str:
    values = {"agent": whose or agent(r), "name": r.choice(NAMES)}
    return str(side.models.memory._meta.record_key(values))


def text(r: random.Random) -> str:
    """Some words, and one that no other text has: no two are equally near to anything."""
    return " ".join((*r.choices(WORDS, k=r.randint(1, 6)), f"n{r.randrange(10**6)}"))


def stored(side: Side, r: random.Random, whose: str | None = None) -> Any:
    query = side.models.memory.query
    return side.api(query.get, redis_key=memory_key(side, r, whose))


def some(side: Side, r: random.Random, whose: str | None = None) -> list[Any]:
    keys = [memory_key(side, r, whose) for _ in range(r.randint(1, 5))]
    return list(side.api(side.models.memory.query.get_many, list(dict.fromkeys(keys)), skip_none=True))


def features(r: random.Random) -> dict[str, Any]:
    return {
        "text": text(r),
        "kind": r.choice(("fact", "plan")),
        "importance": r.choice((0.05, 0.3, 0.5, 0.8)),
        "rank": r.choice((0.0, 1.0, 2.5, -1.0)),
        "story": r.choice((None, text(r))),
    }


@deed
def pass_time(side: Side, r: random.Random) -> Any:
    side.moment += r.choice((1, 3600, DAY))


@deed
def remember(side: Side, r: random.Random) -> Any:
    values = {"agent": agent(r), "name": r.choice(NAMES), **features(r)}
    return side.api(side.models.memory.create, overwrite=r.random() < 0.5, **values)


@deed
def remember_several(side: Side, r: random.Random) -> Any:
    rows = [
        side.models.memory(agent=agent(r), name=r.choice(NAMES), **features(r))
        for _ in range(r.randint(1, 8))
    ]
    return side.api(side.models.memory.bulk_create, rows)


@deed
def change_memory(side: Side, r: random.Random) -> Any:
    record, new = stored(side, r), features(r)
    if record is None:
        return None
    for name, value in new.items():
        setattr(record, name, value)
    return side.api(record.save, update_fields=r.choice((None, ["text", "rank"]))), record


@deed
def move_memory(side: Side, r: random.Random) -> Any:
    record, name = stored(side, r), r.choice(NAMES)
    if record is None:
        return None
    record.name = name
    return side.api(record.save, migrate_key=True)


@deed
def forget(side: Side, r: random.Random) -> Any:
    record = stored(side, r)
    return record and side.api(record.delete)


@deed
def write_to_what_is_gone(side: Side, r: random.Random) -> Any:
    """An instance whose record was deleted meanwhile."""
    record, model = stored(side, r), side.models.memory
    kind = r.randrange(8)
    if record is None:
        return None
    side.api(model.query.filter(pk=record.pk).delete)
    return [
        lambda: side.api(record.touch, "relevance"),
        lambda: side.of(ConfidenceField, "update_confidence", record, "sure", 0.9),
        lambda: side.api(record.strengthen_cycle, "rhythm"),
        lambda: side.api(record.confirm_access),
        lambda: side.api(record.on_read),
        lambda: side.api(model.record_prediction, record, {"n": 1}),
        lambda: side.of(RecallProposal, "create_batch", [record]),
        lambda: side.of(ObservationProtocol, "on_context_used", [record], {record.pk: "acted"}),
    ][kind]()


@deed
def forget_several(side: Side, r: random.Random) -> Any:
    return side.api(side.models.memory.bulk_delete, some(side, r))


@deed
def update_memories(side: Side, r: random.Random) -> Any:
    query = asked(side, r)
    return side.api(query.update, **r.choice(({"text": text(r)}, {"rank": 2.0}, {"kind": "plan"})))


# Beside records ----------------------------------------------------------------------------------


@deed
def touch(side: Side, r: random.Random) -> Any:
    record, name = stored(side, r), r.choice(("relevance", "fresh", "rhythm", "season"))
    return record and side.api(record.touch, name)


@deed
def touch_several(side: Side, r: random.Random) -> Any:
    return side.api(side.models.memory.bulk_touch, some(side, r), r.choice(("relevance", "rhythm")))


@deed
def confidence(side: Side, r: random.Random) -> Any:
    record, name, signal = stored(side, r), r.choice(("sure", "trust")), r.choice((0.0, 0.2, 0.9))
    if record is None:
        return None
    return (
        side.of(ConfidenceField, "update_confidence", record, name, signal),
        side.of(ConfidenceField, "get_confidence", record, name),
        side.of(ConfidenceField, "get_confidence_data", record, name),
        side.call(popoto.explain_confidence, record, name),
    )


@deed
def confidence_of_several(side: Side, r: random.Random) -> Any:
    pairs = [(each, r.random()) for each in some(side, r)]
    return side.of(ConfidenceField, "bulk_update_confidence", pairs, r.choice(("sure", "trust")))


@deed
def confident(side: Side, r: random.Random) -> Any:
    pattern = r.choice(("*", "*:a", f"*{agent(r)}*"))
    return side.of(ConfidenceField, "get_confidence_filtered", side.models.memory, "sure", pattern)


@deed
def cycle(side: Side, r: random.Random) -> Any:
    record, name = stored(side, r), r.choice(("rhythm", "season"))
    method = r.choice(("strengthen_cycle", "weaken_cycle", "resolve_pressure"))
    return record and side.api(getattr(record, method), name)


@deed
def read(side: Side, r: random.Random) -> Any:
    record, method = stored(side, r), r.choice(("on_read", "confirm_access", "discard_staged_access"))
    if record is None:
        return None
    found = side.api(getattr(record, method))
    if side.api.is_async:
        return found, side.api.run(record.async_access_count()), side.api.run(record.async_last_accessed())
    return found, record.access_count, record.last_accessed


@deed
def confirm_several(side: Side, r: random.Random) -> Any:
    return side.api(side.models.memory.bulk_confirm_access, some(side, r))


@deed
def predict(side: Side, r: random.Random) -> Any:
    record, model = stored(side, r), side.models.memory
    kind, number = r.randrange(4), r.random()
    if record is None:
        return None
    if kind == 0:
        return side.api(model.record_prediction, record, {"n": number})
    if kind == 1:
        return side.api(model.resolve_prediction, record, {"n": number})
    if kind == 2:
        return side.api(model.auto_resolve, record, r.choice(("acted", "used", "deferred")))
    return side.api(model.get_prediction_data, record)


@deed
def errors(side: Side, r: random.Random) -> Any:
    model = side.models.memory
    by = r.choice((None, "day", lambda key, error: key[-1]))
    return (
        side.api(model.get_highest_errors, model, limit=r.choice((1, 10))),
        side.api(model.error_summary, model, group_by=by, limit=r.choice((2, 100))),
    )


@deed
def proposals(side: Side, r: random.Random) -> Any:
    partition, records = r.choice((None, "p:q")), some(side, r)
    kind = r.randrange(5)
    model = side.models.memory
    if kind == 0:
        side.of(RecallProposal, "create_batch", records, "why", partition)
    elif kind == 1:
        side.of(ObservationProtocol, "on_surfaced", records, partition=partition)
    elif kind == 2 and records:
        return side.of(RecallProposal, "resolve", records[0], "used", partition)
    elif kind == 3:
        return sorted(side.of(RecallProposal, "expire_stale", model, partition, 1800))
    return side.of(RecallProposal, "get_pending", model, partition)


@deed
def used(side: Side, r: random.Random) -> Any:
    records, outcomes = some(side, r), ("acted", "used", "dismissed", "deferred", "contradicted")
    told = {each.pk: r.choice(outcomes) for each in records}
    with popoto.acting_as(r.choice(("x", "y"))):
        return side.of(ObservationProtocol, "on_context_used", records, told)


@deed
def history(side: Side, r: random.Random) -> Any:
    record = stored(side, r)
    return record and side.api(record.history, limit=r.choice((None, 3)))


@deed
def memory_transaction(side: Side, r: random.Random) -> Any:
    whose = agent(r)
    records, together = some(side, r, whose), transaction()
    model = side.models.memory
    if not records:
        return None
    first, last = records[0], records[-1]
    first.rank = r.choice((3.0, 4.0))
    together.save(first)
    goes = first is not last and r.random() < 0.3
    if first is not last and not goes:
        together.touch(last, "relevance")
    first.strengthen_cycle("rhythm", pipeline=together)
    ConfidenceField.update_confidence(last, "sure", 0.7, pipeline=together)
    last.confirm_access(pipeline=together)
    model.record_prediction(last, {"n": 1}, pipeline=together)
    if first is not last:
        model.near.strengthen(model, first, last, 0.2, pipeline=together)
    if goes:
        together.delete(last)
    elif first is last:
        ObservationProtocol.on_context_used(records, {first.pk: "used"}, pipeline=together)
    return side.api(together.commit), side.api(model.query.filter(agent=whose).all)


# Edges ---------------------------------------------------------------------------------------------


def ends(side: Side, r: random.Random) -> tuple[str, str]:
    """Two records of one agent, or one and what is no record."""
    whose = agent(r)
    one, other = (memory_key(side, r, whose) for _ in range(2))
    kind = r.randrange(4)
    return (r.choice(TOPICS), other) if kind == 0 else (one, r.choice(TOPICS) if kind == 1 else other)


@deed
def link(side: Side, r: random.Random) -> Any:
    model = side.models.memory
    field, (one, other) = r.choice((model.near, model.ways)), ends(side, r)
    method, amount = r.choice(("link", "link", "strengthen", "unlink")), r.choice((0.25, 0.5, 0.9))
    return side.api(getattr(field, method), model, one, other, *([] if method == "unlink" else [amount]))


@deed
def link_several(side: Side, r: random.Random) -> Any:
    model = side.models.memory
    pairs = [ends(side, r) for _ in range(r.randint(1, 5))]
    return side.api(r.choice((model.near, model.ways)).bulk_link, model, pairs, 0.4)


@deed
def weaken(side: Side, r: random.Random) -> Any:
    model = side.models.memory
    key = r.choice((memory_key(side, r), *TOPICS))
    return side.api(r.choice((model.near, model.ways)).weaken_all, model, key, r.choice((0.5, 0.001)))


@deed
def linked(side: Side, r: random.Random) -> Any:
    model = side.models.memory
    key = r.choice((memory_key(side, r), *TOPICS))
    return side.api(r.choice((model.near, model.ways)).get_linked, model, key, limit=r.choice((2, 20)))


@deed
def propagate(side: Side, r: random.Random) -> Any:
    model = side.models.memory
    seeds = r.sample((memory_key(side, r), memory_key(side, r), *TOPICS), 2)
    return side.api(r.choice((model.near, model.ways)).propagate, model, seeds, r.choice((0, 1, 2, 3)))


# Rankings -------------------------------------------------------------------------------------------


def asked(side: Side, r: random.Random) -> Any:
    """Memories of all agents, or of those that have a condition met that names no agent."""
    query = side.models.memory.query.filter()
    kind = r.randrange(6)
    if kind == 1:
        query = query.filter(kind=r.choice(("fact", "plan")))
    elif kind == 2:
        query = query.filter(rank__gte=1)
    elif kind == 3:
        query = query.filter(name__in=["a", "d"])
    elif kind == 4:
        query = query.filter(importance__ne=0.3)
    return query.offset(r.choice((0, 0, 1, 3)))


def of_one(side: Side, r: random.Random) -> Any:
    return side.models.memory.query.filter(agent=agent(r)).offset(r.choice((0, 0, 1)))


def limit(r: random.Random) -> int:
    return r.choice((1, 3, 20))


@deed
def by_decay(side: Side, r: random.Random) -> Any:
    own = r.random() < 0.4
    query = of_one(side, r) if own else asked(side, r)
    name = r.choice(("relevance", "season") if own else ("fresh", "rhythm"))
    more = r.choice(({}, {"decay_rate": 0.3}, {"base_score_field": "importance"}))
    return side.api(query.top_by_decay, name, n=limit(r), **more)


@deed
def composite(side: Side, r: random.Random) -> Any:
    own = r.random() < 0.4
    query = of_one(side, r) if own else asked(side, r)
    names = ["rank", "fresh", "rhythm", "sure", *(("relevance", "season", "trust") if own else ())]
    indexes = {name: r.choice((0.5, 1.0, -0.5)) for name in r.sample(names, 2)}
    more: dict[str, Any] = {"aggregate": r.choice(("SUM", "MIN", "MAX"))}
    if not own:
        # Of one agent it is by the numbers of that agent alone.
        more["normalize"] = r.random() < 0.5
    if r.random() < 0.3:
        more["co_occurrence_boost"] = {memory_key(side, r): 0.5, memory_key(side, r): 2.0}
    if r.random() < 0.3:
        more["post_filter"] = lambda key, score: not key.endswith("a")
    if r.random() < 0.2:
        more["temperature"] = 2.0
    if r.random() < 0.2:
        more["min_score"] = 0.2
    return side.api(query.composite_score, indexes, limit=limit(r), **more)


@deed
def fuse(side: Side, r: random.Random) -> Any:
    lists = {name: [(memory_key(side, r), r.random()) for _ in range(4)] for name in "xy"}
    query = r.choice((asked, of_one))(side, r)
    return side.api(query.fuse, k=10, limit=limit(r), weights={"x": 2.0}, **lists)


@deed
def by_words(side: Side, r: random.Random) -> Any:
    if r.random() < 0.4:
        return side.api(of_one(side, r).keyword_search, text(r), field="own_words", limit=limit(r))
    return side.api(asked(side, r).keyword_search, text(r), field="words", limit=limit(r))


@deed
def search_words(side: Side, r: random.Random) -> Any:
    model, words = side.models.memory, text(r)
    partition = {"agent": agent(r)}
    return (
        side.of(BM25Field, "search", model, "words", words, limit=limit(r)),
        side.of(BM25Field, "search", model, "own_words", words, limit=3, **partition),
        side.of(BM25Field, "get_idf", model, "words", words.split()),
        side.of(BM25Field, "get_idf", model, "own_words", words.split(), **partition),
        side.of(BM25Field, "filter_selective_tokens", model, "words", words.split(), 0.5),
        side.of(BM25Field, "recompute_stats", model, r.choice(("words",))),
    )


@deed
def by_meaning(side: Side, r: random.Random) -> Any:
    query = r.choice((asked, of_one))(side, r)
    more: dict[str, Any] = {}
    if r.random() < 0.3:
        more["indexes"] = {"rank": 0.5}
    if r.random() < 0.3:
        more["min_score"] = 0.1
    return side.api(query.semantic_search, text(r), limit=limit(r), **more)


@deed
def vectors(side: Side, r: random.Random) -> Any:
    model = side.models.memory
    matrix, keys = side.of(EmbeddingField, "load_embeddings", model)
    rows = dict(zip(keys, [] if matrix is None else matrix.tolist(), strict=True))
    # What is in memory of a deleted record goes when a search comes across it.
    there = {each.decode() for each in side.api(model.query.keys)}
    side.of(EmbeddingField, "prepare_search", model)
    return (
        {key: row for key, row in rows.items() if key in there},
        side.api(model.embed_missing),
        side.of(EmbeddingField, "garbage_collect", model, 0),
    )


@deed
def embed_anew(side: Side, r: random.Random) -> Any:
    return side.api(side.models.memory.reembed, anew=r.random() < 0.5)


@deed
def words_known(side: Side, r: random.Random) -> Any:
    """Of what is there they are sure; erasing makes those of the shards concerned anew."""
    record, model = stored(side, r), side.models.memory
    words = record.text.split() if record else []
    return (
        [side.api(model.known.might_exist, model, each) for each in words],
        [side.api(model.known.definitely_missing, model, each) for each in words],
        side.api(model.known.might_exist_batch, model, words),
        side.api(model.known.might_exist_count, model, words),
        [side.api(model.often.get_frequency, model, each) > 0 for each in words],
    )


@deed
def recall(side: Side, r: random.Random) -> Any:
    explain = r.random() < 0.3
    signals = r.choice((None, None, ["words"], ["meaning"], ["words", "meaning", "length"]))
    weights = r.choice(({}, {"sure": 1.0, "rhythm": 0.5}, {"words": 2.0}))
    options: dict[str, Any] = {
        "limit": limit(r),
        "explain": explain,
        "signals": signals,
        # What agents have by themselves says nothing of all of them.
        "weights": {"relevance": 0, "season": 0, **weights} if signals is None else None,
        "cues": r.choice((None, [memory_key(side, r), r.choice(TOPICS)])),
        "field": "words",
    }
    found = side.api(asked(side, r).recall, text(r), **options)
    if not explain:
        return found
    told = found.explain()
    return found, [told.results, [each for each in told.dropped if each.rule != "gone"]]


@deed
def recall_of_one(side: Side, r: random.Random) -> Any:
    query, words = of_one(side, r), text(r)
    return side.api(query.recall, words, limit=limit(r), field="own_words")


@deed
def say(side: Side, r: random.Random) -> Any:
    rows = [
        side.models.said(
            agent=agent(r),
            name=str(r.randrange(12)),
            text=text(r),
            speaker=r.choice(("Anna", "Ben")),
            session=r.choice(("one", "two")),
            place=r.randrange(9),
        )
        for _ in range(r.randint(1, 6))
    ]
    return side.api(side.models.said.bulk_create, rows)


@deed
def recall_what_was_said(side: Side, r: random.Random) -> Any:
    query = side.models.said.query.filter(**r.choice(({}, {"session": "one"})))
    return side.api(query.recall, text(r), limit=limit(r))


# What is built on it ----------------------------------------------------------------------------------


def told(result: Any) -> Any:
    metadata = {name: value for name, value in result.metadata.items() if "timing" not in name}
    return result.records, result.formatted, metadata


def assembler(side: Side, r: random.Random, weights: dict[str, float]) -> ContextAssembler:
    return ContextAssembler(
        side.models.memory,
        weights,
        max_items=r.choice((2, 5)),
        retrieval_mode=r.choice(("auto", "hybrid", "lexical", "composite")),
        output_format=r.choice(("structured", "xml", "natural", "content")),
        confidence_gate_threshold=r.choice((None, 0.5)),
        confidence_gate_mode=r.choice(("refuse", "flag")),
        content_field="text",
    )


@deed
def assemble(side: Side, r: random.Random) -> Any:
    made = assembler(side, r, {"rank": 0.5, "rhythm": 1.0, "sure": 0.2})
    cues = r.choice((None, {"topic": text(r)}))
    if r.random() < 0.5:
        return told(side.api(made.assemble, cues, assess_quality=True))
    return side.api(made.assess, cues)


@deed
def assemble_for_one(side: Side, r: random.Random) -> Any:
    made = ContextAssembler(
        side.models.memory, {"season": 0.5, "relevance": 1.0}, max_items=3, retrieval_mode="composite"
    )
    record = stored(side, r)
    if record is None:
        return None
    # Of one agent, it is asked what words that agent knows.
    cues = r.choice((None, {"topic": record.text}))
    return told(side.api(made.assemble, cues, partition_filters={"agent": record.agent}))


@deed
def assemble_adaptively(side: Side, r: random.Random) -> Any:
    inner = assembler(side, r, {"rank": 0.5, "rhythm": 1.0})
    adaptive = AdaptiveAssembler(inner, window_size=1, rng=random.Random(r.random()))
    found = [told(side.api(adaptive.assemble, {"topic": text(r)})) for _ in range(2)]
    return found, adaptive.state


@deed
def quality(side: Side, r: random.Random) -> Any:
    records = some(side, r)
    return side.api(RetrievalQuality.from_records, records, {"topic": text(r)}, {"rank": 1.0})


@deed
def subconscious(side: Side, r: random.Random) -> Any:
    """Of one agent, whose words are weighed with those of all."""
    memory = SubconsciousMemory(
        side.models.made, agent(r), {"relevance": 1.0}, max_items=3, agent_id_field="agent", output_format="natural"
    )
    made = side.api(memory.extract_memories, f"The {text(r)} is here. The {text(r)} was there.")
    asked = [{"role": "user", "content": text(r)}]
    _, result = side.api(memory.inject_context, asked)
    side.api(memory.report_outcomes, result, r.choice(("acted", "dismissed")))
    return made, sorted(each.pk for each in result.records) if False else None


@deed
def make(side: Side, r: random.Random) -> Any:
    values = {"agent": agent(r), "kind": r.choice("ij"), "content": text(r)}
    return side.api(side.models.made.create, **values), side.api(side.models.made.query.order_by("content").all)


@deed
def guarded(side: Side, r: random.Random) -> Any:
    model, whose = side.models.guarded, agent(r)
    side.api(model.create, overwrite=True, agent=whose, name=r.choice(NAMES), text=text(r), rank=r.randint(0, 3))
    query = r.choice((model.query.filter(), model.query.filter(agent=whose), model.query.filter(agent__in=AGENTS[:2])))
    kind = r.randrange(6)
    if kind == 0:
        return side.api(query.all)
    if kind == 1:
        return side.api(query.count)
    if kind == 2:
        return side.api(query.filter(rank__gt=0).order_by("-rank").first)
    if kind == 3:
        return side.api(query.keyword_search, text(r))
    if kind == 4:
        return side.api(query.recall, text(r))
    return side.api(model.near.propagate, model, ["a topic"])


@deed
def policy(side: Side, r: random.Random) -> Any:
    model = side.models.policy
    names = {"agent_id": agent(r), "state_fingerprint": r.choice("fg"), "action_type": r.choice("uv")}
    entry, is_new = side.api(model.get_or_create, **names, defaults={"state_features": {"a": 1}})
    if is_new:
        side.call(initialize_q_value, entry, r.random())
    best = model.query.filter(agent_id=names["agent_id"]).order_by("-expected_value")
    return side.call(update_q_value, entry, r.random()), entry, side.api(best.first)


# Moving and erasing --------------------------------------------------------------------------------------


@deed
def contents_collected(side: Side, r: random.Random) -> Any:
    return side.of(ContentField, "garbage_collect", side.models.memory, 0), [
        each.story for each in side.api(side.models.memory.query.all)
    ]


@deed
def erase(side: Side, r: random.Random) -> Any:
    model, subject = r.choice(
        (
            (side.models.memory, {"agent": agent(r)}),
            (side.models.memory, {"kind": "plan"}),
            (side.models.note, {"agent": agent(r)}),
            (side.models.note, {"topic": "red"}),
        )
    )
    report = side.api(model.erase, **subject)
    return report.is_complete, report.records


@deed
def export_and_import(side: Side, r: random.Random) -> Any:
    """Through a file and back, into an empty model."""
    name = r.choice(("memory", "note", "fleeting", "made"))
    model = getattr(side.models, name)
    place = side.files / "exported.jsonl"
    ended = side.command("export", model, "-o", str(place))
    lines = [json.loads(line) for line in place.read_text().splitlines()]
    for each in lines:
        each.pop("expires", None)
        for kept in each.get("beside", {}).values():
            if isinstance(kept, dict) and "stream" in kept:
                # The server's own time.
                kept["stream"] = [entry[1:] for entry in kept["stream"]]
            if isinstance(kept, dict):
                kept.pop("expires", None)
    before = side.api(model.query.all)
    side.api(model.delete_all)
    return ended, side.command("import", model, str(place)), lines, before, side.api(model.query.all)
