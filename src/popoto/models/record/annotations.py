"""Types from annotations: ``name: int = KeyField()`` stands for ``KeyField(type=int)``."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable
from typing import Any

from popoto.engine.plain import real_type
from popoto.exceptions import ModelException
from popoto.fields.field import VALID_FIELD_TYPES, Field


def is_field_class(value: object) -> typing.TypeGuard[type[Field[Any]]]:
    """Whether a value is a field class, in place of a field."""
    return isinstance(value, type) and issubclass(value, Field)


def apply_annotations(cls: Any, own: dict[str, Field[Any]]) -> None:
    """Let ``name: int = KeyField()`` stand for ``KeyField(type=int)``."""
    annotations = _own_annotations(cls)
    for name, field in own.items():
        if name in annotations:
            annotation = _evaluated(annotations[name], cls)
            if annotation is not None:
                _apply_annotation(cls.__name__, name, field, annotation)


if sys.version_info >= (3, 14):
    import annotationlib

    def _own_annotations(cls: Any) -> dict[str, Any]:
        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)

else:

    def _own_annotations(cls: Any) -> dict[str, Any]:
        return inspect.get_annotations(cls)


def _evaluated(annotation: Any, cls: Any) -> Any:
    if not isinstance(annotation, str):
        return annotation
    module = sys.modules.get(cls.__module__)
    try:
        names = dict(vars(module)) if module else {}
        return eval(annotation, names, dict(vars(typing)))  # noqa: S307 - the class's own text
    except (NameError, AttributeError, TypeError, SyntaxError):
        # A name that exists for type checkers only: the field keeps its own type.
        return None


def _apply_annotation(model_name: str, name: str, field: Field[Any], annotation: Any) -> None:
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    as_field = annotation if origin is None else origin
    if is_field_class(as_field):
        # ``rating: SortedField[float] = SortedField()``: the parameter is the type of values.
        if not isinstance(field, as_field):
            raise ModelException(
                f"{model_name}.{name} is annotated {as_field.__name__}, but it is a "
                f"{type(field).__name__}; make the two agree"
            )
        if not arguments:
            return
        annotation = arguments[0]
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        members = [each for each in arguments if each is not type(None)]
        if len(members) != 1:
            return
        annotation = members[0]
        origin = typing.get_origin(annotation)
    elif field.key and not field.null_given and annotation is not Any:
        # Who means that a key may be missing writes ``str | None``.
        field.null = False
    wanted: Any = real_type(origin if isinstance(origin, type) else annotation)
    if wanted not in VALID_FIELD_TYPES:
        return
    if field.type is wanted:
        return
    accepts: Callable[[type], bool] = field.takes_type
    if field.type_given or not accepts(wanted):
        raise ModelException(
            f"{model_name}.{name} is annotated {wanted.__name__}, but its "
            f"{type(field).__name__} holds {field.type.__name__}; make the two agree"
        )
    field.type = wanted
