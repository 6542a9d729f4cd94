"""How a field finds the nearest vectors: `EmbeddingField(search=..., approximate_from=...)`."""

from __future__ import annotations

from dataclasses import dataclass

from popoto.exceptions import ModelException
from popoto.memory.vectors.neighbours import has_usearch

__all__ = ["Nearness"]

_WAYS = ("exact", "approximate", "auto", "server")


@dataclass(frozen=True, slots=True)
class Nearness:
    """The options of a field about it."""

    search: str
    approximate_from: int
    is_cached: bool
    store: str
    precision: str

    def check(self, kind: str) -> None:
        """Raises ModelException for what cannot work, ImportError without usearch."""
        least = self.approximate_from
        if self.search not in _WAYS:
            ways = ", ".join(map(repr, _WAYS))
            raise ModelException(f"{kind}(search={self.search!r}): searches are one of {ways}")
        if isinstance(least, bool) or not isinstance(least, int) or least < 0:
            raise ModelException(f"{kind}(approximate_from={least!r}): a number of vectors")
        if self.search == "server" and (self.store, self.precision) != ("server", "float32"):
            raise ModelException(
                f"{kind}(search='server'): a vector set of the server follows the vectors there, "
                "in full precision: store='server', precision='float32'"
            )
        if self.search != "approximate":
            return
        if not self.is_cached:
            raise ModelException(
                f"{kind}(search='approximate', cache=False): the index of neighbours is in memory, "
                "beside the vectors: leave the cache on, or search exactly"
            )
        if not has_usearch():
            raise ImportError(
                f"{kind}(search='approximate') needs usearch: pip install 'popoto[usearch]'"
            )

    @property
    def is_named(self) -> bool:
        """Whether a vector set of the server names the nearest."""
        return self.search == "server"

    def from_how_many(self) -> int | None:
        """From how many vectors on they are found by an index of neighbours; None: never."""
        if self.search == "approximate":
            return 0
        is_possible = self.search == "auto" and self.is_cached and has_usearch()
        return self.approximate_from if is_possible else None
