"""Work at which all lanes meet: values that are unique, sums, and jobs that one of them takes."""

from __future__ import annotations

import threading
from collections import Counter as Counts
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from popoto.exceptions import ConflictError, UniquenessError
from tools.soak.books import Books
from tools.soak.lane import Lane, patiently
from tools.soak.models import Counter, Job, Seat

HOLDERS = ("first", "second", "third")


@dataclass
class Sums:
    """What the lanes were told: for certain, and what may have happened besides."""

    certain: Counts[str] = field(default_factory=Counts[str])
    possible: Counts[str] = field(default_factory=Counts[str])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, what: str, number: int, *, certain: bool) -> None:
        """Take note of something that was acknowledged, or is in doubt."""
        with self._lock:
            self.possible[what] += number
            if certain:
                self.certain[what] += number

    def compare(self, books: Books, what: str, found: int) -> None:
        """Tell of a sum that is not what the lanes were told."""
        least, most = self.certain[what], self.possible[what]
        if found < least:
            books.violation("lost acknowledged write", f"{what}: {found}, not {least} or more")
        elif found > most:
            books.violation("written after an error", f"{what}: {found}, not {most} or less")


class Rivals:
    """The work of one lane on what belongs to all."""

    def __init__(self, lane: Lane, sums: Sums) -> None:
        self.lane = lane
        self.sums = sums

    async def sit(self) -> None:
        """Take one of few unique values, or give back the one that was taken."""
        lane = self.lane
        for name in lane.known(Seat):
            seat = Seat(lane=lane.name, name=name)
            gone = lambda seat=seat: lane.call(seat.delete)  # noqa: E731
            await lane.write("delete (contested)", gone, {(Seat, name): None})
            return
        name, holder = lane.fresh("seat"), lane.chances.choice(HOLDERS)
        seat = Seat(lane=lane.name, name=name, holder=holder)
        if await lane.write(
            "save (contested)",
            lambda: lane.call(seat.save),
            {(Seat, name): {"holder": holder}},
            UniquenessError,
        ):
            rows = await lane.read(
                "filter (unique)", lambda: lane.call(Seat.query.filter(holder=holder).all)
            )
            if [each.name for each in rows] != [name]:
                lane.books.violation("uniqueness", f"{holder}: {[each.name for each in rows]}")

    async def count(self) -> None:
        """Add to a number that all add to."""
        field_name = self.lane.chances.choice(("total", "score"))
        counter = await self.lane.read("get", lambda: self.lane.call(Counter.query.get, name="all"))
        await self._summed(
            field_name,
            "atomic_increment (all)",
            lambda: self.lane.call(counter.atomic_increment, field_name, 1),
            lambda _: 1,
        )

    async def offer(self) -> None:
        """A job for everybody."""
        name = self.lane.fresh("job")
        await self._summed(
            "offered", "create (job)", lambda: self.lane.call(Job.create, name=name), lambda _: 1
        )

    async def take(self) -> None:
        """All open jobs; each is taken by one lane alone."""
        mark = self.lane.fresh("by")
        query = Job.query.filter(state="open")
        await self._summed(
            "taken",
            "query.update (jobs)",
            lambda: self.lane.call(query.update, state="taken", by=mark),
            lambda told: told,
        )

    async def _summed(
        self,
        what: str,
        kind: str,
        work: Callable[[], Awaitable[int]],
        number_of: Callable[[int], int],
    ) -> None:
        told: list[int] = []

        async def working() -> None:
            told.append(number_of(await work()))

        doubts = self.lane.doubts
        if await self.lane.write(kind, working, {}, ConflictError):
            self.sums.add(what, told[0], certain=True)
        elif self.lane.doubts > doubts:
            # Of jobs, nobody knows how many they were.
            self.sums.add(what, 1 if what != "taken" else 10_000, certain=False)

    @property
    def work(self) -> dict[Callable[[], Awaitable[None]], int]:
        """What to do, and how often."""
        return {self.sit: 3, self.count: 3, self.offer: 2, self.take: 1}


def check(sums: Sums, books: Books) -> None:
    """Compare what all have told with what is stored. Jobs that were taken are put away."""
    counter = patiently(lambda: Counter.query.get(name="all"))
    for name in ("total", "score"):
        sums.compare(books, name, getattr(counter, name))
    taken = Job.query.filter(state="taken")
    number = patiently(taken.count)
    sums.compare(books, "offered", patiently(Job.query.count) + sums.possible["put away"])
    sums.compare(books, "taken", number + sums.possible["put away"])
    patiently(taken.delete)
    sums.add("put away", number, certain=True)
