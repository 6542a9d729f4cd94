"""A directory keeps its data, wherever it is and however its last server ended."""

from __future__ import annotations

import fcntl
import shutil
import socket
import stat
import subprocess
import threading
from pathlib import Path

import pytest
import redis

from popoto import embedded
from popoto.embedded.binary import server_binary
from tests.embedded.processes import (
    eventually,
    kill,
    parent_of,
    processes_of,
    server_pid,
)


def increment(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.incr("counter"))


def test_data_is_there_at_the_next_start(tmp_path: Path) -> None:
    directory = tmp_path / "made" / "on the way"
    for expected in (1, 2, 3):
        with embedded.start(directory) as server:
            assert increment(server.url) == expected
        assert not processes_of(directory)
    assert not [path for path in directory.rglob("*") if stat.S_ISSOCK(path.stat().st_mode)]


def test_two_starts_in_one_process_share_one_server(tmp_path: Path) -> None:
    first, second = embedded.start(tmp_path), embedded.start(str(tmp_path))
    assert first.url == second.url
    first.close()
    first.close()
    assert increment(second.url) == 1
    second.close()
    assert not processes_of(tmp_path)


def test_a_symbolic_link_names_the_same_server(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    with embedded.start(tmp_path / "data") as one, embedded.start(tmp_path / "link") as other:
        assert one.url == other.url
        assert other.directory == str(tmp_path / "data")


def test_threads_that_start_at_once_share_one_server(tmp_path: Path) -> None:
    servers: list[embedded.EmbeddedServer] = []
    threads = [
        threading.Thread(target=lambda: servers.append(embedded.start(tmp_path))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len({server_pid(server.url) for server in servers}) == 1
    for server in servers:
        server.close()
    assert not processes_of(tmp_path)


@pytest.mark.parametrize("victim", ["server", "supervisor"])
def test_every_acknowledged_write_survives_a_kill(tmp_path: Path, victim: str) -> None:
    with embedded.start(tmp_path) as server:
        acknowledged = 0
        for _ in range(3):
            pid = server_pid(server.url)
            timer = threading.Timer(0.1, kill, [pid if victim == "server" else parent_of(pid)])
            with redis.Redis.from_url(server.url, retry=None) as client:
                client.ping()
                timer.start()
                with pytest.raises(redis.ConnectionError):  # noqa: PT012
                    while True:
                        acknowledged = int(client.incr("counter"))
            timer.join()
            server.ensure_running()
            found = increment(server.url)
            # One more may have been carried out whose reply was lost.
            assert found - 1 in (acknowledged, acknowledged + 1)
            acknowledged = found
    assert not processes_of(tmp_path)


def test_a_killed_server_comes_back_without_being_asked(tmp_path: Path) -> None:
    with embedded.start(tmp_path) as server:
        increment(server.url)
        killed = server_pid(server.url)
        kill(killed)

        def has_a_successor() -> bool:
            try:
                with redis.Redis.from_url(server.url) as client:
                    # Refused while it loads the data.
                    client.get("counter")
                return server_pid(server.url) != killed
            except redis.ConnectionError:
                return False

        assert eventually(has_a_successor)
        assert increment(server.url) == 2


def test_a_server_that_was_shut_down_stays_down_until_asked_for(tmp_path: Path) -> None:
    with embedded.start(tmp_path) as server:
        increment(server.url)
        with redis.Redis.from_url(server.url) as client:
            client.shutdown()
        assert len(processes_of(tmp_path)) == 1
        server.ensure_running()
        assert increment(server.url) == 2


def test_a_deleted_socket_is_made_anew(tmp_path: Path) -> None:
    with embedded.start(tmp_path) as server:
        increment(server.url)
        Path(server.socket_path).unlink()
        server.ensure_running()
        assert increment(server.url) == 2


def test_a_directory_that_was_removed_and_made_again_gets_a_server_of_its_own(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "data"
    old = embedded.start(directory)
    increment(old.url)
    shutil.rmtree(directory)
    new = embedded.start(directory)
    assert increment(new.url) == 1
    old.close()
    assert increment(new.url) == 2
    new.close()
    assert not processes_of(directory)


def test_what_a_killed_predecessor_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "popoto.lock").write_text(f"{tmp_path}\n")
    for name in ("popoto.sock", "popoto-control.sock"):
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(tmp_path / name))
    with embedded.start(tmp_path) as server:
        assert increment(server.url) == 1


@pytest.mark.parametrize("record", ["", "/half a rec", "/nowhere\n", "/\0\n", "\n\n", "relative\n"])
def test_a_spoilt_lock_file_is_no_obstacle(tmp_path: Path, record: str) -> None:
    (tmp_path / "popoto.lock").write_text(record)
    with embedded.start(tmp_path) as server:
        assert increment(server.url) == 1


def test_a_server_without_a_supervisor_is_shut_down_first(tmp_path: Path) -> None:
    """As it is left on macOS, where a server outlives a killed supervisor."""
    with embedded.start(tmp_path) as server:
        increment(server.url)
        path = server.socket_path
    with (tmp_path / "popoto.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [str(server_binary()), "--port", "0", "--unixsocket", path, "--save", ""]
        command += ["--dir", str(tmp_path), "--appendonly", "yes"]
        orphan = subprocess.Popen(command, pass_fds=[lock.fileno()], stdout=subprocess.DEVNULL)
    with embedded.start(tmp_path) as server:
        assert orphan.wait(timeout=60) == 0
        assert increment(server.url) == 2


def test_a_torn_end_of_the_append_only_file_is_dropped(tmp_path: Path) -> None:
    with embedded.start(tmp_path) as server:
        increment(server.url)
    (log,) = tmp_path.glob("appendonlydir/*.incr.aof")
    with log.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$7\r\ncoun")
    with embedded.start(tmp_path) as server:
        assert increment(server.url) == 2


def test_damage_before_the_end_is_reported_and_left_alone(tmp_path: Path) -> None:
    with embedded.start(tmp_path) as server:
        increment(server.url)
        increment(server.url)
    (log,) = tmp_path.glob("appendonlydir/*.incr.aof")
    content = log.read_bytes()
    log.write_bytes(b"nonsense" + content)
    with pytest.raises(embedded.EmbeddedServerError) as failure:
        embedded.start(tmp_path)
    assert str(tmp_path) in str(failure.value)
    assert "Bad file format" in str(failure.value)
    assert "valkey-check-aof" in str(failure.value)
    assert eventually(lambda: not processes_of(tmp_path))
    log.write_bytes(content)
    with embedded.start(tmp_path) as server:
        assert increment(server.url) == 3


@pytest.mark.parametrize(
    "name",
    ["deep/" * 30, "with space", "with'\"quotes", "ünïcode", "100%", "a#b?c", "back\\slash"],
)
def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name
    for expected in (1, 2):
        with embedded.start(directory) as server:
            assert len(server.socket_path) <= 100
            sockets = Path(server.socket_path).parent
            assert sockets.stat().st_mode & 0o777 == 0o700
            with redis.Redis.from_url(server.url) as client:
                assert client.incr("counter") == expected
            with embedded.start(directory) as again:
                assert again.url == server.url
            url = server.url
            kill(parent_of(server_pid(url)))
            server.ensure_running()
            assert server.url == url
        assert not sockets.exists()
        assert list(directory.glob("appendonlydir/*.aof"))


def test_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(embedded.EmbeddedServerError, match=r"cannot use .*file.*exists"):
        embedded.start(file)
    with pytest.raises(embedded.EmbeddedServerError, match="empty or impossible path"):
        embedded.start("")


def test_writes_reach_the_kernel_before_they_are_acknowledged(tmp_path: Path) -> None:
    """`everysec` would put them off while the disk is slow: see `Supervisor._server_options`."""
    with embedded.start(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        assert client.config_get("append*") | {"appendonly": "yes", "appendfsync": "no"} == (
            client.config_get("append*")
        )
