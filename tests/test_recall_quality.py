"""`make bench-recall`: how conversations are read, and what is measured of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import popoto
from benchmarks import recall_quality
from benchmarks.conversations import Conversation, Said, conversations
from benchmarks.recall_quality import WAYS, Remembering, run, table
from popoto.embeddings import LateInteractionProvider, TextVectors
from popoto.embeddings.default import set_default_provider
from popoto.embeddings.local import MiniLMProvider
from popoto.testing.recall import GoldQuestion

GIVEN: dict[str, Any] = {
    "speaker_a": "Ada",
    "speaker_b": "Bob",
    "events_session_1": {"Ada": ["is not to be read"]},
    "session_1_date_time": "9 am on 1 May, 2023",
    "session_1": [
        {"dia_id": "D1:1", "speaker": "Ada", "text": "I bought a cat."},
        {"dia_id": "D1:2", "speaker": "Bob", "text": "Look!", "blip_caption": "a red boat"},
    ],
    "session_2_date_time": "9 am on 2 May, 2023",
    "session_2": [{"dia_id": "D2:1", "speaker": "Ada", "text": "The boat sank."}],
    "qa": [
        {"question": "Who bought a cat?", "answer": "Ada", "category": 4, "evidence": ["D1:1"]},
        {
            "question": "What became of the boat?",
            "answer": "It sank",
            "category": 1,
            "evidence": ["D1:02; D2:1", "D2:1", "D9:9"],
        },
        {"question": "Nothing shows it", "category": 2, "evidence": ["D30:05", "D"]},
        {"question": "No evidence", "category": 3},
        {"question": "Bob's cat?", "category": 5, "evidence": ["D1:1"]},
        {"question": 2023, "category": 2, "evidence": ["D1:1"]},
    ],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "7.json"
    path.write_text(json.dumps(GIVEN))
    return path


def test_turns_are_read_with_what_a_memory_of_them_would_hold(file: Path) -> None:
    (found,) = conversations(file)
    assert found.name == "7"
    assert found.turns == [
        Said("D1:1", 1, 0, "Ada", "[9 am on 1 May, 2023] Ada: I bought a cat."),
        Said("D1:2", 1, 1, "Bob", "[9 am on 1 May, 2023] Bob: Look! [image: a red boat]"),
        Said("D2:1", 2, 0, "Ada", "[9 am on 2 May, 2023] Ada: The boat sank."),
    ]


def test_questions_are_those_that_turns_answer(file: Path) -> None:
    (found,) = conversations(file)
    assert found.questions == [
        GoldQuestion("Who bought a cat?", ("D1:1",), ("single-hop",)),
        GoldQuestion("What became of the boat?", ("D1:2", "D2:1"), ("multi-hop",)),
        GoldQuestion("2023", ("D1:1",), ("temporal",)),
    ]


def test_a_directory_has_a_conversation_in_each_file(file: Path) -> None:
    (file.parent / "12.json").write_text(json.dumps(GIVEN))
    (file.parent / "README.md").write_text("about them")
    assert [each.name for each in conversations(file.parent)] == ["12", "7"]


def test_what_is_no_conversation_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing has no conversations"):
        conversations(tmp_path / "nothing")
    file.write_text('{"qa": []}')
    with pytest.raises(ValueError, match=r"7\.json is no conversation of LoCoMo"):
        conversations(file)
    file.write_text("[]")
    with pytest.raises(ValueError, match=r"7\.json is no conversation of LoCoMo"):
        conversations(file)


class Letters(LateInteractionProvider):
    """How often a text has each letter; keeps what it was asked."""

    model_name = "letters"
    dimensions = 26
    max_batch_size = 100

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, list[str]]] = []

    def embed(self, texts: list[str], input_type: str | None = None) -> list[list[float]]:
        self.asked.append((input_type, texts))
        return [_letters_of(text) for text in texts]

    def embed_words(self, texts: list[str], input_type: str | None = None) -> list[TextVectors]:
        self.asked.append((input_type, texts))
        return [
            TextVectors(_letters_of(text), text.split(), [_letters_of(w) for w in text.split()])
            for text in texts
        ]


def _letters_of(text: str) -> list[float]:
    return [float(text.lower().count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"]


@pytest.fixture
def letters() -> Any:
    provider = Letters()
    popoto.configure(embedding_provider=Remembering(provider))
    yield provider
    set_default_provider(None)


@pytest.fixture
def conversation(file: Path) -> Conversation:
    return conversations(file)[0]


@pytest.mark.usefixtures("letters")
def test_every_way_is_measured_on_every_question(conversation: Conversation) -> None:
    reports = run([conversation], WAYS)
    assert [report.name for report in reports] == [way.name for way in WAYS]
    for report in reports:
        assert [each.question for each in report.answered] == conversation.questions
        assert report.measures["recall_at_50"] > 0.5, report.name
    head, *rows = table(reports)
    assert head.startswith("3 questions")
    assert [row[:34].strip() for row in rows] == [way.name for way in WAYS]


def test_each_conversation_is_a_corpus_of_its_own(conversation: Conversation) -> None:
    other = Conversation("other", conversation.turns[:1], conversation.questions[:1])
    (report,) = run([conversation, other], [way for way in WAYS if way.name.endswith("stems")])
    assert len(report.answered) == 4
    assert report.answered[3].found == ("D1:1",)


def test_stored_texts_are_embedded_once_and_questions_each_time(letters: Letters) -> None:
    remembering = Remembering(letters)
    first = remembering.embed(["a", "b", "a"], "document")
    assert remembering.embed(["b", "c"], "document")[0] == first[1]
    remembering.embed(["a"], "query")
    assert letters.asked == [("document", ["a", "b"]), ("document", ["c"]), ("query", ["a"])]
    assert (remembering.model_name, remembering.dimensions) == ("letters", 26)


def test_without_the_provider_the_rest_is_measured_and_it_says_so(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    server_url: str,
) -> None:
    monkeypatch.setattr(MiniLMProvider, "package", "no_onnxruntime")
    monkeypatch.setattr(sys, "argv", ["recall_quality", str(file), "--categories"])
    monkeypatch.setattr(recall_quality.redis_db, "set_REDIS_DB_settings", lambda url: None)
    recall_quality.main()
    shown = capsys.readouterr().out
    assert "No vectors: MiniLMProvider needs the package no_onnxruntime" in shown
    assert "popoto[minilm]" in shown
    assert "keyword_search, stems " in shown
    assert "semantic_search" not in shown
    assert "multi-hop\n1 questions" in shown
