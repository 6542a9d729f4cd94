"""Embedding providers: who turns texts into vectors.

`OpenAIProvider` and `VoyageProvider` need an SDK each and are imported from their modules.
`__all__` is that of popoto 1.6; `LateInteractionProvider` and `TextVectors` are public too.
"""

from popoto.embeddings.abstract import (
    AbstractEmbeddingProvider,
)
from popoto.embeddings.abstract import (
    LateInteractionProvider as LateInteractionProvider,
)
from popoto.embeddings.abstract import (
    TextVectors as TextVectors,
)
from popoto.embeddings.ollama import OllamaProvider

__all__ = [
    "AbstractEmbeddingProvider",
    "OllamaProvider",
]
