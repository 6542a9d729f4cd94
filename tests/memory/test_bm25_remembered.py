"""Postings that a process remembers: they make searches of large indexes fast, and never wrong."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import pytest
import redis

from popoto import BM25Field, KeyField, Model, ModelException, QueryException, StringField
from popoto.memory.bm25 import remembered
from popoto.models.reading.ranking import keywords
from tests.driver import Api, RoundTrips
from tests.memory.test_bm25_reference import same, scores

pytestmark = pytest.mark.slow

pytest.importorskip("numpy")

STEM = "$BM25:Page:words"
LOG = f"{STEM}:changes"
WORDS = ["apple", "banana", "cherry", "damson", "elder", "fig", "grape", "hazel"]
QUESTIONS = ["apple banana", "apple banana cherry", "banana damson fig grape", "cherry apple fig"]


class Page(Model):
    name = KeyField()
    text = StringField(default="")
    shelf = StringField(default="a", indexed=True)
    words = BM25Field(source="text")


class Forgetful(Model):
    name = KeyField()
    text = StringField(default="")
    words = BM25Field(source="text", cache=False)


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    remembered.forget_words()
    yield
    remembered.forget_words()


def text_of(chosen: random.Random) -> str:
    length = chosen.randint(2, 15)
    return " ".join(chosen.choices(WORDS, weights=(9, 8, 7, 5, 4, 3, 2, 1), k=length))


def store(kept: dict[str, str]) -> None:
    Page.bulk_create([Page(name=name, text=text) for name, text in kept.items()])
    # The log begins with the first write after there are so many.
    Page.create(name="last", text="elder")
    kept["last"] = "elder"


def made(seed: int, count: int = 1_100) -> dict[str, str]:
    chosen = random.Random(seed)
    kept = {f"{chosen.randrange(10**9):09}.{each}": text_of(chosen) for each in range(count)}
    store(kept)
    return kept


def search(question: str, limit: int = 10) -> list[tuple[str, float]]:
    return BM25Field.search(Page, "words", question, limit)


def warm(limit: int = 10) -> None:
    for _ in range(3):
        for question in QUESTIONS:
            search(question, limit)


def walks(client: redis.Redis, question: str, limit: int = 10) -> int:
    """How often a search has gone along postings, instead of proving what it was told."""
    client.config_resetstat()
    search(question, limit)
    stats: Any = client.info("commandstats")
    asked: int = stats.get("cmdstat_zrevrangebyscore", {"calls": 0})["calls"]
    return asked


def lists_read(client: redis.Redis, question: str) -> int:
    """How many lists a search has looked at, of records that hold a word or have changed."""
    client.config_resetstat()
    search(question)
    stats: Any = client.info("commandstats")
    read: int = stats["cmdstat_zrange"]["calls"]
    return read


def right(kept: dict[str, str], limits: tuple[int, ...] = (1, 10, 50)) -> None:
    for question in QUESTIONS:
        expected = scores(kept, question)
        for limit in limits:
            same(search(question, limit), expected, limit)


def change(kept: dict[str, str], chosen: random.Random, number: int) -> None:
    """Change, make or delete a record, which is or would be among the best."""
    question = chosen.choice(QUESTIONS)
    first = search(question)[number % 10][0].removeprefix("Page:")
    what = number % 3
    if what == 0:
        Page.query.get(name=first).delete()
        del kept[first]
    elif what == 1:
        kept[f"new.{number}"] = f"{question} " * 6
        Page.create(name=f"new.{number}", text=kept[f"new.{number}"])
    else:
        page = Page.query.get(name=first)
        page.text = kept[first] = f"{page.text} {question} hazel hazel"
        page.save()


def publish(client: redis.Redis, name: str, before: list[str], words: list[str]) -> None:
    """Another text of a record, as popoto 1.6 indexes it."""
    key = f"Page:{name}"
    for word in set(before):
        client.zrem(f"{STEM}:inv:{word}", key)
    client.delete(f"{STEM}:tf:{key}")
    for word in set(words):
        client.zadd(f"{STEM}:inv:{word}", {key: words.count(word)})
        client.zadd(f"{STEM}:tf:{key}", {word: words.count(word)})
    client.zadd(f"{STEM}:dl", {key: len(words)})
    BM25Field.recompute_stats(Page, "words")


def test_a_question_that_was_asked_before_needs_no_walk(redis_client: redis.Redis) -> None:
    kept = made(1)
    assert walks(redis_client, QUESTIONS[1]) > 0
    warm(50)
    right(kept)
    for question in QUESTIONS:
        for limit in (1, 10, 50):
            assert walks(redis_client, question, limit) == 0


def test_what_others_write_is_found_at_once_and_without_a_walk(
    redis_client: redis.Redis,
) -> None:
    """What is remembered is told of writes by the log alone, whoever writes."""
    kept, chosen = made(2), random.Random(3)
    warm(50)
    for number in range(12):
        change(kept, chosen, number)
        right(kept, (1, 10))
    for number in range(12, 15):
        change(kept, chosen, number)
        assert walks(redis_client, QUESTIONS[1]) == 0


@pytest.mark.parametrize("count", [90, 250], ids=["a little", "much"])
def test_a_word_that_has_become_rarer_lifts_documents_that_were_not_named(count: int) -> None:
    for word, number in (("apple", 600), ("banana", 630), ("cherry", 600)):
        texts = [f"{word} {'damson ' * (each % 7)}" for each in range(number)]
        Page.bulk_create([Page(name=f"{word}{at}", text=text) for at, text in enumerate(texts)])
    Page.create(name="last", text="cherry")
    for _ in range(3):
        assert search("apple banana", 1)[0][0].startswith("Page:apple")
    rarer = [Page(name=f"banana{at}", text=f"cherry {'damson ' * (at % 7)}") for at in range(count)]
    Page.bulk_create(rarer)
    assert search("apple banana", 1)[0][0].startswith("Page:banana")


def test_longer_texts_of_others_lift_documents_that_were_not_named() -> None:
    """Measured by a mean length that has grown, many words are not so many."""
    texts = [f"apple {'damson ' * 4}{each}00" for each in range(500)]
    texts += [f"apple apple apple {'damson ' * 40}{each}00" for each in range(500)]
    texts += ["banana"] * 200
    Page.bulk_create([Page(name=f"{at:04}", text=text) for at, text in enumerate(texts)])
    Page.create(name="last", text="banana elder")
    kept = {f"{at:04}": text for at, text in enumerate(texts)} | {"last": "banana elder"}
    question = "apple banana elder"
    for _ in range(3):
        same(search(question, 150), scores(kept, question), 150)
    for at in range(1_000, 1_200):
        kept[f"{at}"] = "hazel " * 400
    Page.bulk_create([Page(name=f"{at}", text=kept[f"{at}"]) for at in range(1_000, 1_200)])
    for limit in (150, 1, 10):
        same(search(question, limit), scores(kept, question), limit)


def test_a_mean_length_that_was_wrong_for_a_while_costs_no_walks_later(
    redis_client: redis.Redis,
) -> None:
    kept = made(19)
    average = float(redis_client.get(f"{STEM}:avgdl") or 0)
    redis_client.set(f"{STEM}:avgdl", average * 3)
    warm()
    BM25Field.recompute_stats(Page, "words")
    right(kept)
    assert walks(redis_client, QUESTIONS[1]) == 0


def test_a_clock_that_was_ahead_hides_no_change(redis_client: redis.Redis) -> None:
    kept = made(20)
    ahead = 2 * float(redis_client.zrange(LOG, -1, -1, withscores=True)[0][1])
    redis_client.zadd(LOG, {f"Page:{next(iter(kept))}": ahead})
    warm()
    kept["now"] = "apple banana " * 6
    Page.create(name="now", text=kept["now"])
    right(kept)
    assert redis_client.zscore(LOG, "Page:now") > ahead


def test_every_search_is_one_round_trip(
    api: Api, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    kept = made(4)
    for _ in range(4):
        Page.create(name=f"{len(kept)}", text="apple banana")
        kept[f"{len(kept)}"] = "apple banana"
        with round_trips() as seen:
            found = api(BM25Field.search, Page, "words", QUESTIONS[1])
        assert seen.sends == 1
        same(found, scores(kept, QUESTIONS[1]), 10)


def test_a_log_is_bounded_and_who_lags_behind_learns_anew(redis_client: redis.Redis) -> None:
    kept = made(5)
    warm()
    pages = [Page(name=f"b{each}", text=f"banana apple hazel {each}") for each in range(1_200)]
    Page.bulk_create(pages)
    kept |= {page.name: page.text for page in pages}
    assert 512 <= redis_client.zcard(LOG) <= 2 * 512 + 2
    right(kept)
    warm()
    right(kept)
    assert walks(redis_client, QUESTIONS[1]) == 0


def test_words_that_lag_behind_the_log_are_learnt_anew() -> None:
    """Even if the record that was last written when they were learnt was written again."""
    kept = made(6)
    kept["again"] = "elder"
    again = Page.create(name="again", text="elder")
    warm()
    names = [name for name in kept if name != "again"]
    for first in range(0, len(names), 200):
        for name in names[first : first + 200]:
            kept[name] += " damson damson damson" if "damson" in kept[name] else " elder"
        pages = [Page(name=name, text=kept[name]) for name in names[first : first + 200]]
        Page.bulk_create(pages)
        again.text = kept["again"] = f"elder {first}"
        again.save()
        # These two are followed.
        search("apple banana")
        search("apple banana")
    expected = scores(kept, "damson fig")
    for limit in (1, 10, 50):
        same(search("damson fig", limit), expected, limit)


def test_what_popoto_1_6_writes_is_found(redis_client: redis.Redis) -> None:
    """It knows of no log; its postings are whole numbers."""
    kept = made(7)
    warm()
    right(kept)
    for name in list(kept)[:3]:
        publish(redis_client, name, kept[name].split(), ["apple"] * 5 + ["banana"] * 3)
        kept[name] = "apple apple apple apple apple banana banana banana"
        right(kept)
    assert walks(redis_client, "apple banana") > 0


def test_a_word_that_was_rare_for_a_while_is_learnt_anew(redis_client: redis.Redis) -> None:
    """Its postings are whole numbers then, whoever writes them, until they are many again."""
    chosen = random.Random(8)
    kept = made(8)
    rare = [f"r{each}" for each in range(140)]
    Page.bulk_create([Page(name=name, text=f"quince apple {name}00") for name in rare])
    kept |= {name: f"quince apple {name}00" for name in rare}
    question = "quince apple"
    for _ in range(3):
        search(question)
    assert walks(redis_client, question) == 0
    for name in rare[:30]:
        Page.query.get(name=name).delete()
        del kept[name]
    written = next(name for name in kept if name not in rare)
    publish(redis_client, written, kept[written].split(), ["quince"] * 7)
    kept[written] = "quince " * 7
    for each in range(30):
        kept[f"s{each}"] = f"quince {text_of(chosen)}"
        Page.create(name=f"s{each}", text=kept[f"s{each}"])
    for _ in range(3):
        same(search(question), scores(kept, question), 10)
        assert search(question, 1)[0][0] == f"Page:{written}"


def test_an_index_that_is_made_anew_is_learnt_anew(redis_client: redis.Redis) -> None:
    kept = made(9)
    warm()
    redis_client.flushall()
    # Early enough for no log to tell it.
    kept[next(iter(kept))] = "apple banana " * 9
    del kept["last"]
    store(kept)
    right(kept)


def test_writes_that_a_server_has_lost_are_not_remembered(redis_client: redis.Redis) -> None:
    """As a replica that takes over before it has all of them."""
    kept = made(11)
    kept["best"] = "apple banana " * 6
    Page.create(name="best", text=kept["best"])
    before = {key: redis_client.dump(key) for key in redis_client.keys("*")}
    page = Page.query.get(name="best")
    page.text = "hazel"
    page.save()
    warm()
    redis_client.flushall()
    for key, value in before.items():
        redis_client.restore(key, 0, value)
    Page.create(name="later", text="elder")
    kept["later"] = "elder"
    right(kept)


def test_conditions_hold_before_the_limit(redis_client: redis.Redis, api: Api) -> None:
    kept = made(12)
    shelf = {name: "ab"[number % 2] for number, name in enumerate(kept)}
    Page.bulk_create([Page(name=name, text=kept[name], shelf=shelf[name]) for name in kept])
    query = Page.query.filter(shelf="b")
    for question in QUESTIONS:
        for _ in range(4):
            found = api(query.keyword_search, question, limit=20)
        expected = [name for name, _ in scores(kept, question) if shelf[name] == "b"][:20]
        assert {each.shelf for each in found} == {"b"}
        assert [each._bm25_score for each in found] == pytest.approx(
            [dict(scores(kept, question))[name] for name in expected]
        )


def test_records_that_are_gone_are_neither_found_nor_counted(redis_client: redis.Redis) -> None:
    kept = made(13)
    warm()
    for key, _ in search(QUESTIONS[0], 4):
        redis_client.delete(key)
        del kept[key.removeprefix("Page:")]
    search(QUESTIONS[0])
    right(kept)


def test_of_few_hundred_records_not_all_that_hold_a_word_are_looked_at(
    redis_client: redis.Redis,
) -> None:
    kept = made(21, 300)
    question = QUESTIONS[0]
    assert lists_read(redis_client, question) == 3  # the log and both words
    warm()
    assert lists_read(redis_client, question) == 1
    right(kept)
    for number in range(30):
        change(kept, random.Random(number), number)
        right(kept, (10,))
    assert walks(redis_client, question) == 0


def test_small_indexes_have_no_log(redis_client: redis.Redis) -> None:
    kept = made(14, 128)
    assert redis_client.zcard(LOG) > 0
    assert redis_client.zrange(LOG, 0, 1) == [b":born", b":floor"]
    Page.query.get(name=next(iter(kept))).delete()
    assert not redis_client.exists(LOG)
    Page.delete_all()
    assert redis_client.keys("$BM25:*changes") == []


def test_upkeep_knows_the_log(redis_client: redis.Redis, api: Api) -> None:
    kept = made(15, 1_010)
    warm()
    assert api(Page.check_indexes)["total"] == 0
    api(Page.rebuild_indexes)
    right(kept, (10,))
    assert api(Page.check_indexes)["total"] == 0
    assert redis_client.exists(LOG)
    api(Page.delete_all)
    assert not redis_client.exists(LOG)


def test_a_log_of_another_program_is_told_and_left_alone(
    redis_client: redis.Redis, api: Api
) -> None:
    made(16, 1_010)
    redis_client.delete(LOG)
    redis_client.rpush(LOG, "a list")
    with pytest.raises(ModelException, match=r"changes.*holds a list"):
        api(Page.create, name="c", text="apple")
    with pytest.raises(QueryException, match=r"changes' is a list"):
        api(BM25Field.search, Page, "words", "apple")
    assert redis_client.type(LOG) == b"list"


def test_a_field_without_cache_remembers_nothing(redis_client: redis.Redis) -> None:
    chosen = random.Random(17)
    Forgetful.bulk_create(
        [Forgetful(name=str(each), text=text_of(chosen)) for each in range(1_200)]
    )
    Forgetful.create(name="last", text="apple")
    redis_client.config_resetstat()
    first = [BM25Field.search(Forgetful, "words", QUESTIONS[1]) for _ in range(4)]
    assert first == [first[0]] * 4
    stats: Any = redis_client.info("commandstats")
    assert "cmdstat_zscan" not in stats
    assert stats["cmdstat_zrevrangebyscore"]["calls"] > 0


def test_words_of_many_pages_are_learnt_by_and_by(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "_PAGE", 200)
    kept = made(21)
    for _ in range(12):
        right(kept, (10,))
    for question in QUESTIONS:
        assert walks(redis_client, question) == 0


def test_what_is_learnt_keeps_to_its_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keywords, "make_room", partial(remembered.make_room, room=700))
    kept = made(22)
    known: Any = remembered.remembered(STEM)
    largest = 0
    for _ in range(3):
        for question in QUESTIONS:
            same(search(question), scores(kept, question), 10)
            assert known.size <= 700
            largest = max(largest, known.size)
    assert largest > 0


def test_what_was_not_asked_for_the_longest_is_forgotten_first(redis_client: redis.Redis) -> None:
    made(18)
    warm()
    search("cherry apple fig")
    known: Any = remembered.remembered("$BM25:Page:words")
    size = known.size
    remembered.make_room(size - 1)
    assert 0 < known.size < size
    assert walks(redis_client, "cherry apple fig") == 0
    assert walks(redis_client, "banana damson fig grape") > 0
    remembered.make_room(0)
    assert known.size == 0
    remembered.remembered("another")
    remembered.make_room(most=1)
    assert remembered.remembered("$BM25:Page:words") is not known
