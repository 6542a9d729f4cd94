"""The store of every `ContentField` that names none of its own."""

from __future__ import annotations

import os
from pathlib import Path

from popoto.stores.abstract import AbstractContentStore
from popoto.stores.filesystem import FilesystemStore

__all__ = ["content_path", "get_default_store", "set_content_path", "set_default_store"]


class _Default:
    """What this process has chosen; None until somebody asks."""

    store: AbstractContentStore | None = None
    #: the directory that somebody has named, and what the environment said then
    path: tuple[str, str | None] | None = None


#: What names the directory of contents and of vectors, where nobody else does.
VARIABLE = "POPOTO_CONTENT_PATH"


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
    _Default.path = None


def set_content_path(path: str | os.PathLike[str]) -> None:
    """Keep contents, and what goes beside them, below this directory from now on."""
    store = FilesystemStore(path)
    set_default_store(store)
    _Default.path = store.base_path, os.environ.get(VARIABLE)


def content_path() -> str:
    """The directory beside whose contents other files go. Looked up at each use.

    The one that was named last: by `set_content_path`, or by the environment since then.
    """
    if _Default.path is not None and _Default.path[1] == os.environ.get(VARIABLE):
        return _Default.path[0]
    return os.environ.get(VARIABLE) or str(Path("~", ".popoto", "content").expanduser())
