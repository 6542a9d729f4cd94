"""Default values and weights of memory fields, at the path that popoto 1.6 gave them."""

from popoto.memory.constants import Defaults, InteractionWeight, TemporalPeriod

__all__ = ["Defaults", "InteractionWeight", "TemporalPeriod"]
