"""One connection of a client, led to the server: each command and each reply on its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable

from popoto.testing.faults.frames import Frames, values_of, words_of
from popoto.testing.faults.planned import Fault, Plan

__all__ = ["Link"]

_CHUNK_BYTES = 65536
#: What is answered by more than one reply, or by none; from there on replies are not counted.
_STREAMS = frozenset({b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE", b"MONITOR", b"SYNC", b"PSYNC"})
_PUSH = b">"


class _EndOfLink(Exception):
    """The connection is closed now."""


class Link:
    """A client and the server, with what goes wrong between them."""

    def __init__(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        plan: Plan,
        note: Callable[[bytes], None],
    ) -> None:
        self._from_client, self._to_client = client
        self._from_server, self._to_server = server
        self._plan = plan
        self._note = note
        # For each command whose reply has not come, what befalls that.
        self._awaited: deque[Fault | None] = deque()
        self._is_answered = asyncio.Event()
        self._own: deque[bytes] = deque()  # answers to the next commands, in place of the server
        self._is_stream = False
        self._is_silent = False
        self._last: Fault | None = None  # whose answers the end of the connection follows

    async def run(self) -> None:
        """Relay until either side closes, or a fault ends it."""
        directions = [
            asyncio.ensure_future(self._relay_requests()),
            asyncio.ensure_future(self._relay_replies()),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            for writer in (self._to_client, self._to_server):
                writer.close()
        closing = (self._to_client.wait_closed(), self._to_server.wait_closed())
        await asyncio.gather(*closing, return_exceptions=True)

    def drop(self, *, reset: bool) -> None:
        """End both connections at once."""
        if reset:
            _reset(self._to_client)
        for writer in (self._to_client, self._to_server):
            writer.transport.abort()

    # Requests

    async def _relay_requests(self) -> None:
        frames = Frames()
        with contextlib.suppress(OSError, _EndOfLink):
            while data := await self._from_client.read(_CHUNK_BYTES):
                for request in frames.feed(data):
                    self._note(request)
                    await self._relay_request(request)
                if beginning := frames.beginning(_CHUNK_BYTES):
                    await self._begin(beginning)

    async def _begin(self, beginning: bytes) -> None:
        """Cut off a large command while it is still being sent."""
        fault = self._plan.for_beginning(beginning)
        if fault is not None:
            self._note(beginning)
            await self._cut(beginning, fault)

    async def _relay_request(self, request: bytes) -> None:
        if self._own:
            await self._answer()
            return
        fault = self._plan.for_request(request)
        if fault is None:
            await self._hand_over(request, None)
        elif fault.kind == "cut":
            await self._cut(request, fault)
        elif fault.kind == "answer":
            self._own.extend(values_of(fault.reply))
            if fault.is_last:
                self._last = fault
            fault.has_come()
            await self._answer()
        elif fault.kind == "delay":
            fault.has_come()
            await asyncio.sleep(fault.seconds)
            await self._hand_over(request, None)
        elif fault.kind == "hold":
            fault.has_come()
            await asyncio.wrap_future(fault.due)
            await self._hand_over(request, fault)
            await self._until_answered()
        else:
            await self._hand_over(request, fault)

    async def _answer(self) -> None:
        # In its turn: replies to what was sent before it come first.
        await self._until_answered()
        reply = self._own.popleft()
        if self._own or self._last is None:
            self._say(reply)
            return
        await self._end(self._last, reply)

    async def _hand_over(self, request: bytes, fault: Fault | None) -> None:
        self._is_stream |= any(word.upper() in _STREAMS for word in words_of(request)[:1])
        self._awaited.append(fault)
        self._to_server.write(request)
        await self._to_server.drain()

    async def _cut(self, request: bytes, fault: Fault) -> None:
        await self._until_answered()
        if fault.size:
            self._to_server.write(request[: fault.size])
            await self._to_server.drain()
        await self._end(fault)

    async def _until_answered(self) -> None:
        self._is_answered.clear()
        if self._awaited:
            await self._is_answered.wait()

    # Replies

    async def _relay_replies(self) -> None:
        frames = Frames()
        with contextlib.suppress(OSError, _EndOfLink):
            while data := await self._from_server.read(_CHUNK_BYTES):
                if self._is_stream:
                    self._to_client.write(data)
                    continue
                for reply in frames.feed(data):
                    await self._relay_reply(reply)

    async def _relay_reply(self, reply: bytes) -> None:
        is_push = reply.startswith(_PUSH)
        fault = None if is_push or not self._awaited else self._awaited[0]
        if fault is None:
            self._say(reply)
        else:
            await self._befall(reply, fault)
        if not is_push and self._awaited:
            self._awaited.popleft()
        if not self._awaited:
            self._is_answered.set()
        await self._to_client.drain()

    async def _befall(self, reply: bytes, fault: Fault) -> None:
        """Bring a reply as the fault has it."""
        if fault.kind == "stall":
            self._is_silent = True
            fault.has_come()
        elif fault.kind == "lose reply":
            self._say(reply[: fault.size])
            await self._end(fault)
        elif fault.kind == "delay reply":
            fault.has_come()
            await asyncio.sleep(fault.seconds)
            self._say(reply)
        elif fault.kind == "drip":
            fault.has_come()
            await self._drip(reply, fault)
        elif fault.kind == "half-close":
            self._say(reply)
            self._to_client.write_eof()
            self._is_silent = True
            fault.has_come()
        else:  # held back, and delivered
            with contextlib.suppress(OSError):
                self._say(reply)
            fault.is_answered()

    def _say(self, reply: bytes) -> None:
        if reply and not self._is_silent:
            self._to_client.write(reply)

    async def _drip(self, reply: bytes, fault: Fault) -> None:
        for start in range(0, len(reply), fault.size):
            self._say(reply[start : start + fault.size])
            await self._to_client.drain()
            await asyncio.sleep(fault.seconds)

    async def _end(self, fault: Fault, last: bytes = b"") -> None:
        if fault.then is not None:
            await asyncio.to_thread(fault.then)
        if last:
            # The end goes out with the last reply, so that the client sees both at once: a cork
            # holds back what is sent for 200 ms at most.
            if cork := getattr(socket, "TCP_CORK", None):
                _socket_of(self._to_client).setsockopt(socket.IPPROTO_TCP, cork, 1)
            self._say(last)
            self._to_client.close()
        if fault.is_reset:
            _reset(self._to_client)
        fault.has_come()
        raise _EndOfLink


def _reset(writer: asyncio.StreamWriter) -> None:
    """Have the peer told that its connection was reset, instead of that it has ended."""
    linger = struct.pack("ii", 1, 0)
    _socket_of(writer).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def _socket_of(writer: asyncio.StreamWriter) -> socket.socket:
    connection: socket.socket = writer.get_extra_info("socket")
    return connection
