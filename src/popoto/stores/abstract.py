"""`AbstractContentStore`: what a `ContentField` asks of the place where its texts are kept."""

from __future__ import annotations

from abc import ABC, abstractmethod

from popoto._unknown_names import is_strict, tell, tell_of_class

__all__ = ["AbstractContentStore", "ContentReferenceError", "check_store"]


class ContentReferenceError(ValueError, FileNotFoundError):
    """A text that no `save` of the store has returned, so there is no content behind it."""


def check_store(store: object, where: str) -> None:
    """Tell of what is neither None nor a store, in fact if not by its class."""
    methods = ("save", "load", "delete", "exists")
    if tell_of_class(store, "save", where):
        return
    if store is not None and not all(callable(getattr(store, name, None)) for name in methods):
        tell(
            f"{where} takes a content store, with methods {', '.join(methods)}, such as "
            f"FilesystemStore(path); {store!r} cannot keep texts",
            refuse=is_strict(),
        )


class AbstractContentStore(ABC):
    """A place for texts of any length. The format of references is the store's own.

    A reference that was returned stays good: `load` gives these bytes until they are
    deleted, whatever is saved under the same key later. Methods block; the asyncio methods
    of models call them in a worker thread, so they must not depend on the thread they run in.
    """

    @abstractmethod
    def save(self, content: bytes, key: str, model_class_name: str) -> str:
        """Keep the content and return a reference to it, which is never empty.

        `key` tells records and fields of the model apart. When this returns, the content
        must be there: the record that refers to it is written next.
        """

    @abstractmethod
    def load(self, reference: str) -> bytes:
        """The content. Raises FileNotFoundError where it is missing."""

    @abstractmethod
    def delete(self, reference: str) -> None:
        """Remove the content. Raises FileNotFoundError where it is missing."""

    @abstractmethod
    def exists(self, reference: str) -> bool:
        """Whether `load` would find the content; False for what is no reference."""

    def is_reference(self, stored: str) -> bool:
        """Whether a text found in a record is a reference; otherwise it is the value itself.

        Texts of this package never stand in records, so the answer is True by default. A
        store whose references can be recognised lets texts stay readable that were stored
        before their field became a `ContentField`.
        """
        return True
