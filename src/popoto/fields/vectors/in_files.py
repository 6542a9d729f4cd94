"""Vectors in files on this host, as popoto 1.6 keeps them (`popoto.memory.vectors.files`)."""

from __future__ import annotations

import json
import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from popoto.engine.outcome import other_model
from popoto.engine.request import Call, Plan
from popoto.fields.keeping.forgetting import Subject, Trace
from popoto.fields.vectors.keeper import Described, Replaced, Seen, VectorKeeper
from popoto.memory.vectors.arrays import Array
from popoto.memory.vectors.files import Signature, VectorDirectory, read_json, vector_name
from popoto.memory.vectors.matrix import Matrix
from popoto.stores.default import content_path

__all__ = ["FileKeeper", "embeddings_directory", "followed_directory"]

logger = logging.getLogger("POPOTO.embedding")

_ABOUT = "_about.json"
#: A directory that has changed within so many seconds may change again without showing it.
_TICK = 0.02
#: Seconds for which a temporary file may be one that is being written.
_YOUNG = 300


def embeddings_directory() -> str:
    """Where all models have their directories; looked up at each use."""
    return os.path.join(content_path(), ".embeddings")


class FollowedDirectory:
    """A directory and the matrix of its vectors, which follows what changes there."""

    def __init__(self, directory: VectorDirectory) -> None:
        self.directory = directory
        self.matrix = Matrix()
        self._stamp: tuple[Signature | None, ...] | None = None
        #: by file, what was read of it and for which record (None: it could not be read)
        self._files: dict[str, tuple[Signature, str | None]] = {}

    def save(self, vectors: Mapping[str, Array], cleared: Iterable[str]) -> dict[str, Replaced]:
        """Write and remove vectors; if nothing else has changed, just these are taken over.

        What stood in their place.
        """
        gone = [key for key in cleared if self.directory.has(key)]
        if not vectors and not gone:
            return {}
        with self.directory.locked():
            return self._save(vectors, gone)

    def _save(self, vectors: Mapping[str, Array], gone: Sequence[str]) -> dict[str, Replaced]:
        stamp = self.directory.stamp()
        before = {key: self._vector_of(key) for key in (*vectors, *gone)}
        if gone:
            self.directory.delete(gone)
        if vectors:
            self.directory.save(vectors)
        self._take_own(stamp, vectors, gone)
        return {
            key: Replaced(vector, self.directory.signature_of(key))
            for key, vector in before.items()
        }

    def _vector_of(self, key: str) -> Array | None:
        """The vector of a record, if there is one that can be read."""
        try:
            return self.directory.load(vector_name(key))
        except (OSError, ValueError):
            return None

    def put_back(self, replaced: Mapping[str, Replaced]) -> None:
        """Let what stood there before stand there again, unless another writer has been there."""
        with self.directory.locked():
            mine = {
                key: each.before
                for key, each in replaced.items()
                if self.directory.signature_of(key) == each.now
            }
            vectors = {key: vector for key, vector in mine.items() if vector is not None}
            self._save(vectors, [key for key in mine if key not in vectors])

    def delete(self, keys: Iterable[str]) -> None:
        """Remove the vectors of these records."""
        self.save({}, keys)

    def rename(self, moved: Sequence[tuple[str, str]]) -> None:
        """Let other keys have the vectors of these, unless they have their own already."""
        with self.directory.locked():
            self._copy(moved)
            self.directory.delete(old for old, _ in moved)

    def copy(self, moving: Sequence[tuple[str, str]]) -> None:
        """Let other keys have the vectors of these as well, unless they have their own already."""
        with self.directory.locked():
            self._copy(moving)

    def _copy(self, moving: Sequence[tuple[str, str]]) -> None:
        vectors: dict[str, Array] = {}
        for old, new in moving:
            if self.directory.signature_of(new) is None:
                try:
                    vectors[new] = self.directory.load(vector_name(old))
                except (OSError, ValueError):
                    continue
        if vectors:
            self.directory.save(vectors)

    def _take_own(
        self,
        before: tuple[Signature | None, ...],
        vectors: Mapping[str, Array],
        gone: Iterable[str],
    ) -> None:
        with self.matrix.lock:
            if self._stamp is None or self._stamp != before:
                return
            for key in gone:
                self._files.pop(vector_name(key), None)
                self.matrix.drop(key)
            for key, vector in vectors.items():
                signature = self.directory.signature_of(key)
                if signature is None or len(vector) != (self.matrix.dimensions or len(vector)):
                    self._stamp = None
                    return
                self._files[vector_name(key)] = signature, key
                self.matrix.put(key, vector)
            self._stamp = self.directory.stamp()

    def catch_up(self) -> None:
        """Read what has changed. Two looks where nothing has; else one at each file as well."""
        stamp = self.directory.stamp()
        if stamp == self._stamp:
            return
        # As for writers: first the directory, then the matrix.
        with self.directory.locked(create=False), self.matrix.lock:
            found = self.directory.signatures()
            changed = [
                name
                for name, signature in found.items()
                if name not in self._files or self._files[name][0] != signature
            ]
            for name in self._files.keys() - found.keys():
                _, key = self._files.pop(name)
                if key is not None:
                    self.matrix.drop(key)
            self._read(changed, found)
            is_settled = time.time() - max((each[2] for each in stamp if each), default=0) / 1e9
            self._stamp = stamp if is_settled > _TICK else None

    def _read(self, names: Sequence[str], found: Mapping[str, Signature]) -> None:
        """Take these files over. Unknown ones are skipped, those that cannot be read, too."""
        keys = self.directory.keys_of(names) if names else {}
        vectors: dict[str, Array] = {}
        for name in sorted(names, key=lambda name: found[name][2]):
            self._files[name] = found[name], None
            key = keys.get(name)
            if key is None:
                continue
            try:
                vectors[key] = self.directory.load(name)
            except (OSError, ValueError) as error:
                self.matrix.drop(key)
                logger.warning("%s is left out: %s", self.directory.at(name), error)
                continue
            self._files[name] = found[name], key
        if vectors and not len(self.matrix):
            self.matrix.clear()
            self.matrix.dimensions = self._usual_length(vectors)
        for key, vector in vectors.items():
            try:
                self.matrix.put(key, vector)
            except ValueError as error:
                self.matrix.drop(key)
                logger.warning("the vector of %r is left out: %s", key, error)

    def _usual_length(self, vectors: Mapping[str, Array]) -> int:
        """The length that was noted, else the most frequent one; of such, that of the oldest file.

        `vectors` begin with the oldest.
        """
        lengths = Counter(len(vector) for vector in vectors.values())
        noted = self.described()
        if noted is not None and noted.dimensions in lengths:
            return noted.dimensions
        return lengths.most_common(1)[0][0]

    # What they are made with ---------------------------------------------------------------

    def described(self) -> Described | None:
        """As it was noted, if a provider has told the name of its model."""
        try:
            found = read_json(self.directory.at(_ABOUT))
        except (OSError, ValueError):
            return None
        entries = cast("dict[str, object]", found) if isinstance(found, dict) else {}
        model, dimensions = entries.get("model"), entries.get("dimensions")
        if not isinstance(model, str) or type(dimensions) is not int or dimensions < 1:
            return None
        return Described(model, dimensions, "float32")

    def note(self, described: Described) -> None:
        """Note it, unless the model has no name."""
        if described.model and self.described() != described:
            text = json.dumps({"model": described.model, "dimensions": described.dimensions})
            self.directory.replace(_ABOUT, ".json", lambda file: file.write(text.encode("utf-8")))

    def begin_anew(self, described: Described) -> None:
        """Remove all vectors."""
        with self.directory.locked():
            for name in self.directory.signatures():
                os.unlink(self.directory.at(name))
            self.directory.write_index({})
            if self.described() is not None and not described.model:
                os.unlink(self.directory.at(_ABOUT))
            self.note(described)

    def lacking(self, keys: Sequence[str]) -> list[str]:
        """Those of these records that have no vector here which can be searched."""
        self.catch_up()
        return [key for key in keys if key not in self.matrix]


