"""The name that keys are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from popoto.engine.keys import SEPARATOR
from popoto.fields.describing import describe


def model_name_of(model: Any) -> str:
    """The name under which a model, or the model of an instance, keeps its records."""
    name: str = model._meta.model_name
    return name


def class_name_of(model_class: Any) -> str:
    """The same of a class alone. Raises AttributeError for anything else, as popoto 1.6 does."""
    if not isinstance(model_class, type) or not hasattr(model_class, "_meta"):
        raise AttributeError(f"a model class is expected, got {describe(model_class)}")
    return model_name_of(model_class)


def model_of_key(model: Any, key: str) -> Any:
    """The class of the record with this key: the model, or one derived from it; None: neither.

    Of several definitions of one name the latest.
    """
    name, _, _ = key.partition(SEPARATOR)
    return next((each for each in with_derived(model) if model_name_of(each) == name), None)


def with_derived(model: Any) -> Iterator[Any]:
    """The model and those derived from it, the nearest first; of one base the latest first."""
    waiting = [model]
    while waiting:
        each = waiting.pop(0)
        yield each
        waiting += reversed(each.__subclasses__())
