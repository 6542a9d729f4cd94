from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from popoto.embeddings.default import set_default_provider
from popoto.fields.content_field import set_default_store
from popoto.stores import AbstractContentStore, FilesystemStore


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The directory of the default store; it does not exist yet."""
    return tmp_path / "content"


@pytest.fixture(autouse=True)
def _own_defaults(directory: Path) -> Iterator[None]:
    set_default_store(FilesystemStore(directory))
    yield
    set_default_store(None)
    set_default_provider(None)


class CountingStore(AbstractContentStore):
    """Contents in memory, with references of another form, and a record of every call."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []
        self.saved: list[tuple[bytes, str, str]] = []
        self.loaded: list[str] = []

    def save(self, content: bytes, key: str, model_class_name: str) -> str:
        self.saved.append((content, key, model_class_name))
        self.contents.append(content)
        return f"mem://{len(self.contents) - 1}"

    def load(self, reference: str) -> bytes:
        self.loaded.append(reference)
        try:
            return self.contents[int(reference.removeprefix("mem://"))]
        except (ValueError, IndexError):
            raise FileNotFoundError(reference) from None

    def delete(self, reference: str) -> None:
        raise FileNotFoundError(reference)

    def exists(self, reference: str) -> bool:
        return reference.startswith("mem://")


@pytest.fixture
def counting() -> CountingStore:
    return CountingStore()
