"""Other processes for the tests: users that can be talked to, and what is left of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

SOURCE = Path(__file__).parents[2] / "src"

# A user process: joins the server of its argument and answers one line for each line it reads.
USER = """
import sys, redis
from popoto import embedded
server = embedded.start(sys.argv[1] or None)
client = redis.Redis.from_url(server.url, retry=None)
print(server.url, flush=True)
for line in sys.stdin:
    command = line.strip()
    if command == "increment":
        print(client.incr("counter"), flush=True)
    elif command == "ensure":
        server.ensure_running()
        # Old clients do not notice that a connection of the former server is of no use.
        client.connection_pool.disconnect()
        print(server.url, flush=True)
    elif command == "close":
        server.close()
        print("closed", flush=True)
    else:
        print(eval(command), flush=True)
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE)}


def python(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )


class User:
    """Another process that uses the server of `directory`; running, but perhaps not joined yet."""

    def __init__(self, directory: Path | str) -> None:
        self.process = python(USER, str(directory))
        self._url: str | None = None

    @property
    def url(self) -> str:
        """Waits until the process has joined."""
        if self._url is None:
            self._url = self._read()
        return self._url

    def ask(self, command: str) -> str:
        assert self.url
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self._read()

    def end(self) -> None:
        """Let it run to its end."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(timeout=120)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def _read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, f"the user ended with status {self.process.wait(timeout=60)}"
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()


def server_pid(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


def parent_of(pid: int) -> int:
    return int(subprocess.check_output(["ps", "-o", "ppid=", "-p", str(pid)]))


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def processes_of(directory: Path | str) -> list[str]:
    """Servers and supervisors of a directory."""
    listing = subprocess.check_output(["ps", "-ww", "-eo", "pid=,args="], text=True)
    return [
        line
        for line in listing.splitlines()
        if str(directory) in line and ("supervisor.py" in line or "valkey-server" in line)
    ]


def eventually(holds: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
