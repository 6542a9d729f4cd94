"""A server is started and joined only where nobody else can answer in its place.

As root, another user really owns and listens; otherwise the tests pretend that.
"""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from popoto import embedded
from popoto.embedded import owning
from tests.embedded.processes import environment, processes_of

STRANGER = 12345
IS_ROOT = os.geteuid() == 0

GiveAway = Callable[[Path], None]
Listen = Callable[[Path], None]

# Whoever listens is who called listen(), so that the file can belong to somebody else.
LISTENER = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.setresuid(int(sys.argv[2]), int(sys.argv[2]), int(sys.argv[2]))
listener.listen()
print("listening", flush=True)
while True:
    user = listener.accept()[0]
    if user.recv(64):
        print("spoken to", flush=True)
"""


@pytest.fixture
def give_away(monkeypatch: pytest.MonkeyPatch) -> GiveAway:
    """Makes somebody else the owner of a file, link or directory."""
    if IS_ROOT:
        return lambda path: os.chown(path, STRANGER, -1, follow_symlinks=False)
    given: set[str] = set()
    real = os.lstat

    def lstat(path: str) -> os.stat_result:
        status = real(path)
        if str(path) not in given:
            return status
        return os.stat_result([*status[:4], STRANGER, *status[5:]])

    monkeypatch.setattr(os, "lstat", lstat)
    return lambda path: given.add(str(path))


@pytest.fixture
def stranger_listens(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listen]:
    """Has a process of somebody else listen on a socket, whose file is ours."""
    with ExitStack() as stack:

        def listen(path: Path) -> None:
            if not IS_ROOT:
                monkeypatch.setattr(owning, "peer", lambda connection: STRANGER)
                return
            process = subprocess.Popen(
                [sys.executable, "-c", LISTENER, str(path), str(STRANGER)],
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == "listening\n"

        yield listen


def refusal(directory: Path) -> str:
    with pytest.raises(embedded.EmbeddedServerError) as found:
        embedded.start(directory)
    assert not processes_of(directory)
    return str(found.value)


def assert_names(message: str, path: Path) -> None:
    """The path, its owner, who we are, and what to do instead."""
    assert repr(str(path)) in message
    assert f"user id {STRANGER}" in message
    assert f"user id {os.geteuid()}" in message
    assert "Name a directory of your own" in message


# ── The directory ────────────────────────────────────────────────────────────


def test_what_is_made_is_for_this_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with embedded.start(tmp_path / "made" / "on" / "the way") as server:
            made = Path(server.directory)
            for path in (made, *made.rglob("*"), made.parent, made.parent.parent):
                assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    finally:
        os.umask(before)


def test_a_directory_that_somebody_else_made_first_is_refused(
    tmp_path: Path, give_away: GiveAway
) -> None:
    directory = tmp_path / "shop-data"
    directory.mkdir(mode=0o777)
    give_away(directory)
    assert_names(refusal(directory), directory)
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777, 0o2770, 0o720, 0o702])
def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    directory = tmp_path / "shared"
    directory.mkdir()
    directory.chmod(mode)
    message = refusal(directory)
    assert repr(str(directory)) in message
    assert f"mode {mode:04o}" in message
    assert f"chmod go-w {str(directory)!r}" in message
    directory.chmod(mode & ~0o022)
    embedded.start(directory).close()


def test_a_directory_of_root_is_none_of_an_ordinary_users() -> None:
    program = (
        "import sys, os\n"
        "from popoto import embedded\n"
        "if os.geteuid() == 0: os.setresuid(65534, 65534, 65534)\n"
        "try: embedded.start('/etc')\n"
        "except embedded.EmbeddedServerError as error: print(error)\n"
    )
    output = subprocess.check_output(
        [sys.executable, "-c", program], env=environment(), text=True, stderr=subprocess.DEVNULL
    )
    assert "'/etc'" in output
    assert "root (user id 0)" in output


# ── The way to it ────────────────────────────────────────────────────────────


def test_a_directory_below_one_of_somebody_else_is_refused(
    tmp_path: Path, give_away: GiveAway
) -> None:
    directory = tmp_path / "theirs" / "mine"
    directory.mkdir(parents=True)
    give_away(directory.parent)
    assert_names(refusal(directory), directory.parent)
    assert_names(refusal(directory / "deeper" / "still"), directory.parent)
    assert list(directory.iterdir()) == []


def test_a_directory_that_everybody_can_replace_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    (shared / "data").mkdir(parents=True)
    (shared / "data").chmod(0o700)
    shared.chmod(0o777)
    message = refusal(shared / "data")
    assert repr(str(shared)) in message
    assert "mode 0777" in message
    assert "chmod +t" in message
    shared.chmod(0o1777)
    embedded.start(shared / "data").close()


def test_a_link_of_somebody_else_is_not_followed(tmp_path: Path, give_away: GiveAway) -> None:
    (tmp_path / "mine").mkdir()
    link = tmp_path / "link"
    link.symlink_to("mine")
    embedded.start(link / "data").close()
    give_away(link)
    assert_names(refusal(link), link)
    assert_names(refusal(link / "data"), link)
    other = tmp_path / "other"
    other.symlink_to(tmp_path / "mine" / ".." / "link" / "data")
    assert_names(refusal(other), link)


def test_a_link_into_a_directory_of_somebody_else_is_not_followed(
    tmp_path: Path, give_away: GiveAway
) -> None:
    (tmp_path / "theirs" / "data").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "theirs" / "data")
    give_away(tmp_path / "theirs")
    assert_names(refusal(tmp_path / "link"), tmp_path / "theirs")


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    assert "symbolic links" in refusal(tmp_path / "one")


def test_a_relative_directory_is_below_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with embedded.start("./here/../data/") as server:  # type: ignore[arg-type]
        assert server.directory == str(tmp_path / "data")


# ── What is in it ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "name",
    ["popoto.lock", "popoto.log", "popoto.sock", "popoto-control.sock", "appendonlydir"],
)
def test_what_somebody_else_has_put_there_is_refused(
    tmp_path: Path, name: str, give_away: GiveAway
) -> None:
    if name.endswith(".sock"):
        with socket.socket(socket.AF_UNIX) as theirs:
            theirs.bind(str(tmp_path / name))
    elif name == "appendonlydir":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text(f"{tmp_path}\n")
    give_away(tmp_path / name)
    assert_names(refusal(tmp_path), tmp_path / name)


@pytest.mark.parametrize("name", ["popoto.lock", "popoto.log"])
def test_no_link_is_written_through(tmp_path: Path, name: str) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / name).symlink_to("precious")
    assert name in refusal(tmp_path)
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_control_socket_at_which_somebody_else_answers_is_not_joined(
    tmp_path: Path, stranger_listens: Listen
) -> None:
    (tmp_path / "popoto.lock").write_text(f"{tmp_path}\n")
    stranger_listens(tmp_path / "popoto-control.sock")
    assert_names(refusal(tmp_path), tmp_path / "popoto-control.sock")


@pytest.mark.parametrize("rejoin", [lambda server: server.ensure_running(), None])
def test_a_server_socket_at_which_somebody_else_answers_is_not_used(
    tmp_path: Path,
    stranger_listens: Listen,
    rejoin: Callable[[embedded.EmbeddedServer], None] | None,
) -> None:
    with embedded.start(tmp_path) as server:
        Path(server.socket_path).unlink()
        stranger_listens(tmp_path / "popoto.sock")
        with pytest.raises(embedded.EmbeddedServerError) as found:
            rejoin(server) if rejoin is not None else embedded.start(tmp_path)
        assert_names(str(found.value), tmp_path / "popoto.sock")


def test_a_socket_directory_that_somebody_else_has_made_anew_is_not_used(
    tmp_path: Path, give_away: GiveAway
) -> None:
    """Its path was too long for sockets, so that they were in the temporary directory."""
    directory = tmp_path / "data"
    sockets = tmp_path / "sockets"
    directory.mkdir()
    sockets.mkdir(mode=0o700)
    (directory / "popoto.lock").write_text(f"{sockets}\n")
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(str(sockets / "popoto-control.sock"))
        theirs.listen()
        give_away(sockets)
        with embedded.start(directory) as server:
            assert not server.socket_path.startswith(str(sockets))
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.accept()


# ── Users ────────────────────────────────────────────────────────────────────


def test_a_connection_tells_who_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as connection:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        connection.connect(str(tmp_path / "socket"))
        owning.check_peer(connection, "here")
        monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
        with pytest.raises(embedded.EmbeddedServerError, match="'here'"):
            owning.check_peer(connection, "here")


def test_macos_is_asked_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    class Connection:
        def getsockopt(self, level: int, option: int, size: int) -> bytes:
            assert (level, option) == (0, 1)
            return b"\0\0\0\0" + STRANGER.to_bytes(4, sys.byteorder) + bytes(size - 8)

    monkeypatch.setattr(sys, "platform", "darwin")
    assert owning.peer(Connection()) == STRANGER  # type: ignore[arg-type]


def test_root_of_another_user_namespace_is_no_stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, give_away: GiveAway
) -> None:
    """Rootless containers show the owner of what they were given as a user id of nobody."""
    theirs = tmp_path / "mounted"
    theirs.mkdir()
    give_away(theirs)
    monkeypatch.setattr(owning, "_stands_for_unknown_users", lambda: STRANGER)
    embedded.start(theirs / "data").close()
    assert_names(refusal(theirs), theirs)
