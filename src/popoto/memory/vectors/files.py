"""Vectors in files, as popoto 1.6 keeps them: one directory for each model.

A vector is ``{SHA-256 of the record key}.npy``. ``_index.json`` tells the record key of each
file. Both are written beside their place and renamed, so they are whole or not there. Writers of
this package take turns, so that none overwrites what another has put into the index.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, BinaryIO, cast

from popoto.memory.vectors.arrays import Array, array_of, numpy

if os.name == "posix":
    import fcntl

__all__ = ["SUFFIX", "Signature", "VectorDirectory", "legacy_name", "read_json", "vector_name"]

logger = logging.getLogger("POPOTO.embedding")

SUFFIX = ".npy"
_INDEX = "_index.json"
_TEMPORARY = re.compile(r"tmp[A-Za-z0-9_]+\.npy")
#: The longest name of a file that common file systems take.
_LONGEST_NAME = 255
#: No link is followed, and no pipe waited for.
_READ: int = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
#: Bytes of an index, or of a note, that are read.
_LARGEST_TEXT = 1 << 30
_MOST_NUMBERS = 1 << 20
_MAGIC = b"\x93NUMPY"
#: As `numpy.save` writes it for a vector. NumPy's own reader evaluates what stands there.
_HEADER = re.compile(
    rb"\{'descr': '([<>]f[248])', 'fortran_order': (?:False|True), "
    rb"'shape': \(([0-9]{1,7}),\), \}\s*"
)
_LONGEST_HEADER = 1024

#: By what one version of a file is told from another: its number, size and time.
Signature = tuple[int, int, int]


def vector_name(key: str) -> str:
    """The name of the file of a record's vector."""
    return hashlib.sha256(key.encode("utf-8")).hexdigest() + SUFFIX


def legacy_name(key: str) -> str:
    """The name that earlier versions gave it."""
    return key.encode("utf-8").hex() + SUFFIX


def _legacy_key(name: str) -> str | None:
    try:
        key = bytes.fromhex(name.removesuffix(SUFFIX)).decode("utf-8")
    except ValueError:
        return None
    return key if key and _is_name_of(name, key) else None


