"""`HistoryEntry`: one change of what a record's memory holds; reading the entries of a record."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self, cast

from popoto import clock
from popoto.engine.looking_up import looked_up
from popoto.engine.request import Plan
from popoto.exceptions import ModelException
from popoto.fields.given import number_in, results_wanted
from popoto.memory.cycles.formula import unpacked_cycles
from popoto.memory.history.noting import History, Kind, history_key

__all__ = ["HistoryEntry", "entries_in", "history_of", "key_of", "moment"]

logger = logging.getLogger("POPOTO.field")


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One change, as `Model.history` tells it.

    `kind`            what changed: confidence, decay (the clock of a decay field), cycle, pressure,
                      link, access or proposal
    `field`           the field; "" for access and proposal, which are the record's
    `before`, `after` confidence; moments (decay; pressure: when it was resolved; proposal: since
                      when it is pending); weight of an edge; number of confirmed reads; cycles as
                      lists of period, amplitude and phase. None: there was, or is, none
    `at`              the moment of the change, by `popoto.clock` (seconds since 1970)
    `actor`           who did it (`popoto.acting_as`), or None
    `cause`           the method that did it: update_confidence, touch, on_context_used, …
    `outcome`         the outcome that it was told, or None
    `signal`          the signal of a confidence, the factor of cycles and of weakened edges, what
                      an edge was strengthened by, or None
    `evidence_count`  of a confidence: the number of signals behind it since then
    `target`          of a link: the key that it leads to
    """

    kind: Kind
    field: str
    before: Any
    after: Any
    at: float
    actor: str | None = None
    cause: str = ""
    outcome: str | None = None
    signal: float | None = None
    evidence_count: int | None = None
    target: str | None = None

    @classmethod
    def of(cls, stored: Mapping[bytes, bytes]) -> Self:
        """From the fields of a stream's entry. Raises ValueError for one that is none of ours."""
        try:
            texts = {
                name: stored[name.encode()].decode("utf-8", "replace")
                for name in ("kind", "field", "at", "by", "cause", "outcome", "signal", "target")
            }
            value_of = _VALUES[texts["kind"]]
            evidence = stored[b"evidence"]
            return cls(
                kind=cast("Kind", texts["kind"]),
                field=texts["field"],
                before=value_of(stored[b"from"]) if stored[b"from"] else None,
                after=value_of(stored[b"to"]) if stored[b"to"] else None,
                at=float(texts["at"]),
                actor=texts["by"] or None,
                cause=texts["cause"],
                outcome=texts["outcome"] or None,
                signal=float(texts["signal"]) if texts["signal"] else None,
                evidence_count=int(evidence) if evidence else None,
                target=texts["target"] or None,
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{stored!r} is no entry of a history") from error

    def __str__(self) -> str:
        what = " ".join(part for part in (self.kind, self.field) if part)
        if self.target is not None:
            what += f" to {self.target}"
        return f"{moment(self.at)}  {what}: {self.before!r} -> {self.after!r} ({self.reason})"

    @property
    def reason(self) -> str:
        """Why and by whom, in words."""
        parts = [self.cause if self.outcome is None else f"{self.cause}: {self.outcome}"]
        if self.signal is not None:
            parts.append(f"signal {self.signal!r}")
        text = ", ".join(parts)
        return text if self.actor is None else f"{text}, by {self.actor}"


_VALUES: dict[str, Callable[[bytes], Any]] = {
    **dict.fromkeys(("confidence", "decay", "pressure", "link", "proposal"), float),
    "access": int,
    "cycle": unpacked_cycles,
}


def moment(seconds: float) -> str:
    """A moment in words, in UTC."""
    try:
        at = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        # Far from now, as simulations may be.
        return f"second {seconds!r}"
    return at.isoformat(" ", "milliseconds" if at.microsecond else "seconds")


def key_of(instance: Any) -> str:
    """The key under which a record is stored. Raises QueryException for one that nobody has."""
    instance._meta.isolation.check_had(instance, "what is known")
    if instance._stored and instance._redis_key is not None:
        return str(instance._redis_key)
    return str(instance.pk)


def history_of(
    instance: Any, limit: int | None, since: datetime | float | None
) -> Plan[list[HistoryEntry]]:
    """The plan of `Model.history`; see there."""
    options = instance._meta
    history: History = kept_by(options)
    if limit is not None and (isinstance(limit, bool) or results_wanted(limit) < 0):
        raise ValueError(f"limit must be a number of entries, 0 or more, or None, got {limit!r}")
    first: float | None = None
    if isinstance(since, datetime):
        first = since.timestamp()
    elif since is not None:
        first = number_in(since, "since (a datetime, or seconds since 1970)", infinite=True)
    if limit == 0:
        return []
    key = history_key(options.model_name, key_of(instance))
    # Moments need not be in order, as clocks of processes differ: all are looked at for them.
    some = ("COUNT", limit) if limit is not None and first is None else ()
    (found,) = yield from looked_up([("XREVRANGE", key, "+", "-", *some)], options.shard)
    entries = entries_in(found[::-1], history)
    if first is not None:
        entries = [entry for entry in entries if entry.at >= first]
    return entries if limit is None else entries[-limit:]


def kept_by(options: Any) -> History:
    """The bounds of the histories of a model. Raises ModelException where it keeps none."""
    history: History | None = options.history
    if history is None:
        raise ModelException(
            f"{options.model_name} keeps no history: set history = True in its Meta, from then on "
            "changes are noted"
        )
    return history


def entries_in(found: Sequence[Any], history: History) -> list[HistoryEntry]:
    """The entries of a stream's reply, without those that are too old to be kept."""
    oldest = history.oldest(clock.now())
    entries: list[HistoryEntry] = []
    for _, flat in found:
        try:
            entry = HistoryEntry.of(dict(zip(flat[::2], flat[1::2], strict=True)))
        except ValueError as error:
            logger.warning("left out of a history: %s", error)
            continue
        if oldest is None or entry.at >= oldest:
            entries.append(entry)
    return entries
