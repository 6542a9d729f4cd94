"""`DecayingSortedField`: relevance that decays with the time since a record was touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from popoto import clock
from popoto._stock import stock
from popoto.engine import keys
from popoto.exceptions import ModelException
from popoto.fields.adapting import text_in_key
from popoto.fields.constants import Defaults
from popoto.fields.describing import describe
from popoto.fields.field import Field
from popoto.fields.keeping.entries import Entry, ScoreEntry
from popoto.fields.keeping.families import KeyFamily
from popoto.fields.keeping.proposals import ProposalEntry, pending_family
from popoto.fields.sorted_field_mixin import SortedFieldMixin
from popoto.memory.composite import signals
from popoto.memory.composite.signals import Signal
from popoto.memory.decay.formula import base_score
from popoto.memory.decay.scripts import DECAY_SCORE
from popoto.memory.finite import is_number

__all__ = ["DECAY_SCORE_LUA", "DecayingSortedField"]

#: Scores every member of an index, as popoto 1.6 does: KEYS index, ARGV now, rate, n, base
#: field or "". Queries do not use it.
DECAY_SCORE_LUA: str = DECAY_SCORE.text


class DecayingSortedField(SortedFieldMixin[float], Field[float]):
    """The moment a record was last saved or touched, in seconds since 1970.

    `Model.query.top_by_decay()` ranks records by ``base * days ** -decay_rate``
    (`popoto.memory.decay.formula`), days since that moment and at least 0.01.

    `decay_rate`        how fast relevance falls, above 0; `Defaults.DECAY_RATE` if left out
    `base_score_field`  a field of the model whose number multiplies the score (1 without)
    `partition_by`      a field name or a tuple of them: one ranking per combination

    Every save sets it to now, whatever was assigned, unless ``skip_auto_now=True``;
    `touch()` sets it without a save. It has the lookups of a `SortedField`.

    With a base, a second index of the base scores is kept, so that the best records are found
    without looking at all of them; popoto 1.6 does not keep it (`rebuild_indexes()` does).
    """

    takes_auto_now: ClassVar[bool] = False
    option_defaults: ClassVar[dict[str, Any]] = {"decay_rate": None, "base_score_field": None}
    shown_keywords: ClassVar[tuple[str, ...]] = ("decay_rate", "base_score_field")

    #: whether it tells a moment, which saves, touches and outcomes set to now
    is_clock: ClassVar[bool] = True

    decay_rate: float
    base_score_field: str | None

    def __init__(
        self,
        decay_rate: float | None = None,
        base_score_field: str | None = None,
        partition_by: str | tuple[str, ...] = (),
        **options: Any,
    ) -> None:
        # What these two are is the nature of the field.
        options |= {"type": float, "auto_now": True}
        if partition_by or "sort_by" not in options:
            options["partition_by"] = partition_by
        rate = Defaults.DECAY_RATE if decay_rate is None else decay_rate
        super().__init__(decay_rate=rate, base_score_field=base_score_field, **options)

    @property
    def never_null(self) -> str:
        return "every save sets it to the moment of the save"

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        rate: object = self.decay_rate
        if isinstance(rate, (int, float)) and not isinstance(rate, bool) and rate <= 0:
            raise ModelException(f"decay_rate must be > 0, got {rate!r}")
        if not is_number(rate):
            raise ModelException(f"decay_rate must be a number, got {describe(rate)}")
        base: object = self.base_score_field
        if base is not None and not isinstance(base, str):
            raise ModelException(f"base_score_field must be a field's name, got {describe(base)}")
        # No base is what an empty name says, too.
        self.base_score_field = base or None

    def bind(self, model_name: str, name: str) -> None:
        super().bind(model_name, name)
        self.base_set_key = f"$DecayBase:{model_name}:{name}"

    def check_model(
        self, fields: Mapping[str, Any], indexes: Sequence[tuple[tuple[str, ...], bool]]
    ) -> None:
        super().check_model(fields, indexes)
        if self.base_score_field is not None and self.base_score_field not in fields:
            raise ModelException(
                f"{self.label}: base_score_field names {self.base_score_field!r}, which is no "
                f"field of {self.model_name}; fields are {', '.join(fields)}"
            )

    # Values ---------------------------------------------------------------------

    def current_value(self) -> float:
        return clock.now()

    @stock
    def format_value_pre_save(self, field_value: Any, **kwargs: Any) -> Any:
        if field_value is None or not kwargs.get("skip_auto_now"):
            return self.current_value()
        return field_value

    # Entries --------------------------------------------------------------------

    @property
    def depends_on(self) -> tuple[str, ...]:
        if self.base_score_field is None:
            return self.partition_by
        return (*self.partition_by, self.base_score_field)

    @property
    def registries(self) -> frozenset[str]:
        return super().registries | {"decay"}

    def base_key(self, partition_values: Sequence[Any]) -> str:
        """The key of one partition's records by base score."""
        parts = (keys.escape(text_in_key(value)) for value in partition_values)
        return keys.SEPARATOR.join((self.base_set_key, *parts))

    def companion_hashes(self, partition_values: Sequence[Any]) -> tuple[str, str] | None:
        """The hashes that add to the scores of one partition; None: none do."""
        return None

    def signal(self, partition_values: Sequence[Any]) -> Signal | None:
        key, base = self.partition_key(partition_values), self.base_score_field
        bases = None if base is None else self.base_key(partition_values)
        hashes = self.companion_hashes(partition_values)
        if hashes is None:
            return signals.decay(key, bases, self.decay_rate, base)
        return signals.cyclic(key, bases, hashes, self.decay_rate, base)

    @stock
    def entries(self, key: str, values: Mapping[str, Any]) -> Sequence[Entry]:
        found = super().entries(key, values)
        if not found:
            return found
        found = (*found, ProposalEntry.of(self.model_name, key))
        if self.base_score_field is None:
            return found
        partition = [values[name] for name in self.partition_by]
        base = base_score(values[self.base_score_field])
        return (*found, ScoreEntry(self.base_key(partition), key, base))

    def key_families(self) -> Sequence[KeyFamily]:
        families = (*super().key_families(), pending_family(self.model_name))
        if self.base_score_field is None:
            return families
        bases = KeyFamily(
            "companions",
            f"{self.name}:base",
            self.base_set_key,
            "zset",
            is_open=True,
            source=self.name,
        )
        return (*families, bases)
