"""gevent replaces sockets, threads and the starting of processes; the server starts all the same.

What gevent does is imitated here: it forks in Python, where hooks run that no other `Popen` runs.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from popoto import embedded
from tests.embedded.processes import python

STARTED_BY_A_FORK = """
import subprocess, sys

class Popen(subprocess.Popen):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, preexec_fn=int, **options)

subprocess.Popen = Popen

from popoto import KeyField, Model, redis_db

class Thing(Model):
    name = KeyField()

redis_db.set_REDIS_DB_settings(url=sys.argv[1])
Thing.create(name="a")
print(Thing.query.count())
"""

PATCHED_FIRST = """
import sys, threading, types

class Lock:
    def __init__(self):
        self.lock = native()
    def __getattr__(self, name):
        return getattr(self.lock, name)
    def __enter__(self):
        self.lock.acquire()
    def __exit__(self, *details):
        self.lock.release()

native, threading.Lock = threading.Lock, Lock
sys.modules["gevent.monkey"] = types.SimpleNamespace(is_module_patched=lambda name: True)

from popoto import embedded

with embedded.start() as server:
    print(server.url.startswith("unix://"))
"""


def said_by(program: str, *arguments: str) -> str:
    process = python(program, *arguments)
    said, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    return said.strip()


def test_it_starts_where_processes_are_started_by_a_fork_of_python(tmp_path: object) -> None:
    assert said_by(STARTED_BY_A_FORK, "embedded://") == "1"
    assert said_by(STARTED_BY_A_FORK, f"embedded://{tmp_path}/data") == "1"
    with embedded.start(f"{tmp_path}/data") as again:  # the first one has stopped, and let go
        again.ensure_running()


def test_it_starts_where_everything_was_patched_first() -> None:
    assert said_by(PATCHED_FIRST) == "True"


def patched(*names: str) -> SimpleNamespace:
    return SimpleNamespace(is_module_patched=names.__contains__)


def test_it_is_refused_where_popoto_has_locks_that_stop_all_greenlets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with embedded.start() as server:
        monkeypatch.setitem(sys.modules, "gevent.monkey", patched("socket", "threading"))
        for use in (embedded.start, server.ensure_running):
            with pytest.raises(embedded.EmbeddedServerError, match=r"patch_all\(\) before popoto"):
                use()
        monkeypatch.setitem(sys.modules, "gevent.monkey", patched("threading"))
        server.ensure_running()
