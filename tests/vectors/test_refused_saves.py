"""Vectors in files, written before a record: where that is refused, they are as they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from popoto import (
    EmbeddingField,
    KeyField,
    Model,
    ModelException,
    StringField,
    transaction,
)
from popoto.embeddings import AbstractEmbeddingProvider
from popoto.exceptions import BulkError, ConflictError, OutcomeUnknownError
from popoto.testing.faults import FaultProxy
from tests.driver import Api

pytest.importorskip("numpy")


class Letters(AbstractEmbeddingProvider):
    """How often a text has each of three letters."""

    model_name = "letters"
    dimensions = 3
    max_batch_size = 100
    is_down = False

    def embed(self, texts: list[str], input_type: str | None = None) -> list[list[float]]:
        if self.is_down:
            raise RuntimeError("down")
        return [[float(text.count(letter)) for letter in "xyz"] for text in texts]


letters, others = Letters(), Letters()


class Card(Model):
    name = KeyField()
    code = StringField(unique=True)
    text = StringField(null=True)
    like = EmbeddingField(source="text", provider=letters)


class Sheet(Model):
    name = KeyField()
    text = StringField(default="")
    first = EmbeddingField(source="text", provider=letters)
    second = EmbeddingField(source="text", provider=others)


@pytest.fixture(autouse=True)
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POPOTO_CONTENT_PATH", str(tmp_path))
    others.is_down = False
    Card.create(name="a", code="1", text="xxx")
    Card.create(name="b", code="2", text="yyy")


def found(text: str) -> list[str]:
    return [card.name for card in Card.query.semantic_search(text)]


def files(path: Path) -> int:
    return len(list(path.rglob("*.npy")))


def save(api: Api, card: Any) -> None:
    api(card.save)


def save_in_a_transaction(api: Api, card: Any) -> None:
    together = transaction()
    together.save(card)
    api(together.commit)


def save_many(api: Api, card: Any) -> None:
    api(Card.bulk_create, [card])


WAYS = [save, save_in_a_transaction, save_many]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", ["zzz", None])
def test_a_refused_change_leaves_the_vector(
    api: Api, tmp_path: Path, way: Callable[[Api, Any], None], text: str | None
) -> None:
    card: Any = Card.query.get(name="b")
    card.text, card.code = text, "1"
    with pytest.raises((ModelException, BulkError)):
        way(api, card)
    assert (found("yyy"), found("zzz"), files(tmp_path)) == (["b"], [], 2)
    card.code = "3"
    way(api, card)
    assert (found("yyy"), found("zzz")) == ([], ["b"] if text else [])


@pytest.mark.parametrize("way", WAYS)
def test_what_may_have_been_written_keeps_its_vector(
    api: Api, proxy: FaultProxy, way: Callable[[Api, Any], None]
) -> None:
    card: Any = Card.query.get(name="b")
    card.text = "zzz"
    proxy.lose_reply(b"Card:b")
    with pytest.raises(OutcomeUnknownError):
        way(api, card)
    assert Card.query.get(name="b").text == "zzz"
    assert (found("yyy"), found("zzz")) == ([], ["b"])


@pytest.mark.parametrize("way", [save, save_in_a_transaction])
def test_a_refused_record_leaves_no_vector(
    api: Api, tmp_path: Path, way: Callable[[Api, Any], None]
) -> None:
    with pytest.raises(ModelException, match="unique"):
        way(api, Card(name="c", code="1", text="zzz"))
    assert (found("zzz"), files(tmp_path)) == ([], 2)


def test_of_many_records_those_that_are_refused_leave_none(api: Api, tmp_path: Path) -> None:
    given = [Card(name=str(number), code=str(number), text="zzz") for number in range(1, 6)]
    with pytest.raises(BulkError):
        api(Card.bulk_create, given)
    assert files(tmp_path) == Card.query.count()
    assert len(found("zzz")) == Card.query.count() - 2


def test_a_change_that_is_too_late_leaves_what_the_other_one_has_written(tmp_path: Path) -> None:
    mine: Any = Card.query.get(name="b")
    theirs: Any = Card.query.get(name="b")
    theirs.text = "xy"
    theirs.save()
    mine.text = "zzz"
    with pytest.raises(ConflictError):
        mine.save(expected=True)
    assert (found("zzz"), found("yyy")) == ([], ["b"])
    assert files(tmp_path) == 2


def test_another_field_whose_provider_is_down_leaves_the_first_as_it_was(
    api: Api, tmp_path: Path
) -> None:
    sheet = api(Sheet.create, name="a", text="xxx")
    number = files(tmp_path)
    others.is_down = True
    sheet.text = "zzz"
    with pytest.raises(RuntimeError, match="second of Sheet: down; nothing was written"):
        api(sheet.save)
    assert [each.name for each in Sheet.query.semantic_search("xxx")] == ["a"]
    assert files(tmp_path) == number


def test_what_another_writer_has_put_there_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    card: Any = Card.query.get(name="b")
    card.text, card.code = "zzz", "1"
    field: Any = Card._meta.fields["like"]
    put_back = field.keeper.followed.__class__.put_back

    def after_another(followed: Any, replaced: Any) -> None:
        other: Any = Card.query.get(name="b")
        other.text = "xy"
        other.save()
        put_back(followed, replaced)

    monkeypatch.setattr(field.keeper.followed.__class__, "put_back", after_another)
    with pytest.raises(ModelException, match="unique"):
        card.save()
    stored: Any = Card.query.get(name="b")
    assert stored.text == "xy"
    (best, *_) = Card.query.semantic_search("xy")
    assert best.name == "b"
    assert best._similarity_score == pytest.approx(1.0)


def test_what_cannot_be_undone_is_told_beside_the_refusal(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> None:
        raise OSError("disk full")

    field: Any = Card._meta.fields["like"]
    monkeypatch.setattr(field.keeper.followed.__class__, "put_back", full)
    with pytest.raises(ModelException, match="unique"):
        Card.create(name="c", code="1", text="zzz")
    assert "could not be undone: disk full" in caplog.text
