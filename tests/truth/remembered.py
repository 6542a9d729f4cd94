"""What a server holds beside records, as it is, and what a plain Python model says it should."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgpack
import redis

from popoto.engine.keys import unescape
from popoto.memory.confidence.formula import Evidence
from popoto.memory.cycles.formula import learned_amplitude

AMPLITUDES = (0.5, 0.25)
CERTAIN, WORTH = Evidence(0.4), Evidence(0.5)


@dataclass(frozen=True)
class Remembered:
    """One record and what it has, but for edges."""

    agent: str
    weight: float
    shown: float = 0.4
    certainty: Evidence = CERTAIN
    worth: Evidence = WORTH
    amplitudes: tuple[float, ...] = AMPLITUDES
    staged: int = 0
    confirmed: int = 0
    prediction: float | str | None = None
    error: float | None = None
    pending: frozenset[str] = frozenset()

    def but(self, **changes: Any) -> Remembered:
        return replace(self, **changes)

    def learned(self, name: str, signal: float) -> Remembered:
        if name == "worth":
            return self.but(worth=self.worth.learned(signal))
        learned = self.certainty.learned(signal)
        return self.but(certainty=learned, shown=learned.confidence)

    def amplified(self, factor: float) -> Remembered:
        return self.but(amplitudes=tuple(learned_amplitude(a, factor) for a in self.amplitudes))


@dataclass
class Memory:
    """All of them, by record key, and their edges."""

    facts: dict[str, Remembered] = field(default_factory=dict[str, Remembered])
    near: dict[frozenset[str], float] = field(default_factory=dict[frozenset[str], float])
    causes: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])

    def forget(self, key: str) -> None:
        self.facts.pop(key, None)
        self.near = {pair: weight for pair, weight in self.near.items() if key not in pair}
        self.causes = {pair: weight for pair, weight in self.causes.items() if key not in pair}

    def move(self, old: str, new: str) -> None:
        self.facts[new] = self.facts.pop(old)

        def moved(pair: Iterable[str]) -> list[str]:
            return [new if each == old else each for each in pair]

        self.near = {frozenset(moved(pair)): weight for pair, weight in self.near.items()}
        self.causes = {
            (source, target): weight
            for (source, target), weight in (
                (moved(pair), weight) for pair, weight in self.causes.items()
            )
        }

    def expected(self) -> dict[str, Any]:
        """What a server should hold: kind -> place -> value."""
        found: dict[str, dict[Any, Any]] = {kind: {} for kind in READERS}
        for key, fact in self.facts.items():
            place = fact.agent, key
            found["records"][key] = fact.agent, fact.weight, fact.shown
            found["certainty"][place] = fact.certainty
            found["worth"][key] = fact.worth
            found["relevance"][place] = found["season"][place] = found["pressure"][place] = True
            found["base"][place] = fact.shown
            found["cycles"][place] = fact.amplitudes
            if fact.weight >= 0.7:
                found["priority"][key] = fact.weight
            if fact.staged:
                found["staged"][key] = fact.staged
            if fact.confirmed:
                found["log"][key] = found["meta"][key] = fact.confirmed
            if fact.prediction is not None:
                found["predictions"][key] = None if fact.prediction == "open" else fact.prediction
            if fact.error is not None:
                found["errors"][key] = fact.error
            for partition in fact.pending:
                found["pending"][partition, key] = True
        for pair, weight in self.near.items():
            one, other = sorted(pair)
            found["near"][one, other] = found["near"][other, one] = weight
        for (source, target), weight in self.causes.items():
            found["causes"][source, target] = weight
            found["incoming"][target, source] = True
        return found


# Reading what is there ---------------------------------------------------------------------

Reader = Callable[[redis.Redis, str, str], Mapping[Any, Any]]


def _text(value: bytes) -> str:
    return value.decode("utf-8")


def _record(client: redis.Redis, key: str, rest: str) -> Mapping[Any, Any]:
    held = {_text(name): value for name, value in client.hgetall(key).items()}
    return {key: tuple(msgpack.unpackb(held[name]) for name in ("agent", "weight", "certainty"))}


def _members(read: Callable[[str, str, float], tuple[Any, Any]]) -> Reader:
    def reader(client: redis.Redis, key: str, rest: str) -> Mapping[Any, Any]:
        found = client.zrange(key, 0, -1, withscores=True)
        return dict(read(rest, _text(member), score) for member, score in found)

    return reader


def _fields(read: Callable[[str, str, bytes], tuple[Any, Any]]) -> Reader:
    def reader(client: redis.Redis, key: str, rest: str) -> Mapping[Any, Any]:
        return dict(read(rest, _text(name), value) for name, value in client.hgetall(key).items())

    return reader


def _place(agent: str, key: str) -> tuple[str, str]:
    return unescape(agent), key


def _amplitudes(stored: bytes) -> tuple[float, ...]:
    return tuple(amplitude for _, amplitude, *_ in msgpack.unpackb(stored))


#: By kind: what its keys begin and end with, and how one is read.
READERS: dict[str, tuple[str, str, Reader]] = {
    "records": ("Fact:", "", _record),
    "certainty": (
        "$ConfidencF:Fact:certainty:data:",
        "",
        _fields(lambda agent, key, value: (_place(agent, key), Evidence.unpacked(value))),
    ),
    "worth": (
        "$ConfidencF:Fact:worth:data",
        "",
        _fields(lambda _, key, value: (key, Evidence.unpacked(value))),
    ),
    "cycles": (
        "$CyclicDecayF:Fact:season:",
        ":cycles",
        _fields(lambda agent, key, value: (_place(agent, key), _amplitudes(value))),
    ),
    "pressure": (
        "$CyclicDecayF:Fact:season:",
        ":pressure",
        _fields(lambda agent, key, _: (_place(agent, key), True)),
    ),
    "season": (
        "$CyclicDecayF:Fact:season:",
        "",
        _members(lambda agent, key, _: (_place(agent, key), True)),
    ),
    "relevance": (
        "$DecayingSortF:Fact:relevance:",
        "",
        _members(lambda agent, key, _: (_place(agent, key), True)),
    ),
    "base": (
        "$DecayBase:Fact:relevance:",
        "",
        _members(lambda agent, key, score: (_place(agent, key), score)),
    ),
    "priority": ("$WF:Fact:priority", "", _members(lambda _, key, score: (key, score))),
    "errors": ("$PL:Fact:errors:default", "", _members(lambda _, key, score: (key, score))),
    "predictions": (
        "$PL:Fact:meta:",
        "",
        _fields(lambda _, key, value: (key, msgpack.unpackb(value)["prediction_error"])),
    ),
    "pending": (
        "$RP:Fact:pending:",
        "",
        _members(lambda partition, key, _: ((partition, key), True)),
    ),
    "near": (
        "$CoOccurrencF:Fact:near:",
        "",
        _members(lambda source, target, score: ((source, target), score)),
    ),
    "causes": (
        "$CoOccurrencF:Fact:causes:",
        "",
        _members(lambda source, target, score: ((source, target), score)),
    ),
    "incoming": (
        "$CoOccurrenceIn:Fact:causes:",
        "",
        lambda client, key, target: {
            (target, _text(source)): True for source in client.smembers(key)
        },
    ),
    "staged": ("$AT:Fact:staged:", "", lambda client, key, rest: {rest: client.llen(key)}),
    "log": ("$AT:Fact:access_log:", "", lambda client, key, rest: {rest: client.llen(key)}),
    "meta": (
        "$AT:Fact:meta:",
        "",
        lambda client, key, rest: {rest: int(client.hget(key, "access_count") or 0)},
    ),
}
#: What is not of one kind of companion: lists, class set, values, ends, partitions.
OTHERS = ("$Class:Fact", "$KeyF:Fact:", "$IndexF:Fact:", "$Values:Fact", "$Expiry:Fact")


def found(client: redis.Redis) -> dict[str, Any]:
    """What the server holds, in the same form."""
    read: dict[str, dict[Any, Any]] = {kind: {} for kind in READERS}
    for key in map(_text, client.scan_iter(count=10_000)):
        if key.startswith(OTHERS) or key == "$RP:Fact:partitions":
            continue
        kind, rest = next(
            (kind, key[len(start) : len(key) - len(end)])
            for kind, (start, end, _) in READERS.items()
            if key.startswith(start) and key.endswith(end)
        )
        read[kind].update(READERS[kind][2](client, key, rest))
    return read


def differences(client: redis.Redis, memory: Memory) -> dict[str, tuple[Any, Any]]:
    """By kind, what the server holds and what it should; empty where they agree."""
    there, wanted = found(client), memory.expected()
    return {
        kind: (there[kind], wanted[kind])
        for kind in READERS
        if not _agree(there[kind], wanted[kind])
    }


def _agree(there: Mapping[Any, Any], wanted: Mapping[Any, Any]) -> bool:
    return there.keys() == wanted.keys() and all(
        _close(there[place], value) for place, value in wanted.items()
    )


def _close(there: Any, wanted: Any) -> bool:
    if isinstance(wanted, Evidence):
        return _close(tuple(there.as_dict().values()), tuple(wanted.as_dict().values()))
    if isinstance(wanted, tuple):
        return all(_close(*pair) for pair in zip(there, wanted, strict=True))
    if isinstance(wanted, float) and isinstance(there, float):
        return abs(there - wanted) < 1e-9
    return bool(there == wanted)
