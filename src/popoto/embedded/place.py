"""The files of an embedded server: its directory, its lock and where its sockets are."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import quote

from popoto.embedded.errors import EmbeddedServerError
from popoto.embedded.owning import check_directory, check_file, resolved

if os.name == "posix":  # the package can be imported anywhere; `start` refuses other platforms
    import fcntl

__all__ = ["Place", "persistent_place", "temporary_place"]

SERVER_SOCKET = "popoto.sock"
CONTROL_SOCKET = "popoto-control.sock"
# What a server, its supervisor and their starter read, write and connect to in a directory.
_USED = ("popoto.lock", "popoto.log", SERVER_SOCKET, CONTROL_SOCKET, "appendonlydir")
# A socket address holds 104 bytes on macOS and 108 on Linux, closing NUL included.
_ADDRESS_BYTES = 100
_LOG_BYTES = 1_000_000
_ABANDONED_SECONDS = 2.0


@dataclass(frozen=True)
class Place:
    """One directory that a server serves, or may serve.

    `popoto.lock` in it is locked as long as a server, its supervisor or their starter lives. It is
    never removed while the directory is in use; what it contains is the directory of the sockets.
    """

    directory: str
    persistent: bool

    @property
    def lock_path(self) -> str:
        return os.path.join(self.directory, "popoto.lock")

    @property
    def log_path(self) -> str:
        return os.path.join(self.directory, "popoto.log")

    def make(self) -> None:
        """Make the directory, for this user alone, unless it exists.

        Raises `EmbeddedServerError`, also if it or what is used in it is not this user's own.
        """
        try:
            _make_directory(self.directory)
            check_directory(self.directory)
            for name in _USED:
                path = os.path.join(self.directory, name)
                with suppress(FileNotFoundError):
                    check_file(path, os.lstat(path))
        except OSError as error:
            raise self.refusal(error) from error

    def open_lock(self) -> int:
        """A new descriptor of the lock file, not locked yet. Raises `EmbeddedServerError`."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(self.lock_path, flags, 0o600)
        except OSError as error:
            raise self.refusal(error) from error

    def take_lock(self, descriptor: int) -> bool:
        """Lock the open lock file for this description, if it is free and still the one there."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return identity(os.fstat(descriptor)) == self.lock_identity()

    def lock_identity(self) -> tuple[int, int] | None:
        """Which file the lock is now; None when the directory or the lock is gone."""
        try:
            return identity(os.stat(self.lock_path))
        except OSError:
            return None

    @contextmanager
    def opened_log(self) -> Generator[int]:
        """The log, to append to and to read; the previous one is kept when it has grown."""
        with suppress(FileNotFoundError):
            if os.stat(self.log_path).st_size > _LOG_BYTES:
                os.replace(self.log_path, self.log_path + ".1")
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        log = os.open(self.log_path, flags, 0o600)
        try:
            yield log
        finally:
            os.close(log)

    def refusal(self, error: OSError) -> EmbeddedServerError:
        return EmbeddedServerError(
            f"The embedded server cannot use {self.directory!r}: {error}. "
            "Choose a directory that this user may write to, or change its owner and mode."
        )

    def socket_directory_candidates(self, recorded: str | None) -> list[str | None]:
        """Directories to try for the sockets, best first; None stands for a new temporary one.

        A place keeps the one it had, so that addresses stay valid when a server is restarted.
        """
        candidates: list[str | None] = []
        if _is_addressable(os.path.join(self.directory, CONTROL_SOCKET)):
            candidates.append(self.directory)
        if recorded is not None and recorded != self.directory:
            candidates.append(recorded)
        return [*candidates, None]

    def recorded_sockets(self, lock: int) -> str | None:
        """The socket directory that the lock file names, unless somebody else has made it since.

        Whoever cleans the temporary directory removes ours there after a while.
        """
        recorded = read_record(lock)
        if recorded == self.directory or (recorded is not None and _is_private(recorded)):
            return recorded
        return None


def persistent_place(directory: str | os.PathLike[str]) -> Place:
    """The place at `directory`, which is made if need be.

    Raises `EmbeddedServerError` if it is no directory, if it is not this user's own, and if
    somebody else could put another one in its place.
    """
    given = os.fsdecode(directory)
    if "://" in given:
        raise EmbeddedServerError(
            f"The embedded server got {given!r}, a URL, where a directory is meant: give the path "
            "behind it"
        )
    if not given or "\0" in given:
        raise EmbeddedServerError(
            f"The embedded server got an empty or impossible path, {given!r}. "
            "Name a directory, or pass None for a temporary server."
        )
    if given.startswith("~"):
        raise EmbeddedServerError(
            f"The embedded server got the path {given!r}, and ~ is no directory of yours here. "
            "Write the whole path, or expand it: Path(…).expanduser()"
        )
    place = Place(resolved(given), persistent=True)
    place.make()
    if not os.access(place.directory, os.R_OK | os.W_OK | os.X_OK):
        raise place.refusal(PermissionError(f"user id {os.geteuid()} may not write to it"))
    return place


def temporary_place() -> Place:
    """A new private directory, short enough for sockets."""
    return Place(make_short_directory(), persistent=False)


def remove_abandoned(place: Place) -> None:
    """Remove what a temporary server left behind if its supervisor was killed.

    The server, which was killed with it, may need a moment to end.
    """
    deadline = time.monotonic() + _ABANDONED_SECONDS
    while place.lock_identity() is not None and time.monotonic() < deadline:
        lock = place.open_lock()
        try:
            if place.take_lock(lock):
                shutil.rmtree(place.directory, ignore_errors=True)
                return
        finally:
            os.close(lock)
        time.sleep(0.002)


def make_short_directory() -> str:
    """A new directory, mode 0700, whose path leaves room for a socket's name."""
    base = os.path.realpath(tempfile.gettempdir())
    if not _is_addressable(os.path.join(base, "popoto-12345678", CONTROL_SOCKET)):
        base = os.path.realpath("/tmp")  # noqa: S108 - mkdtemp makes it private
    try:
        return tempfile.mkdtemp(prefix="popoto-", dir=base)
    except OSError as error:
        raise Place(base, persistent=False).refusal(error) from error


def _make_directory(path: str) -> None:
    """Not os.makedirs, which leaves the mode of what it makes on the way to the umask."""
    if not os.path.isdir(path):
        _make_directory(os.path.dirname(path))
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
        if not os.path.isdir(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)


def read_record(lock: int) -> str | None:
    """The socket directory that the lock file names; None while it is being written or unknown."""
    line, end, _ = os.pread(lock, 4096, 0).partition(b"\n")
    return os.fsdecode(line) if end and line.startswith(b"/") and b"\0" not in line else None


def write_record(lock: int, socket_directory: str) -> None:
    """Only the holder of the lock may do this."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, os.fsencode(socket_directory) + b"\n", 0)


def identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _is_addressable(path: str) -> bool:
    """Whether the path fits into a socket address, and into a URL without being quoted."""
    return len(os.fsencode(path)) <= _ADDRESS_BYTES and quote(os.fsencode(path)) == path


def _is_private(directory: str) -> bool:
    try:
        status = os.lstat(directory)
    except OSError:
        return False
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.geteuid()
        and not stat.S_IMODE(status.st_mode) & 0o077
    )
