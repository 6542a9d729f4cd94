"""Vectors as arrays. NumPy is an extra, so nothing here imports it before it is needed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from popoto._packages import is_installed

__all__ = [
    "FORMS",
    "HAS_NUMPY",
    "Array",
    "array_of",
    "cosines",
    "numpy",
    "packed",
    "unit",
    "unpacked",
]

#: Whether NumPy is installed.
HAS_NUMPY = is_installed("numpy")

#: A NumPy array. Its own types would make NumPy a dependency of whoever checks types.
Array: TypeAlias = Any

#: How numbers of stored vectors are packed, by name: NumPy's word for it, little-endian.
FORMS = {"float32": "<f4", "float16": "<f2", "int8": "|i1"}
#: A vector in int8 begins with the number that one step stands for.
_SCALE = "<f4"
_SCALE_BYTES = 4
_MOST_STEPS = 127


def numpy() -> Any:
    """The package NumPy. Raises ImportError without it."""
    import numpy  # optional

    return numpy


def array_of(vector: Iterable[Any]) -> Array:
    """A vector as an array of float32. Raises ValueError unless it is one of finite numbers."""
    np = numpy()
    try:
        with np.errstate(over="ignore"):
            found = np.asarray(vector, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"no vector of numbers: {error}") from error
    if found.ndim != 1 or not found.size:
        raise ValueError(f"no vector, but an array of shape {found.shape}")
    if not np.isfinite(found).all():
        raise ValueError("a number of the vector is not finite")
    return found


def unit(vector: Array) -> Array:
    """The vector with length 1. That of length 0 stays as it is."""
    np = numpy()
    # In float64: squares of large numbers of float32 are infinite there.
    wide = vector.astype(np.float64)
    length = math.sqrt(wide @ wide)
    return vector.copy() if not length else (vector / length).astype(np.float32)


def cosines(vector: Array, stored: Sequence[bytes | None]) -> list[float | None]:
    """Of a vector and each stored one of float32; None: there is none, NaN: it is no vector."""
    np = numpy()
    size = len(vector) * np.dtype(FORMS["float32"]).itemsize
    found: list[float | None] = [None if each is None else float("nan") for each in stored]
    places = [place for place, each in enumerate(stored) if each is not None and len(each) == size]
    data = b"".join(each for each in stored if each is not None and len(each) == size)
    rows = np.frombuffer(data, dtype=FORMS["float32"]).reshape(len(places), len(vector))
    with np.errstate(all="ignore"):
        lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
        units = (rows / np.where(lengths == 0, 1, lengths)).astype(np.float32)
        for place, cosine in zip(places, (units @ unit(vector)).tolist(), strict=True):
            found[place] = cosine
    return found


def packed(vector: Array, form: str) -> bytes:
    """A vector of float32 as it is stored."""
    np = numpy()
    if form != "int8":
        with np.errstate(over="ignore"):
            found = vector.astype(FORMS[form])
        if not np.isfinite(found).all():
            raise ValueError(f"a number of the vector is too large for {form}")
        data: bytes = found.tobytes()
        return data
    step = np.asarray(float(np.abs(vector).max()) / _MOST_STEPS, dtype=_SCALE)
    steps = np.rint(vector / step) if step else np.zeros_like(vector)
    told: bytes = step.tobytes() + np.clip(steps, -_MOST_STEPS, _MOST_STEPS).astype("|i1").tobytes()
    return told


def unpacked(data: bytes, form: str, dimensions: int) -> Array:
    """A vector of float32 from what is stored. Raises ValueError for other bytes."""
    np = numpy()
    scale = 1.0
    if form == "int8":
        if len(data) < _SCALE_BYTES:
            raise ValueError(f"{len(data)} bytes are no vector")
        scale = float(np.frombuffer(data[:_SCALE_BYTES], dtype=_SCALE)[0])
        data = data[_SCALE_BYTES:]
    kind = np.dtype(FORMS[form])
    if len(data) != dimensions * kind.itemsize:
        raise ValueError(f"{len(data)} bytes are no vector of {dimensions} {form}")
    with np.errstate(all="ignore"):
        # What that makes infinite, or no number, is refused.
        return array_of(np.frombuffer(data, dtype=kind).astype(np.float32) * np.float32(scale))
