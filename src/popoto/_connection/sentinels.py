"""What the sentinels say about the primary of a service, and when they are asked. No I/O.

After a planned failover the former primary goes on taking writes until the sentinels make it a
replica, some ten seconds later, and throws them away then. So nothing is sent to a primary on
a word of the sentinels that is older than `FRESH`, and nothing while a sentinel is carrying out
a failover. All of them are asked: the one that leads a failover knows first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, Protocol, TypeGuard, TypeVar

from popoto._connection.hiding import passwords, without_secrets
from popoto._connection.resp import pack
from popoto._connection.settings import Address, Options
from popoto._connection.steps import AskSentinels, Pause, Step, Steps

__all__ = [
    "ANSWERS",
    "BRIEF",
    "FORCED_ADDRESS",
    "OneSentinel",
    "Patience",
    "SentinelsOfService",
    "Watch",
    "Word",
    "confirm_primary",
    "is_unlike_a_word",
    "question",
    "word",
]

FRESH: Final = 0.2
"""Seconds for which a word of the sentinels is good."""

BRIEF: Final = 0.5
"""Seconds to wait for a sentinel while there is a primary to work with."""

HELD: Final = 5.0
"""Seconds for which commands are held back at most while a failover is under way."""

FORCED_ADDRESS: Final = "_force_master_ip"
"""redis-py's note of the address that a caller's own manager gives to any primary."""

ANSWERS: Final = 2
"""How many replies there are to a `question`."""

_LONGEST_SILENCE: Final = 30.0
_FAILOVER_PAUSE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Word:
    """What one sentinel says. Of two, the one of the higher epoch is the newer."""

    epoch: int
    address: Address
    is_failing_over: bool = False
    """Whether it is about to make another server the primary."""


def question(service: str, *, lists_all: bool) -> bytes:
    """What a sentinel is asked, packed. `lists_all`: it does not tell about one service alone."""
    state = ("SENTINEL", "MASTERS") if lists_all else ("SENTINEL", "MASTER", service)
    return pack([state, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)])


def is_unlike_a_word(replies: Sequence[object]) -> bool:
    """Whether a sentinel did not understand, or allow, the question about one service."""
    state = replies[0]
    unknown = isinstance(state, Exception) and "No such master" in str(state)
    return not unknown and not isinstance(state, (list, dict))


def word(replies: Sequence[object], service: str, least_others: int = 0) -> Word | None:
    """The word in the replies to a question; None if there is no primary to work with.

    A sentinel names the new primary as soon as that has taken over, and describes the old one
    until the other replicas follow too.
    """
    state = _state_of(replies[0], service)
    if state is None or int(state.get("num-other-sentinels", 0)) < least_others:
        return None
    described = (state["ip"], int(state["port"]))
    named = _address(replies[1]) or described
    flags = state.get("flags", "").split(",")
    if named == described and ("master" not in flags or "s_down" in flags or "o_down" in flags):
        return None
    return Word(
        int(state.get("config-epoch", 0)),
        named,
        is_failing_over=named == described and "failover_in_progress" in flags,
    )


def _state_of(reply: object, service: str) -> dict[str, str] | None:
    """What is said about the service, by name; its own reply, or one among those of others."""
    parts = _list(reply)
    if not parts or not isinstance(parts[0], (list, dict)):
        parts = [reply]
    states = (_by_name(each) for each in parts)
    return next((state for state in states if state.get("name") == service), None)


def _by_name(reply: object) -> dict[str, str]:
    if _is_map(reply):
        return {_text(name): _text(value) for name, value in reply.items()}
    flat = _list(reply)
    return {_text(name): _text(value) for name, value in zip(flat[::2], flat[1::2], strict=False)}


def _address(reply: object) -> Address | None:
    parts = _list(reply)
    return (_text(parts[0]), int(_text(parts[1]))) if len(parts) == 2 else None


def _list(reply: object) -> list[object]:
    return reply if _is_list(reply) else []


def _is_list(reply: object) -> TypeGuard[list[object]]:
    return isinstance(reply, list)


def _is_map(reply: object) -> TypeGuard[dict[object, object]]:
    return isinstance(reply, dict)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


class Connected(Protocol):
    """A connection that sentinels have found the address for."""

    host: str
    port: int


class Watch:
    """Which primary is known, on which word, and when the sentinels are to be asked again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.address: Address | None = None
        self.due = 0.0
        """When to ask again, by the clock."""
        self._epoch = -1
        self._held_until: float | None = None

    def is_due(self) -> bool:
        """Whether what is known is too old to act on."""
        return self.clock() >= self.due

    def is_led_to(self, connection: Connected) -> bool:
        """Whether a connection leads to the primary that is known."""
        return self.address is None or self.address == (connection.host, connection.port)

    def take(self, words: Sequence[Word]) -> bool:
        """Take in what the sentinels said. Whether to ask again before anything is sent.

        A word of an older epoch is that of a sentinel which has not heard yet.
        """
        now = self.clock()
        newest = max(words, key=lambda one: one.epoch, default=None)
        if newest is None:
            self.due = now + FRESH
            return False
        if newest.epoch >= self._epoch or newest.address == self.address:
            self.address, self._epoch = newest.address, newest.epoch
        if not any(one.is_failing_over and one.address == self.address for one in words):
            self._held_until = None
        elif self._held_until is None:
            self._held_until = now + HELD
        if self._held_until is not None and now < self._held_until:
            return True  # still due: whoever comes meanwhile has to wait as well
        self.due = now + FRESH
        return False

    def forget(self) -> None:
        """The primary is gone, or is none any more: the next word counts, whatever it is."""
        self.address, self._epoch, self.due = None, -1, 0.0


