"""Where the sentences of a text end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popoto.memory.text.sentences import sentences


@pytest.mark.parametrize(
    "text",
    [
        # An abbreviation, an initial, a number of a list, what stands within quotes.
        "Dr. Smith agrees with e.g. this one.|It is Mr. Bean.",
        "J. R. R. Tolkien wrote it.|Prof. I. Newton did not.",
        "It was Plan B.|Then it failed.|We have Plan C.|I was glad.|A girl met J. R. R. Tolkien.",
        "She lives in the U.S.|He does not.|The U.S. Army came.",
        "Meet at 5 p.m. on Monday.|Fruit, i.e. apples, etc. are good.|Yes, etc.|Then more.",
        "They are on Main St. Patrick's Day.|They are on Main St.|Then they left.",
        "See Fig. 3 for it.|No.|That is wrong.|See No. 5.",
        "1. Buy milk.|2. Call Bob.|10. Rest.",
        "a) first.|b) second.|A. First one.|B. Second one.",
        "He was born in 1999.|Then came the war.",
        'He said "stop."|Then he left.|(He did.)|"Stop!" he said.|“Go!”|She went.',
        "Wait...|what happened?!|Ok then.",
        "Version 3.14 was released.|It includes fixes.|See node.js and popoto.readthedocs.io.",
        "foo bar.|baz qux.",
        "See http://x.io/path?q=1 for it.|Is it (or was it.)?|maybe.|What?Dr.|No.",
        "She left NASA.|I stayed.|It was plan b.|I left.|See Mr. Smith's Plan C.|Then go.",
        'She was "second."|3rd place is mine.|Apples, etc.|3rd comes cake.',
        "We had apples usw.|Then he left.|It takes 1 hr. 20 minutes in all.",
        # Capitals alone are no initial; what stands in front of one is looked at, nothing before.
        "NASA.|It rose.|Ask Dr. K. Miller now.|He met J. R. Tolkien.",
        # Scripts of their own.
        "क्या है?|यह है।|ہاں۔|نہیں؟|아니요.|Да!|Нет.",  # noqa: RUF001
    ],
)
def test_sentences_end_where_readers_end_them(text: str) -> None:
    expected = text.split("|")
    assert sentences(" ".join(expected)) == expected
    assert sentences("\n" + "\n".join(expected) + " \n") == expected
    assert sentences("\n\n".join(expected)) == expected


def test_scripts_without_spaces_have_sentences_too() -> None:
    expected = ["很好的结果。", "“真的吗？”", "他问。", "「はい。」", "終わり！"]  # noqa: RUF001
    assert sentences("".join(expected)) == expected


def test_an_empty_line_ends_what_has_no_mark() -> None:
    assert sentences("A heading\n \nText\nthat goes on") == ["A heading", "Text\nthat goes on"]
    assert sentences("- one\n- two") == ["- one\n- two"]


@given(st.text(st.sampled_from('aB1. \n!?。”)"é'), max_size=60))
def test_nothing_is_lost_but_space(text: str) -> None:
    found = sentences(text)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(each and each == each.strip() for each in found)


@pytest.mark.parametrize("piece", ["e.g. ", ".", " ", "\n ", ".)", "。", "a", "1. ", '"'])
def test_long_texts_are_read_once(piece: str) -> None:
    # Read again from each place, it would take hours.
    assert sentences(piece * 50_000 + "x")[-1].endswith("x")
