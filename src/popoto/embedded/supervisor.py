r"""The small process that owns an embedded server and stops it when nobody uses it any more.

It is started by path (`python -I -S supervisor.py ...`, see `joining.launch`), never imported, and
uses the standard library alone: that makes it ready in some 20 ms, where importing the package and
its client library would take ten times as long. Its arguments are listed in `Supervisor.__init__`.

Users are connections. Every process that uses the server keeps one connection to the control
socket; the kernel closes it however the process ends, SIGKILL included, so counting users is
counting connections. Joining is answered by a single thread, hence there is no moment in which a
newcomer could be both accepted and forgotten: either it is counted before the decision to stop, or
the control socket is closed and it starts a supervisor of its own as soon as this one has gone.

The lock on the directory is an `flock` on an open file description that the starter took, this
process inherited, and the server inherits from it. It is free exactly when none of the three
lives, so two servers never write one append-only file.

What is said on a control connection:

    user ->        any byte        make sure that the server runs, and tell me when it does
    supervisor ->  starting\n      about once a second while that takes time
    supervisor ->  ready N\n       it answers; N counts how often this supervisor has started it
    supervisor ->  failed\n...     it cannot be started; its last log lines follow, then the end

A new connection counts as a first request. A user leaves by closing its side. It is told
`left`, and the other side is closed, too. The last one is told `stopped` when the server and its
files are gone; its connection ends with this process.
"""

# Length: it is started by its path, alone, so it cannot be spread over several files.
from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import socket
import sys
import time

START_SECONDS = 30.0  # without any reply of a starting server; "loading" is one
START_ATTEMPTS = 5
STOP_SECONDS = 20.0  # for a regular shutdown, which flushes the append-only file; then SIGKILL
REPLY_SECONDS = 0.25
HEARTBEAT_SECONDS = 1.0
SYNC_SECONDS = 1.0
SHORT_LIFE_SECONDS = 1.0  # a server that crashes sooner is restarted only after as long a pause
LOG_TAIL_BYTES = 3000
PR_SET_PDEATHSIG = 1


