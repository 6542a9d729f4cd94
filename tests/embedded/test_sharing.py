"""Processes share the server of a directory, come and go, fork and die."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from popoto import embedded
from popoto.embedded import joining, supervisor
from popoto.embedded.place import persistent_place
from tests.embedded.processes import (
    User,
    environment,
    eventually,
    kill,
    parent_of,
    processes_of,
    python,
    server_pid,
)

pytestmark = pytest.mark.slow


@pytest.mark.traced(1)
@pytest.mark.parametrize("number", [2, 5, 8])
def test_processes_that_start_at_once_share_one_server(tmp_path: Path, number: int) -> None:
    with contextlib.ExitStack() as stack:
        users = [stack.enter_context(User(tmp_path)) for _ in range(number)]
        assert len({user.url for user in users}) == 1
        assert sorted(int(user.ask("increment")) for user in users) == list(range(1, number + 1))
        assert len(processes_of(tmp_path)) == 2
    assert not processes_of(tmp_path)


def test_the_last_user_to_go_stops_the_server(tmp_path: Path) -> None:
    with User(tmp_path) as second:
        with User(tmp_path) as first:
            pid = server_pid(first.url)
            assert second.url == first.url
        assert server_pid(second.url) == pid
        second.ask("close")
        assert not processes_of(tmp_path)


def test_the_last_user_to_go_waits_for_a_supervisor_that_is_not_its_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow_supervisor.py"
    slow.write_text(
        "import atexit, runpy, time\n"
        "atexit.register(time.sleep, 0.3)\n"
        f"runpy.run_path({supervisor.__file__!r}, run_name='__main__')\n"
    )
    monkeypatch.setattr(joining, "_SUPERVISOR", str(slow))
    seat = joining.join(persistent_place(tmp_path / "data"))
    assert len(processes_of(tmp_path)) == 2
    seat.supervisor = None  # as for a user that found it running
    assert seat.leave()
    assert not processes_of(tmp_path)


def test_a_killed_user_leaves_the_server_to_the_others(tmp_path: Path) -> None:
    first = User(tmp_path)
    assert first.ask("increment") == "1"
    second = User(tmp_path)
    assert second.ask("increment") == "2"
    pid = server_pid(second.url)
    first.kill()
    assert second.ask("increment") == "3"
    assert server_pid(second.url) == pid
    second.kill()
    assert eventually(lambda: not processes_of(tmp_path))
    with embedded.start(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        assert client.get("counter") == b"3"


@pytest.mark.traced(1)
@pytest.mark.parametrize("victim", ["server", "supervisor"])
def test_after_a_kill_all_users_meet_at_one_server(tmp_path: Path, victim: str) -> None:
    with contextlib.ExitStack() as stack:
        users = [stack.enter_context(User(tmp_path)) for _ in range(4)]
        for user in users:
            user.ask("increment")
        pid = server_pid(users[0].url)
        kill(pid if victim == "server" else parent_of(pid))
        for user in users:
            user.ask("ensure")
        assert sorted(int(user.ask("increment")) for user in users) == [5, 6, 7, 8]
        assert len(processes_of(tmp_path)) == 2
    assert not processes_of(tmp_path)


def test_interrupting_a_user_interrupts_no_server(tmp_path: Path) -> None:
    """Ctrl-C goes to the process group of the terminal; the server is in a session of its own."""
    with User(tmp_path) as user:
        pid = server_pid(user.url)
        session = os.getsid(user.process.pid)
        assert session not in (os.getsid(pid), os.getsid(parent_of(pid)))
        os.kill(parent_of(pid), signal.SIGINT)
        assert user.ask("increment") == "1"


def test_a_supervisor_told_to_end_lets_the_server_save_and_users_start_another(
    tmp_path: Path,
) -> None:
    with User(tmp_path) as user:
        assert user.ask("increment") == "1"
        pid = server_pid(user.url)
        os.kill(parent_of(pid), signal.SIGTERM)
        user.ask("ensure")
        assert user.ask("increment") == "2"


def test_a_supervisor_that_was_told_to_end_does_not_call_its_server_ready(tmp_path: Path) -> None:
    """It finds the signal and the question together, and ends the server after its answer."""
    seat = joining.join(persistent_place(tmp_path))
    supervisor = seat.supervisor
    assert supervisor is not None
    os.kill(supervisor, signal.SIGSTOP)
    os.waitpid(supervisor, os.WUNTRACED)
    seat.connection.sendall(b"?")
    os.kill(supervisor, signal.SIGTERM)
    os.kill(supervisor, signal.SIGCONT)
    assert not seat.wait_until_ready()
    seat.connection.close()
    assert eventually(lambda: not processes_of(tmp_path))


@pytest.mark.traced(0)
def test_nothing_is_lost_when_users_come_and_go_all_the_time(tmp_path: Path) -> None:
    """The last one's leaving and the next one's coming coincide again and again."""
    program = """
import sys, redis
from popoto import embedded
from popoto.embedded import joining, supervisor
from popoto.embedded.place import persistent_place
for _ in range(12):
    with embedded.start(sys.argv[1]) as server, redis.Redis.from_url(server.url) as client:
        client.incr("counter")
"""
    processes = [python(program, str(tmp_path)) for _ in range(4)]
    for process in processes:
        process.communicate(timeout=250)
        assert process.returncode == 0
    assert not processes_of(tmp_path)
    with embedded.start(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        assert client.get("counter") == b"48"


FORK = """
import os, sys, redis
from popoto import embedded
from popoto.embedded import joining, supervisor
from popoto.embedded.place import persistent_place
server = embedded.start(sys.argv[1] or None)
def value():
    with redis.Redis.from_url(server.url) as client:
        return client.incr("counter")
value()
ready, done = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os.close(done[1])
"""


def run(program: str, directory: Path | str) -> str:
    return subprocess.check_output(
        [sys.executable, "-c", program, str(directory)],
        env=environment(),
        text=True,
        timeout=250,
        stderr=subprocess.DEVNULL,
    )


def test_a_forked_child_that_ends_does_not_stop_its_parents_server() -> None:
    program = f"""{FORK}
    value()
    server.close()
    sys.exit()
os.waitpid(child, 0)
print(value())
"""
    assert run(program, "").strip() == "3"


def test_a_forked_child_does_not_keep_its_parents_server(tmp_path: Path) -> None:
    program = f"""{FORK}
    os.read(done[0], 1)
    os._exit(0)
server.close()
print(os.listdir(sys.argv[1]))
os.close(done[1])
os.waitpid(child, 0)
"""
    assert "popoto.sock" not in run(program, tmp_path)


@pytest.mark.parametrize("joins", ["server.ensure_running()", "embedded.start(sys.argv[1])"])
def test_a_forked_child_can_become_a_user_itself(tmp_path: Path, joins: str) -> None:
    program = f"""{FORK}
    {joins}
    os.write(ready[1], b"x")
    os.read(done[0], 1)
    print(value(), flush=True)
    sys.exit()
os.read(ready[0], 1)
server.close()
os.close(done[1])
os.waitpid(child, 0)
print(os.listdir(sys.argv[1]))
"""
    lines = run(program, tmp_path).splitlines()
    assert lines[0] == "2"
    assert "popoto.sock" not in lines[1]


def test_a_forked_child_without_its_parents_temporary_server_is_told_so() -> None:
    program = f"""{FORK}
    os.read(done[0], 1)
    try: server.ensure_running()
    except embedded.EmbeddedServerError as error: print(error, flush=True)
    os._exit(0)
server.close()
os.close(done[1])
os.waitpid(child, 0)
"""
    assert "belonged to another process" in run(program, "")
