"""What `usearch.index.Index` does, as far as popoto uses it, by comparing all."""

from __future__ import annotations

from typing import Any

import numpy as np


class Matches:
    def __init__(self, keys: Any) -> None:
        self.keys = np.asarray(keys, dtype=np.uint64)


class Index:
    """Refuses what the package refuses: a key that is there already, vectors of another length."""

    def __init__(self, *, ndim: int, metric: str, dtype: str, **_: int) -> None:
        assert (metric, dtype) == ("ip", "f16")
        self._length = ndim
        self._rows: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: int) -> bool:
        return key in self._rows

    def add(self, keys: Any, vectors: Any, *, threads: int) -> None:
        assert keys.dtype == np.uint64
        assert vectors.shape == (len(keys), self._length)
        for key, vector in zip(keys, vectors.astype(np.float16), strict=True):
            if int(key) in self._rows:
                raise RuntimeError("Duplicate keys not allowed in high-level wrappers")
            self._rows[int(key)] = vector

    def remove(self, key: int) -> None:
        del self._rows[key]

    def search(self, vector: Any, count: int, *, threads: int) -> Matches:
        keys = list(self._rows)
        similar = np.stack([self._rows[key] for key in keys]).astype(np.float32) @ vector
        return Matches([keys[place] for place in np.argsort(-similar)[:count]])
