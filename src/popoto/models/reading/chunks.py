"""A large result, a chunk of records at a time."""

from __future__ import annotations

from typing import Any

from popoto.engine.request import Plan
from popoto.models.reading.calls import Reading
from popoto.models.reading.executing import Execution
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.spec import QuerySpec


class Chunks:
    """The steps of an iteration in bounded memory."""

    def __init__(self, spec: QuerySpec, chunk_size: int) -> None:
        if isinstance(chunk_size, bool) or not isinstance(chunk_size, int) or chunk_size < 1:
            raise ValueError(f"chunk_size must be an int of 1 or more, got {chunk_size!r}")
        self._execution = Execution(spec)
        self._chunk_size = chunk_size
        self._state: tuple[Fetch, list[bytes], Reading] | None = None

    def next(self) -> Plan[list[Any] | None]:
        execution = self._execution
        if self._state is None:
            fetch, order = yield from execution.compile()
            found = yield from fetch.keys(order, execution.offset, execution.limit)
            self._state = fetch, found, execution.reading()
        fetch, found, reading = self._state
        if not found:
            return None
        head, rest = found[: self._chunk_size], found[self._chunk_size :]
        self._state = fetch, rest, reading
        rows = yield from fetch.again(head, reading)
        return (yield from execution.finished(execution.shaped(fetch, rows)))
