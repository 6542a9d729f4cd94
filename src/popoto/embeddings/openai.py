"""`OpenAIProvider`: embeddings of OpenAI's API, by its SDK."""

from __future__ import annotations

import importlib
from typing import Any

from popoto._packages import is_installed
from popoto.embeddings.abstract import AbstractEmbeddingProvider, batches, vectors

__all__ = ["OpenAIProvider"]

#: Whether the SDK can be imported.
_openai_available = is_installed("openai")

#: How long vectors are that are not asked to be shorter.
_NATIVE_DIMENSIONS = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}


class OpenAIProvider(AbstractEmbeddingProvider):
    """Embeddings of OpenAI.

    `api_key`  else the SDK reads OPENAI_API_KEY
    `model`    the model's name
    `dim`      the length of the vectors; sent along where the model has another by itself

    Raises ImportError without the SDK (``pip install 'popoto[openai]'``). One request for each
    2,048 texts.
    """

    def __init__(
        self,
        api_key: str | None = None,
        model: str = "text-embedding-3-small",
        dim: int = 1536,
    ) -> None:
        if not _openai_available:
            raise ImportError(
                "OpenAIProvider needs the openai package: pip install 'popoto[openai]'"
            )
        sdk: Any = importlib.import_module("openai")
        self._client: Any = sdk.OpenAI(api_key=api_key)
        self._model = model
        self._dim = dim

    @property
    def model_name(self) -> str:
        """The model, as the constructor was given it."""
        return self._model

    @property
    def dimensions(self) -> int:
        """The length of the vectors."""
        return self._dim

    @property
    def max_batch_size(self) -> int:
        """How many texts go into one request."""
        return 2048

    def embed(self, texts: list[str], input_type: str | None = None) -> list[list[float]]:
        """One vector for each text; `input_type` means nothing to this service.

        Raises RuntimeError when a request fails.
        """
        arguments: dict[str, Any] = {"model": self._model}
        if self._dim != _NATIVE_DIMENSIONS.get(self._model, self._dim):
            arguments["dimensions"] = self._dim
        found: list[list[float]] = []
        for batch in batches(texts, self.max_batch_size):
            try:
                answer = self._client.embeddings.create(input=batch, **arguments)
            except Exception as error:
                raise RuntimeError(f"OpenAI could not embed {len(batch)} texts: {error}") from error
            found += vectors((each.embedding for each in answer.data), len(batch), "OpenAI")
        return found
