"""Which of the records that were gathered go into the context: as many as its budget allows."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

__all__ = ["Rendered", "estimated_tokens", "length_as_tokens", "within"]

logger = logging.getLogger("POPOTO.ContextAssembler")

_PIECES: Final = re.compile(r"[A-Z]?[a-z]+|[^\x00-\x7f]+| +|.", re.DOTALL)

Counter = Callable[[Any], Any]


class Rendered(str):
    """The text of one record as it stands in the context. Its attributes are the record's."""

    __slots__ = ("record",)

    record: Any

    @classmethod
    def of(cls, text: str, record: Any) -> Rendered:
        """The text of a record."""
        rendered = cls(text)
        rendered.record = record
        return rendered

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "record"), name)


def length_as_tokens(given: Any) -> int:
    """A rough figure: four characters a token."""
    return len(str(given)) // 4


def estimated_tokens(text: str) -> int:
    """At least as many tokens as tokenizers of language models make of a text.

    Of words a token, and one for every two letters; every digit, sign and line end is one, and
    every byte of what is no ASCII. Of English prose that is about three times what a tokenizer
    makes: hand in a counter to use a budget to the full.
    """
    tokens = 0
    for piece in _PIECES.findall(text):
        if not piece.isascii():
            tokens += len(piece.encode("utf-8", "surrogatepass"))
        elif piece.isalpha():
            tokens += 1 + len(piece) // 2
        elif piece != " ":
            # A single space is part of the word that follows.
            tokens += 1
    return tokens


def within(
    records: Sequence[Any],
    most: int | None,
    counter: Counter | None,
    render: Callable[[Sequence[Any]], str],
) -> tuple[list[Any], int]:
    """The first records whose rendering has at most so many tokens, and how many it has.

    One is kept at least. Each is counted within the frame of the whole, which so counts more than
    once. Without a counter `estimated_tokens` counts; so it does where the counter fails.
    """
    kept: list[Any] = []
    total = 0
    for number, record in enumerate(records, 1):
        text = Rendered.of(render([record]) + "\n", record)
        tokens = _counted(text, counter) + (len(str(number)) if counter is None else 0)
        if kept and most is not None and total + tokens > most:
            break
        kept.append(record)
        total += tokens
    return kept, total


def _counted(text: Rendered, counter: Counter | None) -> int:
    if counter is None:
        return estimated_tokens(text)
    try:
        return int(counter(text))
    except Exception as error:  # noqa: BLE001 - a counter of the caller's own, of any kind
        logger.warning("token_counter failed, so that the estimate counts: %r", error)
        return estimated_tokens(text)
