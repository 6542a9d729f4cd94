"""Which words a text has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popoto.fields import existence_filter
from popoto.fields._tokenizer import MIN_TOKEN_LENGTH, STOP_WORDS, tokenize


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, World! hello", "hello world"),
        ("snake_case_word foo-bar a_b", "snake_case_word foo bar a_b"),
        ("2024-01-15 v1.2.3 3.14", "2024"),
        ("e-mail user@example.com http://x.io/path?q=1", "mail user example com http path"),
        ("don't can't", "don"),
        ("STRASSE straße", "strasse straße"),
        ("部署 kubernetes 记忆系统", "kubernetes 记忆系统"),
        ("a is", ""),
        ("the and", ""),
        ("日本", ""),
        ("", ""),
    ],
)
def test_a_text_has_these_words(text: str, words: str) -> None:
    assert tokenize(text) == words.split()


def test_repeated_words_may_be_kept() -> None:
    assert tokenize("Hello, World! hello", unique=False) == ["hello", "world", "hello"]
    assert tokenize("b_b a_a b_b a_a") == ["b_b", "a_a"]


def test_nothing_has_no_words_and_what_is_no_text_is_refused() -> None:
    for nothing in (None, 0, []):
        assert tokenize(nothing) == []  # type: ignore[arg-type]
    for other in (5, ["a"], b"abc"):
        with pytest.raises((AttributeError, TypeError)):
            tokenize(other)  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        tokenize(5)  # type: ignore[arg-type]


def test_stop_words() -> None:
    text = (
        "about all and are been but can did for from got had has have her his how into its let may "
        "new not now old one our out say see she than that the their them then there they this too "
        "use was way what when which who will with would you"
    )
    listed = text.split()
    assert set(listed) == STOP_WORDS
    assert len(STOP_WORDS) == len(listed) == 52
    assert MIN_TOKEN_LENGTH == 3
    assert tokenize(text) == []


def test_the_filter_module_has_it_too() -> None:
    assert existence_filter.tokenize is tokenize


@given(st.text())
def test_words_are_found_in_the_text_and_have_only_themselves(text: str) -> None:
    for word in tokenize(text):
        assert word in text.lower()
        assert len(word) >= 3
        assert tokenize(word) in ([word], tokenize(word.lower()))
