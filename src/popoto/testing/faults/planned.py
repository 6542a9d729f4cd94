"""What is to go wrong, and when."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypedDict

from popoto.testing.faults.frames import words_of

__all__ = ["Fault", "Kind", "Matching", "Plan", "When", "matches"]

Kind: TypeAlias = Literal[
    "delay",
    "delay reply",
    "stall",
    "lose reply",
    "cut",
    "half-close",
    "drip",
    "hold",
    "answer",
]
Matching: TypeAlias = str | bytes | Callable[[tuple[bytes, ...]], bool] | None

_WAIT_SECONDS = 10.0


class When(TypedDict, total=False):
    """Which of the commands that match meet a fault; see `FaultProxy`."""

    times: int | None
    after: int
    chance: float


@dataclass(eq=False)
class Fault:
    """Something that was ordered from a `FaultProxy`, to see what has become of it."""

    kind: Kind
    matching: Matching
    times: int | None = 1
    after: int = 0
    chance: float = 1.0
    seconds: float = 0.0
    size: int = 0
    is_reset: bool = False
    reply: bytes = b""
    is_last: bool = False
    then: Callable[[], object] | None = None
    #: How many commands it has befallen.
    happened: int = 0
    _has_happened: threading.Event = field(default_factory=threading.Event)
    #: Done as soon as what is held back may go on; awaited in the thread of the proxy.
    due: Future[None] = field(default_factory=Future[None])
    _was_answered: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Raises ValueError or TypeError for an order that could never be carried out."""
        if not (self.matching is None or isinstance(self.matching, (str, bytes))) and not callable(
            self.matching
        ):
            raise TypeError(
                "an order names commands by their name, by bytes or by a function, not by "
                f"{self.matching!r}"
            )
        if self.times is not None and self.times < 0:
            raise ValueError(f"times must be 0 or more, or None for all, got {self.times!r}")
        if self.after < 0:
            raise ValueError(f"after must be 0 or more, got {self.after!r}")
        if not 0.0 <= self.chance <= 1.0:
            raise ValueError(f"chance must be between 0 and 1, got {self.chance!r}")
        if not 0.0 <= self.seconds < math.inf:
            raise ValueError(f"seconds must be 0 or more, got {self.seconds!r}")
        if type(self.size) is not int or self.size < 0:
            raise ValueError(f"keep_bytes must be a number of bytes, 0 or more, got {self.size!r}")
        if self.is_reset not in (True, False):
            raise TypeError(f"reset is True or False, got {self.is_reset!r}")
        if self.then is not None and not callable(self.then):
            raise TypeError(f"then is a function, which is called, got {self.then!r}")
        if not isinstance(self.reply, bytes):
            raise TypeError(f"a reply is given in bytes, as b'+OK\\r\\n', got {self.reply!r}")

    def wait(self, seconds: float = _WAIT_SECONDS) -> None:
        """Returns when it has befallen a command. Raises TimeoutError."""
        if not self._has_happened.wait(seconds):
            raise TimeoutError(
                f"No command has met {self.kind!r} of {self.matching!r} in {seconds} s"
            )

    def deliver(self, seconds: float = _WAIT_SECONDS) -> None:
        """Let go of the command that is held back; returns when the server has answered it.

        Whether its sender is there still does not matter. Raises TimeoutError.
        """
        self.wait(seconds)
        self._let_go()
        if not self._was_answered.wait(seconds):
            raise TimeoutError(f"The server has not answered what was held back in {seconds} s")

    def cancel(self) -> None:
        """Befall nothing any more; a command that is held back goes on."""
        self.times = 0
        self._let_go()

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to befall or to let go."""
        return self.times == 0 and (self.kind != "hold" or self.due.done())

    @property
    def is_early(self) -> bool:
        """Whether the beginning of a command is enough to know that it is befallen."""
        is_seen = self.matching is None or isinstance(self.matching, bytes)
        return self.kind == "cut" and is_seen and not self.after and self.chance == 1.0

    def befalls(self, request: bytes, chances: random.Random) -> bool:
        """Whether this command meets it. Counts."""
        if self.times == 0 or not matches(self.matching, request):
            return False
        if self.after:
            self.after -= 1
            return False
        if self.chance < 1.0 and chances.random() >= self.chance:
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def has_come(self) -> None:
        """It has befallen a command."""
        self.happened += 1
        self._has_happened.set()

    def is_answered(self) -> None:
        """The server has answered what was held back."""
        self._was_answered.set()

    def _let_go(self) -> None:
        if not self.due.done():
            self.due.set_result(None)


def matches(matching: Matching, request: bytes) -> bool:
    """Whether a command, as it was sent, is one of those meant.

    A str is the name of a command, bytes are something that stands in it anywhere, a function is
    asked with its words; None means every command.
    """
    if matching is None:
        return True
    if isinstance(matching, bytes):
        return matching in request
    words = words_of(request)
    if isinstance(matching, str):
        return bool(words) and words[0].decode("latin-1").upper() == matching.upper()
    return matching(words)


class Plan:
    """All that is ordered, asked from the thread of the proxy and changed from others."""

    def __init__(self, chances: random.Random) -> None:
        self._chances = chances
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Order it."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Cancel all."""
        with self._lock:
            faults, self._faults = self._faults, []
        for fault in faults:
            fault.cancel()

    def for_request(self, request: bytes) -> Fault | None:
        """The first fault that this command meets."""
        with self._lock:
            self._faults = [fault for fault in self._faults if not fault.is_over]
            return self._met(self._faults, request)

    def for_beginning(self, beginning: bytes) -> Fault | None:
        """The first one that a command meets whose end is not there yet: a cut, for certain."""
        with self._lock:
            return self._met([each for each in self._faults if each.is_early], beginning)

    def _met(self, faults: list[Fault], request: bytes) -> Fault | None:
        return next((each for each in faults if each.befalls(request, self._chances)), None)
