"""`Crew`: the lanes at work, in threads and on one event loop."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Self

from tools.soak import items, memories
from tools.soak.books import Books
from tools.soak.lane import Gate, Lane, drive
from tools.soak.messages import Post
from tools.soak.rivals import Rivals, Sums

#: How often what a lane does is done on all three.
_WORK = items.WORK | memories.WORK


class Crew:
    """Starts the lanes, lets them rest, and ends them."""

    def __init__(self, books: Books, seed: int, threads: int, tasks: int) -> None:
        self.books = books
        self.gate = Gate()
        self.sums = Sums()
        self.post = Post()
        self.lanes = [
            Lane(f"{kind}{number}", books, self.gate, seed * 1000 + place, is_async=kind == "task")
            for place, (kind, number) in enumerate(
                [*(("thread", n) for n in range(threads)), *(("task", n) for n in range(tasks))]
            )
        ]
        self.tasks = 0
        self._failures: list[str] = []
        blocking = [lane for lane in self.lanes if not lane.is_async]
        self._threads = [
            threading.Thread(target=self._in_thread, args=(lane,), daemon=True) for lane in blocking
        ]
        self._threads.append(threading.Thread(target=self._on_loop, daemon=True))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.is_over = True
        self.gate.open()
        for thread in self._threads:
            thread.join(120)
        self.post.close()

    def rest(self) -> None:
        """Return when nothing is under way."""
        self.gate.close()

    def go_on(self) -> None:
        """Let all work again."""
        self.gate.open()

    def check(self) -> None:
        """Raise RuntimeError where the work of a lane has failed by itself."""
        if self._failures:
            raise RuntimeError("A lane has failed:\n" + self._failures[0])

    def _in_thread(self, lane: Lane) -> None:
        drive(self._working(lane))

    def _on_loop(self) -> None:
        asyncio.run(self._all())

    async def _all(self) -> None:
        await asyncio.gather(*(self._working(lane) for lane in self.lanes if lane.is_async))

    async def _working(self, lane: Lane) -> None:
        doing = self._of(lane)
        kinds, weights = list(doing), list(doing.values())
        try:
            while not self.gate.is_over:
                if not self.gate.enter():
                    if lane.is_async:
                        self.tasks = len(asyncio.all_tasks())
                    await lane.pause(0.02)
                    continue
                try:
                    await lane.chances.choices(kinds, weights)[0]()
                finally:
                    self.gate.leave()
        except Exception:  # noqa: BLE001  # whatever it is, the run is over, and says why
            self._failures.append(traceback.format_exc())

    def _of(self, lane: Lane) -> Mapping[Callable[[], Awaitable[None]], int]:
        work = _WORK | {self.post.consume: 2, self.post.publish: 2}
        bound = {_bound(each, lane): weight for each, weight in work.items()}
        return bound | Rivals(lane, self.sums).work


def _bound(work: Callable[[Lane], Awaitable[None]], lane: Lane) -> Callable[[], Awaitable[None]]:
    return lambda: work(lane)
