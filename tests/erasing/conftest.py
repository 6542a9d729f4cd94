from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from popoto.fields.embedding_field import invalidate_cache
from popoto.stores.default import set_default_store


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where contents and vectors are."""
    monkeypatch.setenv("POPOTO_CONTENT_PATH", str(tmp_path))
    invalidate_cache()
    set_default_store(None)
    yield tmp_path
    set_default_store(None)