class Patience:
    """With one sentinel: one that does not answer is left alone for a time that grows."""

    def __init__(self) -> None:
        self._failures = 0
        self._silent_until = 0.0

    def is_over(self, now: float) -> bool:
        """Whether it is not to be asked now."""
        return now < self._silent_until

    def failed(self, now: float) -> None:
        """It did not answer; once is no reason."""
        if self._failures:
            self._silent_until = now + min(2.0 ** (self._failures - 1), _LONGEST_SILENCE)
        self._failures += 1

    def answered(self) -> None:
        """It did."""
        self._failures = 0
        self._silent_until = 0.0


def confirm_primary(watch: Watch) -> Steps[None]:
    """Ask the sentinels who the primary is, again while they are about to replace it."""
    while True:
        words: list[Word] = yield AskSentinels(is_brief=True)
        if not words and watch.address is None:
            words = yield AskSentinels(is_brief=False)
        if not watch.take(words):
            return
        yield Pause(_FAILOVER_PAUSE)


class OneSentinel:
    """What is known of one sentinel, whichever way it is asked."""

    def __init__(self) -> None:
        self.patience = Patience()
        self.lists_all = False
        self.failure = ""
        """Why there was no answer, the last time."""

    def did_not_answer(self, error: Exception, place: Options) -> None:
        """Note why, without the passwords of the place that was asked."""
        reason = str(without_secrets(error, passwords(place))) or "no answer in time"
        self.failure = f"{place.get('host')}:{place.get('port')}: {reason}"


One = TypeVar("One", bound=OneSentinel)


class SentinelsOfService(Generic[One]):
    """What is decided about the sentinels of one service, by threads and by tasks."""

    not_found: ClassVar[type[Exception]]
    """redis-py's, of which there are two."""

    def __init__(self, manager: Any, service: str) -> None:
        self.manager = manager
        self.service = service
        self.watch = Watch()
        self._lines: list[One] = []

    def _primary(self, service_name: str) -> Address:
        if self.watch.address is None:
            said = "; ".join(line.failure for line in self._lines if line.failure)
            raise self.not_found(f"No primary found for {service_name!r}: {said or 'unknown'}")
        return self.watch.address

    def _to_ask(self, step: Step) -> tuple[list[One], float | None]:
        """Which sentinels are asked, and for how many seconds each is waited for."""
        now = self.watch.clock()
        seconds = BRIEF if isinstance(step, AskSentinels) and step.is_brief else None
        known = self.watch.address is not None
        return [line for line in self._lines if not (known and line.patience.is_over(now))], seconds

    def _heard(self, lines: Sequence[One], words: Sequence[Word | None]) -> list[Word]:
        """The words of those that had one; note who answered."""
        for line in lines:
            if line.failure:
                line.patience.failed(self.watch.clock())
            else:
                line.patience.answered()
        return [each for each in words if each is not None]

    def _word(self, replies: Sequence[object]) -> Word | None:
        least: int = self.manager.min_other_sentinels
        found = word(replies, self.service, least) if replies else None
        forced: str | None = getattr(self.manager, FORCED_ADDRESS, None)
        if found is None or forced is None:
            return found
        return Word(found.epoch, (forced, found.address[1]), found.is_failing_over)
