"""`recall`: records by words, meaning and memory together."""

from __future__ import annotations

import logging
import math
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import redis

from popoto import (
    BM25Field,
    ConfidenceField,
    EmbeddingField,
    IndexedField,
    KeyField,
    Model,
    ModelException,
    Q,
    QueryException,
    StringField,
    clock,
)
from popoto.engine.run import run
from popoto.exceptions import VectorMismatchError
from popoto.fields.embedding_field import invalidate_cache
from popoto.memory.recall.formula import length_value, saturated, telling_part
from popoto.memory.text.forms import other_forms
from popoto.models.reading.ranking.recalling.asked import Recalling
from popoto.models.reading.ranking.recalling.recall import recall_ranking
from popoto.models.reading.spec import QuerySpec
from tests.driver import Api, RoundTrips
from tests.recall.remembered import (
    MEANINGS,
    TEXTS,
    Both,
    Lore,
    Meant,
    Owned,
    Said,
    Worded,
    filled,
    names,
)
from tests.vectors.provider import Known

NOW = 1_800_000_000.0
DAY = 86_400.0


@pytest.fixture(autouse=True)
def _own_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("POPOTO_CONTENT_PATH", str(tmp_path))
    invalidate_cache()
    yield
    MEANINGS.error = None


# The formula -----------------------------------------------------------------------------------

STEMS = ["lake", "stone", "wind", "fire", "moon", "path", "bird", "snow"]


class Filler(Model):
    name = KeyField()
    text = StringField()
    words = BM25Field(source="text")


def expected_by_words(texts: dict[str, str], question: list[str]) -> dict[str, float]:
    """The score of every text that holds a word of the question, as the formula has it."""
    documents = {name: Counter(text.split()) for name, text in texts.items()}
    lengths = {name: counts.total() for name, counts in documents.items()}
    average = sum(lengths.values()) / len(lengths)
    scores = dict.fromkeys(texts, 0.0)
    greatest = 0.0
    for word in question:
        forms = [word, f"{word}s"]
        holders = sum(form in counts for counts in documents.values() for form in forms)
        holders = min(holders, len(documents))
        if not holders:
            continue
        idf = math.log((len(documents) - holders + 0.5) / (holders + 0.5) + 1)
        greatest += idf * 1.9
        for name, counts in documents.items():
            for form in forms:
                norm = 0.9 * (1 - 0.3 + 0.3 * lengths[name] / average)
                scores[name] += idf * counts[form] * 1.9 / (counts[form] + norm)
    return {
        name: score / greatest + 0.1 * max(-math.log(4), math.log(lengths[name] / average))
        for name, score in scores.items()
        if score > 0
    }


@pytest.mark.parametrize("seed", range(4))
def test_words_score_as_the_formula_has_it(api: Api, seed: int) -> None:
    chosen = random.Random(seed)
    vocabulary = [*STEMS, *(f"{stem}s" for stem in STEMS)]
    texts = {
        f"t{number:03}": " ".join(chosen.choices(vocabulary, k=chosen.randint(1, 12)))
        for number in range(400 * seed + 8)
    }
    Filler.bulk_create([Filler(name=name, text=text) for name, text in texts.items()])
    question = chosen.sample(STEMS, 2)
    expected = expected_by_words(texts, question)
    found = api(Filler.query.recall, " and the ".join(question), limit=2000, explain=True)
    assert found.explain().reach == {"words": len(expected)}
    assert {each.name: each._recall_score for each in found} == pytest.approx(expected, rel=1e-9)
    scores = [each._recall_score for each in found]
    assert scores == sorted(scores, reverse=True)


def test_a_question_of_thousands_of_words_is_answered_in_time(api: Api) -> None:
    def numbered(count: int) -> str:
        return " ".join(f"word{number}" for number in range(count))

    Worded.create(name="a", text=numbered(12_000))
    Worded.create(name="b", text=numbered(3))
    assert set(names(api(Worded.query.recall, numbered(10_000)))) == {"a", "b"}


def test_what_is_near_in_meaning_is_found_beside_what_has_the_words(api: Api) -> None:
    found = api(filled(Both).query.recall, "cat")
    assert names(found) == ["sleep", "play", "rain"]
    cosine = (0.9 + 0.01) / math.sqrt(0.83 * 1.01)
    average = (2 + 3 + 3 + 2) / 4
    expected = cosine + 0.1 * math.log(3 / average)
    assert found[1]._recall_score == pytest.approx(expected, rel=1e-6)


