"""Looking along sequences."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import TypeVar

from popoto._former_names import formerly

T = TypeVar("T")


def window(seq: Iterable[T], n: int = 2) -> Iterator[tuple[T, ...]]:
    """Overlapping tuples of `n` neighbours: (1, 2), (2, 3) … Shorter input yields none.

    Reads the input as it goes and holds `n` items. Raises ValueError for `n` below 1.
    """
    if n < 1:
        raise ValueError(f"a window holds at least one item, not {n}")
    items = iter(seq)
    held = deque(islice(items, n), maxlen=n)
    if len(held) == n:
        yield tuple(held)
    for item in items:
        held.append(item)
        yield tuple(held)


@formerly(L="sorted_ints")
def missing_elements(sorted_ints: Sequence[int]) -> list[int]:
    """The integers that a sorted sequence skips between its first and its last."""
    return [gap for low, high in pairwise(sorted_ints) for gap in range(low + 1, high)]
