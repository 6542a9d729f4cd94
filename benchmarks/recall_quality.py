"""What retrieval finds in long conversations: `make bench-recall CONVERSATIONS=path`.

Every turn is one record, written and asked through the public interface, on a server of its own.
Each conversation is a corpus of its own. A row is a way of asking (`WAYS`); the numbers are means
over all questions, and the times those of one question, its embedding included.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import popoto
from benchmarks.conversations import Conversation, conversations
from popoto import (
    BM25Field,
    ContextAssembler,
    EmbeddingField,
    IndexedField,
    KeyField,
    Model,
    Recall,
    SortedField,
    StringField,
    redis_db,
)
from popoto.embeddings import LateInteractionProvider, TextVectors
from popoto.embeddings.local import MiniLMProvider
from popoto.testing import recall

#: As many results are asked for as the last says.
CUTS = (1, 5, 10, 50)
COLUMNS = ("recall_at_1", "recall_at_5", "recall_at_10", "mrr", "ndcg_at_10")


class Turn(Model):
    """What was said once, without any index of its text."""

    conversation = KeyField()
    turn = KeyField()
    session = IndexedField(type=int)
    place = SortedField(type=int, partition_by="session")
    speaker = IndexedField()
    text = StringField()

    class Meta:
        abstract = True


class PlainTurn(Turn):
    """Words as popoto 1.6 makes them, with its constants."""

    words = BM25Field(source="text")


class WordTurn(Turn):
    """Stems without stop words, and constants for short texts (those of Anserini)."""

    words = BM25Field(source="text", analyzer="english", k1=0.9, b=0.3)


class BothTurn(Turn):
    """The same words, and vectors of the default provider."""

    words = BM25Field(source="text", analyzer="english", k1=0.9, b=0.3)
    vector = EmbeddingField(source="text", store="server")


class OrderedTurn(BothTurn):
    """And it is told in which order they were said."""

    class Meta:
        recall = Recall(session="session", order="place")


class SpokenTurn(BothTurn):
    """And by whom."""

    class Meta:
        recall = Recall(session="session", order="place", speaker="speaker")


@dataclass(frozen=True)
class Way:
    """A row of the table: a model, and how it is asked for `limit` results."""

    name: str
    model: type[Turn]
    ask: Callable[[type[Turn], str, int], Iterable[Any]]

    @property
    def takes_vectors(self) -> bool:
        return hasattr(self.model, "vector")


def by_words(model: type[Turn], text: str, limit: int) -> Iterable[Any]:
    return model.query.keyword_search(text, limit=limit)


def by_meaning(model: type[Turn], text: str, limit: int) -> Iterable[Any]:
    return model.query.semantic_search(text, limit=limit)


def fused(model: type[Turn], text: str, limit: int) -> Iterable[Any]:
    words = [(each.pk, each._bm25_score) for each in by_words(model, text, limit)]
    meaning = [(each.pk, each._similarity_score) for each in by_meaning(model, text, limit)]
    return model.query.fuse(limit=limit, words=words, meaning=meaning)


def into_context(model: type[Turn], text: str, limit: int) -> Iterable[Any]:
    return ContextAssembler(model, {}, max_items=limit).assemble({"question": text}).records


def recalled(model: type[Turn], text: str, limit: int) -> Iterable[Any]:
    return model.query.recall(text, limit=limit)


WAYS = [
    Way("keyword_search, words of 1.6", PlainTurn, by_words),
    Way("keyword_search, stems", WordTurn, by_words),
    Way("semantic_search", BothTurn, by_meaning),
    Way("fuse: words and meaning", BothTurn, fused),
    Way("ContextAssembler, words", WordTurn, into_context),
    Way("ContextAssembler, both", BothTurn, into_context),
    Way("recall, words", WordTurn, recalled),
    Way("recall, both", BothTurn, recalled),
    Way("recall, both, in order", OrderedTurn, recalled),
    Way("recall, both, in order, speakers", SpokenTurn, recalled),
]


class Remembering(LateInteractionProvider):
    """Embeds every stored text once, however many models store it; questions each time."""

    language = "english"

    def __init__(self, provider: LateInteractionProvider) -> None:
        self._provider = provider
        self._known: dict[str, TextVectors] = {}

    def embed(self, texts: list[str], input_type: str | None = None) -> list[list[float]]:
        if input_type == "query":
            return self._provider.embed(texts, input_type)
        return [list(each.vector) for each in self.embed_words(texts, input_type)]

    def embed_words(self, texts: list[str], input_type: str | None = None) -> list[TextVectors]:
        if input_type == "query":
            return self._provider.embed_words(texts, input_type)
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, self._provider.embed_words(new, input_type), strict=True))
        return [self._known[text] for text in texts]

    @property
    def model_name(self) -> str | None:
        return self._provider.model_name

    @property
    def dimensions(self) -> int:
        return self._provider.dimensions

    @property
    def max_batch_size(self) -> int:
        return self._provider.max_batch_size


def provider() -> LateInteractionProvider | None:
    """The local provider, or None, and why."""
    try:
        found = MiniLMProvider()
    except ImportError as error:
        print(f"No vectors: {error}\nOnly ways that need none are measured.")
        return None
    print(f"Vectors of {found.model_name}, {found.dimensions} dimensions, on this machine.")
    return found


def write(model: type[Turn], conversation: Conversation) -> float:
    """Store every turn in place of what there is; the seconds it took."""
    model.delete_all()
    started = time.perf_counter()
    model.bulk_create(
        model(
            conversation=conversation.name,
            turn=each.name,
            session=each.session,
            place=each.place,
            speaker=each.speaker,
            text=each.text,
        )
        for each in conversation.turns
    )
    return time.perf_counter() - started


def measured(way: Way, conversation: Conversation) -> recall.RecallReport:
    def ask(text: str, limit: int) -> Iterable[Any]:
        return way.ask(way.model, text, limit)

    return recall.measure(conversation.questions, ask, at=CUTS, by="turn", name=way.name)


def together(reports: list[recall.RecallReport]) -> recall.RecallReport:
    """The report of all questions, whatever conversation they are about."""
    answered = tuple(each for report in reports for each in report.answered)
    return recall.RecallReport(reports[0].name, reports[0].at, answered)


def run(found: list[Conversation], ways: list[Way]) -> list[recall.RecallReport]:
    """Write and ask one conversation after the other; a report for each way."""
    reports: dict[str, list[recall.RecallReport]] = {way.name: [] for way in ways}
    for conversation in found:
        for model in dict.fromkeys(way.model for way in ways):
            seconds = write(model, conversation)
            number = len(conversation.turns)
            print(f"{conversation.name}: {number} turns as {model.__name__} in {seconds:.1f} s")
        for way in ways:
            reports[way.name].append(measured(way, conversation))
    return [together(each) for each in reports.values()]


def line(report: recall.RecallReport) -> str:
    measures = report.measures
    numbers = "".join(f"{measures[name]:8.3f}" for name in COLUMNS)
    times = "".join(f"{report.seconds(part) * 1000:8.1f}" for part in (50, 95))
    return f"{report.name:34}{numbers}{times}"


def table(reports: list[recall.RecallReport]) -> list[str]:
    titles = ("R@1", "R@5", "R@10", "MRR", "nDCG@10", "p50 ms", "p95 ms")
    head = f"{f'{len(reports[0].answered)} questions':34}" + "".join(
        f"{each:>8}" for each in titles
    )
    return [head, *(line(report) for report in reports)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="a conversation of LoCoMo, or a directory of them")
    parser.add_argument("--categories", action="store_true", help="a table for each category, too")
    arguments = parser.parse_args()
    found = conversations(arguments.path)
    redis_db.set_REDIS_DB_settings(url="embedded://")
    chosen = provider()
    if chosen is not None:
        popoto.configure(embedding_provider=Remembering(chosen))
    reports = run(found, [way for way in WAYS if chosen is not None or not way.takes_vectors])
    print("", *table(reports), sep="\n")
    for tag in reports[0].tags if arguments.categories else ():
        parts = [replace(report.tagged(tag), name=report.name) for report in reports]
        print(f"\n{tag}", *table(parts), sep="\n")


if __name__ == "__main__":
    main()
