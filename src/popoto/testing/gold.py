"""Gold files: questions, and the records that answer them, written down by people."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

__all__ = ["GoldFileError", "GoldQuestion", "read_gold"]

KEYS = ("question", "answers", "tags")
EXAMPLE = '{"question": "Who …?", "answers": ["Note:pets"]}'


class GoldFileError(ValueError):
    """A gold file, or a question of one, that cannot be measured with; says what to write."""


@dataclass(frozen=True)
class GoldQuestion:
    """A question and the records that answer it.

    `answers` are keys of records, or whatever else names them (`by` of `popoto.testing.recall`);
    `tags` group questions in reports. Raises GoldFileError for what cannot be measured.
    """

    question: str
    answers: tuple[str, ...]
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.question.strip():
            raise GoldFileError("the question is empty: write one, or remove the line")
        if not self.answers:
            raise GoldFileError(
                'no answers: name at least one record that answers the question, "answers": ["…"]'
            )
        for name in ("answers", "tags"):
            texts: tuple[str, ...] = getattr(self, name)
            if isinstance(texts, str):
                raise GoldFileError(f"{name} is a list of texts, got {texts!r}: write [{texts!r}]")
            for text in texts:
                if not text.strip():
                    raise GoldFileError(f"one of the {name} is empty: remove it")
                if texts.count(text) > 1:
                    raise GoldFileError(f"{text!r} stands twice among the {name}: remove one")


def read_gold(path: str | Path) -> list[GoldQuestion]:
    """The questions of a gold file, in order.

    A line is a JSON object, ``{"question": "Who …?", "answers": ["Note:pets"], "tags": ["who"]}``;
    tags may be left out, and lines may be empty. Anything else would look like a bad retrieval:
    raises GoldFileError, which names the line and says what to write instead.
    """
    seen: dict[str, int] = {}
    questions: list[GoldQuestion] = []
    for number, line in _lines(Path(path)):
        where = f"{path}, line {number}"
        question = _question(line, where)
        if question.question in seen:
            earlier = seen[question.question]
            raise GoldFileError(f"{where}: line {earlier} asks the same, join their answers")
        seen[question.question] = number
        questions.append(question)
    if not questions:
        raise GoldFileError(f"{path} has no questions. One stands on each line: {EXAMPLE}")
    return questions


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise GoldFileError(
                f"{path}, line {number}: {error}; save the file as UTF-8"
            ) from error
        if text.strip():
            yield number, text


def _question(line: str, where: str) -> GoldQuestion:
    try:
        return _checked(json.loads(line, object_pairs_hook=_without_repetition))
    except json.JSONDecodeError as error:
        raise GoldFileError(f"{where}: no JSON ({error}), each line is one object") from error
    except GoldFileError as error:
        raise GoldFileError(f"{where}: {error}") from error


def _checked(given: object) -> GoldQuestion:
    if not isinstance(given, dict):
        raise GoldFileError(f"an object belongs here: {EXAMPLE}")
    found = cast("dict[str, object]", given)
    for key in found:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1)
            meant = f"did you mean {near[0]!r}?" if near else "remove it."
            raise GoldFileError(f"unknown key {key!r}: {meant} Known are {', '.join(KEYS)}")
    for key in ("question", "answers"):
        if key not in found:
            raise GoldFileError(f"{key!r} is missing: {EXAMPLE}")
    question = found["question"]
    if not isinstance(question, str):
        raise GoldFileError(f"'question' is {question!r}: write it as text, in quotes")
    return GoldQuestion(
        question, _texts("answers", found["answers"]), _texts("tags", found.get("tags", []))
    )


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    for key in found:
        if sum(key == each for each, _ in pairs) > 1:
            raise GoldFileError(f"the key {key!r} stands twice: keep one")
    return found


def _texts(name: str, given: object) -> tuple[str, ...]:
    if not isinstance(given, list):
        raise GoldFileError(f'{name!r} is a list of texts: "{name}": ["…"], not {given!r}')
    texts: list[str] = []
    for value in cast("list[object]", given):
        if not isinstance(value, str):
            raise GoldFileError(f"{name!r} holds {value!r}: write it as text, in quotes")
        texts.append(value)
    return tuple(texts)
