"""Faults, one after another, while the lanes work."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from popoto.embedded import EmbeddedServer
from popoto.testing.faults import FaultProxy, crashes, kill_server, paused_server
from popoto.testing.faults.planned import When
from tools.soak import child
from tools.soak.books import Books

#: Commands that write, and those that read.
_MATCHING = (None, "EVALSHA", b"HSET", "HMGET", "FCALL")


class Trouble:
    """Makes something go wrong every now and then, in a thread of its own, until it is stopped."""

    def __init__(
        self, server: EmbeddedServer, proxy: FaultProxy, books: Books, seed: int, pause: float
    ) -> None:
        self.server = server
        self.proxy = proxy
        self.books = books
        self.chances = random.Random(seed)
        self.pause = pause
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._children = 0
        self._kinds: dict[Callable[[], None], int] = {
            self._on_the_wire: 14,
            self._hold: 3,
            self._drop: 2,
            self._refuse: 2,
            self._kill_server: 1,
            self._pause_server: 1,
            self._kill_client: 1,
        }

    def begin(self) -> None:
        """Begin, or begin again."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._work, name="soak trouble", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop, and let everything pass."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.proxy.calm()
        self.proxy.accept()
        self.server.ensure_running()

    def each(self) -> None:
        """Let each kind of fault happen once, so that a short run has them all."""
        for kind in self._kinds:
            kind()

    def _work(self) -> None:
        kinds, weights = list(self._kinds), list(self._kinds.values())
        while not self._stop.wait(self.chances.uniform(0.2, 1.8) * self.pause):
            self.chances.choices(kinds, weights)[0]()

    def _on_the_wire(self) -> None:
        matching, times = self.chances.choice(_MATCHING), self.chances.randrange(1, 6)
        proxy, when = self.proxy, When(times=times, chance=0.5)
        kind = self.chances.choice(
            ("delay", "delay reply", "lose reply", "cut", "half-close", "drip", "stall")
        )
        if kind in ("delay", "delay reply"):
            seconds = self.chances.uniform(0.0, 0.3)
            proxy.delay(seconds, matching, of_replies=kind == "delay reply", **when)
        elif kind == "lose reply":
            keep = self.chances.choice((0, 1, 10))
            proxy.lose_reply(matching, keep_bytes=keep, reset=self.chances.random() < 0.5, **when)
        elif kind == "cut":
            keep = self.chances.choice((0, 20, 200))
            proxy.cut(matching, keep_bytes=keep, reset=self.chances.random() < 0.5, **when)
        elif kind == "half-close":
            proxy.half_close(matching, **when)
        elif kind == "drip":
            proxy.drip(matching, size=7, seconds=0.001, **when)
        else:
            proxy.stall(matching, times=1)
        self.books.fault(kind)

    def _hold(self) -> None:
        """A command arrives after its sender has given it up."""
        fault = self.proxy.hold(self.chances.choice(("EVALSHA", None)))
        deadline = time.monotonic() + self.chances.uniform(0.5, 2.5)
        while time.monotonic() < deadline and not self._stop.is_set():
            time.sleep(0.05)
        fault.cancel()
        self.books.fault("held back", fault.happened)

    def _drop(self) -> None:
        self.proxy.drop_connections(reset=self.chances.random() < 0.5)
        self.books.fault("connections dropped")

    def _refuse(self) -> None:
        self.proxy.refuse()
        self.proxy.drop_connections()
        time.sleep(self.chances.uniform(0.0, 0.4))
        self.proxy.accept()
        self.books.fault("connections refused")

    def _kill_server(self) -> None:
        kill_server(self.server)
        self.server.ensure_running()
        self.books.fault("server killed (-9)")

    def _pause_server(self) -> None:
        with paused_server(self.server):
            time.sleep(self.chances.uniform(0.1, 3.0))
        self.books.fault("server stopped")

    def _kill_client(self) -> None:
        self._children += 1
        for crash in crashes(child.write, self.server.url, self._children, times=2, within=0.4):
            self.books.fault("client killed (-9)", int(crash.was_killed))
