"""`FilesystemStore`: contents as files below one directory, found again by their digest."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import Generator, Iterable
from pathlib import Path

from popoto.stores.abstract import AbstractContentStore, ContentReferenceError
from popoto.stores.paths import base_of

if os.name == "posix":  # the package can be imported anywhere; the store refuses other platforms
    import fcntl

__all__ = ["FilesystemStore"]

PREFIX = "$CF:"
_VERSIONS = ".versions"
#: By model and file, the digests of what its file held before.
_EARLIER = ".earlier"
_TEMPORARY = ".writing-"
_DIGEST = re.compile(r"[0-9a-f]{64}")
#: The longest name of a file that common file systems take is 255 bytes.
_LONGEST_NAME = 200
_NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)
_READ: int = os.O_RDONLY | _NO_LINK | getattr(os, "O_NONBLOCK", 0)
_DIRECTORY: int = os.O_RDONLY | _NO_LINK | getattr(os, "O_DIRECTORY", 0)
_NEW: int = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK
_APPENDED: int = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NO_LINK
#: What opening a path answers where a symbolic link, a directory or nothing stands.
_NOT_THERE = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENAMETOOLONG, errno.ENXIO}
)


class FilesystemStore(AbstractContentStore):
    """Contents in files below a directory, by default $POPOTO_CONTENT_PATH or ~/.popoto/content.

    The newest content of a key is ``{Model}/{key}.txt``; what it replaces is kept as
    ``.versions/{2 digits}/{SHA-256}.txt``, so that older references stay good. A reference is
    ``$CF:{SHA-256}:{Model}/{key}.txt``, and what is loaded has that digest.

    Several threads and processes of one host may use one directory. A file is written beside
    its place, forced to the disk and renamed, so it is whole or not there, and readable by its
    owner only. Nothing outside the directory is read, written or removed, and no symbolic
    link in it is followed, whatever a reference says.

    `save` costs a read of the file that it replaces and two writes at most; `load` reads
    one file, two for an older version.
    """

    base_path: str

    def __init__(
        self, base_path: str | os.PathLike[str] | None = None, extension: str = ".txt"
    ) -> None:
        """Use a directory, which is made when something is saved.

        Raises ValueError for an extension with a separator in it, NotImplementedError on
        Windows, which cannot open files relative to a directory.
        """
        if os.name != "posix":
            raise NotImplementedError(
                "FilesystemStore needs Linux or macOS: write an AbstractContentStore of your own"
            )
        if "/" in extension or "\0" in extension:
            raise ValueError(f"extension={extension!r}: an extension is part of a file's name")
        self.base_path = base_of(base_path)
        self.extension = extension

    # The interface ----------------------------------------------------------------------

    def save(self, content: bytes, key: str, model_class_name: str) -> str:
        """Keep the content as the newest of this key and return a reference to it.

        Raises ValueError for a model name that is no name of a directory, OSError where
        the directory cannot be written.
        """
        name = self._file_name(key)
        if not _is_directory_name(model_class_name):
            raise ValueError(f"model_class_name={model_class_name!r} cannot name a directory")
        digest = hashlib.sha256(content).hexdigest()
        with self._directory(model_class_name, create=True) as directory, _locked(directory):
            before = _read(directory, name)
            if before is not None:
                self._archive(before, model_class_name, name, unless=digest)
            _write(directory, name, content)
        return f"{PREFIX}{digest}:{model_class_name}/{name}"

    def load(self, reference: str) -> bytes:
        """The content. Raises FileNotFoundError where it is missing or no longer the same.

        What is no reference raises ContentReferenceError, which is also a ValueError.
        """
        digest, model_name, name = self._checked(reference)
        for directory_names, file_name in (
            ((model_name,), name),
            ((_VERSIONS, digest[:2]), digest + self.extension),
        ):
            with contextlib.suppress(FileNotFoundError), self._directory(*directory_names) as found:
                content = _read(found, file_name)
                if content is not None and hashlib.sha256(content).hexdigest() == digest:
                    return content
        raise FileNotFoundError(
            f"there is no content for {reference!r} below {self.base_path!r}: it was removed, or "
            "saved with another directory"
        )

    def delete(self, reference: str) -> None:
        """Remove the newest content of the reference's key; earlier versions stay.

        Raises FileNotFoundError where there is none, ContentReferenceError (also a
        ValueError) for what is no reference.
        """
        _, model_name, name = self._checked(reference)
        with self._directory(model_name) as directory, _locked(directory):
            if _read(directory, name) is None:
                raise FileNotFoundError(f"there is no file for {reference!r}")
            os.unlink(name, dir_fd=directory)

    def exists(self, reference: str) -> bool:
        """Whether `load` would find the content. Costs as much."""
        try:
            self.load(reference)
        except (FileNotFoundError, ValueError):
            return False
        return True

    def is_reference(self, stored: str) -> bool:
        """Whether a text begins like a reference of this store."""
        return stored.startswith(PREFIX)

    # Collecting what nothing refers to ----------------------------------------------------

    def model_names(self) -> list[str]:
        """The models that have files here."""
        try:
            with self._directory() as base:
                return [name for name in sorted(os.listdir(base)) if _is_directory_name(name)]
        except FileNotFoundError:
            return []

    def older_than(self, seconds: float, model_name: str) -> list[tuple[str, str]]:
        """Files of a model and archived versions that were written longer ago.

        Directory and name of each, both below the base.
        """
        limit = time.time() - seconds
        places = [model_name, *(f"{_VERSIONS}/{each:02x}" for each in range(256))]
        return [(place, name) for place in places for name in self._names(place, older_than=limit)]

    @staticmethod
    def needed_by(references: Iterable[str]) -> set[str]:
        """What `remove_unless` must spare: the references, and their digests for the archive."""
        found = {each for each in references if each.startswith(PREFIX)}
        return found | {each[len(PREFIX) :].partition(":")[0] for each in found}

    def remove_unless(self, place: str, name: str, needed: set[str], seconds: float) -> bool:
        """Remove one file of `older_than`, unless it is needed.

        False too when it was written again meanwhile.
        """
        try:
            with self._directory(*place.split("/")) as directory, _locked(directory):
                if not _is_older(directory, name, time.time() - seconds):
                    return False
                if name.startswith(_TEMPORARY):
                    os.unlink(name, dir_fd=directory)
                    return False
                content = _read(directory, name)
                if content is None:
                    return False
                digest = hashlib.sha256(content).hexdigest()
                is_archived = place.startswith(_VERSIONS)
                if (digest if is_archived else f"{PREFIX}{digest}:{place}/{name}") in needed:
                    return False
                os.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            return False
        return True

    # Forgetting ---------------------------------------------------------------------------

    def places_of(self, references: Iterable[str]) -> list[tuple[str, str]]:
        """Where what these references name is, or was before it was replaced.

        Directory and name of each file, as `older_than` has them. What is no reference is left out.
        """
        found: dict[tuple[str, str], None] = {}
        for reference in references:
            try:
                digest, model_name, name = self._checked(reference)
            except ContentReferenceError:
                continue
            found[model_name, name] = None
            for each in (digest, *self._earlier_of(model_name, name)):
                found[f"{_VERSIONS}/{each[:2]}", each + self.extension] = None
        return list(found)

    def forget_earlier(self, model_name: str) -> None:
        """Forget what the files of a model held before, of those of which nothing is left."""
        with (
            contextlib.suppress(FileNotFoundError),
            self._directory(_EARLIER, model_name) as notes,
            self._directory(model_name) as directory,
        ):
            for name in sorted(os.listdir(notes)):
                with _locked(directory):
                    if not any(map(self._has, self._earlier_of(model_name, name))):
                        os.unlink(name, dir_fd=notes)

    def _earlier_of(self, model_name: str, name: str) -> list[str]:
        """The digests of what a file of a model held before."""
        with contextlib.suppress(FileNotFoundError), self._directory(_EARLIER, model_name) as notes:
            lines = (_read(notes, name) or b"").decode("ascii", "replace").split()
            return [each for each in dict.fromkeys(lines) if _DIGEST.fullmatch(each)]
        return []

    def _has(self, digest: str) -> bool:
        name = digest + self.extension
        with contextlib.suppress(FileNotFoundError), self._directory(_VERSIONS, digest[:2]) as some:
            return _read(some, name) is not None
        return False

    def _names(self, place: str, *, older_than: float) -> list[str]:
        try:
            with self._directory(*place.split("/")) as directory:
                return [
                    name
                    for name in sorted(os.listdir(directory))
                    if _is_older(directory, name, older_than)
                ]
        except FileNotFoundError:
            return []

    # Names --------------------------------------------------------------------------------

    def _parse_reference(self, reference: str) -> tuple[str, str]:
        """Digest and relative path as they stand in a reference, not checked any further."""
        if not str(reference).startswith(PREFIX):
            raise ContentReferenceError(f"{_shown(reference)} does not start with {PREFIX}")
        digest, separator, path = reference.removeprefix(PREFIX).partition(":")
        if not separator:
            raise ContentReferenceError(
                f"{_shown(reference)} is not of the form {PREFIX}digest:Model/file"
            )
        return digest, path

    def _checked(self, reference: str) -> tuple[str, str, str]:
        """Digest, model and file of a reference. Raises ContentReferenceError."""
        digest, path = self._parse_reference(reference)
        if not _DIGEST.fullmatch(digest):
            raise ContentReferenceError(f"{_shown(reference)} has no SHA-256 digest")
        model_name, _, name = path.partition("/")
        if not _is_directory_name(model_name) or not _is_file_name(name):
            raise ContentReferenceError(f"{_shown(reference)} names no file of a model")
        return digest, model_name, name

    def _file_name(self, key: str) -> str:
        """The name of the file of a key; a digest ends one that would be too long."""
        safe = "".join(each if each.isalnum() or each in "-_." else "_" for each in key)
        name = safe + self.extension
        if len(name.encode("utf-8")) > _LONGEST_NAME:
            digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
            room = _LONGEST_NAME - len(digest) - 1 - len(self.extension.encode("utf-8"))
            start = safe.encode("utf-8")[:room].decode("utf-8", "ignore")
            name = f"{start}_{digest}{self.extension}"
        if not _is_file_name(name):
            raise ValueError(f"key={key!r} cannot name a file")
        return name

    def _version_path(self, digest: str) -> str:
        """Where the content with this digest is archived."""
        return str(Path(self.base_path, _VERSIONS, digest[:2], digest + self.extension))

    # Files --------------------------------------------------------------------------------

    def _archive(self, content: bytes, model_name: str, of: str, *, unless: str) -> None:
        digest = hashlib.sha256(content).hexdigest()
        if digest == unless:
            return
        name = digest + self.extension
        with self._directory(_VERSIONS, digest[:2], create=True) as directory, _locked(directory):
            kept = _read(directory, name)
            if kept is None or hashlib.sha256(kept).hexdigest() != digest:
                _write(directory, name, content)
            else:
                # Young again: the record that refers to it may be written only now.
                os.utime(name, dir_fd=directory, follow_symlinks=False)
        with self._directory(_EARLIER, model_name, create=True) as directory:
            handle = os.open(of, _APPENDED, 0o600, dir_fd=directory)
            with os.fdopen(handle, "ab") as file:
                file.write(digest.encode("ascii") + b"\n")

    @contextlib.contextmanager
    def _directory(self, *names: str, create: bool = False) -> Generator[int]:
        """A directory below the base, opened step by step so that no link is followed.

        Raises FileNotFoundError where there is none (or a link in its place).
        """
        if create:
            Path(self.base_path).mkdir(parents=True, exist_ok=True)
        # The base itself is the user's choice and may be a link.
        handle = os.open(self.base_path, _DIRECTORY & ~_NO_LINK)
        try:
            for name in names:
                if create:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name, 0o700, dir_fd=handle)
                try:
                    deeper = os.open(name, _DIRECTORY, dir_fd=handle)
                except OSError as error:
                    if error.errno not in _NOT_THERE or create:
                        raise
                    raise FileNotFoundError(error.errno, os.strerror(error.errno), name) from error
                os.close(handle)
                handle = deeper
            yield handle
        finally:
            os.close(handle)


def _shown(reference: str) -> str:
    return repr(reference if len(str(reference)) <= 200 else reference[:200] + "…")


def _is_file_name(name: str) -> bool:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        return False
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def _is_directory_name(name: str) -> bool:
    """Whether a model's files may stand there: names with a dot in front are the store's own."""
    return _is_file_name(name) and not name.startswith(".")


@contextlib.contextmanager
def _locked(directory: int) -> Generator[None]:
    """Keep other threads and processes from changing files of a directory."""
    fcntl.flock(directory, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(directory, fcntl.LOCK_UN)


def _is_older(directory: int, name: str, moment: float) -> bool:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_mtime <= moment


def _read(directory: int, name: str) -> bytes | None:
    """The bytes of a plain file; None where there is none."""
    try:
        handle = os.open(name, _READ, dir_fd=directory)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return None
    with os.fdopen(handle, "rb") as file:
        return file.read()


def _write(directory: int, name: str, content: bytes) -> None:
    """Put a file in place as a whole: written beside it, forced to the disk, renamed."""
    temporary = _TEMPORARY + secrets.token_hex(8)
    handle = os.open(temporary, _NEW, 0o600, dir_fd=directory)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=directory)
        raise
