"""`BM25Field` beside the formula in plain Python, after whatever was done to the records."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from popoto import BM25Field, KeyField, Model, StringField, transaction
from popoto.fields._tokenizer import tokenize


class Page(Model):
    name = KeyField()
    text = StringField(default="")
    shelf = StringField(default="a", indexed=True)
    words = BM25Field(source="text")


def scores(texts: dict[str, str], question: str) -> list[tuple[str, float]]:
    """Every document that holds a word of the question, best first, as the formula has it."""
    documents = {name: Counter(tokenize(text, unique=False)) for name, text in texts.items()}
    documents = {name: counts for name, counts in documents.items() if counts}
    if not documents:
        return []
    lengths = {name: counts.total() for name, counts in documents.items()}
    average = sum(lengths.values()) / len(lengths)
    found: dict[str, float] = {}
    for term in tokenize(question):
        holders = [name for name, counts in documents.items() if term in counts]
        idf = math.log((len(documents) - len(holders) + 0.5) / (len(holders) + 0.5) + 1)
        for name in holders:
            tf = documents[name][term]
            norm = 1.2 * (1 - 0.75 + 0.75 * lengths[name] / average)
            found[name] = found.get(name, 0) + idf * tf * 2.2 / (tf + norm)
    return sorted(found.items(), key=lambda each: (-each[1], each[0]))


def same(found: list[tuple[str, float]], expected: list[tuple[str, float]], limit: int) -> None:
    """Whether these are the first of those, where sums in another order may tell ties apart."""
    names = [key.removeprefix("Page:") for key, _ in found]
    assert len(names) == len(set(names)) == min(limit, len(expected))
    by_name = dict(expected)
    for (_, score), name, (_, wanted) in zip(found, names, expected, strict=False):
        assert score == pytest.approx(wanted, rel=1e-12)
        assert by_name[name] == pytest.approx(score, rel=1e-12)
    rounded = [(name, round(score, 11)) for name, (_, score) in zip(names, found, strict=True)]
    assert rounded == sorted(rounded, key=lambda each: (-each[1], each[0]))


WORDS = ["apple", "banana", "cherry", "damson", "elder", "the", "go"]
texts = st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join)
names = st.sampled_from("abcdef")
steps = st.one_of(
    st.tuples(st.just("save"), names, texts),
    st.tuples(st.just("change"), names, texts),
    st.tuples(st.just("partial"), names, texts),
    st.tuples(st.just("move"), names, names),
    st.tuples(st.just("delete"), names, st.just("")),
    st.tuples(st.just("expire"), names, st.just("")),
    st.tuples(st.just("bulk"), texts, texts),
    st.tuples(st.just("together"), texts, texts),
    st.tuples(st.just("rebuild"), st.just(""), st.just("")),
)


def do(client: redis.Redis, kept: dict[str, str], what: str, name: str, text: str) -> None:
    record: Any = Page.query.get(name=name) if len(name) == 1 else None
    if what == "save":
        Page(name=name, text=text).save()
        kept[name] = text
    elif what in ("change", "partial") and record is not None:
        record.text = text
        record.save(update_fields=["text"] if what == "partial" else None)
        kept[name] = text
    elif what == "move" and record is not None and text not in kept:
        record.name = text
        record.save(migrate_key=True)
        kept[text] = kept.pop(name)
    elif what == "delete" and record is not None:
        record.delete()
        del kept[name]
    elif what == "expire" and record is not None:
        client.delete(f"Page:{name}")
        del kept[name]
    elif what == "bulk":
        Page.bulk_create([Page(name="a", text=name), Page(name="g", text=text)])
        kept |= {"a": name, "g": text}
    elif what == "together":
        with transaction() as changes:
            changes.save(Page(name="b", text=name))
            changes.save(Page(name="h", text=text))
        kept |= {"b": name, "h": text}
    elif what == "rebuild":
        Page.rebuild_indexes()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(steps, max_size=14), question=texts, limit=st.integers(1, 6))
def test_a_search_finds_what_the_formula_says_after_any_history(
    redis_client: redis.Redis, history: list[Any], question: str, limit: int
) -> None:
    redis_client.flushall()
    kept: dict[str, str] = {}
    for step in history:
        do(redis_client, kept, *step)
    Page.clean_indexes()
    same(BM25Field.search(Page, "words", question, limit), scores(kept, question), limit)
    living = {f"Page:{name}" for name, text in kept.items() if tokenize(text)}
    stored = {key.decode() for key in redis_client.zrange("$BM25:Page:words:dl", 0, -1)}
    assert stored == living
    assert int(redis_client.get("$BM25:Page:words:n") or 0) == len(living)
    for key in redis_client.keys("$BM25:Page:words:inv:*"):
        assert {each.decode() for each in redis_client.zrange(key, 0, -1)} <= living


# Enough documents for postings to be walked ------------------------------------------------------


def many(seed: int, *, same_length: bool) -> dict[str, str]:
    chosen = random.Random(seed)
    made: dict[str, str] = {}
    for number in range(700):
        length = 12 if same_length else chosen.choice((1, 2, 3, 5, 8, 13, 40))
        words = chosen.choices(
            [*WORDS[:5], "fig", "grape"], weights=(9, 7, 5, 3, 1, 1, 1), k=length
        )
        made[f"{chosen.randrange(10**9):09}.{number}"] = " ".join(words)
    return made


QUESTIONS = ["apple", "apple banana", "apple banana cherry", "elder apple", "fig grape", "damson"]


@pytest.mark.parametrize("same_length", [True, False], ids=["of one length", "of many lengths"])
def test_walks_find_the_same_as_looking_at_everything(same_length: bool) -> None:
    kept = many(7, same_length=same_length)
    Page.bulk_create([Page(name=name, text=text) for name, text in kept.items()])
    for question in QUESTIONS:
        for limit in (1, 3, 10, 50, 2000):
            found = BM25Field.search(Page, "words", question, limit)
            same(found, scores(kept, question), limit)


def test_walks_find_the_right_ones_after_documents_grew_and_shrank(
    redis_client: redis.Redis,
) -> None:
    kept = many(8, same_length=False)
    records = [Page(name=name, text=text) for name, text in kept.items()]
    Page.bulk_create(records)
    chosen = random.Random(9)
    for record in chosen.sample(records, 200):
        words = record.text.split()
        grown = [*words, *chosen.choices(WORDS[:5], k=20)]
        record.text = " ".join(chosen.choice((grown, words[: len(words) // 2 + 1], words[:1])))
        kept[record.name] = record.text
    Page.bulk_create(records)
    # As popoto 1.6 scores postings.
    some = chosen.sample(list(kept), 100)
    for name in some:
        redis_client.zadd(
            "$BM25:Page:words:inv:apple",
            {f"Page:{name}": kept[name].split().count("apple")},
            xx=True,
        )
    for question in QUESTIONS:
        for limit in (1, 10, 50):
            found = BM25Field.search(Page, "words", question, limit)
            same(found, scores(kept, question), limit)


def test_walks_look_at_the_query_before_the_limit() -> None:
    kept = many(10, same_length=False)
    shelves = {name: "ab"[number % 2] for number, name in enumerate(kept)}
    Page.bulk_create([Page(name=each, text=kept[each], shelf=shelves[each]) for each in kept])
    found = Page.query.filter(shelf="b").keyword_search("apple banana cherry", limit=20)
    expected = [name for name, _ in scores(kept, "apple banana cherry") if shelves[name] == "b"]
    assert {each.shelf for each in found} == {"b"}
    assert [each._bm25_score for each in found] == pytest.approx(
        [dict(scores(kept, "apple banana cherry"))[name] for name in expected[:20]]
    )


def test_a_search_reads_few_of_many_postings(redis_client: redis.Redis) -> None:
    Page.bulk_create([Page(name=f"{each:05}", text="apple " * 5) for each in range(3000)])
    BM25Field.search(Page, "words", "apple")
    redis_client.config_resetstat()
    found = BM25Field.search(Page, "words", "apple")
    assert [key for key, _ in found] == [f"Page:{each:05}" for each in range(10)]
    stats: Any = redis_client.info("commandstats")
    asked = sum(each["calls"] for name, each in stats.items() if name.startswith("cmdstat_z"))
    assert asked < 30


def numbered(count: int) -> str:
    return " ".join(f"word{number}" for number in range(count))


def test_a_question_of_thousands_of_words_is_answered_in_time() -> None:
    # The server asked about each word's documents by each word: 5,000 of them kept it for a minute.
    kept = {"a": numbered(6_000), "b": numbered(3), "c": "word7"}
    for name, text in kept.items():
        Page.create(name=name, text=text)
    same(BM25Field.search(Page, "words", numbered(5_000)), scores(kept, numbered(5_000)), 10)


def test_many_words_that_many_documents_hold_score_as_the_formula_has_it() -> None:
    # More longer sets of postings than are walked, and shorter ones beside them.
    drawn = random.Random(4)
    words = numbered(60).split()
    kept = {
        str(number): " ".join(
            [*drawn.choices(words, k=drawn.randint(60, 200)), f"own{number % 90}"]
        )
        for number in range(220)
    }
    Page.bulk_create([Page(name=name, text=text) for name, text in kept.items()])
    question = numbered(60) + " own7 own8 own9"
    for limit in (3, 300):
        same(BM25Field.search(Page, "words", question, limit=limit), scores(kept, question), limit)


def test_many_documents_that_were_named_score_as_the_formula_has_it() -> None:
    """Words are asked about them, more of them than one request asks for."""
    kept = {f"{number:04}": "apple " * (1 + number % 7) + "x" * 9 for number in range(1_300)}
    Page.bulk_create([Page(name=name, text=text) for name, text in kept.items()])
    named = [name for name in kept if name != "0003"]
    found = BM25Field.search(
        Page, "words", "apple", limit=1_300, allowed_keys=[f"Page:{name}" for name in named]
    )
    same(found, [each for each in scores(kept, "apple") if each[0] != "0003"], 1_300)
