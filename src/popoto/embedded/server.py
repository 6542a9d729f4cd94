"""What a process holds of an embedded server."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from types import TracebackType
from typing import Self

from popoto.embedded import losing
from popoto.embedded.binary import require_supported_platform
from popoto.embedded.errors import EmbeddedServerError
from popoto.embedded.joining import Seat, join
from popoto.embedded.place import Place, persistent_place, remove_abandoned, temporary_place

__all__ = ["EmbeddedServer", "start"]

_logger = logging.getLogger("POPOTO-EMBEDDED")

_LOCK = threading.Lock()
# Of the kind that every lock is which popoto makes when it is imported.


def start(directory: str | os.PathLike[str] | None = None) -> EmbeddedServer:
    """A running server; returns when it answers.

    With `None` it is a temporary server of this process: kept in memory, and removed when the
    process closes it or ends in whatever way.

    With a directory, made if need be, it is the server of that directory, shared by all processes
    of this user that name it. The first one starts it, the last one to go stops it. A write that
    was acknowledged survives the killing of any of the processes involved, the server included; a
    power failure can lose the last second or so.

    Starting takes some 80 ms plus the time to load the data, joining about 1 ms. No TCP port is
    opened. Raises `EmbeddedServerError`.
    """
    require_supported_platform()
    if directory is None:
        place = temporary_place()
        membership = _memberships[place.directory] = _Membership(place)
    else:
        place = persistent_place(directory)
        membership = _memberships.setdefault(place.directory, _Membership(place))
    return EmbeddedServer(membership)


class EmbeddedServer:
    """One use of an embedded server, made by `start`. Close it, or use it in a `with` statement.

    Uses of one directory in one process share a connection to the supervisor and are counted. A
    use that is not closed lasts until the process ends. After a fork, the child's copy does not
    hold the server; the child becomes a user by `ensure_running` or `start`. Safe to use from
    threads.
    """

    def __init__(self, membership: _Membership) -> None:
        self._membership = membership
        self._is_closed = False
        membership.enter(self)

    @property
    def url(self) -> str:
        """`unix:///absolute/path`, unquoted. It hardly ever changes, see `ensure_running`."""
        return f"unix://{self.socket_path}"

    @property
    def socket_path(self) -> str:
        """The absolute path of the server's Unix socket."""
        return self._membership.socket_path

    @property
    def directory(self) -> str:
        """The absolute path, symbolic links resolved, of the data or of the temporary files."""
        return self._membership.place.directory

    def ensure_running(self) -> None:
        """Make the server answer again, starting it if it was killed; for when connecting fails.

        Costs one exchange with the supervisor (some 0.2 ms) if the server runs, and blocks for
        some 40 ms plus loading if not. A temporary server starts again empty, which is logged as a
        warning. `url` stays the same, unless the directory's path is unfit for sockets and the
        temporary directory that held them instead was removed. Raises `EmbeddedServerError` if the
        server cannot be started or this use was closed.
        """
        self._check_open()
        self._membership.enter(self)

    def close(self) -> None:
        """End this use. The last use anywhere stops the server before this returns. Idempotent.

        Costs one exchange with the supervisor, or some 10 ms for stopping; at most some 25 s, when
        flushing the data to the disk takes long.
        """
        if not self._is_closed:
            self._is_closed = True
            self._membership.leave(self)

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise EmbeddedServerError(
                f"This use of the embedded server of {self.directory!r} is closed. "
                "Call start() for a new one."
            )

    def __repr__(self) -> str:
        return f"<EmbeddedServer {self.url}{' closed' if self._is_closed else ''}>"


class _Membership:
    """This process as a user of one place: its seat, and the uses that share it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.owner = os.getpid()
        self.lock = threading.Lock()
        self.seat: Seat | None = None
        self.uses: set[EmbeddedServer] = set()
        self.socket_path = ""

    def enter(self, use: EmbeddedServer) -> None:
        """Have a seat at a server that answers. Changes nothing if that is so already."""
        _check_patching()
        with self.lock:
            try:
                self._ensure_seat()
            except EmbeddedServerError:
                if not self.uses:
                    self._remove_traces()
                raise
            self.uses.add(use)

    def leave(self, use: EmbeddedServer) -> None:
        with self.lock:
            if use in self.uses:  # not so in a forked child that never entered
                self.uses.remove(use)
                if not self.uses:
                    self._stand_up()

    def leave_at_exit(self) -> None:
        if self.lock.acquire(timeout=1.0):  # a daemon thread may be waiting for a server
            self._stand_up()
            self.lock.release()

    def forget_parent(self) -> None:
        """In a forked child, where a thread that is no more may have held the lock."""
        self.lock = threading.Lock()
        self.seat = None
        self.uses.clear()

    def _ensure_seat(self) -> None:
        seat = self.seat
        if seat is not None:
            starts = seat.starts
            if seat.is_current() and seat.confirm():
                if not self.place.persistent and seat.starts != starts:
                    self._warn_of_loss()
                return
            if self.place.persistent and not seat.is_current():
                losing.tell_of_replaced(self.place)
            seat.connection.close()
            self.seat = None
        is_owner = self.place.persistent or self.owner == os.getpid()
        if is_owner:
            self.place.make()
        is_new = losing.has_no_data(self.place)
        self.seat = join(self.place, may_start=is_owner)
        self.socket_path = self.seat.server_path
        if self.place.persistent and self.seat.supervisor:
            if is_new:
                losing.tell_of_unread(self.place)
            else:
                losing.tell_of_torn_log(self.place)
        if seat is not None and self.seat.supervisor and not self.place.persistent:
            self._warn_of_loss()

    def _warn_of_loss(self) -> None:
        _logger.warning(
            "The temporary embedded server %s was killed and has been started again, empty. "
            "Name a directory to keep data.",
            self.socket_path,
        )

    def _stand_up(self) -> None:
        if self.seat is not None:
            is_seen_to = self.seat.leave()
            self.seat = None
            self._remove_traces(by_supervisor=is_seen_to)

    def _remove_traces(self, *, by_supervisor: bool = False) -> None:
        if not self.place.persistent:
            if self.owner == os.getpid() and not by_supervisor:
                remove_abandoned(self.place)
            _memberships.pop(self.place.directory, None)


def _check_patching() -> None:
    """Refuse greenlets whose sockets give way to others, and whose locks then stop them all."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("socket"):
        return
    if type(_LOCK).__module__ == "_thread":
        raise EmbeddedServerError(
            "gevent has patched sockets after popoto was imported, or without threads: greenlets "
            "that wait for the embedded server would stop all others. Call "
            "gevent.monkey.patch_all() before popoto is imported."
        )


# By directory. Those of persistent places stay: a few hundred bytes each, and no question of who
# may remove one while another thread enters it.
_memberships: dict[str, _Membership] = {}


def _leave_all() -> None:
    for membership in list(_memberships.values()):
        membership.leave_at_exit()


def _forget_parent() -> None:
    for membership in _memberships.values():
        membership.forget_parent()


atexit.register(_leave_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
