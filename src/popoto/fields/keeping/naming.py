"""The name that keys are made of."""

from __future__ import annotations

from typing import Any


def model_name_of(model: Any) -> str:
    """The name under which a model, or the model of an instance, keeps its records."""
    name: str = model._meta.model_name
    return name
