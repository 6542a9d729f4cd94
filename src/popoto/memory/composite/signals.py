"""Signals: numbers for records, from one index each, that a ranking adds up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from popoto.engine.request import Argument
from popoto.engine.scripts import QUERY, Script
from popoto.engine.tree import Keys

__all__ = [
    "COMPOSITE",
    "Signal",
    "access_counts",
    "confidences",
    "cyclic",
    "decay",
    "given",
    "scores",
    "spreading",
]

COMPOSITE: Final[Script] = QUERY.ended(
    "composite",
    *("decay/formula.lua", "cycles/score.lua", "confidence/reading.lua"),
    "associations/spreading.lua",
    *("composite/signals.lua", "composite/joining.lua", "composite/composite.lua"),
    package="popoto.memory",
)


@dataclass(frozen=True, slots=True)
class Signal:
    """One index, and how composite.lua reads scores from it (composite/signals.lua)."""

    kind: str
    #: the keys it looks at, with the kind of key that each has to be; None: there is none
    keys: tuple[tuple[str, str] | None, ...] = ()
    settings: tuple[Argument, ...] = ()
    #: sorted sets that it looks at besides, by their names
    declared: tuple[str, ...] = ()

    def encode(self, weight: float, keys: Keys, out: list[Argument]) -> None:
        """Append the signal to the arguments of composite.lua."""
        out += (self.kind, repr(float(weight)))
        out += (0 if each is None else keys.position(each[0]) for each in self.keys)
        for key in self.declared:
            keys.position(key)
        out += self.settings


def scores(key: str) -> Signal:
    """The scores of a sorted set as they are."""
    return Signal("scores", ((key, "zset"),))


def decay(key: str, bases: str | None, rate: float, base_field: str | None) -> Signal:
    """The moments of a sorted set, decayed until now."""
    keys = ((key, "zset"), None if bases is None else (bases, "zset"))
    return Signal("decay", keys, (repr(float(rate)), base_field or ""))


def cyclic(
    key: str, bases: str | None, hashes: tuple[str, str], rate: float, base_field: str | None
) -> Signal:
    """As `decay`, with what cycles and pressure add."""
    plain = decay(key, bases, rate, base_field)
    companions = tuple((each, "hash") for each in hashes)
    return Signal("cyclic", (*plain.keys, *companions), plain.settings)


def confidences(key: str, initial: float) -> Signal:
    """The confidences that the evidence of a hash tells."""
    return Signal("confidence", ((key, "hash"),), (repr(float(initial)),))


def access_counts(record_keys: str, stem: str) -> Signal:
    """How often records were read, each in a hash under a key that begins with `stem`.

    `record_keys`: a sorted set of the keys of the records, as far as it is complete.
    """
    return Signal("access", ((record_keys, "zset"),), (stem,))


def given(numbers: Mapping[str, float]) -> Signal:
    """Numbers that the caller has, by record key."""
    pairs: list[Argument] = []
    for key, number in numbers.items():
        pairs += (key, repr(float(number)))
    return Signal("given", (), (len(numbers), *pairs))


def spreading(
    stem: str, seeds: Sequence[str], depth: int, decay: float, threshold: float, most: int
) -> Signal:
    """The activation that spreads from these keys; keys of edges begin with `stem`."""
    numbers = (depth, repr(float(decay)), repr(float(threshold)), most)
    edges = tuple(stem + seed for seed in seeds)
    return Signal("spread", (), (len(seeds), *seeds, stem, *numbers), edges)
