"""Joining the server of a place, starting it where none runs, and leaving it again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass

from popoto.embedded import place as places
from popoto.embedded.binary import server_binary
from popoto.embedded.errors import EmbeddedServerError
from popoto.embedded.owning import check_file, check_peer
from popoto.embedded.place import Place

__all__ = ["Seat", "join"]

_SUPERVISOR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "supervisor.py")
# A supervisor sends a sign of life every second, however long the server takes to load its data.
_SILENCE_SECONDS = 15.0
# For a predecessor to stop, or for a starter on a busy machine.
_JOIN_SECONDS = 40.0
_INHERITED_SECONDS = 2.0  # the same for a forked child, which may only find a server, not start one
_ORPHAN_SECONDS = 2.0
_LAUNCHES = 5
_STOP_SECONDS = 25.0

# What a forked child must not keep: a copy would count as a user, or hold a lock, after its parent.
_open_locks: set[int] = set()
# The one that this thread is handing on to a supervisor. gevent starts processes by a fork of its
# own, in which this module's hook runs as in any forked child.
_handed_on = threading.local()
_open_connections: weakref.WeakSet[socket.socket] = weakref.WeakSet()
# Supervisors that this process started and has to wait for once they end.
_supervisors: set[int] = set()


@dataclass
class Seat:
    """A place at the table: this process counts as a user as long as `connection` is open."""

    place: Place
    connection: socket.socket
    socket_directory: str
    lock_identity: tuple[int, int]
    supervisor: int | None = None  # process id if this process started it
    starts: int = 0

    @property
    def server_path(self) -> str:
        return os.path.join(self.socket_directory, places.SERVER_SOCKET)

    def confirm(self) -> bool:
        """Have the supervisor make sure that the server answers. False if it is gone itself."""
        try:
            self.connection.sendall(b"?")
        except OSError:
            return False
        return self.wait_until_ready()

    def wait_until_ready(self) -> bool:
        """False if the supervisor went away.

        Raises `EmbeddedServerError` if the supervisor cannot start the server, and if the socket
        is not this user's own.
        """
        self.connection.settimeout(_SILENCE_SECONDS)
        try:
            with self.connection.makefile("rb") as replies:
                for line in replies:
                    if line.startswith(b"ready "):
                        self.starts = int(line.removeprefix(b"ready "))
                        self._check_server()
                        return True
                    if line == b"failed\n":
                        raise _start_failure(self.place, replies.read().decode(errors="replace"))
        except TimeoutError as error:
            raise EmbeddedServerError(
                f"The supervisor of the embedded server of {self.place.directory!r} has been "
                f"silent for {_SILENCE_SECONDS:.0f} s. If it was stopped or hangs, end it (its "
                "command line contains popoto/embedded/supervisor.py) and try again; no "
                "acknowledged write is lost by that."
            ) from error
        except OSError:
            return False
        return False

    def _check_server(self) -> None:
        # A server that ended meanwhile is not there to be asked; connecting to it will tell.
        with socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            check_file(self.server_path, os.lstat(self.server_path))
            server.settimeout(_ORPHAN_SECONDS)
            server.connect(self.server_path)
            check_peer(server, self.server_path)

    def leave(self) -> bool:
        """Stop being a user; returns when the supervisor has seen to it, False if that is gone.

        For the last user that is when the server has stopped, its sockets are removed and the
        supervisor has ended, at most some 25 s (a normal stop takes a few milliseconds).
        """
        last_word = b""
        try:
            self.connection.shutdown(socket.SHUT_WR)
            deadline = time.monotonic() + _STOP_SECONDS
            while (left := deadline - time.monotonic()) > 0:
                self.connection.settimeout(left)
                word = self.connection.recv(4096)
                if not word:
                    break
                last_word = word
        except OSError:  # the supervisor is gone already, and the server with it
            pass
        finally:
            self.connection.close()
            if last_word.endswith(b"stopped\n"):
                reap_supervisors(self.supervisor, patience=1.0)
        return last_word != b""

    def is_current(self) -> bool:
        """Whether the directory is still the one that was joined, not removed or made anew."""
        return self.place.lock_identity() == self.lock_identity


def join(place: Place, *, may_start: bool = True) -> Seat:
    """Become a user of the place's server, which is started unless it runs.

    Every user of a directory gets the same server; which of several that come at once starts it is
    decided by a file lock. Raises `EmbeddedServerError`.
    """
    deadline = time.monotonic() + (_JOIN_SECONDS if may_start else _INHERITED_SECONDS)
    unanswered_since = time.monotonic()
    fruitless_launches = 0
    while True:
        reap_supervisors()
        if not may_start and place.lock_identity() is None:
            raise _not_ours_to_start(place)
        seat = _connect_or_launch(place, may_start)
        if seat is not None:
            if _takes_its_seat(seat):
                return seat
            unanswered_since = time.monotonic()
            fruitless_launches += seat.supervisor is not None
        now = time.monotonic()
        if now - unanswered_since > _ORPHAN_SECONDS:
            dismiss_orphan(place)
            unanswered_since = now
        if fruitless_launches == _LAUNCHES:
            raise EmbeddedServerError(
                f"The supervisor of the embedded server of {place.directory!r} ended {_LAUNCHES} "
                f"times before the server answered. {_log_tail(place)}"
            )
        if now > deadline:
            raise _not_answered(place) if may_start else _not_ours_to_start(place)
        time.sleep(0.003)


def _takes_its_seat(seat: Seat) -> bool:
    is_ready = False
    try:
        is_ready = seat.wait_until_ready()
    finally:
        if not is_ready:
            seat.connection.close()
    return is_ready


def _not_ours_to_start(place: Place) -> EmbeddedServerError:
    return EmbeddedServerError(
        f"The temporary embedded server at {place.directory!r} belonged to another process, from "
        "which this one was forked, and has ended with it. Start a server in this process, or "
        "share one by naming a directory."
    )


def _not_answered(place: Place) -> EmbeddedServerError:
    return EmbeddedServerError(
        f"The embedded server of {place.directory!r} could not be joined within "
        f"{_JOIN_SECONDS:.0f} s: a process holds {place.lock_path!r} but does not answer. "
        f"Find it with `lsof {place.lock_path}`, end it and try again. {_log_tail(place)}"
    )


def _connect_or_launch(place: Place, may_start: bool) -> Seat | None:
    """None while somebody else is starting or stopping the server."""
    lock = place.open_lock()
    _open_locks.add(lock)
    try:
        recorded = place.recorded_sockets(lock)
        if recorded is not None:
            connection = _connect(os.path.join(recorded, places.CONTROL_SOCKET))
            if connection is not None:
                return Seat(place, connection, recorded, places.identity(os.fstat(lock)))
        if may_start and place.take_lock(lock):
            return launch(place, lock, recorded)
        return None
    except OSError as error:
        raise place.refusal(error) from error
    finally:
        # Closed, not unlocked: after a launch the supervisor shares this lock.
        _open_locks.discard(lock)
        os.close(lock)


def launch(place: Place, lock: int, recorded: str | None) -> Seat:
    """Start the supervisor, as the holder of the lock, and be its first user."""
    binary = server_binary()
    interpreter = _interpreter()
    if interpreter is None or not os.path.isfile(_SUPERVISOR):
        raise EmbeddedServerError(
            "The embedded server needs a Python interpreter to run its supervisor with, and popoto "
            "installed as files. Start a Redis or Valkey server yourself and set REDIS_URL to it."
        )
    listener, socket_directory = _listen(place, recorded)
    with listener, place.opened_log() as log:
        places.write_record(lock, socket_directory)
        # Connected before the supervisor lives: if this process dies now, the supervisor notices.
        connection = _connect(os.path.join(socket_directory, places.CONTROL_SOCKET))
        if connection is None:
            raise EmbeddedServerError(
                f"The embedded server of {place.directory!r} cannot use its socket in "
                f"{socket_directory!r}."
            )
        arguments = [binary, place.directory, place.lock_path]
        arguments.append(os.path.join(socket_directory, places.CONTROL_SOCKET))
        arguments.append(os.path.join(socket_directory, places.SERVER_SOCKET))
        arguments.append("persistent" if place.persistent else "temporary")
        arguments += [str(lock), str(listener.fileno())]
        _handed_on.lock = lock
        try:
            process = subprocess.Popen(
                [interpreter, "-I", "-S", _SUPERVISOR, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock, listener.fileno()),
                start_new_session=True,
            )
        except OSError as error:
            connection.close()
            raise EmbeddedServerError(
                f"The embedded server of {place.directory!r} cannot be started with "
                f"{interpreter!r}: {error}"
            ) from error
        finally:
            _handed_on.lock = None
    # It may well outlive this process, which is nothing to warn about: `reap_supervisors` waits.
    process.returncode = 0
    _supervisors.add(process.pid)
    return Seat(place, connection, socket_directory, places.identity(os.fstat(lock)), process.pid)


def _interpreter() -> str | None:
    """A Python to run the supervisor with: under uWSGI and the like `sys.executable` is none."""
    if getattr(sys, "frozen", False):
        return None
    for path in (sys.executable, os.path.join(sys.exec_prefix, "bin", "python3")):
        if path and "py" in os.path.basename(path) and os.access(path, os.X_OK):
            return path
    return None


def _listen(place: Place, recorded: str | None) -> tuple[socket.socket, str]:
    """A control socket to listen on, in the first directory that can hold one."""
    refusals: list[str] = []
    for candidate in place.socket_directory_candidates(recorded):
        directory = candidate or places.make_short_directory()
        path = os.path.join(directory, places.CONTROL_SOCKET)
        listener = socket.socket(socket.AF_UNIX)
        try:
            with suppress(FileNotFoundError):
                os.unlink(path)
            listener.bind(path)
            os.chmod(path, 0o600)
            listener.listen(128)
        except OSError as error:  # network and container file systems may know no sockets
            listener.close()
            refusals.append(f"{path}: {error}")
            continue
        return listener, directory
    raise EmbeddedServerError(
        f"The embedded server of {place.directory!r} found no directory for its sockets "
        f"({'; '.join(refusals)}). Set TMPDIR to a local directory with a short path."
    )


def _connect(control_path: str) -> socket.socket | None:
    """None if nobody listens. Raises `EmbeddedServerError` if another user does."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_SILENCE_SECONDS)
    try:
        connection.connect(control_path)
        check_peer(connection, control_path)
    except OSError:
        connection.close()
        return None
    except EmbeddedServerError:
        connection.close()
        raise
    _open_connections.add(connection)
    return connection


