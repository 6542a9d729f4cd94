"""A provider whose vectors are known, and that remembers what it was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from popoto.embeddings import AbstractEmbeddingProvider


class Known(AbstractEmbeddingProvider):
    """Looks vectors up in a table; other texts have (1, 1, 1)."""

    def __init__(
        self,
        table: Mapping[str, Sequence[float]] | None = None,
        *,
        dimensions: int = 3,
        name: str | None = None,
        size: int = 100,
    ) -> None:
        self.table = dict(table or {})
        self.name = name
        self.size = size
        self._dimensions = dimensions
        self.calls: list[tuple[list[str], str | None]] = []
        self.error: Exception | None = None

    def embed(self, texts: list[str], input_type: str | None = None) -> list[list[float]]:
        self.calls.append((list(texts), input_type))
        if self.error is not None:
            raise self.error
        usual = [1.0] * self._dimensions
        return [[float(each) for each in self.table.get(text, usual)] for text in texts]

    @property
    def texts(self) -> list[str]:
        """All texts that were embedded to be stored."""
        return [text for texts, kind in self.calls if kind == "document" for text in texts]

    @property
    def model_name(self) -> str | None:
        return self.name

    @property
    def dimensions(self) -> int:
        return self._dimensions

    @property
    def max_batch_size(self) -> int:
        return self.size


#: The vectors of spec/4 section 9, and its questions.
TABLE = {
    "a": (3, 4, 0),
    "b": (0, 1, 0),
    "c": (-1, 0, 0),
    "d": (0, 0, 2),
    "right": (1, 0, 0),
    "up": (1, 1, 0),
    "left": (-2, -1, 0),
}
