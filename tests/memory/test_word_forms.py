"""Other forms of a word, by which a question finds texts where an index keeps words as they are."""

from __future__ import annotations

from itertools import permutations

import pytest

from popoto.memory.text.forms import other_forms

OF_HOPE = (
    "hopes hopees hopeed hopeing hopeer hopeers hopely hopement hopeion hopeions hopee "
    "hoped hoping hoper hopers hopion hopions hop hops hoply hopment "
    "hopped hopping hopper hoppers"
)


@pytest.mark.parametrize(
    "family",
    [
        "walk walks walked walking walker walkers",
        "hope hopes hoped hoping hoper hopers",
        "run runs running runner runners",
        "hop hops hopped hopping hopper",
        "try tries tried trying",
        "happy happier happily",
        "act acts acted acting action actions",
        "create creates created creating creation creations",
        "agree agrees agreement",
        "quick quickly",
        "box boxes boxed boxing",
        "play plays played playing player",
        "agreement agreements",
    ],
)
def test_each_finds_the_others(family: str) -> None:
    for one, other in permutations(family.split(), 2):
        assert other in other_forms(one), one


@pytest.mark.parametrize(
    ("word", "base"),
    [("readings", "read"), ("agreements", "agree"), ("actions", "act"), ("runners", "run")],
)
def test_several_endings_are_taken_off(word: str, base: str) -> None:
    assert base in other_forms(word)


@pytest.mark.parametrize(
    ("word", "forms"),
    [
        # Neither a consonant that is double already nor one behind a vowel pair is doubled again.
        (
            "pass",
            "passs passes passed passing passer passers passly passment passion passions passe",
        ),
        ("try", "tries tried trying trier trily"),
        ("hope", OF_HOPE),
        ("tasty", "tasties tastied tastying tastier tastily"),
        (
            "bird",
            "birds birdes birded birding birder birders birdly birdment birdion birdions birde",
        ),
    ],
)
def test_all_forms_of_a_word(word: str, forms: str) -> None:
    assert other_forms(word) == forms.split()


@pytest.mark.parametrize(
    ("word", "other"),
    [("adding", "ads"), ("walked", "wals"), ("agreeing", "agres"), ("dies", "dy")],
)
def test_no_more_is_taken_off_than_an_ending(word: str, other: str) -> None:
    assert other not in other_forms(word)


@pytest.mark.parametrize("word", ["it", "b12", "café", "", "été"])
def test_what_has_none(word: str) -> None:
    assert other_forms(word) == []


def test_three_letters_are_enough() -> None:
    assert {"eyes", "eyed"} <= set(other_forms("eye"))
