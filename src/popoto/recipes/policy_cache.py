"""A policy cache: which action was worth how much in which state, learned from events."""

from __future__ import annotations

import datetime
import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

from popoto.engine.batch import Batch, KeyArgument
from popoto.engine.codec import decoder_for, encoder_for
from popoto.engine.request import Plan, Reply
from popoto.engine.run import arun, run
from popoto.exceptions import UnsavedError
from popoto.fields.access_tracker import AccessTrackerMixin
from popoto.fields.co_occurrence_field import CoOccurrenceField
from popoto.fields.confidence_field import ConfidenceField
from popoto.fields.constants import Defaults
from popoto.fields.decaying_sorted_field import DecayingSortedField
from popoto.fields.describing import describe
from popoto.fields.event_stream import EventStreamMixin
from popoto.fields.existence_filter import ExistenceFilter
from popoto.fields.keeping.adjusting import Adjustment, carried_out
from popoto.fields.keeping.families import KeyFamily
from popoto.fields.prediction_ledger import PredictionLedgerMixin
from popoto.fields.shortcuts import AutoKeyField, DictField, KeyField
from popoto.memory.commands import put
from popoto.memory.composite import signals
from popoto.memory.composite.signals import Signal
from popoto.memory.policy.formula import (
    CHI_SQUARED_CRITICAL_VALUES,
    chi_squared_uniform,
    compute_fingerprint,
    recurrences,
    wilson_ci_lower,
)
from popoto.models.base import Model

__all__ = [
    "CHI_SQUARED_CRITICAL_VALUES",
    "CHI_SQUARED_P_THRESHOLD",
    "INITIAL_CYCLE_AMPLITUDE",
    "MIN_EVENTS_FOR_CRYSTALLIZATION",
    "TD_ALPHA",
    "TD_GAMMA",
    "WILSON_CI_THRESHOLD",
    "PolicyEntry",
    "async_initialize_q_value",
    "async_update_q_value",
    "chi_squared_uniform",
    "compute_fingerprint",
    "crystallization_handler",
    "initialize_q_value",
    "temporal_discovery_handler",
    "update_q_value",
    "wilson_ci_lower",
]

logger = logging.getLogger("POPOTO.PolicyCache")

Entries: TypeAlias = Sequence[tuple[str, Mapping[str, str]]]
_Group: TypeAlias = tuple[str, str, str]

MIN_EVENTS_FOR_CRYSTALLIZATION: Final = Defaults.MIN_EVENTS_FOR_CRYSTALLIZATION
WILSON_CI_THRESHOLD: Final = Defaults.WILSON_CI_THRESHOLD
TD_ALPHA: Final = Defaults.TD_ALPHA
TD_GAMMA: Final = Defaults.TD_GAMMA
CHI_SQUARED_P_THRESHOLD: Final = Defaults.CHI_SQUARED_P_THRESHOLD
INITIAL_CYCLE_AMPLITUDE: Final = Defaults.INITIAL_CYCLE_AMPLITUDE

#: What events have told of states and actions so far: successes and trials, by JSON text.
_EVIDENCE_KEY: Final = "$Policy:PolicyEntry:evidence"
_EVIDENCE_SECONDS: Final = 90 * 86_400


class _Features(DictField):
    """A dict, or a text: popoto 1.6 keeps texts here, those of dicts as well."""

    def codec(self) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
        return encoder_for(object), self._decoded

    def _decoded(self, raw: bytes) -> Any:
        found = decoder_for(object)(raw)
        return found if isinstance(found, str) else decoder_for(dict)(raw)

    def coerce(self, value: Any) -> Any:
        return value if isinstance(value, str) else super().coerce(value)

    def problem(self, value: Any, *, null_check: bool = True) -> str | None:
        return None if isinstance(value, str) else super().problem(value, null_check=null_check)


class _LearnedValueField(DecayingSortedField):
    """A value that stands where popoto 1.6 keeps it: in the index of a decaying field.

    It is no moment, so neither a save nor an outcome sets it to now, and scores count it as it is.
    """

    is_clock = False
    field_class_key = DecayingSortedField.field_class_key

    @property
    def stamps_writes(self) -> bool:
        return False

    def format_value_pre_save(self, field_value: Any, **kwargs: Any) -> Any:
        return self.current_value() if field_value is None else field_value

    def signal(self, partition_values: Sequence[Any]) -> Signal | None:
        return signals.scores(self.partition_key(partition_values))