def dismiss_orphan(place: Place) -> None:
    """Shut down a server whose supervisor was killed.

    On Linux such a server dies with its supervisor. On macOS it lives on, holding the lock, with
    nobody to stop it; it is recognised by answering while its control socket does not.
    """
    lock = place.open_lock()
    try:
        recorded = place.recorded_sockets(lock)
    finally:
        os.close(lock)
    if recorded is None:
        return
    connection = _connect(os.path.join(recorded, places.CONTROL_SOCKET))
    if connection is not None:
        connection.close()
        return
    with socket.socket(socket.AF_UNIX) as server:
        server.settimeout(2.0)
        with suppress(OSError):
            path = os.path.join(recorded, places.SERVER_SOCKET)
            server.connect(path)
            check_peer(server, path)
            server.sendall(b"SHUTDOWN\r\n")
            server.recv(256)


def reap_supervisors(ending: int | None = None, patience: float = 0.0) -> None:
    """Wait for supervisors that have ended, and up to `patience` seconds for the `ending` one."""
    deadline = time.monotonic() + patience
    while True:
        for process in list(_supervisors):
            try:
                ended = os.waitpid(process, os.WNOHANG)[0] != 0
            except ChildProcessError:  # the application waits for all children itself
                ended = True
            if ended:
                _supervisors.discard(process)
        if ending not in _supervisors or time.monotonic() >= deadline:
            return
        time.sleep(0.002)


def _start_failure(place: Place, log: str) -> EmbeddedServerError:
    message = f"The embedded server of {place.directory!r} cannot be started. "
    if "valkey-check-aof" in log or "Bad file format" in log:
        message += (
            "Its append-only file is damaged before its end, which a killed server does not cause. "
            "Copy the directory, then repair it with valkey-check-aof --fix, or restore a backup. "
        )
    else:
        message += "The log tells why; correct that and try again. "
    return EmbeddedServerError(f"{message}Its last lines ({place.log_path}):\n{log.strip()}")


def _log_tail(place: Place) -> str:
    try:
        with open(place.log_path, "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 1500))
            return f"Last lines of {place.log_path}:\n{log.read().decode(errors='replace').strip()}"
    except OSError as error:
        return f"Its log cannot be read: {error}"


def _forget_parent() -> None:
    """In a forked child: the parent's seats, locks and supervisors are none of its business."""
    for connection in list(_open_connections):
        # Not close(), which waits for a reader that another thread of the parent may have open.
        if connection.fileno() >= 0:
            os.close(connection.detach())
    for lock in _open_locks - {getattr(_handed_on, "lock", None)}:
        with suppress(OSError):
            os.close(lock)
    _open_locks.clear()
    _supervisors.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
