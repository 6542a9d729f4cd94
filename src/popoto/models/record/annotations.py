"""Fields and types from annotations.

``name: int = KeyField()`` stands for ``KeyField(type=int)``, and ``age: int = 3`` for
``Field(type=int, null=False, default=3)``.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from popoto._stock import is_replaced
from popoto._unknown_names import is_strict, tell
from popoto.exceptions import ModelException
from popoto.fields.coercion import CoercionError
from popoto.fields.describing import describe
from popoto.fields.field import Field
from popoto.models.record.value_types import (
    ValueType,
    choices_of,
    described,
    evaluated,
    is_of_the_class,
    unevaluated,
    value_type,
)

#: Methods by which a field class decides itself what its values are.
_DECIDING = ("codec", "coerce", "canonical", "format_value_pre_save")


def is_field_class(value: object) -> typing.TypeGuard[type[Field[Any]]]:
    """Whether a value is a field class, in place of a field."""
    return isinstance(value, type) and issubclass(value, Field)


if sys.version_info >= (3, 14):
    import annotationlib

    def own_annotations(cls: Any) -> dict[str, Any]:
        """The annotations of a class body."""
        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)

else:

    def own_annotations(cls: Any) -> dict[str, Any]:
        """The annotations of a class body."""
        return inspect.get_annotations(cls)


def stored_annotations(cls: Any) -> dict[str, Any]:
    """The annotations of a class body that are about what its instances store."""
    return {
        name: annotation
        for name, annotation in own_annotations(cls).items()
        if not is_of_the_class(annotation)
    }


# Fields that are written down -------------------------------------------------------------


#: Packages whose objects in an annotation say which values are allowed.
_CHECKED_ELSEWHERE: Final = frozenset({"pydantic", "annotated_types", "sqlmodel", "msgspec"})


def apply_annotations(
    model_name: str, cls: Any, own: Mapping[str, Field[Any]], annotations: Mapping[str, Any]
) -> None:
    """Let ``name: int = KeyField()`` stand for ``KeyField(type=int)``."""
    for name, field in own.items():
        if annotations.get(name) is None:
            continue
        annotation = evaluated(annotations[name], cls)
        if annotation is not None:
            _apply_annotation(model_name, name, field, annotation)
            details = value_type(annotation).details
            _tell_of_details(f"{model_name}.{name}", details, field, cls)
        else:
            _apply_null(f"{model_name}.{name}", field, unevaluated(annotations[name]))


def _apply_annotation(model_name: str, name: str, field: Field[Any], annotation: Any) -> None:
    origin = typing.get_origin(annotation)
    as_field = annotation if origin is None else origin
    if is_field_class(as_field):
        # ``rating: SortedField[float] = SortedField()``: the parameter is the type of values.
        if not isinstance(field, as_field):
            raise ModelException(
                f"{model_name}.{name} is annotated {as_field.__name__}, but it is a "
                f"{type(field).__name__}; make the two agree"
            )
        arguments = typing.get_args(annotation)
        if not arguments:
            return
        annotation = arguments[0]
    said = value_type(annotation)
    field.choices = choices_of(annotation)
    _apply_null(f"{model_name}.{name}", field, said)
    if said.type is object or said.type is field.type or _fits(field, said):
        return
    accepts: Callable[[type], bool] = field.takes_type
    if field.is_reference:
        raise ModelException(
            f"{model_name}.{name} is annotated {described(said.type or annotation)}, but its "
            f"{type(field).__name__} refers to one record: annotate that model; records that "
            "refer to this one are a query, model.related_name"
        )
    if said.type is not None and not field.type_given and accepts(said.type):
        field.type = said.type
        if field.max_length is not None and field.limits_nothing:
            tell(
                f"{model_name}.{name}: max_length={field.max_length} has no effect; it limits "
                f"texts, and values are of type {field.type.__name__}",
                refuse=is_strict(),
            )
        return
    raise ModelException(
        f"{model_name}.{name} is annotated {described(said.type or annotation)}, but its "
        f"{type(field).__name__} holds {field.type.__name__}; make the two agree"
    )


def _apply_null(label: str, field: Field[Any], said: ValueType) -> None:
    """Let an annotation say whether the field may be null, where no keyword does."""
    if field.never_null:
        if said.names_none:
            raise ModelException(
                f"{label} is annotated with None, but its {type(field).__name__} cannot be null: "
                f"{field.never_null}. Leave out None."
            )
    elif field.null_given:
        return
    elif said.names_none:
        field.null = True
    elif said.type is not object:
        # Who means that a key may be missing writes ``str | None``.
        field.null = False if field.key else field.field_defaults["null"]


def _fits(field: Field[Any], said: ValueType) -> bool:
    """Whether a field may have this annotation though its values are of a type of its own."""
    if field.is_reference:
        # It may be called what it is stored as, a key; it is no number, and no list.
        return not said.is_storable or said.type in (str, object)
    if field.valid_types is None:
        return True
    if not said.is_storable and any(is_replaced(type(field), name) for name in _DECIDING):
        return True
    if not field.type_given:
        return False
    if said.type is None:
        return field.type in said.members
    # A subclass (a TypedDict, a text that is an Enum) is held as what it derives from, and
    # an abstract type (Sequence) says less than the field.
    return field.type in said.type.__mro__ or _derives(field.type, said.type)


def _derives(kind: type, base: type) -> bool:
    try:
        return issubclass(kind, base)
    except TypeError:
        # A protocol that cannot be asked.
        return False


# Fields that an annotation makes --------------------------------------------------------------


def annotated_fields(
    model_name: str,
    cls: Any,
    annotations: Mapping[str, Any],
    inherited: Mapping[str, Field[Any]],
    api: type,
) -> dict[str, Field[Any]]:
    """Fields of annotations without one: ``age: int = 3``. Raises ModelException for others.

    `api` is the class whose names every model has.
    """
    found: dict[str, Field[Any]] = {}
    values: Mapping[str, Any] = cls.__dict__
    bases = [base for base in cls.__mro__[1:] if base not in api.__mro__]
    for name, annotation in annotations.items():
        if name.startswith("_") or isinstance(values.get(name), Field):
            continue
        if name in inherited:
            found[name] = _declared_again(model_name, name, inherited[name], annotation, cls)
        elif name in values or not any(name in vars(base) for base in bases):
            # Otherwise it only says of what type something is that bases have already.
            field = _made(model_name, name, annotation, cls, api)
            if field is not None:
                found[name] = field
    return found


def _declared_again(
    model_name: str, name: str, field: Field[Any], annotation: Any, cls: Any
) -> Field[Any]:
    """An inherited field, annotated once more, maybe with another default."""
    twin = field.copy_for(model_name)
    said = evaluated(annotation, cls)
    if said is not None:
        _apply_annotation(model_name, name, twin, said)
    if name in vars(cls):
        _set_default(twin, f"{model_name}.{name}", vars(cls)[name])
    return twin


def _made(model_name: str, name: str, annotation: Any, cls: Any, api: type) -> Field[Any] | None:
    label = f"{model_name}.{name}"
    values: Mapping[str, Any] = cls.__dict__
    if name in values and _is_method(values[name]):
        return None
    evaluates = evaluated(annotation, cls)
    said = ValueType(None, is_optional=False) if evaluates is None else value_type(evaluates)
    written: Field[Any] | None = next(filter(_is_field, said.details), None)
    _tell_of_details(label, said.details, written, cls)
    if written is not None:
        # ``name: Annotated[str, KeyField()]``
        field: Field[Any] = written.copy_for(model_name)
        _apply_annotation(model_name, name, field, evaluates)
    elif said.is_storable:
        field = Field(type=typing.cast("type[Any]", said.type), null=said.is_optional)
        field.choices = choices_of(evaluates)
    elif hasattr(api, name) or callable(values.get(name)):
        # ``query: Query[Self]`` says of what type is what is there.
        return None
    else:
        raise ModelException(
            f"{label} is annotated {described(annotation)}, which no field holds by itself: give "
            f"it {_remedy(said)}, annotate ClassVar[…] what is not stored, or let its name begin "
            "with _"
        )
    if name in values:
        _set_default(field, label, values[name])
    return field


def _tell_of_details(
    label: str, details: Sequence[Any], written: Field[Any] | None, cls: Any
) -> None:
    """Tell of what `Annotated` adds to an annotation, and nothing here reads.

    Raises ModelException for a second field, and for a field class.
    """
    for detail in details:
        if detail is written:
            continue
        if _is_field(detail) or is_field_class(detail):
            raise ModelException(
                f"{label}: Annotated has one field, made by a call, such as KeyField(); leave "
                f"{described(detail)} out"
            )
        if type(detail).__module__.partition(".")[0] in _CHECKED_ELSEWHERE:
            tell(
                f"{label}: nothing reads {described(detail)} of its annotation; check values in "
                "is_valid() of the model",
                refuse=is_strict(getattr(cls, "_settings", {}).get("strict")),
            )


def _is_field(value: object) -> typing.TypeGuard[Field[Any]]:
    return isinstance(value, Field)


def _remedy(said: ValueType) -> str:
    """What holds values of a type that is none of a field's."""
    meant = getattr(said.type, "__name__", "")
    return f"Relationship({meant})" if hasattr(said.type, "_meta") else "a field"


def _is_method(value: object) -> bool:
    """Whether a value is what the annotation is about: a method, a property, no default."""
    if isinstance(value, types.FunctionType):
        return value.__code__.co_argcount > 0
    # A partial is called for the default; since Python 3.13 its type has that method, too.
    return hasattr(type(value), "__get__") and not isinstance(value, functools.partial)


def _set_default(field: Field[Any], label: str, default: Any) -> None:
    if not callable(default):
        try:
            problem = field.problem(default := field.coerce(default), null_check=False)
        except CoercionError as error:
            problem = str(error)
        if problem is not None:
            raise ModelException(f"{label}: invalid default {describe(default)}: {problem}")
    field.default = default