def test_forms_of_the_questions_words_are_found(api: Api) -> None:
    assert names(api(filled(Worded).query.recall, "Who is sleeping? Who played?")) == [
        "play",
        "sleep",
    ]
    assert api(Worded.query.keyword_search, "sleeping") == []


def test_regular_forms_of_words() -> None:
    assert {"plan", "plans", "planned"} <= set(other_forms("planning"))
    assert {"study", "studied"} <= set(other_forms("studies"))
    assert {"hope", "hoped"} <= set(other_forms("hoping"))
    assert other_forms("it") == other_forms("café") == other_forms("b12") == []


def test_a_word_that_most_records_hold_does_not_decide_what_is_near(api: Api) -> None:
    table = {f"anna hums {n}": (0, 1, 0) for n in range(30)}
    known = Known(
        {**table, "anna paints": (1, 0, 0), "Anna brush": (0, 1, 0), "brush": (1, 0, 0)},
        name="few",
    )

    class Spoken(Model):
        name = KeyField()
        text = StringField()
        words = BM25Field(source="text")
        meaning = EmbeddingField(source="text", provider=known, store="server")

    Spoken.bulk_create([Spoken(name=text, text=text) for text in (*table, "anna paints")])
    found = api(Spoken.query.recall, "Anna brush", limit=1, signals=["words", "meaning"])
    assert names(found) == ["anna paints"]
    assert known.calls[-1] == (["Anna brush", "brush"], "query")
    api(Spoken.query.recall, "Anna?")
    assert known.calls[-1] == (["Anna?"], "query")


@pytest.mark.parametrize("model", [Worded, Meant, Both])
def test_any_of_both_indexes_will_do(api: Api, model: Any) -> None:
    assert names(api(filled(model).query.recall, "cat", limit=1)) == ["sleep"]


@pytest.mark.parametrize("text", ["", "  ", None])
def test_an_empty_question_has_no_answer(api: Api, text: Any) -> None:
    assert api(filled(Both).query.recall, text) == []
    assert api(Both.query.recall, text, explain=True).explain().results == ()


def test_equal_scores_come_in_the_order_of_keys(api: Api) -> None:
    for name in "bca":
        Worded.create(name=name, text="same words")
    assert names(api(Worded.query.recall, "same")) == ["a", "b", "c"]
    assert names(api(Worded.query.recall, "same", limit=2)) == ["a", "b"]


# What a query says -----------------------------------------------------------------------------


def change(name: str, **values: Any) -> None:
    record = Both.query.get(name=name)
    for field, value in values.items():
        setattr(record, field, value)
    record.save()


def test_conditions_hold_before_the_limit(api: Api) -> None:
    filled(Both)
    change("rain", topic="sky")
    query = Both.query.filter(topic="sky")
    assert names(api(query.recall, "cat", limit=1)) == ["rain"]
    assert names(api(Both.query.exclude(name="sleep").recall, "cat", limit=1)) == ["play"]
    assert names(
        api(Both.query.filter(name__in=["tax", "rain"]).recall, "cat", min_score=0.05)
    ) == ["rain"]
    assert api(Both.query.filter(name="nobody").recall, "cat") == []


def test_conditions_that_only_python_can_check_hold(api: Api) -> None:
    filled(Both)
    change("rain", size=7)
    query = Both.query.filter(size=7)
    assert names(api(query.recall, "the cat in the garden")) == ["rain"]
    assert names(api(query.recall, "cat")) == ["rain"]


class Shelved(Model):
    """Has a condition of every kind: on what its key tells, on an index, and on what none has."""

    agent = KeyField()
    number = KeyField(type=int)
    topic = IndexedField()
    note = StringField()
    text = StringField(default="the plan")
    meaning = EmbeddingField(source="text", provider=Known(), store="server")

    class Meta:
        abstract = True


class Shelf(Shelved):
    words = BM25Field(source="text")


class Wordless(Shelved):
    pass


