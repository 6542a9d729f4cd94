"""Texts that are to be embedded, and asking a provider for their vectors."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from popoto.embeddings.abstract import (
    AbstractEmbeddingProvider,
    LateInteractionProvider,
    batches,
)
from popoto.engine.codec import encoder_for
from popoto.engine.request import Call, Plan
from popoto.fields.describing import describe
from popoto.fields.given import is_mapping, is_several
from popoto.fields.keeping.stand_in import Prepared, StandIn
from popoto.fields.vectors.keeper import Described
from popoto.memory.text.segments import folded
from popoto.memory.text.stop_words import STOP_WORDS_BY_LANGUAGE
from popoto.memory.vectors.arrays import Array, array_of
from popoto.memory.vectors.words import rows_of_words

__all__ = [
    "Embedded",
    "Unembedded",
    "Unvectored",
    "Worded",
    "answered",
    "described_by",
    "embedded",
    "embedded_by_word",
    "encode_dimensions",
    "provider_failure",
]


class Unembedded(StandIn):
    """The stored form of a text that is not embedded yet; the bytes say of which text and key."""

    key: str
    #: the key until the record moves
    old_key: str
    #: "embed"; "keep" for a text that is known to be the embedded one; "clear" for none
    task: str
    #: what the record holds of the field, or the commit writes; whether it is stored already
    held: bytes
    is_stored: bool
    dimensions: int | None


class Embedded(Prepared):
    """A number of dimensions as it is stored, and the vector that it is about.

    `words`: those of its words, packed; None where the provider tells none.
    """

    vector: Array
    described: Described
    words: bytes | None


class Unvectored(Prepared):
    """What is stored where a text has no vector. `is_missing`: it is to have one later."""

    is_missing: bool

    @classmethod
    def of(cls, stored: bytes, *, is_missing: bool) -> Unvectored:
        """These bytes, in place of a number of dimensions."""
        found = cls(stored)
        found.is_missing = is_missing
        return found


encode_dimensions = encoder_for(int)


def described_by(provider: Any, dimensions: int, form: str) -> Described:
    """What vectors of this provider are made with."""
    name: object = getattr(provider, "model_name", None)
    return Described(name if isinstance(name, str) else "", dimensions, form)


def embedded(provider: Any, texts: Sequence[str], input_type: str) -> Plan[list[Array | None]]:
    """A vector for each text, each different text embedded once; None where there is none.

    Raises what the provider raises, ValueError for vectors of a wrong length.
    """

    def call(batch: list[str]) -> Call:
        return _call(provider, batch, input_type)

    found = yield from _answers(provider, texts, call)
    vectors = {text: None if told is None else array_of(told) for text, told in found.items()}
    for vector in vectors.values():
        _check_length(provider, vector)
    return [vectors[text] for text in texts]


def embedded_by_word(
    provider: LateInteractionProvider, texts: Sequence[str], input_type: str
) -> Plan[list[Worded | None]]:
    """The same, with the vectors of words."""

    def call(batch: list[str]) -> Call:
        return Call(
            lambda: provider.embed_words(batch, input_type=input_type),
            lambda: provider.async_embed_words(batch, input_type=input_type),
        )

    found = yield from _answers(provider, texts, call)
    answers = {
        text: None if told is None else Worded.of(provider, told) for text, told in found.items()
    }
    return [answers[text] for text in texts]


def _answers(
    provider: Any, texts: Sequence[str], call: Callable[[list[str]], Call]
) -> Plan[dict[str, Any]]:
    """What a provider says of each different text, as many at a time as it takes."""
    wanted = list(dict.fromkeys(texts))
    told: dict[str, Any] = {}
    for batch in batches(wanted, _batch_size(provider, len(wanted))):
        found = _listed(provider, (yield call(batch)))
        if not found:
            told |= dict.fromkeys(batch)
            continue
        if len(found) != len(batch):
            who = type(provider).__name__
            raise RuntimeError(f"{who} returned {len(found)} vectors for {len(batch)} texts")
        told |= zip(batch, found, strict=True)
    return told


def _listed(provider: Any, given: Any) -> list[Any]:
    """What a provider has returned, as a list. RuntimeError for what cannot be vectors of texts."""
    who = type(provider).__name__
    if given is None:
        return []
    if inspect.isawaitable(given):
        if inspect.iscoroutine(given):
            given.close()
        raise RuntimeError(f"{who} has an async embed(), which nothing awaits: name it async_embed")
    if is_several(given) and not is_mapping(given):
        found = list(given)
        if not (found and isinstance(found[0], numbers.Real)):
            return found
        told = "one vector"
    else:
        told = describe(given)
    raise RuntimeError(f"{who} returned {told}; a list of vectors, one for each text, is due")


def answered(provider: Any, vectors: Sequence[object]) -> None:
    """RuntimeError where a provider has told no vector of a question."""
    if any(vector is None for vector in vectors):
        raise RuntimeError(f"{type(provider).__name__} returned no vector for the question")


@dataclass(frozen=True, slots=True)
class Worded:
    """The vector of a text, its telling words, and their vectors as rows of length 1."""

    vector: Array
    words: tuple[str, ...]
    rows: Array

    @classmethod
    def of(cls, provider: LateInteractionProvider, told: Any) -> Self:
        """Without the stop words of the provider's language. ValueError for wrong lengths."""
        try:
            whole, words, vectors = told
        except (TypeError, ValueError) as error:
            raise RuntimeError(
                f"{type(provider).__name__}.embed_words() returned {describe(told)} for a text, "
                "where TextVectors(vector, words, word_vectors) is due"
            ) from error
        vector = array_of(whole)
        _check_length(provider, vector)
        if len(words) != len(vectors):
            raise RuntimeError(f"{len(vectors)} vectors for {len(words)} words")
        stops = STOP_WORDS_BY_LANGUAGE.get(provider.language or "", frozenset())
        kept = [place for place, word in enumerate(words) if folded(word) not in stops]
        rows = rows_of_words([vectors[place] for place in kept], len(vector))
        return cls(vector, tuple(words[place] for place in kept), rows)


class _WrongLength(ValueError):
    """A provider has made vectors of another length than it says."""


def _check_length(provider: Any, vector: Array | None) -> None:
    if vector is None:
        return
    dimensions = provider.dimensions
    if len(vector) != dimensions:
        raise _WrongLength(
            f"{type(provider).__name__} returned a vector of {len(vector)} dimensions, but says "
            f"that they have {dimensions}"
        )


def _batch_size(provider: Any, number: int) -> int:
    size: object = getattr(provider, "max_batch_size", None)
    return size if isinstance(size, int) and size > 0 else max(number, 1)


def _call(provider: Any, texts: list[str], input_type: str) -> Call:
    def call() -> Any:
        return provider.embed(texts, input_type=input_type)

    if not isinstance(provider, AbstractEmbeddingProvider):
        return Call(call)
    return Call(call, lambda: provider.async_embed(texts, input_type=input_type))


def provider_failure(label: str, error: Exception, outcome: str) -> Exception:
    """The error for a provider that has failed; one of wrong lengths is told as it is."""
    if isinstance(error, _WrongLength):
        return ValueError(f"{label}: {error}; {outcome}")
    model, _, name = label.rpartition(".")
    return RuntimeError(
        f"Embedding provider failed for {name} of {model}: {error or describe(error)}; {outcome}"
    )
