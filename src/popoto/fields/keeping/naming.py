"""The name that keys are made of."""

from __future__ import annotations

from typing import Any


def model_name_of(model: Any) -> str:
    """The name under which a model, or the model of an instance, keeps its records."""
    name: str = model._meta.model_name
    return name


def class_name_of(model_class: Any) -> str:
    """The same of a class alone. Raises AttributeError for an instance, as popoto 1.6 does."""
    if not isinstance(model_class, type):
        raise AttributeError(f"a model class is expected, got {model_class!r}")  # noqa: TRY004
    return model_name_of(model_class)
