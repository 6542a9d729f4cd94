"""A TCP address that leads to the private server, and can lose a reply on the way."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Relay:
    """Relays bytes between clients and a Unix socket, or a port. Use in a `with` statement.

    `lose` drops connections: when bytes of a client contain the marker, they are handed to the
    server, its reply is awaited, and then the client's connection is closed in its place.
    `stall` does the same but keeps the connection open, silent. `answer` gives a reply of its
    own, and the server does not see the command. `cut` closes the connection in the face of the
    client, before the server has seen anything of these bytes. `hold` keeps bytes back until
    `deliver`, whatever becomes of the client meanwhile. `then` is called before the client can
    notice; `shut` lets nobody connect any more.
    """

    def __init__(self, place: str | int) -> None:
        self._place = place
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lose: list[tuple[bytes, Callable[[], object]]] = []
        self._stall: list[bytes] = []
        self._answers: list[tuple[bytes, bytes]] = []
        self._last_answer = b""
        self._cut: list[bytes] = []
        self._hold: list[bytes] = []
        self.stalled = threading.Event()
        self._due = threading.Event()
        self._delivered = threading.Event()
        self.relayed: list[bytes] = []
        self._open: list[socket.socket] = []
        self._ending = False
        self.accepted = 0
        self.lost = 0
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def lose(
        self, marker: bytes, times: int = 1, then: Callable[[], object] = lambda: None
    ) -> None:
        self._lose += [(marker, then)] * times

    def hold(self, marker: bytes) -> None:
        self._hold.append(marker)

    def deliver(self) -> None:
        """Hand over to the server what was held back, and wait until it has answered."""
        self._due.set()
        assert self._delivered.wait(5)

    def shut(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def sent(self, marker: bytes) -> int:
        """How often bytes with the marker have come."""
        return sum(marker in data for data in self.relayed)

    def stall(self, marker: bytes, times: int = 1) -> None:
        self._stall += [marker] * times

    def answer(
        self,
        marker: bytes,
        reply: bytes,
        times: int = 1,
        last: bool = False,
    ) -> None:
        """`last`: nobody is answered after that."""
        self._answers += [(marker, reply)] * times
        if last:
            self._last_answer = reply

    def cut(self, marker: bytes, times: int = 1) -> None:
        self._cut += [marker] * times

    def calm(self) -> None:
        """Let everything pass that has not met its marker yet."""
        for waiting in (self._lose, self._stall, self._answers, self._cut):
            waiting.clear()

    def drop_all(self) -> None:
        """Close every connection to clients, as a server does with idle ones."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._ending:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._open.append(client)
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        server: socket.socket
        if isinstance(self._place, int):
            server = socket.create_connection(("127.0.0.1", self._place))
        else:
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._place)
        self._open.append(server)
        try:
            while not self._ending:
                for readable in select.select([client, server], [], [], 5)[0]:
                    data = readable.recv(65536)
                    if not data:
                        return
                    if readable is server:
                        client.sendall(data)
                        continue
                    self.relayed.append(data)
                    if own := next((each for each in self._answers if each[0] in data), None):
                        self._answers.remove(own)
                        is_last = own[1] == self._last_answer
                        if is_last:
                            self.shut()
                            # The end goes out with the reply, so that it is seen with it.
                            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
                        client.sendall(own[1])
                        if is_last:
                            return
                        continue
                    if self._hold and self._hold[0] in data:
                        self._hold.pop(0)
                        self._due.wait(10)
                        server.sendall(data)
                        server.recv(65536)
                        self._delivered.set()
                        return
                    if self._cut and self._cut[0] in data:
                        self._cut.pop(0)
                        return
                    server.sendall(data)
                    if self._lose and self._lose[0][0] in data:
                        _, then = self._lose.pop(0)
                        self.lost += 1
                        server.recv(65536)
                        then()
                        return
                    if self._stall and self._stall[0] in data:
                        self._stall.pop(0)
                        server.recv(65536)
                        self.stalled.set()
        except OSError:
            pass
        finally:
            # Before close(), so that the thread of the other side notices at once.
            for one in (client, server):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending = True
        self._due.set()
        self.shut()
        self.drop_all()
        for thread in self._threads:
            thread.join(120)
