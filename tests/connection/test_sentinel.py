"""A sentinel says which server is the primary; commands follow when that changes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from popoto import redis_db
from popoto.redis_db import POPOTO_REDIS_DB
from tests.cluster_nodes import free_ports, node, server_binary, wait_until

pytestmark = [pytest.mark.slow]


@dataclass
class Group:
    primary: int
    replica: int
    sentinel: int

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel}/main/0"


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    group = Group(*free_ports(3))
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(
        f"port {group.sentinel}\nbind 127.0.0.1\ndir {tmp_path}\n"
        f"sentinel monitor main 127.0.0.1 {group.primary} 1\n"
        "sentinel down-after-milliseconds main 60000\n"
    )
    common = ("--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path))
    commands = [
        ("--port", str(group.primary), *common, "--repl-diskless-sync-delay", "0"),
        ("--port", str(group.replica), *common, "--replicaof", "127.0.0.1", str(group.primary)),
        (str(configuration), "--sentinel"),
    ]
    processes = [
        subprocess.Popen(
            [str(server_binary()), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for arguments in commands
    ]
    try:
        wait_until(lambda: _is_ready(group), time.monotonic() + 20, "no replica at the sentinel")
        yield group
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait(10)


def _is_ready(group: Group) -> bool:
    try:
        with node(group.sentinel) as sentinel, node(group.replica) as replica:
            # Else it looks for replicas every ten seconds.
            sentinel.execute_command("SENTINEL", "DEBUG", "INFO-PERIOD", 100)
            known = sentinel.execute_command("SENTINEL", "REPLICAS", "main")
            return len(known) == 1 and replica.info("replication")["master_link_status"] == "up"
    except redis.RedisError:
        return False


def _fail_over(group: Group) -> bool:
    with node(group.sentinel) as sentinel:
        try:
            sentinel.execute_command("SENTINEL", "FAILOVER", "main")
        except redis.ResponseError:
            return False  # it does not know the replica well enough yet
        return True


async def test_commands_follow_the_primary(group: Group) -> None:
    redis_db.set_REDIS_DB_settings(url=group.url)
    connection = redis_db.connection()
    other = await redis_db.async_connection()
    assert connection.call(("INCR", "n"), repeatable=False) == 1
    assert await other.call(("INCR", "n"), repeatable=False) == 2
    assert POPOTO_REDIS_DB.incr("n") == 3
    with node(group.primary) as primary, node(group.replica) as replica:
        wait_until(lambda: replica.get("n") == b"3", time.monotonic() + 5, "not replicated")
        wait_until(lambda: _fail_over(group), time.monotonic() + 20, "no replica to promote")
        demoted = lambda: primary.info("replication")["role"] == "slave"  # noqa: E731
        wait_until(demoted, time.monotonic() + 20, "no failover")
    # The old primary still answers on open connections, and refuses writes there.
    assert connection.call(("INCR", "n"), repeatable=False) == 4
    assert await other.call(("INCR", "n"), repeatable=False) == 5
    with node(group.replica) as now_primary:
        assert now_primary.get("n") == b"5"