#: By directory. What is in memory follows the files, whoever asks.
_FOLLOWED: dict[str, FollowedDirectory] = {}


def followed_directory(model_name: str, field_name: str) -> FollowedDirectory:
    """The directory of a model, or the one below it of a further embedding field."""
    path = os.path.join(embeddings_directory(), model_name, field_name).rstrip(os.sep)
    found = _FOLLOWED.get(os.path.abspath(path))
    if found is None:
        found = _FOLLOWED.setdefault(
            os.path.abspath(path), FollowedDirectory(VectorDirectory(path))
        )
    return found


def forget_directories(model_name: str | None) -> None:
    """Forget what was read of the directories of a model, or of all."""
    for path in list(_FOLLOWED):
        names = path.split(f"{os.sep}.embeddings{os.sep}")[-1].split(os.sep)
        if model_name is None or names[0] == model_name:
            del _FOLLOWED[path]


class FileKeeper(VectorKeeper):
    """Vectors in the files of one directory."""

    follows = True

    @property
    def followed(self) -> FollowedDirectory:
        """The directory at this moment."""
        place = self.place
        return followed_directory(place.model_name, "" if place.is_first else place.field_name)

    def store(
        self, vectors: Mapping[str, Array], cleared: Sequence[str], described: Described | None
    ) -> Plan[Mapping[str, Replaced]]:
        if not vectors and not cleared:
            return {}
        found: dict[str, Replaced] = yield Call(lambda: self._store(vectors, cleared, described))
        return found

    def put_back(self, replaced: Mapping[str, Replaced]) -> Plan[None]:
        yield Call(lambda: self.followed.put_back(replaced))

    def _store(
        self, vectors: Mapping[str, Array], cleared: Sequence[str], described: Described | None
    ) -> dict[str, Replaced]:
        followed = self.followed
        told = followed.described()
        if described is not None and told is not None and not described.agrees(told):
            raise other_model(followed.directory.path, told, described)
        replaced = followed.save(vectors, cleared)
        if described is not None:
            followed.note(described)
        return replaced

    def unkept(self, keys: Sequence[str], dimensions: int) -> Plan[Sequence[str]]:
        found: Sequence[str] = yield Call(lambda: self._unkept(keys, dimensions))
        return found

    def _unkept(self, keys: Sequence[str], dimensions: int) -> Sequence[str]:
        directory = self.followed.directory
        kept = [key for key in keys if directory.dimensions_of(key) == dimensions]
        if kept:
            with directory.locked():
                directory.tidy(kept)
        return [key for key in keys if key not in kept]

    def follow(self, moved: Sequence[tuple[str, str | None]]) -> Plan[None]:
        renamed = [(old, new) for old, new in moved if new is not None]
        gone = [old for old, new in moved if new is None]
        if renamed:
            yield Call(lambda: self.followed.rename(renamed))
        if gone:
            yield Call(lambda: self.followed.delete(gone))

    def precede(self, moving: Sequence[tuple[str, str]]) -> Plan[None]:
        yield Call(lambda: self.followed.copy(moving))

    def forgetting(self, subject: Subject) -> Plan[Trace]:
        trace: Trace = yield Call(lambda: self._forgotten(subject))
        return trace

    def _forgotten(self, subject: Subject) -> Trace:
        """Remove the files of erased records. What others wrote of them begins as ``tmp``."""
        followed = self.followed
        names = followed.directory.signatures()
        whose = followed.directory.keys_of(names)
        owned = {key for key in whose.values() if subject.owns(key)}
        owned.update(key for key in subject.records if followed.directory.has(key))
        followed.delete(owned)
        followed.directory.sweep(_YOUNG)
        return Trace(len(names), len(owned))

    def seen(self) -> Plan[Seen]:
        followed = self.followed
        if not self.place.is_cached:
            followed = FollowedDirectory(followed.directory)
        described: Described | None = yield Call(lambda: _looked_at(followed))
        return Seen.of(followed.matrix, described)

    def collect(self, expected: set[str], min_age: float) -> Plan[int]:
        removed: int = yield Call(lambda: self._collect(expected, min_age))
        return removed

    def _collect(self, expected: set[str], min_age: float) -> int:
        directory = self.followed.directory
        with directory.locked(create=False):
            return directory.collect(expected, min_age)

    def lacking(self, keys: Sequence[str]) -> Plan[list[str]]:
        found: list[str] = yield Call(lambda: self.followed.lacking(keys))
        return found

    def described(self) -> Plan[Described | None]:
        found: Described | None = yield Call(lambda: _looked_at(self.followed))
        return found

    def begin_anew(self, owner: Any, options: Any, described: Described) -> Plan[None]:
        yield Call(lambda: self.followed.begin_anew(described))


def _looked_at(followed: FollowedDirectory) -> Described | None:
    followed.catch_up()
    dimensions = followed.matrix.dimensions
    told = followed.described()
    if told is not None or dimensions is None or not len(followed.matrix):
        return told
    return Described("", dimensions, "float32")
