"""Texts that are to be embedded, and asking a provider for their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from popoto.embeddings.abstract import AbstractEmbeddingProvider, batches
from popoto.engine.codec import encoder_for
from popoto.engine.request import Call, Plan
from popoto.fields.describing import describe
from popoto.fields.keeping.stand_in import Prepared, StandIn
from popoto.fields.vectors.keeper import Described
from popoto.memory.vectors.arrays import Array, array_of

__all__ = [
    "Embedded",
    "Unembedded",
    "Unvectored",
    "described_by",
    "embedded",
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
    """A number of dimensions as it is stored, and the vector that it is about."""

    vector: Array
    described: Described


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
    wanted = list(dict.fromkeys(texts))
    vectors: dict[str, Array | None] = {}
    for batch in batches(wanted, _batch_size(provider, len(wanted))):
        found = yield _call(provider, batch, input_type)
        if found is None or len(found) == 0:
            vectors |= dict.fromkeys(batch)
            continue
        if len(found) != len(batch):
            raise RuntimeError(f"{len(found)} vectors for {len(batch)} texts")
        vectors |= zip(batch, map(array_of, found), strict=True)
    for vector in vectors.values():
        _check_length(provider, vector)
    return [vectors[text] for text in texts]


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
    return RuntimeError(
        f"Embedding provider failed for {label}: {error or describe(error)}; {outcome}"
    )
