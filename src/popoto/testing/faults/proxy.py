"""An address that leads to a server, and where things go wrong on the way."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, Unpack
from urllib.parse import quote

from popoto._connection.settings import Options, from_url
from popoto.embedded import EmbeddedServer
from popoto.exceptions import ConfigurationError
from popoto.testing.faults.frames import words_of
from popoto.testing.faults.planned import Fault, Kind, Matching, Plan, When, matches
from popoto.testing.faults.relaying import Link

__all__ = ["FaultProxy"]

_CALL_SECONDS = 30.0


class FaultProxy:
    """Stands between clients and a server, at a free port of 127.0.0.1. Use it in a `with`.

        with embedded.start() as server, FaultProxy(server) as proxy, using(proxy.url):
            proxy.lose_reply("EVALSHA")
            ...

    It works on an event loop in a thread of its own, so tests with and without asyncio use it
    alike, and may call it from any thread. Without orders everything passes as it came.

    An order befalls commands, one by one, also within a pipeline. All take

    `matching`  which commands: the name of one (str), bytes that stand anywhere in it, a function
                that is asked with its words (bytes, name first), None for every command
    `times`     how many of them; None for all that come
    `after`     how many are let pass before
    `chance`    the probability that one of them meets it, of `seed`

    and return a `Fault`, which tells how often it `happened`, waits for it and cancels it. A
    command meets one fault, the one that was ordered first.

    `server` is a URL (redis:// or unix://) or a server of `popoto.embedded`. Raises
    ConfigurationError for another. Each command costs some 0.2 ms more than without.
    """

    def __init__(
        self,
        server: str | EmbeddedServer,
        *,
        seed: int | None = None,
        remember: int = 10_000,
    ) -> None:
        """`remember`: how many commands `commands` holds, the last ones."""
        self._options = _options_of(server)
        self._plan = Plan(random.Random(seed))
        self._requests: deque[bytes] = deque(maxlen=remember)
        self._links: dict[Link, asyncio.Task[None]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._listener: asyncio.Server | None = None
        self._port = 0
        #: How many connections have come.
        self.accepted = 0

    # Where it is, and what has come

    @property
    def port(self) -> int:
        """The same as long as the proxy lives."""
        return self._port

    @property
    def url(self) -> str:
        """The server's own URL, as far as user, password and database go, with this address."""
        user, password = (quote(self._options.get(n) or "", "") for n in ("username", "password"))
        credentials = f"{user}:{password}@" if password else ""
        return f"redis://{credentials}127.0.0.1:{self._port}/{self._options.get('db') or 0}"

    @property
    def commands(self) -> list[tuple[bytes, ...]]:
        """The words of the commands that have come, also of those that were not handed over."""
        return [words_of(request) for request in list(self._requests)]

    def sent(self, matching: Matching) -> int:
        """How many of the remembered commands match."""
        return sum(matches(matching, request) for request in list(self._requests))

    # Orders

    def delay(
        self,
        seconds: float,
        matching: Matching = None,
        *,
        of_replies: bool = False,
        **when: Unpack[When],
    ) -> Fault:
        """Commands reach the server later, or their replies the client. What follows waits too."""
        if of_replies not in (True, False):
            raise TypeError(f"of_replies is True or False, got {of_replies!r}")
        kind: Kind = "delay reply" if of_replies else "delay"
        return self._plan.add(Fault(kind, matching, seconds=seconds, **when))

    def stall(
        self,
        matching: Matching = None,
        **when: Unpack[When],
    ) -> Fault:
        """The server carries out the command, and the client hears nothing of that connection."""
        return self._plan.add(Fault("stall", matching, **when))

    def lose_reply(
        self,
        matching: Matching = None,
        *,
        keep_bytes: int = 0,
        reset: bool = False,
        then: Callable[[], object] | None = None,
        **when: Unpack[When],
    ) -> Fault:
        """The server carries out the command, and then the connection is closed.

        The client gets the first `keep_bytes` of the reply. `then` is called before it can notice,
        in a thread; `reset` has it told that the connection was reset.
        """
        return self._plan.add(
            Fault("lose reply", matching, size=keep_bytes, is_reset=reset, then=then, **when)
        )

    def cut(
        self,
        matching: Matching = None,
        *,
        keep_bytes: int = 0,
        reset: bool = False,
        then: Callable[[], object] | None = None,
        **when: Unpack[When],
    ) -> Fault:
        """The connection is closed, and the server does not see the command.

        Or it sees its first `keep_bytes`. Commands before it are answered first. A command of more
        than 64 KB is cut off while it is being sent, where `matching` is of bytes or None. `then`
        and `reset` as for `lose_reply`.
        """
        return self._plan.add(
            Fault("cut", matching, size=keep_bytes, is_reset=reset, then=then, **when)
        )

    def half_close(
        self,
        matching: Matching = None,
        **when: Unpack[When],
    ) -> Fault:
        """After its reply the server says no more: what the client sends on is carried out yet."""
        return self._plan.add(Fault("half-close", matching, **when))

    def drip(
        self,
        matching: Matching = None,
        *,
        size: int = 1,
        seconds: float = 0.0,
        **when: Unpack[When],
    ) -> Fault:
        """The reply comes in pieces of `size` bytes, `seconds` apart."""
        if size < 1:
            raise ValueError(f"size must be 1 or more bytes, got {size!r}")
        return self._plan.add(Fault("drip", matching, seconds=seconds, size=size, **when))

    def hold(self, matching: Matching = None, *, after: int = 0) -> Fault:
        """One command is held back until `Fault.deliver`, whatever its client does meanwhile."""
        return self._plan.add(Fault("hold", matching, after=after))

    def answer(
        self,
        reply: bytes,
        matching: Matching = None,
        *,
        last: bool = False,
        then: Callable[[], object] | None = None,
        **when: Unpack[When],
    ) -> Fault:
        r"""The client gets `reply`, such as ``b"-READONLY ...\r\n"``; the server sees nothing.

        Several replies in one, ``b":1\r\n:2\r\n"``, are those to this command and to the next ones
        of its connection. `last`: then `then` is called and the connection closed.
        """
        fault = Fault("answer", matching, reply=reply, is_last=last, then=then, **when)
        return self._plan.add(fault)

    def calm(self) -> None:
        """Let everything pass from now on. What is held back goes on."""
        self._plan.clear()

    # Connections

    def drop_connections(self, *, reset: bool = False) -> None:
        """Close every connection, as a server does with idle ones."""
        self._do(self._drop(reset=reset))

    def refuse(self) -> None:
        """Let nobody connect, until `accept`. Connections that are open stay."""
        self._do(self._refuse())

    def accept(self) -> None:
        """Let clients connect, at the same port as before."""
        self._do(self._accept())

    def __enter__(self) -> Self:
        self._thread.start()
        self.accept()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.calm()
        self.refuse()
        self.drop_connections()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_SECONDS)
        self._loop.close()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.__exit__, kind, error, trace)

    # In the thread of the event loop

    def _do(self, step: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(step, self._loop).result(_CALL_SECONDS)

    async def _accept(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
            self._port = self._listener.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _drop(self, *, reset: bool) -> None:
        for link, task in list(self._links.items()):
            link.drop(reset=reset)
            task.cancel()
        await asyncio.gather(*self._links.values(), return_exceptions=True)
        await asyncio.sleep(0)  # for the sockets to be closed

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            server = await self._connected()
        except OSError:  # as the client is told by the end of its connection
            writer.close()
            return
        link = Link((reader, writer), server, self._plan, self._requests.append)
        self._links[link] = asyncio.ensure_future(link.run())
        try:
            await self._links[link]
        except asyncio.CancelledError:  # dropped
            return
        finally:
            del self._links[link]

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if path := self._options.get("path"):
            return await asyncio.open_unix_connection(path)
        return await asyncio.open_connection(self._options["host"], self._options["port"])


def _options_of(server: str | EmbeddedServer) -> Options:
    settings = from_url(server if isinstance(server, str) else server.url)
    if settings.kind != "single" or settings.url.startswith("rediss"):
        raise ConfigurationError(
            f"A FaultProxy leads to one server, redis:// or unix://, not {settings.url}. Use one "
            "for each node of a cluster; for an embedded server, pass what embedded.start() "
            "has returned."
        )
    return settings.options
