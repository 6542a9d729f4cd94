"""Long conversations with questions about them, in the format of LoCoMo (Maharana et al., 2024).

The files stay where they are: nothing of them is copied. The project ships none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from popoto.testing.recall import GoldQuestion

#: Category 5 asks for what was never said: finding something there is no merit.
CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop"}
TURN = re.compile(r"D(\d+):(\d+)")


@dataclass(frozen=True)
class Said:
    """One turn. `name` tells it within its conversation, `place` within its session."""

    name: str
    session: int
    place: int
    speaker: str
    text: str


@dataclass(frozen=True)
class Conversation:
    """Turns in order, and the questions that are answered by some of them."""

    name: str
    turns: list[Said]
    questions: list[GoldQuestion]


def conversations(path: Path) -> list[Conversation]:
    """Those of a file, or of all .json files of a directory. Raises ValueError for none."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    found = [read(file) for file in files if file.is_file()]
    if not found:
        raise ValueError(f"{path} has no conversations: name a .json of LoCoMo, or a directory")
    return found


def read(file: Path) -> Conversation:
    given = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(given, dict) or not {"session_1", "qa"} <= given.keys():
        raise ValueError(f"{file} is no conversation of LoCoMo: 'session_1' and 'qa' are missing")
    turns = list(said(given))
    return Conversation(file.stem, turns, list(asked(given["qa"], {each.name for each in turns})))


def said(given: dict[str, Any]) -> Iterator[Said]:
    """Every turn, its text as it is stored: with date, speaker, and what a picture shows."""
    session = 1
    while f"session_{session}" in given:
        date = given.get(f"session_{session}_date_time")
        for place, turn in enumerate(given[f"session_{session}"]):
            picture = f" [image: {turn['blip_caption']}]" if turn.get("blip_caption") else ""
            text = f"[{date}] {turn['speaker']}: {turn['text']}{picture}"
            yield Said(turn["dia_id"], session, place, turn["speaker"], text)
        session += 1


def asked(given: list[dict[str, Any]], names: set[str]) -> Iterator[GoldQuestion]:
    """The questions with evidence. "D8:06; D9:17" are two turns; what names no turn is left out."""
    for each in given:
        turns = (
            f"D{int(session)}:{int(turn)}"
            for evidence in each.get("evidence", ())
            for session, turn in TURN.findall(evidence)
        )
        answers = tuple(dict.fromkeys(name for name in turns if name in names))
        if answers and each["category"] in CATEGORIES:
            yield GoldQuestion(str(each["question"]), answers, (CATEGORIES[each["category"]],))
