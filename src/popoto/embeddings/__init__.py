"""Embedding providers: who turns texts into vectors.

`OpenAIProvider` and `VoyageProvider` need an SDK each and are imported from their modules.
"""

from popoto.embeddings.abstract import (
    AbstractEmbeddingProvider,
    LateInteractionProvider,
    TextVectors,
)
from popoto.embeddings.ollama import OllamaProvider

__all__ = [
    "AbstractEmbeddingProvider",
    "LateInteractionProvider",
    "OllamaProvider",
    "TextVectors",
]