class Supervisor:
    """One run: starts the server, answers its users, stops it."""

    def __init__(self, arguments: list[str]) -> None:
        binary, directory, lock_path, control_path, server_path, mode, lock, listener = arguments
        self.binary = binary
        self.directory = directory
        self.lock_path = lock_path
        self.control_path = control_path
        self.server_path = server_path
        self.persistent = mode == "persistent"
        self.lock = int(lock)
        self.listener = socket.socket(fileno=int(listener))
        self.listener.setblocking(False)
        # The server inherits the lock on purpose, but must not keep the control socket open.
        os.set_inheritable(self.listener.fileno(), False)

        self.users: dict[int, socket.socket] = {}
        self.waiting: set[int] = set()
        self.leaving: list[socket.socket] = []

        self.process = 0
        self.starts = 0
        self.attempts = 0
        self.ready = False
        self.failed = False
        self.terminated = False
        self.doubted = False
        self.last_sign = 0.0
        self.ready_since = 0.0
        self.restart_at: float | None = None
        self.last_heartbeat = 0.0
        self.last_sync = 0.0
        self.synced: dict[str, int] = {}
        self.log_offset = os.fstat(sys.stderr.fileno()).st_size
        self.libc: ctypes.CDLL | None = ctypes.CDLL(None) if sys.platform == "linux" else None

        self.wakeup, wakeup_writer = os.pipe()
        os.set_blocking(self.wakeup, False)
        os.set_blocking(wakeup_writer, False)
        signal.set_wakeup_fd(wakeup_writer, warn_on_full_buffer=False)
        self.poll = select.poll()
        self.poll.register(self.wakeup, select.POLLIN)
        self.poll.register(self.listener, select.POLLIN)

    def run(self) -> int:
        """Serve until the last user has gone. Returns the exit status: 1 if the server failed."""
        self._launch()
        while not (self.failed or self.terminated or self._is_deserted()):
            self._wait_for_events()
            self._reap()
            self._advance()
            self._answer()
            self._sync()
        self._stop()
        return 1 if self.failed else 0

    def terminate(self, *_: object) -> None:
        """Handler of SIGTERM: stop in an orderly way, users or not."""
        self.terminated = True

    # Users

    def _is_deserted(self) -> bool:
        """Whether the last user has gone; those who merely queue on the control socket count."""
        if not self.users:
            self._welcome()
        if not self.users:
            return True
        self._tell_the_leaving(b"left\n")
        for connection in self.leaving:
            connection.close()
        self.leaving.clear()
        return False

    def _tell_the_leaving(self, last_word: bytes) -> None:
        for connection in self.leaving:
            try:
                connection.send(last_word)
            except OSError:  # the process has ended, not closed
                continue

    def _wait_for_events(self) -> None:
        for descriptor, _ in self.poll.poll(self._patience()):
            if descriptor == self.wakeup:
                os.read(self.wakeup, 512)
            elif descriptor == self.listener.fileno():
                self._welcome()
            else:
                self._hear(descriptor)

    def _patience(self) -> float | None:
        """Milliseconds until there is something to do even if nothing happens; None for never."""
        now = time.monotonic()
        if self.process and not self.ready:
            return 2.0 if now - self.last_sign < 0.5 else 20.0
        if self.restart_at is not None:
            return max(0.0, self.restart_at - now) * 1000.0 + 1.0
        return SYNC_SECONDS * 1000.0 if self.persistent and self.process else None

    def _welcome(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:  # nobody waits, or the caller has already hung up
                return
            connection.setblocking(False)
            self.users[connection.fileno()] = connection
            self.waiting.add(connection.fileno())
            self.doubted = True
            self.poll.register(connection, select.POLLIN)

    def _hear(self, descriptor: int) -> None:
        try:
            request = self.users[descriptor].recv(64)
        except BlockingIOError:
            return
        except OSError:
            request = b""
        if request:
            self.waiting.add(descriptor)
            self.doubted = True
            return
        self.poll.unregister(descriptor)
        self.waiting.discard(descriptor)
        self.leaving.append(self.users.pop(descriptor))

    def _answer(self) -> None:
        if self.terminated:  # whoever asks is told by the end of the connection
            return
        if self.ready:
            self._say(b"ready %d\n" % self.starts)
            self.waiting.clear()
        elif self.failed:
            self._say(b"failed\n" + self._log_tail())
        elif time.monotonic() - self.last_heartbeat >= HEARTBEAT_SECONDS:
            self.last_heartbeat = time.monotonic()
            self._say(b"starting\n")

    def _say(self, message: bytes) -> None:
        for descriptor in self.waiting:
            try:
                self.users[descriptor].send(message)
            except OSError:  # gone; `hear` will be told
                continue

    # The server

    def _launch(self) -> None:
        self.starts += 1
        self.attempts += 1
        self.ready = False
        self.restart_at = None
        self.last_sign = time.monotonic()
        supervisor = os.getpid()
        self.process = os.fork()
        if self.process == 0:
            self._become_server(supervisor)

    def _become_server(self, supervisor: int) -> None:
        try:
            if self.libc is not None:
                # Whoever kills the supervisor takes the server along. macOS has nothing like it:
                # there the next starter shuts the orphan down (`joining.dismiss_orphan`).
                self.libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
                if os.getppid() != supervisor:
                    os._exit(1)
            os.execv(self.binary, [self.binary, *self._server_options()])  # noqa: S606
        except OSError as error:
            _log(f"{self.binary}: {error}")
        finally:
            os._exit(127)

    def _server_options(self) -> list[str]:
        options = ["--port", "0", "--daemonize", "no", "--save", "", "--dir", self.directory]
        options += ["--unixsocket", self.server_path, "--unixsocketperm", "700"]
        if not self.persistent:
            return [*options, "--appendonly", "no"]
        # Under `everysec` the server puts its write() off for up to two seconds while a background
        # fsync runs, and acknowledges commands meanwhile: a SIGKILL then loses them (seen with a
        # slow disk: 180 of 2000). Under `no` every command is with the kernel before its reply is
        # sent; the fsync once a second, which only a power failure makes matter, is `_sync`.
        return [
            *options,
            "--appendonly",
            "yes",
            "--appendfsync",
            "no",
            "--aof-load-truncated",
            "yes",
        ]

    def _reap(self) -> None:
        if not self.process:
            return
        process, status = os.waitpid(self.process, os.WNOHANG)
        if process:
            self._bury(os.waitstatus_to_exitcode(status))

    def _bury(self, exit_code: int) -> None:
        self.process = 0
        if not self.ready:
            # It refused to start, unless somebody stopped it: then try again, within limits.
            self.failed = exit_code > 0 or self.attempts >= START_ATTEMPTS
            self.restart_at = time.monotonic()
            return
        self.ready = False
        # A server that was told to shut down stays down until somebody asks. One that was killed
        # comes back by itself, unless that would quietly replace a temporary server's data by none.
        if exit_code != 0 and self.persistent:
            now = time.monotonic()
            short_life = now - self.ready_since < SHORT_LIFE_SECONDS
            self.restart_at = now + (SHORT_LIFE_SECONDS if short_life else 0.0)

    def _advance(self) -> None:
        now = time.monotonic()
        if self.ready and self.doubted and self._request("PING") is None:
            # Somebody could not connect. The sockets of a dying process close before its parent is
            # told, and one that lives behind a deleted socket file is as good as dead.
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
            self._bury(-int(signal.SIGKILL))
        self.doubted = False
        if not self.process and not self.failed:
            if self.waiting or (self.restart_at is not None and now >= self.restart_at):
                self._launch()
        elif not self.ready and not self.failed:
            reply = self._request("PING")
            if reply is not None and reply.startswith(b"+PONG"):
                self.ready = True
                self.ready_since = now
                self.attempts = 0
            elif reply:
                self.last_sign = now
            elif now - self.last_sign > START_SECONDS:
                self.failed = True

    def _request(self, command: str) -> bytes | None:
        """The server's reply, empty if it is too busy to give one, None if it is not there."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(REPLY_SECONDS)
            try:
                connection.connect(self.server_path)
                connection.sendall(f"{command}\r\n".encode())
                return connection.recv(64) or None
            except (TimeoutError, BlockingIOError):  # the latter: its queue of connections is full
                return b""
            except OSError:
                return None

    def _sync(self) -> None:
        """Flush what was appended since the last call to the disk, at most once a second."""
        now = time.monotonic()
        if not self.persistent or not self.ready or now - self.last_sync < SYNC_SECONDS:
            return
        self.last_sync = now
        synced: dict[str, int] = {}
        try:
            with os.scandir(os.path.join(self.directory, "appendonlydir")) as entries:
                for entry in entries:
                    if entry.name.endswith(".incr.aof"):
                        synced[entry.name] = entry.stat().st_size
                        if self.synced.get(entry.name) != synced[entry.name]:
                            _flush(entry.path)
        except OSError as error:
            _log(f"cannot flush the append-only file: {error}")
            return
        self.synced = synced

    def _log_tail(self) -> bytes:
        log = sys.stderr.fileno()
        offset = max(self.log_offset, os.fstat(log).st_size - LOG_TAIL_BYTES)
        return os.pread(log, LOG_TAIL_BYTES, offset)

    # The end

    def _stop(self) -> None:
        self.listener.close()
        undisturbed = self._owns_the_path()
        if undisturbed:
            _remove_file(self.control_path)
        if self.process:
            # Shutting down, a server removes its socket by name. Where the directory was replaced
            # meanwhile that name may be its successor's. A temporary server has nothing to save,
            # and one that is still starting has acknowledged nothing and may yet miss a SIGTERM.
            regularly = self.persistent and undisturbed and self.ready
            if regularly:
                self._request("SHUTDOWN")  # at once, where SIGTERM waits for a tenth of a second
            os.kill(self.process, signal.SIGTERM if regularly else signal.SIGKILL)
            self._wait_for_exit()
        if undisturbed:
            self._remove_files()
        self._tell_the_leaving(b"stopped\n")
        # Closed by the kernel, with this process: who reads on to the end sees that it has ended.
        for connection in self.leaving:
            connection.detach()

    def _owns_the_path(self) -> bool:
        """Whether the directory is still the one that was locked, not removed or made anew."""
        try:
            there, held = os.stat(self.lock_path), os.fstat(self.lock)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)

    def _wait_for_exit(self) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        while os.waitpid(self.process, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                os.kill(self.process, signal.SIGKILL)
                os.waitpid(self.process, 0)
                return
            time.sleep(0.002)

    def _remove_files(self) -> None:
        _remove_file(self.server_path)
        socket_directory = os.path.dirname(self.server_path)
        if socket_directory != self.directory:
            _remove_directory(socket_directory)
        if self.persistent:
            return
        for parent, directories, files in os.walk(self.directory, topdown=False):
            for name in files:
                _remove_file(os.path.join(parent, name))
            for name in directories:
                _remove_directory(os.path.join(parent, name))
        _remove_directory(self.directory)


def _log(message: str) -> None:
    os.write(2, f"popoto supervisor: {message}\n".encode(errors="surrogateescape"))


def _flush(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        if sys.platform == "darwin":  # where fsync leaves the data in the drive's cache
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    finally:
        os.close(descriptor)


def _remove_file(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        _log(f"cannot remove {path}: {error}")


def _remove_directory(path: str) -> None:
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return
    except OSError as error:
        _log(f"cannot remove {path}: {error}")


def _wake_up(*_: object) -> None:
    """Having a handler, a signal is written to the wakeup descriptor, which is all it is for."""


def _main() -> int:
    os.umask(0o077)
    supervisor = Supervisor(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, supervisor.terminate)
    signal.signal(signal.SIGCHLD, _wake_up)
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(_main())
