"""`configure`: the defaults of this process."""

from __future__ import annotations

import os

from popoto._unknown_names import set_strict, warn_caller
from popoto.embeddings.abstract import AbstractEmbeddingProvider, check_provider
from popoto.embeddings.default import set_default_provider
from popoto.engine.blocking import set_may_block
from popoto.exceptions import ConfigurationError
from popoto.stores.abstract import AbstractContentStore, check_store
from popoto.stores.default import set_content_path, set_default_store

__all__ = ["configure"]


def configure(
    embedding_provider: AbstractEmbeddingProvider | None = None,
    content_store: AbstractContentStore | None = None,
    content_path: str | os.PathLike[str] | None = None,
    strict: bool | None = None,
    blocking_relationships: bool | None = None,
) -> None:
    """Set the defaults of this process; what is left out stays as it is.

    `embedding_provider`  who embeds for fields without a provider of their own
    `content_store`       where fields without a store of their own keep their texts
    `content_path`        the same, as the directory of a `FilesystemStore`, and of vectors that are
                          kept in files; a `content_store` comes first, with a warning
    `strict`              True: unknown keywords and `Meta` options are refused (UnknownNameError)
                          where a model's own `Meta.strict` does not say otherwise; False: a
                          warning, as at the beginning
    `blocking_relationships`  True: attributes may read related records where that blocks a
                          running event loop (notebooks); False: that is a BlockingReadError, as
                          at the beginning

    Fields see it at once. What was stored elsewhere stays there. Touches no file and no
    server. What is no provider or no store is told of; a flag that is not True or False, and what
    is no path, raises ConfigurationError, and nothing is changed then.
    """
    check_provider(embedding_provider, "configure(embedding_provider=…)")
    check_store(content_store, "configure(content_store=…)")
    for name, flag in (("strict", strict), ("blocking_relationships", blocking_relationships)):
        if not isinstance(flag, bool | None):
            raise ConfigurationError(f"configure({name}=…) must be True or False, got {flag!r}")
    given: object = content_path
    if content_path is not None and not (given and isinstance(given, (str, os.PathLike))):
        raise ConfigurationError(f"configure(content_path=…) must be a path, got {given!r}")
    if embedding_provider is not None:
        set_default_provider(embedding_provider)
    if content_store is not None:
        if content_path is not None:
            warn_caller("configure(): with a content_store, nothing reads the content_path")
        set_default_store(content_store)
    elif content_path is not None:
        set_content_path(content_path)
    if strict is not None:
        set_strict(strict)
    if blocking_relationships is not None:
        set_may_block(blocking_relationships)
