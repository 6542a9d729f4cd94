from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from popoto import EmbeddingField, KeyField, Model, SortedField, StringField
from popoto.embeddings.default import set_default_provider
from popoto.fields.embedding_field import invalidate_cache
from popoto.stores.default import set_default_store
from tests.vectors.provider import TABLE, Known


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / ".embeddings"


@pytest.fixture(autouse=True)
def _own_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("POPOTO_CONTENT_PATH", str(tmp_path))
    invalidate_cache()
    yield
    set_default_provider(None)
    set_default_store(None)


@pytest.fixture
def provider() -> Known:
    return Known(TABLE)


@pytest.fixture(params=["files", "server"])
def store(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def note(provider: Known, store: Any) -> Any:
    """A model whose vectors are kept in each of the two places."""

    class Note(Model):
        name = KeyField()
        text = StringField()
        rank = SortedField(type=int, default=0)
        vector = EmbeddingField(source="text", provider=provider, store=store)

    return Note
