"""`VoyageProvider`: embeddings of Voyage AI, by its SDK."""

from __future__ import annotations

import importlib
from typing import Any

from popoto._packages import is_installed
from popoto.embeddings.abstract import AbstractEmbeddingProvider, batches, vectors

__all__ = ["VoyageProvider"]

#: Whether the SDK can be imported.
_voyageai_available = is_installed("voyageai")

_USUAL_DIMENSIONS = 1024
#: Models whose vectors have another length.
_DIMENSIONS = {
    "voyage-3-lite": 512,
    "voyage-code-2": 1536,
    "voyage-large-2": 1536,
}


class VoyageProvider(AbstractEmbeddingProvider):
    """Embeddings of Voyage AI.

    `api_key`  else the SDK reads VOYAGE_API_KEY
    `model`    the model's name

    Raises ImportError without the SDK (``pip install 'popoto[voyage]'``). One request for each
    128 texts.
    """

    def __init__(self, api_key: str | None = None, model: str = "voyage-3") -> None:
        if not _voyageai_available:
            raise ImportError(
                "VoyageProvider needs the voyageai package: pip install 'popoto[voyage]'"
            )
        sdk: Any = importlib.import_module("voyageai")
        self._client: Any = sdk.Client(api_key=api_key)
        self._model = model

    @property
    def model_name(self) -> str:
        """The model, as the constructor was given it."""
        return self._model

    @property
    def dimensions(self) -> int:
        """The length of the vectors."""
        return _DIMENSIONS.get(self._model, _USUAL_DIMENSIONS)

    @property
    def max_batch_size(self) -> int:
        """How many texts go into one request."""
        return 128

    def embed(self, texts: list[str], input_type: str | None = None) -> list[list[float]]:
        """One vector for each text. Raises RuntimeError when a request fails."""
        found: list[list[float]] = []
        for batch in batches(texts, self.max_batch_size):
            try:
                answer = self._client.embed(batch, model=self._model, input_type=input_type)
            except Exception as error:
                raise RuntimeError(f"Voyage could not embed {len(batch)} texts: {error}") from error
            found += vectors(answer.embeddings, len(batch), "Voyage")
        return found
