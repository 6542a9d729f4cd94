"""`popoto.testing.recall`: what a retriever finds of what it should, and what is asserted of it."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from popoto import BM25Field, KeyField, Model, StringField
from popoto.testing import recall
from popoto.testing.recall import GoldFileError, GoldQuestion, RecallReport


class Note(Model):
    name = KeyField()
    owner = KeyField(default="ada")
    text = StringField()
    words = BM25Field(source="text")


@pytest.fixture
def notes() -> None:
    Note.create(name="pets", text="a cat and a dog")
    Note.create(name="walk", text="the dog was out in the rain")
    Note.create(name="work", text="python tests", owner="bob")


def asked(question: str, *answers: str, tags: tuple[str, ...] = ()) -> GoldQuestion:
    return GoldQuestion(question, answers, tags)


def ticks(*seconds: float) -> Any:
    """A timer by which one question after the other takes this long."""
    times = [time for start, taken in enumerate(seconds) for time in (start, start + taken)]
    return iter(times).__next__


def measured(found: dict[str, list[str]], *questions: GoldQuestion, **options: Any) -> RecallReport:
    return recall.measure(
        questions, lambda text, limit: found[text], **{"at": (1, 2, 4), "name": "made", **options}
    )


@pytest.mark.usefixtures("notes")
def test_a_method_of_a_query_is_measured_against_keys() -> None:
    gold = [asked("dog", Note.query.get(name="pets").pk), asked("snow", "Note:none")]
    report = recall.measure(gold, Note.query.keyword_search)
    assert report.name == "keyword_search"
    assert report.at == (1, 5, 10)
    assert report.measures["recall_at_10"] == 0.5
    assert report.answered[0].ranks == {gold[0].answers[0]: 1}
    assert report.answered[1].missed() == ["Note:none"]


@pytest.mark.usefixtures("notes")
async def test_a_name_means_the_method_and_its_twin_under_asyncio() -> None:
    gold = [asked("dog python", "pets", "walk", "work")]
    query = Note.query.filter(owner="ada")
    one = await asyncio.to_thread(
        lambda: recall.measure(gold, "keyword_search", query=query, by="name")
    )
    other = await recall.async_measure(gold, "keyword_search", query=query, by="name")
    assert one.answered[0].found == other.answered[0].found == ("pets", "walk")
    assert (one.name, other.name) == ("keyword_search", "async_keyword_search")


@pytest.mark.usefixtures("notes")
def test_results_are_named_by_a_field_of_rows_or_by_a_function() -> None:
    gold = [asked("dog", "pets")]
    rows = recall.measure(gold, Note.query.values("name").keyword_search, by="name")
    named = recall.measure(gold, Note.query.keyword_search, by=lambda note: note.name.lower())
    assert rows.answered[0].found == named.answered[0].found == ("pets", "walk")


def test_keys_and_pairs_of_key_and_score_are_results() -> None:
    found: Any = {"q": [("a", 1.0), b"b", "c"]}
    assert measured(found, asked("q", "b")).answered[0].found == ("a", "b", "c")


@pytest.mark.parametrize("result", [{"name": "a"}, (), 7, None])
def test_a_result_without_a_key_asks_for_by(result: Any) -> None:
    with pytest.raises(TypeError, match=r"made found something without a key.*by="):
        measured({"q": [result]}, asked("q", "a"))


def test_as_many_results_are_asked_for_as_the_last_cut_says_and_no_more_count() -> None:
    limits: list[int] = []

    def retriever(text: str, limit: int) -> Iterator[str]:
        limits.append(limit)
        return (str(number) for number in range(50))

    report = recall.measure([asked("q", "2", "3")], retriever, at=(3, 1))
    assert limits == [3]
    assert report.answered[0].found == ("0", "1", "2")
    assert report.measures["recall_at_3"] == 0.5
    assert report.name == "retriever"


def test_measures_are_means_over_questions() -> None:
    report = measured(
        {"one": ["x", "a", "a", "b"], "two": ["c"], "three": []},
        asked("one", "a", "b", "never"),
        asked("two", "c"),
        asked("three", "d"),
    )
    found = report.measures
    assert found["recall_at_1"] == pytest.approx((0 + 1 + 0) / 3)
    assert found["recall_at_2"] == pytest.approx((1 / 3 + 1 + 0) / 3)
    assert found["recall_at_4"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert found["hit_at_1"] == pytest.approx(1 / 3)
    assert found["hit_at_4"] == pytest.approx(2 / 3)
    assert found["mrr"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    gains = [1 / math.log2(1 + place) for place in (1, 2, 3, 4)]
    ideal = gains[0] + gains[1] + gains[2]
    assert found["ndcg_at_4"] == pytest.approx(((gains[1] + gains[3]) / ideal + 1 + 0) / 3)
    assert found["ndcg_at_2"] == pytest.approx((gains[1] / sum(gains[:2]) + 1 + 0) / 3)
    assert found["ndcg_at_1"] == pytest.approx(1 / 3)
    assert report.answered[0].missed(2) == ["b", "never"]
    assert report.answered[0].missed() == ["never"]


def test_times_are_told_as_percentiles() -> None:
    questions = [asked(str(number), "a") for number in range(20)]
    seconds = [number / 100 for number in range(1, 21)]
    report = measured(
        {each.question: [] for each in questions}, *questions, timer=ticks(*reversed(seconds))
    )
    assert report.seconds(50) == pytest.approx(0.10)
    assert report.seconds(95) == pytest.approx(0.19)
    assert report.seconds(100) == pytest.approx(0.20)
    assert report.seconds(0) == pytest.approx(0.01)


async def test_under_asyncio_the_time_includes_the_wait_and_results_may_come_at_once() -> None:
    timer = count().__next__

    async def slow(text: str, limit: int) -> list[str]:
        timer()
        return ["a"]

    gold = [asked("q", "a")]
    report = await recall.async_measure(gold, slow, timer=timer)
    assert report.answered[0].seconds == 2
    assert report.measures["mrr"] == 1
    at_once = await recall.async_measure(gold, lambda text, limit: ["a"])
    assert at_once.measures["mrr"] == 1


def test_an_asynchronous_retriever_is_sent_to_the_other_function() -> None:
    async def slow(text: str, limit: int) -> list[str]:
        return []

    given: list[Any] = []

    def retriever(text: str, limit: int) -> Any:
        given.append(slow(text, limit))
        return given[-1]

    with pytest.raises(TypeError, match="retriever is asynchronous: await async_measure"):
        recall.measure([asked("q", "a")], retriever)
    assert inspect.getcoroutinestate(given[0]) == inspect.CORO_CLOSED


def failing(text: str, limit: int) -> list[str]:
    raise KeyError(text)


async def test_an_error_tells_which_question_was_asked() -> None:
    with pytest.raises(KeyError) as raised:
        recall.measure([asked("why", "a")], failing)
    assert raised.value.__notes__ == ["while asking 'why'"]
    with pytest.raises(KeyError) as raised:
        await recall.async_measure([asked("why", "a")], failing)
    assert raised.value.__notes__ == ["while asking 'why'"]


def test_what_cannot_be_measured_is_refused() -> None:
    gold = [asked("q", "a")]
    with pytest.raises(ValueError, match="no questions"):
        recall.measure([], failing)
    with pytest.raises(ValueError, match="places to look at"):
        recall.measure(gold, failing, at=(0, 5))
    with pytest.raises(ValueError, match="places to look at"):
        recall.measure(gold, failing, at=())
    with pytest.raises(ValueError, match="'keyword_search' of which query"):
        recall.measure(gold, "keyword_search")
    with pytest.raises(ValueError, match="leave it out"):
        recall.measure(gold, failing, query=Note.query)


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ((None, len), TypeError, "list of GoldQuestion, got None"),
        (([("q", ["a"])], len), TypeError, "list of GoldQuestion, got"),
        (([GoldQuestion("q", ("a",))], 5), TypeError, "a retriever is a function .* got 5"),
    ],
)
def test_what_is_no_question_or_no_retriever_is_told(
    arguments: Any, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        recall.measure(*arguments)


@pytest.mark.parametrize("at", [5, None, "x", (1.5,), (True,), (0,)])
def test_places_that_are_none_are_told(at: Any) -> None:
    with pytest.raises(ValueError, match="at has the places to look at"):
        recall.measure([GoldQuestion("q", ("a",))], len, at=at)


def test_a_name_that_is_no_method_is_told() -> None:
    with pytest.raises(ValueError, match="'guess' is no method of"):
        recall.measure([GoldQuestion("q", ("a",))], "guess", query=object())


def test_one_text_in_place_of_a_list_is_told() -> None:
    one: Any = "Note:a"
    with pytest.raises(GoldFileError, match=r"answers is a list of texts, got 'Note:a'"):
        GoldQuestion("q", one)
    with pytest.raises(GoldFileError, match=r"tags is a list of texts, got 'Note:a'"):
        GoldQuestion("q", ("a",), one)


def test_tags_group_questions() -> None:
    report = measured(
        {"one": ["a"], "two": []},
        asked("one", "a", tags=("who", "easy")),
        asked("two", "b", tags=("who",)),
    )
    assert report.tags == ["easy", "who"]
    assert report.tagged("easy").measures["mrr"] == 1
    assert report.tagged("who").measures["mrr"] == 0.5
    with pytest.raises(KeyError, match="no question has the tag 'when'"):
        report.tagged("when")


def test_a_report_is_read_by_printing_it() -> None:
    report = measured({"one": ["x", "a"]}, asked("one", "a"), timer=ticks(0.0123))
    assert str(report).splitlines() == [
        "made, 1 questions",
        "  recall@1 0.00  recall@2 1.00  recall@4 1.00  mrr 0.50  ndcg@4 0.63",
        "  p50 12.3 ms  p95 12.3 ms  p100 12.3 ms",
    ]


def test_what_is_reached_is_no_error() -> None:
    report = measured(
        {str(n): ["a"] * (n < 3) for n in range(10)}, *(asked(str(n), "a") for n in range(10))
    )
    report.assert_at_least(recall_at_2=0.3, mrr=0.1 + 0.2)


def test_what_falls_short_is_told_with_what_was_missed() -> None:
    report = measured(
        {"good": ["a"], "half": ["x", "f"], "late": ["x", "y", "z", "b"], "never": ["x"], "no": []},
        *(asked("good", "a"), asked("half", "f", "g"), asked("late", "b")),
        *(asked("never", "c", "d"), asked("no", "e")),
    )
    with pytest.raises(AssertionError) as raised:
        report.assert_at_least(recall_at_2=0.5, recall_at_1=0.3, recall_at_4=0.5, mrr=0.4)
    assert str(raised.value).splitlines() == [
        "made falls short on 5 questions:",
        "  recall_at_2 is 0.300, not 0.500",
        "  recall_at_1 is 0.200, not 0.300",
        "  mrr is 0.350, not 0.400",
        "Not among the first 2:",
        "  'late' missed b (at 4); found x, y, z, …",
        "  'never' missed c, d; found x",
        "  'no' missed e; found nothing",
        "  'half' missed g; found x, f",
    ]


def test_a_mean_reciprocal_rank_alone_names_what_does_not_come_first() -> None:
    report = measured({"late": ["x", "b"], "first": ["a"]}, asked("late", "b"), asked("first", "a"))
    with pytest.raises(AssertionError, match=r"Not among the first 1:\n  'late' missed b .at 2."):
        report.assert_at_least(mrr=1)


def test_of_many_questions_the_worst_are_named() -> None:
    questions = [asked(f"q{number:02}", "a") for number in range(13)]
    report = measured({each.question: [] for each in questions}, *questions)
    with pytest.raises(AssertionError, match=r"'q09' missed a; found nothing\n  … and 3 more$"):
        report.assert_at_least(hit_at_4=1)


def test_a_measure_that_there_is_not_is_refused() -> None:
    report = measured({"q": ["a"]}, asked("q", "a"))
    with pytest.raises(ValueError, match=r"no measure 'recall_at_5'; there are hit_at_1, .*mrr"):
        report.assert_at_least(recall_at_5=0.1)
    with pytest.raises(ValueError, match="recall_at_1 lies between 0 and 1, not at 60"):
        report.assert_at_least(recall_at_1=60)


GOLD = [
    *(asked("one", "a", tags=("t",)), asked("two", "b"), asked("three", "c")),
    *(asked("same", "d"), asked("deep", "e")),
]
BEFORE = {"one": ["a"], "two": ["x", "b"], "three": ["c"], "same": ["d"], "deep": ["x", "y", "e"]}


def test_a_regression_is_told_with_what_was_lost(tmp_path: Path) -> None:
    file = tmp_path / "before.json"
    measured(BEFORE, *GOLD).save(file)
    found = {**BEFORE, "one": ["x", "a"], "two": ["b"], "three": ["x"], "deep": []}
    now = measured(found, *GOLD, at=(1, 2))
    with pytest.raises(AssertionError) as raised:
        now.assert_no_worse_than(file)
    lines = str(raised.value).splitlines()
    assert lines[0] == "made got worse on 5 questions:"
    assert "  recall_at_2 0.800 → 0.600" in lines
    assert "  mrr 0.700 → 0.500" in lines
    assert lines[-3:] == [
        "Lost, or further down:",
        "  'one' a: 1 → 2",
        "  'three' c: 1 → not found",
    ]
    now.assert_no_worse_than(file, tolerance=0.34)


def test_a_fall_as_large_as_the_tolerance_is_none() -> None:
    questions = [asked(str(number), "a") for number in range(10)]
    one = measured({str(number): ["a"] * (number < 8) for number in range(10)}, *questions)
    other = measured({str(number): ["a"] * (number < 7) for number in range(10)}, *questions)
    other.assert_no_worse_than(one, tolerance=0.1)


def test_what_is_as_good_or_better_is_no_regression() -> None:
    before = measured(BEFORE, *GOLD)
    before.assert_no_worse_than(before)
    measured({**BEFORE, "two": ["b"]}, *GOLD).assert_no_worse_than(before)


def test_a_report_comes_back_from_its_file(tmp_path: Path) -> None:
    report = measured(BEFORE, *GOLD)
    report.save(tmp_path / "report.json")
    assert RecallReport.load(str(tmp_path / "report.json")) == report


def test_only_questions_that_are_the_same_are_compared() -> None:
    before = measured({**BEFORE, "old": ["z"]}, *GOLD, asked("old", "z"))
    changed = [*GOLD[:2], asked("three", "other"), asked("new", "y")]
    now = measured({**BEFORE, "new": []}, *changed)
    now.assert_no_worse_than(before)
    with pytest.raises(ValueError, match="no question, or no cut, in common"):
        measured({"new": []}, changed[-1]).assert_no_worse_than(before)
    with pytest.raises(ValueError, match="no question, or no cut, in common"):
        measured(BEFORE, *GOLD, at=(3,)).assert_no_worse_than(before)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": "n", "at": [1], "answered": [7]}'])
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "report.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"report\.json is no saved report .*save one anew"):
        RecallReport.load(file)
