"""Content stores: where long texts go, while the record keeps a reference."""

from popoto.stores.abstract import AbstractContentStore, ContentReferenceError
from popoto.stores.filesystem import FilesystemStore

__all__ = ["AbstractContentStore", "ContentReferenceError", "FilesystemStore"]
