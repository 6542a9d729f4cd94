"""Default values of the memory primitives, weights of who acted, and lengths of cycles.

The values are those of popoto 1.6.1 (where its documentation names others, its code decides).
"""

from __future__ import annotations

from decimal import Decimal
from numbers import Real

from popoto._unknown_names import closest, is_strict, tell

__all__ = ["Defaults", "InteractionWeight", "TemporalPeriod"]


class _Known(type):
    """Tells of names to which somebody assigns, and that nothing reads; refuses no numbers."""

    def __setattr__(cls, name: str, value: object) -> None:
        # HASH_VERSION says itself, where it is read, which numbers it may be.
        if name.isupper() and name != "HASH_VERSION" and hasattr(cls, name):
            if isinstance(value, bool) or not isinstance(value, (Real, Decimal)):
                raise TypeError(f"{cls.__name__}.{name} must be a number, got {value!r:.70}")
            if value != value:  # noqa: PLR0124 - NaN alone
                raise ValueError(f"{cls.__name__}.{name} must be a number, got NaN")
        elif not name.startswith("_") and not hasattr(cls, name):
            names = [each for each in dir(cls) if each.isupper()]
            tell(
                f"{cls.__name__} has no {name!r}, so nothing reads it; "
                f"{closest(name, names, 'its names')}",
                refuse=is_strict(),
            )
        super().__setattr__(name, value)


class Defaults(metaclass=_Known):
    """What holds where neither an argument nor a subclass says otherwise.

    Plain class attributes: assign to them before the model class is made for what fields
    take at construction, at any time for what is taken at each call (all others). A name that
    there is not gives a warning; TypeError or ValueError for what is no number.
    """

    #: Exponent of the decay of `DecayingSortedField` and `CyclicDecayField`; above 0.
    #: Taken at construction.
    DECAY_RATE = 0.1
    #: What a record's confidence starts with, from 0 to 1. Taken at construction.
    INITIAL_CONFIDENCE = 0.5
    #: The signals (0 to 1) that the outcomes acted and contradicted are for confidence.
    ACTED_CONFIDENCE_SIGNAL = 0.9
    CONTRADICTED_CONFIDENCE_SIGNAL = 0.1
    #: What amplitudes of cycles are multiplied by.
    ACTED_CYCLE_STRENGTHEN_FACTOR = 1.2
    DISMISSED_CYCLE_WEAKEN_FACTOR = 0.8
    CONTRADICTED_CYCLE_WEAKEN_FACTOR = 0.5
    #: A contradicted record whose confidence is below this has its pressure resolved.
    AUTO_DISCHARGE_CONFIDENCE_THRESHOLD = 0.1
    #: Scores below the first are not saved, from the second on they have priority.
    WF_MIN_THRESHOLD = 0.1
    WF_PRIORITY_THRESHOLD = 0.7
    #: What `weaken_all` multiplies weights by (0 <= factor < 1). Taken at construction.
    CO_OCCURRENCE_DECAY_FACTOR = 0.95
    #: The weight of a new association, and what is left of it after each hop.
    CO_OCCURRENCE_INITIAL_WEIGHT = 0.1
    CO_OCCURRENCE_DECAY_PER_HOP = 0.5
    #: A prediction with a larger error lowers confidence, by this signal.
    PL_CONFIDENCE_ERROR_THRESHOLD = 0.7
    PL_CONFIDENCE_LOW_SIGNAL = 0.2
    #: The errors that outcomes stand for.
    PL_AUTO_RESOLVE_ACTED = 0.1
    PL_AUTO_RESOLVE_USED = 0.3
    PL_AUTO_RESOLVE_DISMISSED = 0.5
    PL_AUTO_RESOLVE_CONTRADICTED = 0.9
    #: How new filters and sketches hash: 2, or 1 where popoto 1.6 uses the same database. Those
    #: that there are stay as they are until they are rebuilt. With 1, a ranking by decay with a
    #: base score looks at every record, as 1.6 does not keep the index of base scores.
    HASH_VERSION = 2
    #: How many assemblies the adaptive assembler judges together.
    ADAPTIVE_QUALITY_WINDOW_SIZE = 20
    #: When and how the policy cache learns from events.
    MIN_EVENTS_FOR_CRYSTALLIZATION = 3
    WILSON_CI_THRESHOLD = 0.6
    TD_ALPHA = 0.1
    TD_GAMMA = 0.95
    CHI_SQUARED_P_THRESHOLD = 0.05
    INITIAL_CYCLE_AMPLITUDE = 0.5
    #: What the context assembler does to competitors, and from which score on it surfaces.
    COMPETITIVE_SUPPRESSION_SIGNAL = 0.3
    DEFAULT_SURFACING_THRESHOLD = 0.5


class InteractionWeight:
    """Base scores by who acted: a source and a role, added.

    With a decay rate of 0.5, a score has fallen to 1 after weight ** 2 days.
    """

    HUMAN = 6.0
    AGENT = 1.0
    SYSTEM = 0.2

    EXECUTIVE = 44.0
    MANAGER = 16.0
    PEER = 6.0
    SUBORDINATE = 1.0

    @staticmethod
    def combine(source: float, role: float) -> float:
        """The weight of what someone in a role did: the sum."""
        return source + role


class TemporalPeriod:
    """Lengths of cycles in seconds. A month is 30 days, a quarter 90, a year 365."""

    DAILY = 86_400
    WEEKLY = 604_800
    MONTHLY = 2_592_000
    QUARTERLY = 7_776_000
    YEARLY = 31_536_000
