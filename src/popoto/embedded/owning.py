"""Whose a file, a directory on the way to it, and the other end of a socket is.

Whoever can put a directory or a socket where ours is expected can read what we write, and answer
in the server's place. So nothing is used that is not this user's own.

What is asked of the system:

    a directory     its owner, and that neither its group nor others may write to it
    the way to it   that nobody but this user and root may put something else there: they own every
                    directory and symbolic link on it, and what others may write to is sticky
    a file in it    its owner, and that it is no symbolic link of somebody else
    a connection    the user id of the process that listens: SO_PEERCRED on Linux, LOCAL_PEERCRED on
                    macOS
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import sys

from popoto.embedded.errors import EmbeddedServerError

if os.name == "posix":  # as in `place`
    import pwd

__all__ = ["check_directory", "check_file", "check_peer", "resolved"]

_MOST_LINKS = 40
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_REMEDY = (
    "Name a directory of your own, for example embedded://$HOME/.local/share/popoto, which is made "
    "if need be."
)
# Of macOS's <sys/un.h>, for which Python has no names, and how its struct xucred begins.
_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1
_XUCRED = struct.Struct("=II")
_XUCRED_BYTES = 128


def resolved(path: str) -> str:
    """The absolute path without symbolic links, whether it exists or not.

    Raises `EmbeddedServerError` if somebody else could have it lead elsewhere.
    """
    steps = os.path.join(os.getcwd(), path).split("/")[::-1]
    here = "/"
    links = 0
    while steps:
        step = steps.pop()
        if step in ("", "."):
            continue
        if step == "..":
            here = os.path.dirname(here)
            continue
        _check_on_the_way(here)
        there = os.path.join(here, step)
        status = _status(there)
        if status is None or not stat.S_ISLNK(status.st_mode):
            here = there
            continue
        _check_link(there, status)
        links += 1
        if links > _MOST_LINKS:
            raise _refusal(path, OSError(errno.ELOOP, os.strerror(errno.ELOOP)))
        target = os.readlink(there)
        if target.startswith("/"):
            here = "/"
        steps += target.split("/")[::-1]
    return here


def check_directory(path: str) -> None:
    """Raises `EmbeddedServerError` unless it is this user's own, and for nobody else to write."""
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    if status.st_uid != os.geteuid():
        raise _not_ours(path, status.st_uid)
    if status.st_mode & _OTHERS_WRITE:
        raise EmbeddedServerError(
            f"The embedded server does not use {path!r}, which others may write to (mode "
            f"{stat.S_IMODE(status.st_mode):04o}): they could read its data and answer in its "
            f"place. If what is in it is yours: chmod go-w {path!r}. {_REMEDY} For several users, "
            "run a server of your own with a password, and set REDIS_URL to it."
        )


def check_file(path: str, status: os.stat_result) -> None:
    """Raises `EmbeddedServerError` unless the file with this status is this user's own."""
    if status.st_uid != os.geteuid():
        raise _not_ours(path, status.st_uid)


def check_peer(connection: socket.socket, path: str) -> None:
    """Raises `EmbeddedServerError` unless a process of this user listens at the other end."""
    user = peer(connection)
    if user != os.geteuid():
        raise EmbeddedServerError(
            f"At {path!r} a process of {named(user)} answers, and not one of {named(os.geteuid())}:"
            f" it was not spoken to. {_REMEDY}"
        )


def peer(connection: socket.socket) -> int:
    """The user id under which the other end listens."""
    if sys.platform == "darwin":
        credentials = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES)
        return int(_XUCRED.unpack_from(credentials)[1])
    kind = struct.Struct("=iII")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, kind.size)
    return int(kind.unpack(credentials)[1])


def named(user: int) -> str:
    """A user as people know it, `ann (user id 1000)`."""
    try:
        return f"{pwd.getpwuid(user).pw_name} (user id {user})"
    except KeyError:
        return f"user id {user}"


def _check_on_the_way(directory: str) -> None:
    """Whether only this user and root decide what stands in a directory under which name."""
    status = _status(directory)
    if status is None:  # it will be made, by this user
        return
    if not _is_trusted(status.st_uid):
        raise _not_ours(directory, status.st_uid)
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        raise EmbeddedServerError(
            f"The embedded server does not use a directory below {directory!r}, where everybody "
            f"may put another in its place (mode {stat.S_IMODE(status.st_mode):04o}, owner "
            f"{named(status.st_uid)}). Its owner can mend that: chmod o-w or chmod +t. {_REMEDY}"
        )


def _check_link(path: str, status: os.stat_result) -> None:
    if not _is_trusted(status.st_uid):
        raise _not_ours(path, status.st_uid)


def _is_trusted(user: int) -> bool:
    return user in (0, os.geteuid()) or user == _stands_for_unknown_users()


def _stands_for_unknown_users() -> int | None:
    """The user id that root and others have inside a user namespace that does not know them."""
    try:
        with open("/proc/self/uid_map", encoding="ascii") as known:
            if [int(word) for word in known.read().split()] == [0, 0, 0xFFFFFFFF]:
                return None
        with open("/proc/sys/kernel/overflowuid", encoding="ascii") as number:
            return int(number.read())
    except (OSError, ValueError):
        return None


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refusal(path, error) from error


def _not_ours(path: str, owner: int) -> EmbeddedServerError:
    return EmbeddedServerError(
        f"The embedded server does not use {path!r}, which belongs to {named(owner)} and not to "
        f"{named(os.geteuid())}: its owner could read the data and answer in the server's place. "
        f"{_REMEDY}"
    )


def _refusal(path: str, error: OSError) -> EmbeddedServerError:
    return EmbeddedServerError(f"The embedded server cannot use {path!r}: {error}. {_REMEDY}")
