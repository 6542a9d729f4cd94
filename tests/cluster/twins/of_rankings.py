"""How memories are ranked: by decay, by several indexes, by words, by vectors."""

from __future__ import annotations

import random
from typing import Any

from popoto import BM25Field, EmbeddingField

from .allowed import of_records_that_are_there
from .deeds import asked_often, deed
from .drawing import agent
from .drawing_memories import a_text, how_many, memory_key, of_all, of_one, stored_memory
from .side import Side

# By numbers --------------------------------------------------------------------------------------


@asked_often
def by_decay(side: Side, chance: random.Random) -> Any:
    name = chance.choice(("fresh", "rhythm"))
    more = chance.choice(({}, {"decay_rate": 0.3}, {"base_score_field": "importance"}))
    query = of_all(side, chance)
    return side.api(query.top_by_decay, name, n=how_many(chance), **more)


@deed()
def by_decay_of_one(side: Side, chance: random.Random) -> Any:
    name = chance.choice(("relevance", "season", "fresh", "rhythm"))
    return side.api(of_one(side, chance).top_by_decay, name, n=how_many(chance))


INDEXES = ("rank", "fresh", "rhythm", "sure")
OWN_INDEXES = ("relevance", "season", "trust")


def composite_options(side: Side, chance: random.Random) -> dict[str, Any]:
    one, other = memory_key(side, chance), memory_key(side, chance)
    drawn: dict[str, Any] = {
        "co_occurrence_boost": {one: 0.5, other: 2.0},
        "post_filter": lambda key, score: not key.endswith("a"),
        "temperature": 2.0,
        "min_score": 0.2,
    }
    options = {name: value for name, value in drawn.items() if chance.random() < 0.3}
    aggregate = chance.choice(("SUM", "MIN", "MAX"))
    return {"aggregate": aggregate, "limit": how_many(chance), **options}


@asked_often
def composite(side: Side, chance: random.Random) -> Any:
    weights = {name: chance.choice((0.5, 1.0, -0.5)) for name in chance.sample(INDEXES, 2)}
    options, normalize = composite_options(side, chance), chance.random() < 0.5
    query = of_all(side, chance)
    return side.api(query.composite_score, weights, normalize=normalize, **options)


@deed()
def composite_of_one(side: Side, chance: random.Random) -> Any:
    names = chance.sample((*INDEXES, *OWN_INDEXES), 2)
    weights = {name: chance.choice((0.5, 1.0, -0.5)) for name in names}
    options = composite_options(side, chance)
    return side.api(of_one(side, chance).composite_score, weights, **options)


@asked_often
def fuse(side: Side, chance: random.Random) -> Any:
    lists = {name: [(memory_key(side, chance), chance.random()) for _ in range(4)] for name in "xy"}
    query = chance.choice((of_all, of_one))(side, chance)
    return side.api(query.fuse, k=10, limit=how_many(chance), weights={"x": 2.0}, **lists)


# By words ----------------------------------------------------------------------------------------


@asked_often
def by_words(side: Side, chance: random.Random) -> Any:
    query, words = of_all(side, chance), a_text(chance)
    return side.api(query.keyword_search, words, field="words", limit=how_many(chance))


@deed()
def by_own_words(side: Side, chance: random.Random) -> Any:
    query, words = of_one(side, chance), a_text(chance)
    return side.api(query.keyword_search, words, field="own_words", limit=how_many(chance))


@deed()
def search_words(side: Side, chance: random.Random) -> Any:
    model, words = side.models.memory, a_text(chance)
    own = {"agent": agent(chance)}
    return (
        side.of(BM25Field, "search", model, "words", words, limit=how_many(chance)),
        side.of(BM25Field, "search", model, "own_words", words, limit=3, **own),
        side.of(BM25Field, "get_idf", model, "words", words.split()),
        side.of(BM25Field, "get_idf", model, "own_words", words.split(), **own),
        side.of(BM25Field, "filter_selective_tokens", model, "words", words.split(), 0.5),
    )


@deed()
def recompute_statistics(side: Side, chance: random.Random) -> Any:
    return side.of(BM25Field, "recompute_stats", side.models.memory, "words")


@deed()
def words_known(side: Side, chance: random.Random) -> Any:
    """Of what is stored they are sure; erasing makes those of the shards concerned anew."""
    record, model = stored_memory(side, chance), side.models.memory
    words = record.text.split() if record else []
    return (
        [side.api(model.known.might_exist, model, each) for each in words],
        [side.api(model.known.definitely_missing, model, each) for each in words],
        side.api(model.known.might_exist_batch, model, words),
        side.api(model.known.might_exist_count, model, words),
        [side.api(model.often.get_frequency, model, each) > 0 for each in words],
    )


# By vectors --------------------------------------------------------------------------------------


#: Vectors on the server, there in few bytes, and in files.
WITH_VECTORS = ("memory", "said", "made")


@asked_often
def by_meaning(side: Side, chance: random.Random) -> Any:
    query = chance.choice((of_all, of_one))(side, chance)
    more = chance.choice(({}, {"indexes": {"rank": 0.5}}, {"min_score": 0.1}))
    return side.api(query.semantic_search, a_text(chance), limit=how_many(chance), **more)


@asked_often
def by_other_meanings(side: Side, chance: random.Random) -> Any:
    query = side.models.of(chance.choice(("said", "made"))).query
    given = chance.choice(({}, {}, {"agent": agent(chance)}))
    found = query.filter(**given).offset(chance.choice((0, 0, 1)))
    return side.api(found.semantic_search, a_text(chance), limit=how_many(chance))


@deed()
def vectors(side: Side, chance: random.Random) -> Any:
    model = side.models.of(chance.choice(WITH_VECTORS))
    matrix, keys = side.of(EmbeddingField, "load_embeddings", model)
    rows = dict(zip(keys, [] if matrix is None else matrix.tolist(), strict=True))
    stored = {each.decode() for each in side.api(model.query.keys)}
    return of_records_that_are_there(rows, stored)


@deed()
def upkeep_of_vectors(side: Side, chance: random.Random) -> Any:
    model = side.models.of(chance.choice(WITH_VECTORS))
    side.of(EmbeddingField, "prepare_search", model)
    return side.api(model.embed_missing), side.of(EmbeddingField, "garbage_collect", model, 0)


@deed()
def embed_anew(side: Side, chance: random.Random) -> Any:
    model = side.models.of(chance.choice(WITH_VECTORS))
    return side.api(model.reembed, anew=chance.random() < 0.5)
