"""Words and sentences of any text: never an error, and never more work than its length."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popoto.memory.text.analysis import ANALYZERS, analyzer_named
from popoto.memory.text.sentences import sentences
from popoto.recipes.assembling.formats import FORMATS
from tests.hostile.inputs import any_texts

_ANALYZERS = ("words", "unicode", "english", "german", "hindi", "greek")


@given(st.sampled_from(_ANALYZERS), any_texts)
def test_words_of_any_text_are_words(name: str, text: str) -> None:
    analyzer = analyzer_named(name)
    found = analyzer.words(text)
    assert all(word and not any(each.isspace() for each in word) for word in found)
    assert analyzer.words(text) == found
    if analyzer.forms is not None:
        for word in found:
            assert word not in analyzer.forms(word)


@given(any_texts)
def test_sentences_of_any_text_have_its_letters(text: str) -> None:
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


#: Long texts of a kind each; where work grows with the square of the length, it takes minutes.
_LONG = {
    "marks in the wrong order": "a" + "\u0301" * 60_000 + "\u0316" * 60_000,
    "pairs of marks": "\u0301\u0316" * 60_000,
    "marks of two kinds on a character that is paired": "日" + "\uff9e\u0301" * 60_000,
    "joiners behind a character that is paired": "日" + "\u200d" * 1_000_000,
    "lines of spaces": ("\n" + " " * 999) * 200,
    "marks of sentences": '."' * 100_000,
    "one word": "a" * 1_000_000,
    "joined words": "a-" * 100_000,
    "initials": "A. " * 60_000,
}
_WORK: dict[str, Callable[[str], object]] = {
    **{f"words: {name}": analyzer_named(name).words for name in ("words", "unicode", "english")},
    "sentences": sentences,
    **{
        f"format: {name}": lambda text, show=show: show([{"text": text}])
        for name, show in FORMATS.items()
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", _LONG)
def test_long_texts_of_any_kind_take_seconds_at_most(kind: str) -> None:
    for name, work in _WORK.items():
        before = time.process_time()
        work(_LONG[kind])
        assert time.process_time() - before < 10, name


@pytest.mark.parametrize("name", ANALYZERS)
def test_marks_on_a_letter_count_as_far_as_a_language_has_them(name: str) -> None:
    words = analyzer_named(name).words
    few, many = "क" + "\u0951" * 30, "क" + "\u0951" * 31
    assert words(f"{many}ख") == words(f"{few}ख")
    assert words("क" + "\u0951" * 29) != words(few) or name == "words"
