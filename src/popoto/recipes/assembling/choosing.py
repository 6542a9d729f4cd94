"""Which of the records that were gathered go into the context: as many as its budget allows."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Budget", "Rendered", "estimated_tokens", "length_as_tokens", "within"]

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


@dataclass(frozen=True, slots=True)
class Budget:
    """How many tokens there may be, None for any number, and how they are counted.

    `counter`    of the caller's own; without one `estimated_tokens` counts, as where it fails
    `is_strict`  nothing is kept that does not fit, and shorter records that follow are; otherwise
                 one is kept at least, and the first that does not fit ends the list
    """

    most: int | None
    counter: Counter | None
    is_strict: bool

    def count(self, text: Rendered) -> int:
        """The tokens of a text."""
        if self.counter is None:
            return estimated_tokens(text)
        try:
            tokens = int(self.counter(text))
            if tokens < 0:
                raise ValueError(f"{tokens} tokens")  # noqa: TRY301  # as wrong as any other answer
            return tokens
        except Exception as error:  # noqa: BLE001 - a counter of the caller's own, of any kind
            logger.warning("token_counter failed, so that the estimate counts: %r", error)
            return estimated_tokens(text)


def within(
    records: Sequence[Any], budget: Budget, render: Callable[[Sequence[Any]], str]
) -> tuple[list[Any], int]:
    """The first records whose rendering has at most so many tokens, and how many it has.

    Each is counted within the frame of the whole, which so counts more than once. Of what is
    chosen the whole rendering is counted too, in case the counter finds more in it.
    """
    kept: list[Any] = []
    counts: list[int] = []
    most = math.inf if budget.most is None else budget.most
    is_plain = budget.counter is None
    for number, record in enumerate(records, 1):
        tokens = budget.count(Rendered.of(render([record]) + "\n", record))
        tokens += len(str(number)) if is_plain else 0
        if sum(counts) + tokens <= most or not (kept or budget.is_strict):
            kept.append(record)
            counts.append(tokens)
        elif not budget.is_strict:
            break
    total = sum(counts)
    if budget.most is None:
        return kept, total
    while kept:
        total = max(sum(counts), budget.count(Rendered.of(render(kept), kept[0])))
        if total <= most or (len(kept) == 1 and not budget.is_strict):
            return kept, total
        kept.pop()
        counts.pop()
    return [], 0
