"""The provider of every embedding field that names none of its own."""

from __future__ import annotations

from popoto.embeddings.abstract import AbstractEmbeddingProvider

__all__ = ["get_default_provider", "set_default_provider"]


class _Default:
    """What this process has chosen."""

    provider: AbstractEmbeddingProvider | None = None


def get_default_provider() -> AbstractEmbeddingProvider | None:
    """The default provider, or None while there is none."""
    return _Default.provider


def set_default_provider(provider: AbstractEmbeddingProvider | None) -> None:
    """Use this provider from now on, where no other is named; None forgets it."""
    _Default.provider = provider
