"""A model with several fields of a kind: every call says which is meant, or it is the first."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from popoto import (
    BM25Field,
    ContextAssembler,
    EmbeddingField,
    KeyField,
    Model,
    ObservationProtocol,
    QueryException,
    RecallProposal,
    StringField,
)
from popoto.embeddings import AbstractEmbeddingProvider
from popoto.recipes import SubconsciousMemory
from tests.driver import Api

pytest.importorskip("numpy")


class Letters(AbstractEmbeddingProvider):
    """How often a text has each of three letters."""

    model_name = "letters"
    dimensions = 3
    max_batch_size = 100

    def embed(self, texts: list[str], input_type: str | None = None) -> list[list[float]]:
        return [[float(text.count(letter)) for letter in "xyz"] for text in texts]


class Article(Model):
    name = KeyField()
    agent_id = KeyField(default="ada")
    title = StringField(default="")
    body = StringField(default="")
    of_titles = BM25Field(source="title")
    of_bodies = BM25Field(source="body")
    like_titles = EmbeddingField(source="title", provider=Letters(), store="server")
    like_bodies = EmbeddingField(source="body", provider=Letters(), store="server")


@pytest.fixture(autouse=True)
def articles() -> None:
    Article.create(name="1", title="xxx tea", body="zzz cake")
    Article.create(name="2", title="zzz cake", body="xxx tea")


def test_words_and_meaning_are_those_of_one_text(api: Api) -> None:
    for field, best in (("of_titles", "1"), ("of_bodies", "2")):
        for signals in (None, ["words"], ["meaning"]):
            found = api(Article.query.recall, "xxx tea", field=field, signals=signals)
            assert found[0].name == best, (field, signals)
    with pytest.raises(QueryException, match="name one of of_titles, of_bodies"):
        api(Article.query.recall, "tea")


@pytest.mark.parametrize("mode", ["auto", "hybrid", "lexical"])
def test_a_context_is_searched_by_the_text_that_it_shows(api: Api, mode: str) -> None:
    for shown, best in ((None, "1"), ("title", "1"), ("body", "2")):
        assembler: Any = ContextAssembler(
            Article, {}, max_items=1, retrieval_mode=mode, content_field=shown
        )
        assert [each.name for each in api(assembler.assemble, {"q": "xxx tea"}).records] == [best]
        assert api(assembler.assess, {"q": "xxx tea"}).score_spread >= 0


def test_what_is_said_around_a_turn_is_searched_by_its_own_text() -> None:
    memory = SubconsciousMemory(Article, "ada", {}, max_items=1, content_field="body")
    _, shown = memory.inject_context([{"role": "user", "content": "xxx tea"}])
    assert [each.name for each in shown.records] == ["2"]


def test_more_results_than_there_can_be_are_all_of_them() -> None:
    assert len(Article.query.semantic_search("xxx", limit=10**30)) == 1


class Words(Model):
    name = KeyField()
    text = StringField(default="tea")
    words = BM25Field(source="text")


class Vectors(Model):
    name = KeyField()
    text = StringField(default="xyz")
    like = EmbeddingField(source="text", provider=Letters(), store="server")


@pytest.mark.parametrize("model", [Words, Vectors])
def test_proposals_go_with_records_that_have_nothing_but_an_index_of_texts(
    redis_client: redis.Redis, model: Any
) -> None:
    found = [model.create(name=name) for name in "ab"]
    ObservationProtocol.on_surfaced(found)
    ObservationProtocol.on_surfaced(found, partition="ada")
    found[0].delete()
    found[1].name = "c"
    found[1].save(migrate_key=True)
    assert [key for key, _ in RecallProposal.get_pending(model)] == [found[1].pk]
    assert model.check_indexes()["total"] == 0
    found[1].delete()
    assert redis_client.keys("$RP:*") == []
