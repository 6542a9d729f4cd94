"""Workers in threads, while something happens to the cluster that they work on."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from tests.cluster_nodes import wait_until


class Workers:
    """Threads that work until the block ends; it begins and ends when all have got on.

    `work` is what each of them does, for one of the `kinds`, until `is_over`.
    """

    #: by how much `done` has to grow, within so many seconds
    step: int
    patience: float

    def __init__(self, kinds: Sequence[Any]) -> None:
        self.errors: list[BaseException] = []
        self.is_over = False
        self._workers = [threading.Thread(target=self._guarded, args=(kind,)) for kind in kinds]

    def __enter__(self) -> Self:
        for worker in self._workers:
            worker.start()
        self.proceed()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.proceed()
        finally:
            self.is_over = True
            for worker in self._workers:
                worker.join(60)

    def work(self, kind: Any) -> None:
        """What one worker does."""
        raise NotImplementedError

    @property
    def done(self) -> Mapping[str, int]:
        """How much has been done so far, by each that has to get on."""
        raise NotImplementedError

    def proceed(self) -> None:
        """Wait until more has been done by each."""
        before = dict(self.done)
        wait_until(
            lambda: (
                bool(self.errors)
                or all(now > before[each] + self.step for each, now in dict(self.done).items())
            ),
            time.monotonic() + self.patience,
            "nothing goes on",
        )

    def _guarded(self, kind: Any) -> None:
        try:
            self.work(kind)
        except BaseException as error:  # noqa: BLE001  # told by the test
            self.errors.append(error)
