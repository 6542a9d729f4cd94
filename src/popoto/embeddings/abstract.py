"""`AbstractEmbeddingProvider`: what popoto asks of a service that embeds texts."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

from popoto._unknown_names import is_strict, tell, tell_of_class

__all__ = [
    "AbstractEmbeddingProvider",
    "LateInteractionProvider",
    "TextVectors",
    "batches",
    "check_provider",
    "vectors",
]


class AbstractEmbeddingProvider(ABC):
    """Turns texts into vectors of one length."""

    @abstractmethod
    def embed(self, texts: list[str], input_type: str | None = None) -> list[list[float]]:
        """One vector for each text, in order; none for no texts.

        `input_type` is "document" for texts that are stored, "query" for those that are
        searched with, None for others. Raises RuntimeError when the service fails, ValueError
        for texts that it cannot take. Blocks.
        """

    async def async_embed(
        self, texts: list[str], input_type: str | None = None
    ) -> list[list[float]]:
        """`embed` for asyncio: in a worker thread, unless a provider has something better."""
        return await asyncio.to_thread(self.embed, texts, input_type)

    @property
    def model_name(self) -> str | None:
        """The model, by whose name vectors of another one are told; None: it is not told."""
        return None

    @property
    @abstractmethod
    def dimensions(self) -> int:
        """The length of the vectors."""

    @property
    @abstractmethod
    def max_batch_size(self) -> int:
        """How many texts one call of the service takes."""


def check_provider(provider: object, where: str) -> None:
    """Tell of what is neither None nor a provider, in fact if not by its class."""
    if tell_of_class(provider, "embed", where):
        return
    if provider is not None and not callable(getattr(provider, "embed", None)):
        tell(
            f"{where} takes a provider, with a method embed(texts), such as OllamaProvider(); "
            f"{provider!r} cannot embed",
            refuse=is_strict(),
        )


class TextVectors(NamedTuple):
    """What a text means as a whole, and each of its words where it stands.

    `vector`        as `embed` has it
    `words`         the words in order, as they stand in the text
    `word_vectors`  one for each of them, all as long as `vector`: rows of an array, or lists
    """

    vector: Sequence[float]
    words: Sequence[str]
    word_vectors: Sequence[Sequence[float]]


class LateInteractionProvider(AbstractEmbeddingProvider):
    """A provider that also tells a vector for each word in its context.

    `recall` compares the words of a question with those of its best candidates, each with the
    one that is nearest to it: late interaction (Khattab and Zaharia, "ColBERT", 2020).
    """

    #: The language whose stop words tell nothing ("english", say); None: each word is kept.
    language: ClassVar[str | None] = None

    @abstractmethod
    def embed_words(self, texts: list[str], input_type: str | None = None) -> list[TextVectors]:
        """As `embed`, with the vectors of words beside that of each text. Blocks."""

    async def async_embed_words(
        self, texts: list[str], input_type: str | None = None
    ) -> list[TextVectors]:
        """`embed_words` for asyncio: in a worker thread, unless a provider has something better."""
        return await asyncio.to_thread(self.embed_words, texts, input_type)


def batches(texts: Sequence[str], size: int) -> Iterator[list[str]]:
    """The texts in lists that one call takes."""
    for first in range(0, len(texts), size):
        yield list(texts[first : first + size])


def vectors(given: Iterable[Iterable[Any]], count: int, who: str) -> list[list[float]]:
    """A service's answer as lists of floats. Raises RuntimeError unless it is one for each text."""
    try:
        found = [[float(number) for number in vector] for vector in given]
    except (TypeError, ValueError) as error:
        raise RuntimeError(f"{who} returned something else than vectors: {error}") from error
    if len(found) != count:
        raise RuntimeError(f"{who} returned {len(found)} vectors for {count} texts")
    return found
