"""The store of every `ContentField` that names none of its own."""

from __future__ import annotations

from popoto.stores.abstract import AbstractContentStore
from popoto.stores.filesystem import FilesystemStore

__all__ = ["get_default_store", "set_default_store"]


class _Default:
    """What this process has chosen; None until somebody asks."""

    store: AbstractContentStore | None = None


def get_default_store() -> AbstractContentStore:
    """The default store. The first call makes a `FilesystemStore()`, unless one was set."""
    if _Default.store is None:
        _Default.store = FilesystemStore()
    return _Default.store


def set_default_store(store: AbstractContentStore | None) -> None:
    """Use this store from now on, in all fields without one of their own.

    None forgets it, so that the environment decides again. What was saved elsewhere stays
    there and is not found through the new store.
    """
    _Default.store = store
