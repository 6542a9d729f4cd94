"""`Lane`: one worker with records of its own, of which it knows what must be stored.

Its work is written once and runs in a thread or on an event loop. After each write it knows what
the server has to hold: the new values, after success; the old ones, after an error that says that
nothing was written; one of both, where the outcome is unknown, until it has looked.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeAlias, TypeVar

import redis

from popoto.exceptions import ModelException, NothingWrittenError, OutcomeUnknownError
from tools.soak.books import Books

#: A model and the name of a record, and its values by field; None: no such record.
Place: TypeAlias = tuple[type[Any], str]
Values: TypeAlias = Mapping[str, Any] | None

T = TypeVar("T")

#: What a write looks at first was not told: then nothing was written.
_UNANSWERED = (redis.ConnectionError, redis.TimeoutError)
#: How long a lane waits for a server that does not come back.
_PATIENCE = 60.0
_TRIES = 10


class Gate:
    """Closed while everything is looked at; then nothing is under way."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self._lock = threading.Lock()
        self._busy = 0
        self.is_over = False

    @property
    def is_open(self) -> bool:
        """Whether work may begin."""
        return self._open.is_set()

    def enter(self) -> bool:
        """Begin some work, unless the gate is closed."""
        with self._lock:
            if self._open.is_set():
                self._busy += 1
                return True
            return False

    def leave(self) -> None:
        """The work is done."""
        with self._lock:
            self._busy -= 1

    def close(self) -> None:
        """Let nobody begin, and return when nothing is under way. Raises TimeoutError."""
        with self._lock:
            self._open.clear()
        deadline = time.monotonic() + 2 * _PATIENCE
        while self._busy:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._busy} operations have not come to their end")
            time.sleep(0.01)

    def open(self) -> None:
        """Let work begin again."""
        self._open.set()


class Lane:
    """A worker, and what it knows."""

    def __init__(self, name: str, books: Books, gate: Gate, seed: int, *, is_async: bool) -> None:
        self.name = name
        self.books = books
        self.gate = gate
        self.chances = random.Random(seed)
        self.is_async = is_async
        self.truth: dict[Place, Values] = {}
        self.serial = 0
        #: how many writes were in doubt of which nothing tells whether they are stored
        self.doubts = 0
        #: by name: the earliest and the latest moment at which a lease ends
        self.leases: dict[str, tuple[float, float]] = {}
        #: by name of a memory: signals that are stored for certain, and those that may be
        self.signals: dict[str, tuple[int, int]] = {}
        #: how many events the stream has of this lane
        self.events = 0

    # Both ways of calling --------------------------------------------------------------------

    async def call(self, method: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        """Call a method, or await its asyncio twin."""
        if not self.is_async:
            return method(*arguments, **more)
        bound: Any = method
        return await getattr(bound.__self__, f"async_{bound.__name__}")(*arguments, **more)

    async def pause(self, seconds: float) -> None:
        """Do nothing."""
        if self.is_async:
            await asyncio.sleep(seconds)
        else:
            self._idle(seconds)

    @staticmethod
    def _idle(seconds: float) -> None:
        time.sleep(seconds)

    def fresh(self, stem: str) -> str:
        """A text that no other lane has, and this one never had."""
        self.serial += 1
        return f"{stem}-{self.name}-{self.serial}"

    # Working ---------------------------------------------------------------------------------

    async def write(
        self,
        kind: str,
        work: Callable[[], Coroutine[Any, Any, Any]],
        changes: Mapping[Place, Values],
        *refusals: type[Exception],
    ) -> bool:
        """Carry out a write that is whole or not at all; whether it was carried out.

        `changes`: what is stored then. `refusals`: errors with which it may be refused.
        """
        try:
            await work()
        except OutcomeUnknownError as error:
            self.books.error(error)
            return await self._settle(kind, changes)
        except (NothingWrittenError, *_UNANSWERED, *refusals) as error:
            self.books.error(error)
            return False
        except (redis.RedisError, ModelException) as error:
            self.books.error(error)
            self.books.violation("unexpected error", f"{kind}: {type(error).__name__}: {error}")
            return await self._settle(kind, changes)
        finally:
            self.books.done(kind)
        self.truth.update(changes)
        return True

    async def read(self, kind: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """The result of a read, which is asked for until a server answers."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return await work()
            except redis.RedisError as error:
                self.books.error(error)
                if time.monotonic() > deadline:
                    raise
            finally:
                self.books.done(kind)
            await self.pause(0.05)

    async def _settle(self, kind: str, changes: Mapping[Place, Values]) -> bool:
        """Look what became of a write in doubt."""
        if not changes:
            self.doubts += 1
            self.books.doubt("left open")
            return False
        # Twice: what a server was sent before it was stopped is carried out before the second.
        for _ in range(2):
            found = {place: await self.stored(place) for place in changes}
        before = {place: self.truth.get(place) for place in changes}
        if all(agrees(found[place], values) for place, values in changes.items()):
            self.books.doubt("stored")
            self.truth.update(changes)
            return True
        if all(agrees(found[place], values) for place, values in before.items()):
            self.books.doubt("not stored")
            return False
        self.books.violation("half-written", f"{kind}: {found} is neither {before} nor {changes}")
        self.truth.update(found)
        return False

    async def stored(self, place: Place) -> Values:
        """What the server holds of a record."""
        model, name = place
        owner = "agent" if "agent" in model._meta.by_name else "lane"
        key = {owner: self.name, "name": name}
        record = await self.read("get", lambda: self.call(model.query.get, **key))
        if record is None:
            return None
        return {
            each: getattr(record, each)
            for each in model._meta.stored_names
            if each not in ("box", "relevance", "certainty", "near", "meaning", "words")
        }

    async def look(self, place: Place) -> None:
        """Compare a record with what was acknowledged."""
        expected = self.truth.get(place)
        found = await self.stored(place)
        if not agrees(found, expected):
            kind = "lost acknowledged write" if expected is not None else "written after an error"
            self.books.violation(kind, f"{place[0].__name__} {place[1]}: {found}, not {expected}")
            self.truth[place] = found

    def known(self, model: type[Any], *, there: bool = True) -> list[str]:
        """The names of its records that are stored (or are not, any more)."""
        return [
            name
            for (each, name), values in self.truth.items()
            if each is model and (values is not None) is there
        ]

    def forget_absent(self) -> None:
        """Keep no list of all that ever was."""
        absent = [place for place, values in self.truth.items() if values is None]
        for place in absent[:-50]:
            del self.truth[place]


def agrees(found: Values, expected: Values) -> bool:
    """Whether a record has these values, whatever else it has."""
    if found is None or expected is None:
        return found is expected
    return all(found.get(name) == value for name, value in expected.items())


def drive(work: Coroutine[Any, Any, Any]) -> Any:
    """Run work that never waits for an event loop."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("work of a thread has waited for an event loop")


def patiently(work: Callable[[], T]) -> T:
    """What looks at much may take longer than lanes wait, on a busy machine: then once more."""
    for _ in range(_TRIES):
        try:
            return work()
        except redis.TimeoutError:
            time.sleep(1)
    return work()