CONDITIONS: dict[str, Callable[[Any], Any]] = {
    "part of the key": lambda query: query.filter(agent="a"),
    "all of the key": lambda query: query.filter(agent="a", number=1),
    "a number in the key": lambda query: query.filter(number=2),
    "a number of another type": lambda query: query.filter(number=True),
    "a number as text": lambda query: query.filter(number="1"),
    "none of the key": lambda query: query.filter(agent="nobody"),
    "a key that means itself": lambda query: query.filter(agent="None"),
    "an index": lambda query: query.filter(topic="x"),
    "an index as well": lambda query: query.filter(agent="a", topic="x"),
    "an index by Q": lambda query: query.filter(Q(topic="x"), agent="a"),
    "the key by Q": lambda query: query.filter(Q(agent="a")),
    "twice the same": lambda query: query.filter(Q(agent="a"), agent="a"),
    "twice another": lambda query: query.filter(Q(agent="a"), agent="b"),
    "what it is not": lambda query: query.filter(~Q(agent="b"), number=2),
    "not what the other one says": lambda query: query.filter(~Q(agent="a"), agent="a"),
    "either": lambda query: query.filter(Q(agent="a") | Q(number=1), agent="a"),
    "others": lambda query: query.filter(agent__in=["a", "c"]),
    "left out": lambda query: query.filter(agent="a").exclude(number=2),
    "what no index has": lambda query: query.filter(note="x"),
    "what no index has as well": lambda query: query.filter(agent="a", note="x"),
    "keys": lambda query: query.filter(
        pk__in=[f"{query.model_class.__name__}:{each}" for each in ("a:1", "b:2", "a:9")]
    ),
    "nothing": lambda query: query.filter(),
}


