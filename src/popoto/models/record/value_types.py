"""What an annotation says of an attribute's values: their type, and whether None is one of them."""

from __future__ import annotations

import functools
import re
import sys
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple, TypeVar

from popoto.engine.plain import real_type
from popoto.fields.adapting import is_field_type
from popoto.fields.valued import VALID_FIELD_TYPES

#: The beginnings of annotations that are text and stand for attributes of the class alone.
_OF_THE_CLASS = tuple(
    f"{module}{name}" for module in ("", "typing.", "t.") for name in ("ClassVar", "Final")
)


_NONE = re.compile(r"\b(?:None|Optional)\b")
_UNIONS = (typing.Union, types.UnionType)


class ValueType(NamedTuple):
    """What an annotation says."""

    #: one type, if it says one; `object` where anything may be meant
    type: type | None
    is_optional: bool
    #: whether None is written there; `Any` is optional without
    names_none: bool = False
    #: the types of a union, None left out
    members: tuple[Any, ...] = ()
    #: what `Annotated` adds
    details: tuple[Any, ...] = ()

    @property
    def is_storable(self) -> bool:
        """Whether a field can hold values of this type."""
        return self.type is not None and is_field_type(self.type, VALID_FIELD_TYPES)


def _either(one: Any, other: Any) -> Any:
    return one | other


def is_of_the_class(annotation: Any) -> bool:
    """Whether an annotation, maybe as text, is about the class and not about its instances."""
    if isinstance(annotation, str):
        return annotation.strip().startswith(_OF_THE_CLASS)
    return annotation in (ClassVar, Final) or typing.get_origin(annotation) in (ClassVar, Final)


def evaluated(annotation: Any, cls: Any) -> Any:
    """An annotation that is text as what it says; None where a name of it is not there."""
    if isinstance(annotation, typing.ForwardRef):
        return evaluated(annotation.__forward_arg__, cls)
    if typing.get_origin(annotation) in _UNIONS:
        members = [evaluated(each, cls) for each in typing.get_args(annotation)]
        return None if None in members else functools.reduce(_either, members)
    if not isinstance(annotation, str):
        return annotation
    module = sys.modules.get(cls.__module__)
    names = dict(vars(module)) if module else {}
    local: Mapping[str, Any] = {**vars(typing), **vars(cls), cls.__name__: cls}
    try:
        found: Any = eval(annotation, names, local)  # noqa: S307 - the class's own text
    except (NameError, AttributeError, TypeError, SyntaxError):
        # A name that exists for type checkers only.
        return None
    return evaluated(found, cls)


def unevaluated(annotation: Any) -> ValueType:
    """What an annotation says by its text alone: whether None is written there."""
    names_none = _NONE.search(str(annotation)) is not None
    return ValueType(object, is_optional=True, names_none=names_none)


def value_type(annotation: Any) -> ValueType:
    """What an annotation says."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        said = value_type(arguments[0])
        return said._replace(details=(*said.details, *arguments[1:]))
    behind = getattr(annotation, "__supertype__", None) or _aliased(annotation)
    if behind is not None:
        return value_type(behind)
    if origin is Literal:
        return _one_of({type(each) for each in arguments})
    if origin in _UNIONS:
        return _union(arguments)
    if annotation is Any or annotation is object or isinstance(annotation, TypeVar):
        return ValueType(object, is_optional=True)
    found = real_type(origin or annotation)
    return ValueType(found if isinstance(found, type) else None, is_optional=False)


def choices_of(annotation: Any) -> frozenset[Any] | None:
    """The values that an annotation allows: those of a Literal, None among them where it may be."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return frozenset(arguments)
    if origin is Annotated:
        return choices_of(arguments[0])
    if origin not in _UNIONS:
        behind = getattr(annotation, "__supertype__", None) or _aliased(annotation)
        return None if behind is None else choices_of(behind)
    allowed: frozenset[Any] = frozenset()
    for each in arguments:
        values = frozenset({None}) if each in (None, type(None)) else choices_of(each)
        if values is None:
            return None
        allowed |= values
    return allowed


def _aliased(annotation: Any) -> Any:
    """What stands behind ``type Name = str``, a statement of Python 3.12."""
    return annotation.__value__ if type(annotation).__name__ == "TypeAliasType" else None


def _union(arguments: tuple[Any, ...]) -> ValueType:
    is_optional = type(None) in arguments
    said = [value_type(each) for each in arguments if each is not type(None)]
    found = said[0] if len(said) == 1 else _one_of({each.type for each in said})
    return found._replace(
        is_optional=is_optional or any(each.is_optional for each in said),
        names_none=is_optional or any(each.names_none for each in said),
    )


def _one_of(kinds: set[Any]) -> ValueType:
    is_optional = names_none = type(None) in kinds
    members = tuple(kind for kind in kinds if kind is not type(None))
    if len(members) == 1:
        return ValueType(members[0], is_optional, names_none)
    if set(members) == {int, float}:
        # A field of floats takes whole numbers, as PEP 484 has it.
        return ValueType(float, is_optional, names_none, members)
    return ValueType(None, is_optional, names_none, members)


def described(annotation: Any) -> str:
    """An annotation for a message."""
    return annotation.__name__ if type(annotation) is type else str(annotation)
