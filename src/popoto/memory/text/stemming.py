"""Words without their endings: the Snowball stemmers, where `snowballstemmer` is installed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache, lru_cache
from importlib import import_module, metadata

from popoto._packages import is_installed

__all__ = ["LANGUAGES", "is_available", "stemmer_of", "stemmer_version"]

#: The languages that there is a stemmer for.
LANGUAGES = (
    *("arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "esperanto"),
    *("estonian", "finnish", "french", "german", "greek", "hindi", "hungarian", "indonesian"),
    *("irish", "italian", "lithuanian", "nepali", "norwegian", "portuguese", "romanian"),
    *("russian", "serbian", "spanish", "swedish", "tamil", "turkish", "yiddish"),
)
_PACKAGE = "snowballstemmer"
#: A stemmer keeps what it works on, so each thread has its own.
_OF_THREAD = threading.local()


def is_available() -> bool:
    """Whether the package is installed."""
    return is_installed(_PACKAGE)


def stemmer_version() -> str:
    """The release of the stemmers, as another one may give other stems."""
    return ".".join(metadata.version(_PACKAGE).split(".")[:2])


@cache
def stemmer_of(language: str) -> Callable[[str], str]:
    """What takes the endings off words of a language."""

    @lru_cache(maxsize=65536)
    def stem(word: str) -> str:
        made = vars(_OF_THREAD).get(language)
        if made is None:
            # By its name: it brings no types.
            made = import_module(_PACKAGE).stemmer(language)  # optional
            setattr(_OF_THREAD, language, made)
        found: str = made.stemWord(word)
        return found

    return stem