@pytest.mark.parametrize(
    ("model", "signals"),
    [
        *((Shelf, ["words"]), (Shelf, ["meaning"]), (Shelf, ["words", "meaning"])),
        (Wordless, ["meaning"]),
    ],
)
@pytest.mark.parametrize("name", CONDITIONS)
def test_what_is_found_is_what_a_query_with_these_conditions_finds(
    api: Api, name: str, model: Any, signals: list[str]
) -> None:
    model.bulk_create(
        model(agent=agent, number=number, topic="xy"[number % 2], note="xy"[number // 2])
        for agent in ("a", "b", "None", "x:y")
        for number in range(4)
    )
    wanted = CONDITIONS[name](model.query)
    found = api(wanted.recall, "plan", limit=50, signals=signals)
    assert {each.pk for each in found} == {each.pk for each in api(wanted.all)}
    keys = {each.pk for each in api(wanted.semantic_search, "plan", limit=50)}
    assert keys == {each.pk for each in api(wanted.all)}


def test_the_nearest_of_few_that_match_are_found_behind_many_that_do_not(api: Api) -> None:
    near = {f"cat {n}": (1, 0.1, 0) for n in range(450)}
    MEANINGS.table.update(near)
    Meant.bulk_create([Meant(name=text, text=text) for text in near])
    MEANINGS.table["lion"] = (1, 1, 0)
    Meant.create(name="lion", text="lion", topic="wild")
    # What rounding leaves of a right angle.
    MEANINGS.table["far"] = (1e-8, 0, 1)
    Meant.create(name="far", text="far", topic="wild")
    found = api(Meant.query.filter(topic="wild").recall, "cat", explain=True)
    assert names(found) == ["lion"]
    assert {each.rule for each in found.explain().dropped} == {"condition"}


def test_what_rounding_leaves_of_a_right_angle_is_no_likeness(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a cosine of 0, sums of float32 leave some 1e-8, which depends on the matrix."""
    rounded = {"the cat sleeps": (1, 0, 0), "my taxes are due": (1e-8, 0, 1), "cat": (1, 0, 0)}
    monkeypatch.setattr(MEANINGS, "table", rounded)
    for name in ("sleep", "tax"):
        api(Meant.create, name=name, text=TEXTS[name])
    assert [each.name for each in api(Meant.query.recall, "cat")] == ["sleep"]


def test_values_limit_and_offset_of_the_query_hold(api: Api) -> None:
    query = filled(Both).query
    assert api(query.values("name").recall, "cat", limit=2) == [
        {"name": "sleep"},
        {"name": "play"},
    ]
    assert api(query.values_list("name").limit(1).recall, "cat") == [("sleep",)]
    assert api(query.filter(topic="all").offset(1).limit(1).values_list("name").recall, "cat") == [
        ("play",)
    ]
    assert api(query.recall, "cat", limit=0) == []


def test_reads_are_tracked_unless_they_are_not_to_be(api: Api, redis_client: redis.Redis) -> None:
    Lore.create(name="a", text="old cat")
    for query, staged in ((Lore.query.no_track(), 0), (Lore.query, 1)):
        api(query.recall, "cat")
        assert redis_client.llen("$AT:Lore:staged:Lore:a") == staged


def test_no_record_of_another_partition_comes(api: Api) -> None:
    for agent in ("one", "two"):
        for name, text in TEXTS.items():
            Owned.create(name=f"{agent} {name}", agent=agent, text=text)
    found = api(Owned.query.filter(agent="one").recall, "the cat in the garden")
    assert names(found) == ["one sleep", "one play", "one rain"]
    told = api(Owned.query.filter(agent="one").recall, "cat", explain=True).explain()
    assert "two" not in str(told)
    assert told.notes == ("3 candidate(s), perhaps of other partitions, are gone or do not match",)
    with pytest.raises(QueryException, match=r"filter\(agent=\.\.\.\)"):
        api(Owned.query.recall, "cat")


# Records that are gone -------------------------------------------------------------------------


def test_records_that_are_gone_do_not_come(api: Api, redis_client: redis.Redis) -> None:
    filled(Both)
    Both.query.get(name="sleep").delete()
    redis_client.delete("Both:rain")
    found = api(Both.query.recall, "the cat in the garden", explain=True)
    assert names(found) == ["play"]
    assert [(each.key, each.rule) for each in found.explain().dropped] == [("Both:rain", "gone")]
    redis_client.delete("Both:play")
    assert api(Both.query.recall, "the cat in the garden") == []


def test_a_vector_without_a_record_is_told_to_be_gone(api: Api, redis_client: redis.Redis) -> None:
    filled(Meant)
    api(Meant.query.recall, "cat")
    redis_client.delete("Meant:sleep")
    found = api(Meant.query.recall, "cat", explain=True)
    assert names(found) == ["play", "rain"]
    assert [(each.key, each.rule) for each in found.explain().dropped] == [("Meant:sleep", "gone")]


# Signals of memory -----------------------------------------------------------------------------


@pytest.fixture
def twins() -> dict[str, Lore]:
    """Three records that texts do not tell apart."""
    with clock.using(NOW):
        return {name: Lore.create(name=name, text="a blue cat") for name in "abc"}


def recalled(api: Api, **arguments: Any) -> list[Any]:
    with clock.using(NOW + DAY):
        found: list[Any] = api(Lore.query.recall, "cat", explain=True, **arguments)
        return found


def test_what_was_touched_lately_comes_first(api: Api, twins: dict[str, Lore]) -> None:
    with clock.using(NOW + DAY):
        twins["b"].touch("relevance")
    found = recalled(api)
    assert names(found) == ["b", "a", "c"]
    part = found.explain().results[1]["relevance"]
    assert (part.value, part.weight, part.rank) == (pytest.approx(0.5), 0.1, 2)


def test_what_is_certain_comes_first(api: Api, twins: dict[str, Lore]) -> None:
    ConfidenceField.update_confidence(twins["c"], "certainty", 0.9)
    certain = ConfidenceField.get_confidence(twins["c"], "certainty")
    found = recalled(api)
    assert names(found) == ["c", "a", "b"]
    parts = [each["certainty"].value for each in found.explain().results]
    assert parts == [pytest.approx(certain), 0.5, 0.5]


def test_what_is_read_often_comes_first(api: Api, twins: dict[str, Lore]) -> None:
    for _ in range(10):
        twins["b"].on_read()
    twins["b"].confirm_access()
    found = recalled(api)
    assert names(found) == ["b", "a", "c"]
    part = found.explain().results[0]["access_count"]
    assert (part.value, part.weight) == (0.5, 0.05)


def test_what_is_associated_with_cues_is_lifted_and_brought_in(
    api: Api, twins: dict[str, Lore]
) -> None:
    other = Lore.create(name="other", text="nothing of this")
    Lore.near.link(Lore, twins["a"].pk, twins["c"].pk, 0.8)
    Lore.near.link(Lore, twins["a"].pk, other.pk, 0.4)
    assert names(recalled(api)) == ["a", "b", "c"]
    for cue in (twins["a"], twins["a"].pk, twins["a"].pk.encode()):
        found = recalled(api, cues=[cue])
        assert names(found) == ["c", "a", "b", "other"]
        activation = Lore.near.propagate(Lore, [twins["a"].pk])[twins["c"].pk]
        assert found.explain().results[0]["associations"].value == pytest.approx(activation)


@pytest.mark.single_server(
    "its records are of two models, which no script sees together on a cluster"
)
def test_what_cues_lead_to_meets_the_conditions_too(api: Api, twins: dict[str, Lore]) -> None:
    Worded.create(name="stray", text="a stray cat")
    for target in (twins["b"].pk, twins["c"].pk, "Worded:stray"):
        Lore.near.link(Lore, twins["a"].pk, target, 0.8)
    cues = [twins["a"]]
    assert names(api(Lore.query.recall, "nothing", cues=cues)) == ["b", "c"]
    found = api(Lore.query.filter(name="b").recall, "nothing", cues=cues, explain=True)
    assert names(found) == ["b"]
    twins["c"].text = "another cat"
    twins["c"].save()
    plain = Lore.query.filter(text="another cat")
    found = api(plain.recall, "nothing", cues=cues, explain=True)
    assert names(found) == ["c"]
    dropped = {each.key: each.rule for each in found.explain().dropped}
    assert dropped == {twins["b"].pk: "condition", "Worded:stray": "condition"}


def test_keys_and_scores_of_a_ranking_with_a_boost(twins: dict[str, Lore]) -> None:
    Lore.near.link(Lore, twins["a"].pk, twins["b"].pk, 0.8)
    boost = {twins["b"].pk: 0.9, twins["c"].pk: 5.0}
    signals = ["words", "associations"]
    asked = Recalling("cat", 2, signals=signals, cues=[twins["a"]], boost=boost)
    found = run(recall_ranking(QuerySpec(Lore), asked)).best
    assert list(found) == [twins["c"].pk, twins["b"].pk]
    assert found[twins["c"].pk] - found[twins["b"].pk] == pytest.approx(0.2 * (1 - 0.9))


def test_relevance_without_bounds_is_one() -> None:
    assert saturated(math.inf) == 1.0
    assert saturated(3.0) == 0.75
    assert saturated(-1.0) == saturated(math.nan) == 0.0


def test_what_signals_count_when_nobody_says(api: Api, twins: dict[str, Lore]) -> None:
    """As docs/recall.md has it."""
    weights: dict[str, float] = {}
    for turn, speaker in enumerate(("Ann", "Ben")):
        Said.create(name=speaker, session="s", turn=turn, speaker=speaker, text="a cat")
    for model, cues in ((Lore, [twins["a"]]), (filled(Both), None), (Said, None)):
        found = api(model.query.filter().recall, "cat, Ann", cues=cues, explain=True)
        weights |= {part.name: part.weight for part in found.explain().results[0].parts}
    assert weights == {
        "words": 1,
        "meaning": 1,
        "length": 0.1,
        "associations": 0.2,
        "relevance": 0.1,
        "certainty": 0.1,
        "access_count": 0.05,
        "neighbours": 0.1,
        "session": 0.5,
        "speaker": 0.7,
    }


@pytest.mark.parametrize(
    ("length", "average", "value"),
    [
        *((None, 9, -4), (0, 9, -4), (-1, 9, -4), (5, 0, -4), (2, -1, -4)),
        *((1, 1, 1), (2, 1, 2), (0.5, 1, -2), (3, 6, -2), (90, 9, 4), (9, 90, -4)),
    ],
)
def test_a_length_counts_by_how_many_times_the_mean_it_is(
    length: float | None, average: float, value: float
) -> None:
    assert length_value(length, average) == pytest.approx(
        math.copysign(math.log(abs(value)), value)
    )


@pytest.mark.parametrize(
    ("question", "common", "left"),
    [
        ("The cat", {"the"}, "cat"),
        ("The cat", set(), "The cat"),
        ("the-cat the dog", {"the"}, "the-cat dog"),
        ("the ? cat", {"the"}, "? cat"),
        ("the  cat", {"dog"}, "the cat"),
        # Nothing is left that says anything.
        ("the the", {"the"}, "the the"),
        ("the ?", {"the"}, "the ?"),
        ("", {"the"}, ""),
    ],
)
def test_common_words_are_left_out_of_what_tells(
    question: str, common: set[str], left: str
) -> None:
    def words(text: str) -> list[str]:
        return re.findall("[a-z]+", text.lower())

    assert telling_part(question, words, frozenset(common)) == left


def test_weights_and_signals_say_what_counts(api: Api, twins: dict[str, Lore]) -> None:
    ConfidenceField.update_confidence(twins["c"], "certainty", 0.9)
    assert names(recalled(api, weights={"certainty": 0})) == ["a", "b", "c"]
    assert names(recalled(api, weights={"certainty": -1})) == ["a", "b", "c"]
    assert names(recalled(api, signals=["words"])) == ["a", "b", "c"]
    found = recalled(api, signals=["words", "certainty"])
    assert [each.name for each in found.explain().results[0].parts] == ["words", "certainty"]


def test_any_index_counts_that_is_given_a_weight(api: Api, twins: dict[str, Lore]) -> None:
    twins["b"].rank = 3.0
    twins["b"].save()
    found = recalled(api, weights={"rank": 0.2})
    assert names(found)[0] == "b"
    assert found.explain().results[0]["rank"].value == 3.0


def test_signals_that_are_equal_for_all_change_no_order(api: Api) -> None:
    with clock.using(NOW):
        filled(Lore)
    filled(Worded)
    question = "the cat in the garden"
    with clock.using(NOW + DAY):
        assert names(api(Lore.query.recall, question)) == names(api(Worded.query.recall, question))


def test_a_least_score_leaves_out_what_is_worse(api: Api) -> None:
    found = api(filled(Both).query.recall, "cat", min_score=0.5, explain=True)
    assert names(found) == ["sleep", "play"]
    assert [(each.key, each.rule) for each in found.explain().dropped] == [
        ("Both:rain", "min_score")
    ]


# Explanations ----------------------------------------------------------------------------------


def test_an_explanation_adds_up_and_names_who_was_dropped(api: Api) -> None:
    found = api(filled(Both).query.filter(topic="all").offset(1).recall, "cat", 2, explain=True)
    told = found.explain()
    assert [each.key for each in told.results] == ["Both:play"]
    assert [(each.key, each.rule) for each in told.dropped] == [
        ("Both:sleep", "offset"),
        ("Both:rain", "limit"),
    ]
    for each in (*told.results, *told.dropped):
        assert each.score == pytest.approx(sum(part.value * part.weight for part in each.parts))
    ranks = {each.key: each["meaning"].rank for each in (*told.results, *told.dropped)}
    assert ranks == {"Both:sleep": 1, "Both:play": 2, "Both:rain": 3}
    assert "dropped Both:rain" in str(told)
    assert "words 0.000 * 1 (rank 2)" in str(told)
    with pytest.raises(KeyError):
        told.results[0]["rank"]


def test_without_being_asked_there_is_no_explanation(api: Api) -> None:
    assert type(api(filled(Both).query.recall, "cat")) is list


# Providers -------------------------------------------------------------------------------------


def test_words_decide_alone_where_the_provider_fails(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    filled(Both)
    MEANINGS.error = OSError("no network")
    with caplog.at_level(logging.WARNING):
        found = api(Both.query.recall, "cat", explain=True)
    assert names(found) == ["sleep"]
    assert "no network; words alone decide" in caplog.text
    assert "no network; words alone decide" in found.explain().notes[0]


def test_without_words_a_failing_provider_is_an_error(api: Api) -> None:
    filled(Meant)
    MEANINGS.error = OSError("no network")
    with pytest.raises(RuntimeError, match="no network; nothing was searched"):
        api(Meant.query.recall, "cat")


def test_without_vectors_or_a_provider_words_decide(api: Api) -> None:
    class Unembedded(Model):
        name = KeyField()
        text = StringField()
        words = BM25Field(source="text")
        meaning = EmbeddingField(source="text", store="server")

    found = api(filled(Unembedded).query.recall, "cat", explain=True)
    assert names(found) == ["sleep"]
    assert "has no embedding provider" in found.explain().notes[0]


@pytest.mark.single_server("two definitions share keys under different names")
def test_vectors_of_another_model_are_refused(api: Api) -> None:
    filled(Meant)

    class Meant2(Model):
        name = KeyField()
        text = StringField()
        meaning = EmbeddingField(
            source="text", provider=Known(dimensions=2), store="server", on_failure="raise"
        )

    Meant2.__name__ = "Meant"
    field = Meant2._meta.by_name["meaning"]
    field.bind("Meant", "meaning")
    with pytest.raises(VectorMismatchError):
        api(Meant2.query.recall, "cat")


# Mistakes --------------------------------------------------------------------------------------


class Bare(Model):
    name = KeyField()
    text = StringField()


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        (Bare, {"text": "cat"}, "give it a BM25Field, an EmbeddingField or both"),
        (Worded, {"text": 5}, r"recall\(\) needs a text"),
        (Worded, {"weights": {"meaning": 1}}, "no signal 'meaning'; it has words, length"),
        (Worded, {"weights": {"words": math.nan}}, "weight of 'words' must be a finite number"),
        (Worded, {"weights": {"words": 0}}, "needs the words or the meaning"),
        (Worded, {"weights": [1]}, "weights are numbers by the name"),
        (Worded, {"signals": "words"}, r"signals are names, such as \['words'\]"),
        (Worded, {"signals": ["text"]}, "'text' counts nothing by default"),
        (Worded, {"weights": {"nobody": 1}}, "no field 'nobody'"),
        (Both, {"signals": ["words"], "weights": {"meaning": 1}}, "'meaning' has a weight"),
        (Worded, {"field": "text"}, "requires a BM25Field"),
        (Worded, {"min_score": "high"}, "min_score must be a number"),
    ],
)
def test_mistakes_are_named(api: Api, model: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(QueryException, match=message):
        api(model.query.recall, **{"text": "cat", **arguments})


def test_an_order_of_its_own_is_refused(api: Api) -> None:
    with pytest.raises(QueryException, match="leave order_by"):
        api(Both.query.order_by("name").recall, "cat")


def test_an_index_of_another_analyzer_is_refused(api: Api, redis_client: redis.Redis) -> None:
    filled(Worded)
    redis_client.set("$BM25:Worded:words:analyzer", "unicode 1")
    with pytest.raises(ModelException, match=r"rebuild_indexes\(\)"):
        api(Worded.query.recall, "cat")


def test_a_key_of_another_program_is_named(api: Api, redis_client: redis.Redis) -> None:
    filled(Worded)
    redis_client.delete("$BM25:Worded:words:inv:cat")
    redis_client.set("$BM25:Worded:words:inv:cat", "x")
    with pytest.raises(QueryException, match="inv:cat' is a string instead of a zset"):
        api(Worded.query.recall, "cat")


@pytest.mark.parametrize("family", ["$DecayingSortF:", "$ConfidencF:", "$BM25:"])
def test_so_is_one_of_what_memories_have_beside_them(
    api: Api, redis_client: redis.Redis, twins: dict[str, Lore], family: str
) -> None:
    ConfidenceField.update_confidence(twins["a"], "certainty", 0.9)
    told: list[str] = []
    for key in redis_client.keys(f"{family}*"):
        kept = redis_client.dump(key)
        redis_client.set(key, "another program's")
        try:
            recalled(api)
        except QueryException as error:
            told.append(str(error).replace(repr(key.decode()), "<it>"))
        redis_client.restore(key, 0, kept, replace=True)
    assert told
    assert [each for each in told if "<it> is a string instead of a" not in each] == []


# Costs and other processes ---------------------------------------------------------------------


@pytest.mark.parametrize(("model", "most"), [(Worded, 2), (Meant, 3), (Both, 3)])
def test_round_trips(
    api: Api, round_trips: Callable[[], AbstractContextManager[RoundTrips]], model: Any, most: int
) -> None:
    filled(model)
    api(model.query.recall, "cat")
    with round_trips() as seen:
        api(model.query.recall, "cat")
    assert seen.sends <= most


WRITER = """
import sys
from popoto import redis_db
redis_db.set_REDIS_DB_settings(unix_socket_path=sys.argv[1])
from tests.recall.remembered import Both
Both.create(name="other", text="the cat sleeps")
Both.query.get(name="sleep").delete()
"""


def test_what_another_process_writes_is_found_at_once(api: Api, server_url: str) -> None:
    filled(Both)
    assert names(api(Both.query.recall, "cat", limit=1)) == ["sleep"]
    path = server_url.removeprefix("unix://")
    subprocess.run([sys.executable, "-c", WRITER, path], check=True, timeout=60)
    assert names(api(Both.query.recall, "cat", limit=1)) == ["other"]
    assert "sleep" not in names(api(Both.query.recall, "cat"))