class VectorDirectory:
    """The files of one model below `path`, which is made when something is saved."""

    def __init__(self, path: str) -> None:
        self.path = path

    def at(self, name: str) -> str:
        """The path of a file."""
        return os.path.join(self.path, name)

    # The index ----------------------------------------------------------------------------

    def read_index(self) -> dict[str, str]:
        """File name -> record key; empty, with a warning, where it cannot be read."""
        try:
            found = read_json(self.at(_INDEX))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            logger.warning("%s cannot be read and counts as empty: %s", self.at(_INDEX), error)
            return {}
        if not isinstance(found, dict):
            logger.warning("%s is no index and counts as empty", self.at(_INDEX))
            return {}
        entries = cast("dict[object, object]", found)
        return {
            name: key
            for name, key in entries.items()
            if isinstance(name, str) and isinstance(key, str)
        }

    def write_index(self, index: Mapping[str, str]) -> None:
        """Write it anew, whole."""
        os.makedirs(self.path, exist_ok=True)
        text = json.dumps(dict(index), ensure_ascii=False)
        self.replace(_INDEX, ".json", lambda file: file.write(text.encode("utf-8")))

    def replace(self, name: str, suffix: str, write: Callable[[BinaryIO], object]) -> None:
        """Write a file beside its place and let it take that."""
        handle, temporary = tempfile.mkstemp(prefix="tmp", suffix=suffix, dir=self.path)
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
            os.replace(temporary, self.at(name))
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise

    @contextlib.contextmanager
    def locked(self, *, create: bool = True) -> Generator[None]:
        """Have the directory for oneself, among the writers of this package."""
        if create:
            os.makedirs(self.path, exist_ok=True)
        if os.name != "posix" or not os.path.isdir(self.path):
            yield
            return
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    # Vectors ------------------------------------------------------------------------------

    def save(self, vectors: Mapping[str, Array]) -> None:
        """Keep these vectors, by record key. Files of an earlier naming scheme go."""
        np = numpy()
        index = self.read_index()
        for key, vector in vectors.items():
            array = np.asarray(vector, dtype=np.float32)

            def write(file: BinaryIO, array: Array = array) -> None:
                np.save(file, array, allow_pickle=False)

            self.replace(vector_name(key), SUFFIX, write)
            index[vector_name(key)] = key
            self._forget_legacy(key, index)
        self.write_index(index)

    def _forget_legacy(self, key: str, index: dict[str, str]) -> None:
        name = legacy_name(key)
        if len(name) <= _LONGEST_NAME:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.at(name))
        index.pop(name, None)

    def tidy(self, keys: Iterable[str]) -> None:
        """Let these records, which have their vectors, have an entry and no earlier file."""
        index = self.read_index()
        before = dict(index)
        for key in keys:
            index[vector_name(key)] = key
            self._forget_legacy(key, index)
        if index != before:
            self.write_index(index)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove the vectors of these records."""
        if not os.path.isdir(self.path):
            return
        index = self.read_index()
        before = dict(index)
        for key in keys:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.at(vector_name(key)))
            index.pop(vector_name(key), None)
            self._forget_legacy(key, index)
        if index != before:
            self.write_index(index)

    def load(self, name: str) -> Array:
        """One vector. Raises ValueError for what is none, OSError. Nothing in it is carried out."""
        with _plain_file(self.at(name)) as file:
            return _read_vector(file, os.fstat(file.fileno()).st_size)

    def dimensions_of(self, key: str) -> int | None:
        """The length of a record's vector; None where there is none that can be searched."""
        try:
            return len(self.load(vector_name(key)))
        except (OSError, ValueError):
            return None

    # Looking ------------------------------------------------------------------------------

    def has(self, key: str) -> bool:
        """Whether there is a file of this record, by any scheme of names."""
        return any(os.path.lexists(self.at(name)) for name in (vector_name(key), legacy_name(key)))

    def stamp(self) -> tuple[Signature | None, ...]:
        """What changes with every write: of the directory and of its index."""
        found: list[Signature | None] = []
        for path in (self.path, self.at(_INDEX)):
            try:
                found.append(_signature(os.stat(path)))
            except OSError:
                found.append(None)
        return tuple(found)

    def signatures(self) -> dict[str, Signature]:
        """The vectors that are there, by name."""
        try:
            with os.scandir(self.path) as entries:
                return {
                    entry.name: _signature(entry.stat(follow_symlinks=False))
                    for entry in entries
                    if entry.name.endswith(SUFFIX)
                    and not _TEMPORARY.fullmatch(entry.name)
                    and entry.is_file(follow_symlinks=False)
                }
        except FileNotFoundError:
            return {}

    def signature_of(self, key: str) -> Signature | None:
        """Of the vector of one record."""
        try:
            return _signature(os.lstat(self.at(vector_name(key))))
        except OSError:
            return None

    def keys_of(self, names: Iterable[str]) -> dict[str, str]:
        """The record keys of files, as far as known. Those of an earlier scheme enter the index.

        A file whose name is not made of the key that the index tells is nobody's.
        """
        index = self.read_index()
        found: dict[str, str] = {}
        learned = False
        for name in names:
            key = index.get(name)
            if key is None:
                key = _legacy_key(name)
                if key is None:
                    continue
                index[name] = key
                learned = True
            if _is_name_of(name, key):
                found[name] = key
        if learned:
            self.write_index(index)
        return found

    # Housekeeping -------------------------------------------------------------------------

    def sweep(self, max_age: float) -> int:
        """Remove temporary files that are at least so many seconds old; how many."""
        return len(self._remove_old(_TEMPORARY.fullmatch, max_age))

    def collect(self, expected: set[str], min_age: float) -> int:
        """Remove vectors that are not expected and at least so many seconds old; how many.

        Entries of the index that are not expected go too, unless their file was too young: a save
        that is under way has written it before its record.
        """
        if not os.path.isdir(self.path):
            return 0

        def is_garbage(name: str) -> bool:
            # Whatever begins so is somebody's who is still writing, or `sweep_stale_tempfiles`'s.
            is_temporary = name.startswith("tmp")
            return name.endswith(SUFFIX) and not is_temporary and name not in expected

        removed = self._remove_old(is_garbage, min_age)
        index = self.read_index()
        kept = {
            name: key
            for name, key in index.items()
            if name in expected or os.path.lexists(self.at(name))
        }
        if kept != index:
            self.write_index(kept)
        return len(removed)

    def _remove_old(self, matches: Callable[[str], Any], age: float) -> list[str]:
        removed: list[str] = []
        limit = time.time() - age
        try:
            names = sorted(os.listdir(self.path))
        except FileNotFoundError:
            return []
        for name in names:
            if matches(name):
                with contextlib.suppress(FileNotFoundError):
                    if os.lstat(self.at(name)).st_mtime <= limit:
                        os.unlink(self.at(name))
                        removed.append(name)
        return removed


def _signature(found: os.stat_result) -> Signature:
    return found.st_ino, found.st_size, found.st_mtime_ns


def _is_name_of(name: str, key: str) -> bool:
    try:
        return name in (vector_name(key), legacy_name(key))
    except UnicodeEncodeError:
        return False


def _plain_file(path: str) -> BinaryIO:
    """A file that is one, opened. Raises OSError, ValueError for what is none."""
    handle = os.open(path, _READ)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ValueError("this is no plain file")
    return os.fdopen(handle, "rb")


def read_json(path: str) -> object:
    """What a file of JSON says. Raises OSError, ValueError for what is none."""
    with _plain_file(path) as file:
        text = file.read(_LARGEST_TEXT + 1)
    if len(text) > _LARGEST_TEXT:
        raise ValueError(f"it has more than {_LARGEST_TEXT:,} bytes")
    try:
        return json.loads(text.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _read_vector(file: BinaryIO, size: int) -> Array:
    """The one-dimensional array of a .npy file, whose header must tell just what is there."""
    np = numpy()
    start = file.read(len(_MAGIC) + 2)
    if start[:-2] != _MAGIC or start[-2:] not in (b"\x01\x00", b"\x02\x00"):
        raise ValueError(f"no file of an array in version 1 or 2 of the format, but {start!r}")
    length = int.from_bytes(file.read(2 if start[-2:] == b"\x01\x00" else 4), "little")
    header = _HEADER.fullmatch(file.read(min(length, _LONGEST_HEADER)))
    if header is None:
        raise ValueError("the header is none of a vector of floats")
    kind, numbers = np.dtype(header[1].decode("ascii")), int(header[2])
    if numbers > _MOST_NUMBERS or size - file.tell() != numbers * kind.itemsize:
        raise ValueError("the file is cut off, or goes on behind the vector, or is too long")
    with np.errstate(over="ignore"):
        # What is too large becomes infinite, and is refused.
        return array_of(np.frombuffer(file.read(), dtype=kind).astype(np.float32))