class PolicyEntry(EventStreamMixin, AccessTrackerMixin, PredictionLedgerMixin, Model):
    """What to do in a state, and what that is worth.

    `expected_value` is the value that `update_q_value` learns; creating an entry sets it to the
    time, as for every decaying field, so `initialize_q_value` follows. Later saves and outcomes
    leave it alone.
    """

    _stream_name = "policy_mutations"
    _stream_partition_field = "agent_id"

    entry_id = AutoKeyField()
    agent_id = KeyField()
    state_fingerprint = KeyField()
    action_type = KeyField()
    state_features = _Features(default={})
    action_spec = _Features(default={})
    expected_value = _LearnedValueField(partition_by="agent_id")
    confidence = ConfidenceField(initial_confidence=0.5)
    related_policies = CoOccurrenceField(symmetric=True, max_edges=100)
    bloom = ExistenceFilter(
        error_rate=0.01, capacity=100_000, fingerprint_fn=lambda entry: entry.state_fingerprint
    )

    @classmethod
    def _key_families(cls) -> list[KeyFamily]:
        return [KeyFamily("", "evidence", _EVIDENCE_KEY, "whole", derived=False)]


# Values ----------------------------------------------------------------------------------------


class _Valuing(Adjustment):
    """The value of an entry learns from a reward, or is set."""

    what = "update_q_value()"
    names = ("agent_id",)

    def __init__(self, instance: Any, command: str, **numbers: float) -> None:
        if not isinstance(instance, PolicyEntry):
            raise TypeError(
                f"the value that is learned is a PolicyEntry's, got {describe(instance)}"
            )
        super().__init__(instance)
        self.command = command
        self.numbers = [repr(_number(name, given)) for name, given in numbers.items()]

    def unsaved(self) -> Exception:
        return ValueError(str(super().unsaved()))

    def missing(self, key: str) -> Exception:
        return ValueError(str(super().missing(key)))

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        field = self.instance._meta.by_name["expected_value"]
        index = field.partition_key([values["agent_id"]])
        put(batch, self.command, index, key, KeyArgument(key), field.name, *self.numbers)

    def finish(self, replies: Sequence[Reply]) -> float:
        told: Any = replies[0]
        value = float(told[1])
        field = self.instance._meta.by_name["expected_value"]
        vars(self.instance)[field.name] = value
        self.instance._stored[field.name] = field.encode(value)
        return float(told[0])


def _number(name: str, given: Any) -> float:
    """One of what a value learns from. Raises TypeError, or ValueError outside of its range."""
    try:
        number = float(given)
    except OverflowError:
        number = math.inf
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a number, got {describe(given)}") from error
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite number, got {describe(given)}")
    if name in ("alpha", "gamma") and not 0 <= number <= 1:
        raise ValueError(f"{name} must be a number from 0 to 1, got {describe(given)}")
    return number


def update_q_value(
    instance: PolicyEntry,
    reward: float,
    max_future_q: float = 0.0,
    alpha: float | None = None,
    gamma: float | None = None,
) -> float:
    """Let the value of an entry learn from a reward; returns the difference to what was expected.

    ``difference = reward + gamma * max_future_q - value``, and ``alpha * difference`` is added to
    the value (Q-learning, Watkins 1989). `Defaults.TD_ALPHA` and `TD_GAMMA` unless given, both
    from 0 to 1. Raises ValueError for an entry that is not stored, and for numbers out of their
    range or not finite. One command, atomic on the server.
    """
    return run(_rewarding(instance, reward, max_future_q, alpha, gamma))


async def async_update_q_value(
    instance: PolicyEntry,
    reward: float,
    max_future_q: float = 0.0,
    alpha: float | None = None,
    gamma: float | None = None,
) -> float:
    """`update_q_value` for asyncio."""
    return await arun(_rewarding(instance, reward, max_future_q, alpha, gamma))


def initialize_q_value(instance: PolicyEntry, initial_q: float = 0.0) -> None:
    """Set the value of an entry. Raises ValueError for one that is not stored. One command."""
    run(_carried_out(_Valuing(instance, "VALUE", initial_q=initial_q)))


async def async_initialize_q_value(instance: PolicyEntry, initial_q: float = 0.0) -> None:
    """`initialize_q_value` for asyncio."""
    await arun(_carried_out(_Valuing(instance, "VALUE", initial_q=initial_q)))


def _rewarding(
    instance: PolicyEntry, reward: float, future: float, alpha: float | None, gamma: float | None
) -> Plan[float]:
    rate = Defaults.TD_ALPHA if alpha is None else alpha
    discount = Defaults.TD_GAMMA if gamma is None else gamma
    numbers = {"reward": reward, "max_future_q": future, "alpha": rate, "gamma": discount}
    return _carried_out(_Valuing(instance, "REWARD", **numbers))


def _carried_out(valuing: _Valuing) -> Plan[float]:
    try:
        found: list[float] = yield from carried_out([valuing], None)
    except UnsavedError as error:
        raise ValueError(str(error)) from error
    return found[0]


