"""A primary with replicas, and sentinels that watch over them: Valkey from the wheel, here."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from tests.cluster_nodes import free_ports, node, server_binary, wait_until


@dataclass
class Group:
    """Ports of this machine."""

    primary: int
    replicas: list[int]
    sentinels: list[int]
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """By way of the sentinels, or to the primary where there are none."""
        if not self.sentinels:
            return f"redis://127.0.0.1:{self.primary}"
        places = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"redis+sentinel://{places}/main/0"

    @contextmanager
    def stalled(self, *ports: int) -> Iterator[None]:
        """Servers that are connected and do nothing."""
        for port in ports:
            self.processes[port].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for port in ports:
                self.processes[port].send_signal(signal.SIGCONT)

    def fail_over(self) -> None:
        """Ask a sentinel for a planned failover, as soon as it knows the replicas well enough."""
        wait_until(self._asks_for_failover, time.monotonic() + 120, "no replica to promote")

    def _asks_for_failover(self) -> bool:
        with node(self.sentinels[0]) as sentinel:
            try:
                sentinel.execute_command("SENTINEL", "FAILOVER", "main")
            except redis.ResponseError:
                return False
            return True

    def wait_for_replicas(self) -> None:
        """Until they have everything that the primary has now."""
        with node(self.primary) as server:
            written = server.info("replication")["master_repl_offset"]
        for port in self.replicas:
            with node(port) as server:
                wait_until(
                    lambda server=server: (
                        server.info("replication")["slave_repl_offset"] >= written
                    ),
                    time.monotonic() + 120,
                    "a replica stays behind",
                )

    def role(self, port: int) -> str:
        """What a server takes itself for: "master" or "slave"."""
        with node(port) as server:
            return str(server.info("replication")["role"])


@contextmanager
def group_of(replicas: int, sentinels: int = 0) -> Iterator[Group]:
    """Start them, wait until they know each other, and stop them at the end."""
    first, *others = free_ports(1 + replicas + sentinels)
    group = Group(first, others[:replicas], others[replicas:])
    with tempfile.TemporaryDirectory(prefix="popoto-replicas-") as directory:
        group.processes.update(
            (
                port,
                subprocess.Popen(
                    [str(server_binary()), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                ),
            )
            for port, arguments in _commands(group, Path(directory))
        )
        try:
            deadline = time.monotonic() + 120
            wait_until(lambda: _follow(group), deadline, "the replicas do not follow")
            wait_until(lambda: _watch(group), deadline, "the sentinels do not know everyone")
            yield group
        finally:
            for process in group.processes.values():
                process.kill()
            for process in group.processes.values():
                process.wait(120)


def _commands(group: Group, directory: Path) -> Iterator[tuple[int, list[str]]]:
    common = ["--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    common += ["--repl-diskless-sync-delay", "0"]
    yield group.primary, ["--port", str(group.primary), *common]
    for port in group.replicas:
        following = ["--replicaof", "127.0.0.1", str(group.primary)]
        yield port, ["--port", str(port), *common, *following]
    for port in group.sentinels:
        configuration = directory / f"{port}.conf"
        configuration.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {directory}\n"
            f"sentinel monitor main 127.0.0.1 {group.primary} {len(group.sentinels) // 2 + 1}\n"
            "sentinel down-after-milliseconds main 60000\n"
        )
        yield port, [str(configuration), "--sentinel"]


def _follow(group: Group) -> bool:
    try:
        return all(_is_linked(port) for port in group.replicas)
    except redis.RedisError:
        return False


def _is_linked(port: int) -> bool:
    with node(port) as replica:
        return replica.info("replication")["master_link_status"] == "up"


def _watch(group: Group) -> bool:
    try:
        return all(_knows_all(port, group) for port in group.sentinels)
    except redis.RedisError:
        return False


def _knows_all(port: int, group: Group) -> bool:
    with node(port) as sentinel:
        # Else it looks for replicas every ten seconds.
        sentinel.execute_command("SENTINEL", "DEBUG", "INFO-PERIOD", 100)
        known = sentinel.execute_command("SENTINEL", "REPLICAS", "main")
        others = sentinel.execute_command("SENTINEL", "SENTINELS", "main")
        return len(known) == len(group.replicas) and len(others) == len(group.sentinels) - 1
