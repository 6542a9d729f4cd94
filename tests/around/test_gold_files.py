"""Gold files: what is read, and what a mistake is told as."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from popoto.testing.recall import GoldFileError, GoldQuestion, read_gold

GOOD = {"question": "Who?", "answers": ["Note:a"]}


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    return tmp_path / "gold.jsonl"


def test_questions_are_read_in_order(gold: Path) -> None:
    gold.write_text(
        '{"question": "Wer läuft?", "answers": ["Note:b", "Note:a"], "tags": ["who"]}\n'
        "\n  \n"
        '{"answers": ["7"], "question": "When?"}',
        encoding="utf-8",
    )
    assert (
        read_gold(gold)
        == read_gold(str(gold))
        == [
            GoldQuestion("Wer läuft?", ("Note:b", "Note:a"), ("who",)),
            GoldQuestion("When?", ("7",)),
        ]
    )


def test_what_windows_writes_is_read(gold: Path) -> None:
    gold.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\r\n")
    assert read_gold(gold) == [GoldQuestion("Who?", ("Note:a",))]


def line(**changes: Any) -> str:
    return json.dumps({**GOOD, **changes})


MISTAKES = {
    "no JSON": ("{question: 'Who?'}", "no JSON .* each line is one object"),
    "cut": ('{"question": "Who', "no JSON"),
    "a list": ('["Who?"]', "an object belongs here: "),
    "another key": (line(answer=["a"]), "unknown key 'answer': did you mean 'answers'"),
    "a key like none": (line(zzz=1), "unknown key 'zzz': remove it"),
    "no question": ('{"answers": ["a"]}', "'question' is missing"),
    "no answers": ('{"question": "Who?"}', "'answers' is missing"),
    "a number asked": (line(question=7), "'question' is 7: write it as text"),
    "an empty question": (line(question=" "), "the question is empty"),
    "one answer alone": (line(answers="Note:a"), "'answers' is a list of texts"),
    "no answer": (line(answers=[]), "name at least one record"),
    "a number": (line(answers=[7]), "'answers' holds 7: write it as text"),
    "an empty answer": (line(answers=["a", ""]), "one of the answers is empty"),
    "an answer twice": (line(answers=["a", "b", "a"]), "'a' stands twice among the answers"),
    "a tag twice": (line(tags=["t", "t"]), "'t' stands twice among the tags"),
    "an empty tag": (line(tags=[""]), "one of the tags is empty"),
    "tags as text": (line(tags="t"), "'tags' is a list of texts"),
    "a key twice": (
        '{"question": "a", "question": "b", "answers": ["c"]}',
        "'question' stands twice",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_line_and_what_to_write(gold: Path, mistake: str) -> None:
    text, message = MISTAKES[mistake]
    gold.write_text(f"{line(question='before')}\n\n{text}\n{line(question='after')}\n")
    with pytest.raises(GoldFileError, match=f"gold.jsonl, line 3: .*{message}"):
        read_gold(gold)


def test_a_question_that_stands_twice_is_told_with_both_lines(gold: Path) -> None:
    gold.write_text(f"{line()}\n{line(question='other')}\n{line(answers=['b'])}\n")
    with pytest.raises(GoldFileError, match="line 3: line 1 asks the same, join their answers"):
        read_gold(gold)


def test_another_encoding_is_told_with_its_line(gold: Path) -> None:
    gold.write_bytes(line().encode() + b'\n{"question": "l\xe4uft"}')
    with pytest.raises(GoldFileError, match=r"line 2: .*save the file as UTF-8"):
        read_gold(gold)


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_without_questions_says_what_to_write(gold: Path, content: str) -> None:
    gold.write_text(content)
    with pytest.raises(GoldFileError, match=r'no questions.*\{"question": "Who'):
        read_gold(gold)
