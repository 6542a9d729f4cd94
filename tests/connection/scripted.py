"""A server that answers as a test wants it, to be reached over TCP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import hiredis

#: What a command is answered with, as the protocol has it. None: as any server would.
Answer = Callable[[list[bytes]], bytes | None]


@contextmanager
def scripted_server(answer: Answer) -> Iterator[int]:
    """Its port. What connections are opened with (CLIENT SETINFO, SELECT) is answered with OK."""
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                connections.append(client)
                threading.Thread(target=serve, args=(client,), daemon=True).start()

        def serve(client: socket.socket) -> None:
            reader = hiredis.Reader(notEnoughData=None)
            with suppress(OSError):
                while data := client.recv(65536):
                    reader.feed(data)
                    while command := reader.gets():
                        client.sendall(answer(command) or b"+OK\r\n")

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        for one in (listener, *connections):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        thread.join(120)


def in_turn(name: bytes, *answers: bytes) -> Answer:
    """Answer the commands of this name with these, one after the other."""
    waiting = list(answers)

    def answer(command: list[bytes]) -> bytes | None:
        return waiting.pop(0) if command[0].upper() == name else None

    return answer