# Learning from events --------------------------------------------------------------------------


async def crystallization_handler(entries: Entries) -> None:
    """A handler for `StreamConsumer`: what succeeded often enough becomes a `PolicyEntry`.

    Entries tell `state_fingerprint`, `action_type`, `outcome` (``success`` or not) and, if they
    like, `agent_id` ("default"), `state_features` and `action_spec` (JSON). Successes and trials
    of each agent, state and action are counted on the server, so batches add up; they are
    forgotten after 90 days without an event. An entry is created from the latest event, unless
    there is one, where `wilson_ci_lower` is above `Defaults.WILSON_CI_THRESHOLD` after
    `Defaults.MIN_EVENTS_FOR_CRYSTALLIZATION` trials or more. That bound is its value.
    """
    latest: dict[_Group, Mapping[str, str]] = {}
    news: dict[_Group, list[int]] = {}
    for entry_id, told in entries:
        if not told.get("state_fingerprint") or not told.get("action_type"):
            logger.warning("event %s tells no state_fingerprint and action_type", entry_id)
            continue
        group = (
            told.get("agent_id") or "default",
            told["state_fingerprint"],
            told["action_type"],
        )
        latest[group] = told
        counts = news.setdefault(group, [0, 0])
        counts[0] += told.get("outcome") == "success"
        counts[1] += 1
    if news:
        for group, (successes, total) in (await arun(_counted(news))).items():
            await _crystallized(group, latest[group], successes, total)


class _Counting(Adjustment):
    """Successes and trials are added to those that there are. The result is what there is now."""

    what = "crystallization_handler()"
    needs_record = False

    def __init__(self, news: Mapping[_Group, Sequence[int]]) -> None:
        super().__init__(PolicyEntry)
        self.news = news

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        for group, counts in self.news.items():
            for what, count in zip(("successes", "total"), counts, strict=True):
                batch.put("HINCRBY", _EVIDENCE_KEY, json.dumps([*group, what]), count)
        batch.put("EXPIRE", _EVIDENCE_KEY, _EVIDENCE_SECONDS)

    def finish(self, replies: Sequence[Reply]) -> dict[_Group, tuple[int, int]]:
        numbers: Sequence[Any] = replies
        pairs = zip(numbers[0:-1:2], numbers[1:-1:2], strict=True)
        return {
            group: (int(one), int(all_))
            for group, (one, all_) in zip(self.news, pairs, strict=True)
        }


def _counted(news: Mapping[_Group, Sequence[int]]) -> Plan[dict[_Group, tuple[int, int]]]:
    """Successes and trials of these groups, with those that are new. One command."""
    found: list[dict[_Group, tuple[int, int]]] = yield from carried_out([_Counting(news)])
    return found[0]


async def _crystallized(group: _Group, told: Mapping[str, str], successes: int, total: int) -> None:
    if total < Defaults.MIN_EVENTS_FOR_CRYSTALLIZATION:
        return
    bound = wilson_ci_lower(successes, total)
    if bound <= Defaults.WILSON_CI_THRESHOLD:
        return
    agent_id, state_fingerprint, action_type = group
    names: dict[str, Any] = {
        "agent_id": agent_id,
        "state_fingerprint": state_fingerprint,
        "action_type": action_type,
    }
    # The server decides whether there is one: another consumer may have come as far. The value
    # comes with it: a process that ends in between would leave an entry that is worth the time.
    await PolicyEntry.async_get_or_create(
        **names,
        defaults={
            "state_features": _features(told.get("state_features")),
            "action_spec": _features(told.get("action_spec")),
            "expected_value": bound,
        },
    )


def _features(text: str | None) -> dict[str, Any] | str:
    """The object that a JSON text tells, empty where it tells none; another value as its text."""
    try:
        found: Any = json.loads(text or "{}")
    except ValueError:
        return {}
    if text is None or found is None:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else text


async def temporal_discovery_handler(entries: Entries) -> list[tuple[int, float, float]]:
    """Cycles in which events come back, from the `ts` of entries: (period, amplitude, phase).

    See `popoto.memory.policy.formula.recurrences`. `StreamConsumer` does not use what a handler
    returns: wrap it to do something with it. Asks no server.
    """
    moments: list[float] = []
    for _, told in entries:
        try:
            moment = float(told["ts"])
            datetime.datetime.fromtimestamp(moment, datetime.UTC)
        except (KeyError, TypeError, ValueError, OverflowError, OSError):
            # None, no number, or a moment that no calendar has.
            continue
        moments.append(moment)
    return recurrences(moments, Defaults.INITIAL_CYCLE_AMPLITUDE)
