"""`RecordBase`: turns a class body into a model."""

from __future__ import annotations

import functools
import typing
from abc import ABCMeta
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from popoto._stock import is_replaced
from popoto._unknown_names import missing_attribute
from popoto.exceptions import ModelException
from popoto.fields.describing import describe
from popoto.fields.field import Field
from popoto.fields.relationship import Relationship
from popoto.fields.shortcuts import AutoKeyField
from popoto.models.record.annotations import (
    annotated_fields,
    apply_annotations,
    is_field_class,
    own_annotations,
    stored_annotations,
)
from popoto.models.record.elsewhere import no_attribute_of_class
from popoto.models.record.field_names import check_field_name
from popoto.models.record.known_models import find_model, take_note
from popoto.models.record.meta import (
    check_meta,
    checked_abstract,
    inherited_settings,
    own_settings,
    record_name,
)
from popoto.models.record.names_of_models import note_name
from popoto.models.record.options import ModelOptions
from popoto.models.record.overridden import add_twins
from popoto.models.record.reversing import attach_all
from popoto.models.record.sharding import options_of
from popoto.models.record.slips import (
    Body,
    is_field_in_tuple,
    tell_of_assignment,
    tell_of_lost,
    tell_of_mixins,
    tell_of_slips,
)

AUTO_KEY = "_auto_key"
#: Names of methods that came after popoto 1.6, whose models may have fields of these names.
#: Those that keep a history (`Meta.history`) need its methods.
MAY_BE_HIDDEN = frozenset({"history", "async_history", "related", "async_related"})


class RecordBase(ABCMeta):
    """Metaclass of models. Derived from ABCMeta, so that abstract mixins combine with models.

    A class with the keyword `is_base` is one that models are derived from, and none itself.
    """

    _meta: ModelOptions

    @classmethod
    def __prepare__(cls, name: str, bases: tuple[type, ...], /, **_: Any) -> dict[str, Any]:
        return Body()

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        is_base: bool = False,
        **keywords: Any,
    ) -> Any:
        parents = [base for base in bases if isinstance(base, RecordBase)]
        if is_base or not parents:
            base: Any = super().__new__(mcs, name, bases, namespace, **keywords)
            _list_methods(base)
            return base
        _check_keywords(name, bases, keywords)
        lost = namespace.lost if isinstance(namespace, Body) else {}
        namespace = dict(namespace)
        meta: Any = namespace.pop("Meta", None)
        own = _own_fields(name, namespace)
        cls: Any = super().__new__(mcs, name, bases, namespace, **keywords)
        if not isinstance(meta, type | None):
            raise ModelException(f"{name}.Meta must be a class, got {describe(meta)}")
        settings = inherited_settings(cls)
        cls._settings = {} if meta is None else own_settings(name, meta, settings)
        settings |= cls._settings
        options = options_of(record_name(name, settings), settings)
        options.meta = meta
        options.parents = parents
        options.base_meta = next(
            (parent._meta for parent in parents if hasattr(parent, "_meta")), None
        )
        options.abstract = checked_abstract(name, settings)
        options.model = cls
        options.api_names = _api_names(_root(cls))
        inherited = _inherited_fields(cls, options.model_name)
        own = _with_annotated(cls, own, inherited)
        fields = _all_fields(cls, own, inherited, with_auto_key=not options.abstract)
        options.adopt_fields(fields)
        for field_name, field in fields.items():
            setattr(cls, field_name, field)
        check_meta(name, options, settings)
        for field in fields.values():
            field.check_model(options.by_name, options.indexes)
        cls._meta = options
        cls._options = options
        cls._ttl = options.ttl
        cls._has_own_init = is_replaced(cls, "__init__")
        cls._has_own_check = is_replaced(cls, "is_valid")
        cls._has_own_setattr = cls.__setattr__ is not object.__setattr__
        add_twins(cls, _root(cls))
        options.adopt_mixins(cls)
        tell_of_lost(cls, options, lost)
        tell_of_slips(cls, options, namespace)
        tell_of_mixins(cls, options)
        options.finish()
        take_back = take_note(cls)
        try:
            attach_all(cls)
        except ModelException:
            take_back()
            raise
        if not options.abstract:
            note_name(cls, options.model_name, is_named="__module__" in namespace)
        return cls

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **_: Any):
        # Keywords are for __new__ and __init_subclass__.
        super().__init__(name, bases, namespace)

    if not typing.TYPE_CHECKING:
        # Type checkers go on to refuse what is not there.

        def __getattr__(cls, name):
            """Names of elsewhere are told what to write here."""
            if name.startswith("_"):
                raise missing_attribute(cls, name)
            raise no_attribute_of_class(cls, name)

    def __setattr__(cls, name: str, value: Any) -> None:
        options: object = vars(cls).get("_meta")
        if isinstance(options, ModelOptions) and (name in options.by_name or name == "Meta"):
            tell_of_assignment(cls, options, name, value)
        super().__setattr__(name, value)

    def __delattr__(cls, name: str) -> None:
        options: object = vars(cls).get("_meta")
        if isinstance(options, ModelOptions) and name in options.by_name:
            raise ModelException(
                f"del {cls.__name__}.{name}: {name!r} is a field of a class that is finished, and "
                "its values could be reached no more; change the body of the class"
            )
        super().__delattr__(name)


def _check_keywords(model_name: str, bases: tuple[type, ...], keywords: Iterable[str]) -> None:
    """Refuse keywords of a class statement that no base takes."""
    takes_any = any(
        "__init_subclass__" in vars(each) for base in bases for each in base.__mro__[:-1]
    )
    if keywords and not takes_any:
        names = ", ".join(f"{each}=…" for each in keywords)
        raise ModelException(
            f"class {model_name}({names}): a model's class takes no keywords; options go into an "
            "inner class Meta"
        )


def _list_methods(cls: Any) -> None:
    """Let a class have the methods of its bases as its own, where programs look them up.

    They replace `Model.__dict__["rebuild_indexes"]` and its like, wherever that was defined.
    """
    bases: Sequence[type] = cls.__mro__[1:]
    for base in bases:
        for name, member in vars(base).items():
            if not name.startswith("_") and name not in vars(cls):
                setattr(cls, name, member)


Relationship.find_model = staticmethod(find_model)


def _is_kept(value: object) -> bool:
    """Whether a class attribute is no field and may stay: methods, descriptors, classes."""
    return callable(value) or any(
        hasattr(type(value), method) for method in ("__get__", "__set__", "__delete__")
    )


def _is_field(value: object) -> typing.TypeGuard[Field[Any]]:
    return isinstance(value, Field)


def _own_fields(model_name: str, namespace: dict[str, Any]) -> dict[str, Field[Any]]:
    """The fields of a class body. Raises ModelException for attributes that are none."""
    found: dict[str, Field[Any]] = {}
    for name, value in namespace.items():
        if name.startswith("__"):
            continue
        if _is_field(value):
            check_field_name(model_name, name)
            found[name] = value
        elif isinstance(value, type) and name.lower() == "meta":
            raise ModelException(f"{model_name}.{name}: options go into a class named Meta")
        elif is_field_class(value):
            raise ModelException(
                f"{model_name}.{name} is the field class {value.__name__}: write "
                f"{name} = {value.__name__}() to make a field"
            )
        elif is_field_in_tuple(value):
            raise ModelException(
                f"{model_name}.{name} is a tuple that holds a field: take the comma away"
            )
    taken: set[int] = set()
    for name, field in found.items():
        if field.model_name or id(field) in taken:
            found[name] = namespace[name] = _copy(field, model_name, name)
        taken.add(id(field))
    return found


def _copy(
    field: Field[Any], model_name: str, name: str, *, is_inherited: bool = False
) -> Field[Any]:
    twin = field.copy_for(model_name)
    twin.bind(model_name, name)
    twin.is_inherited = is_inherited
    return twin


def _with_annotated(
    cls: Any, own: dict[str, Field[Any]], inherited: Mapping[str, Field[Any]]
) -> dict[str, Field[Any]]:
    """The fields of a class body, those of annotations included, in the order of declaration.

    Raises ModelException for public attributes that are neither fields nor may stay.
    """
    model_name = cls.__name__
    annotations = stored_annotations(cls)
    apply_annotations(model_name, cls, own, annotations)
    made = annotated_fields(model_name, cls, annotations, inherited, _root(cls))
    for name in made:
        check_field_name(model_name, name)
    of_the_class = own_annotations(cls).keys() - annotations.keys()
    values: Mapping[str, object] = cls.__dict__
    for name, value in values.items():
        if not (name.startswith("_") or name in made or name in of_the_class or _is_kept(value)):
            raise ModelException(
                f"{model_name}.{name} = {describe(value)}: public attributes of a model must "
                f"inherit from class Field; annotate it to make a field, or name it _{name} to "
                "keep a plain attribute"
            )
    return _in_order(list(annotations), own, made)


def _in_order(
    annotated: list[str], own: Mapping[str, Field[Any]], made: Mapping[str, Field[Any]]
) -> dict[str, Field[Any]]:
    """Both, each in its order; one that is made stands behind what was annotated before it."""
    found: dict[str, Field[Any]] = {}
    waiting = list(annotated)
    for name, field in own.items():
        if name in waiting:
            before = waiting[: waiting.index(name)]
            waiting = waiting[len(before) + 1 :]
            found.update({each: made[each] for each in before if each in made})
        found[name] = field
    found.update({each: made[each] for each in waiting if each in made})
    return found


def _of_mixin(model_name: str, base: type, api: type) -> dict[str, Field[Any]]:
    """The fields of a plain class that has some; its annotations are read as a model's are."""
    found = {
        name: field.copy_for(model_name) for name, field in vars(base).items() if _is_field(field)
    }
    if not found or isinstance(base, RecordBase):
        return found
    annotations = stored_annotations(base)
    apply_annotations(model_name, base, found, annotations)
    made = annotated_fields(model_name, base, annotations, {}, api)
    return _in_order(list(annotations), found, made)


def _inherited_fields(cls: Any, model_name: str) -> dict[str, Field[Any]]:
    """The fields of all bases, each as one of this class alone."""
    found: dict[str, Field[Any]] = {}
    bases: Sequence[type] = cls.__mro__[1:]
    for base in reversed(bases):
        attributes = vars(base)
        options: ModelOptions | None = attributes.get("_meta")
        inherited = _of_mixin(model_name, base, _root(cls)) if options is None else options.by_name
        for name in attributes:
            if name in found and name not in inherited:
                del found[name]
        for name, field in inherited.items():
            # What a base has inherited itself was met at the class that declares it.
            if not field.is_inherited:
                found[name] = _copy(field, model_name, name, is_inherited=True)
    return found


def _all_fields(
    cls: Any,
    own: Mapping[str, Field[Any]],
    inherited: Mapping[str, Field[Any]],
    *,
    with_auto_key: bool,
) -> dict[str, Field[Any]]:
    """Inherited fields, then own ones; one that replaces another takes its place in the order."""
    found = dict(inherited)
    for name in cls.__dict__:
        if name in found and name not in own:
            if not _is_kept(cls.__dict__[name]):
                raise ModelException(
                    f"{cls.__name__}.{name} = {describe(cls.__dict__[name])} would take the place "
                    f"of the field of a base, whose values would be lost; write {name} = "
                    f"{type(found[name]).__name__}(default=…) for another default"
                )
            del found[name]
    found.update(own)
    auto_key = found.pop(AUTO_KEY, None)
    if not any(field.key for field in found.values()) and with_auto_key:
        found[AUTO_KEY] = auto_key or AutoKeyField()
    return found


def _root(cls: Any) -> Any:
    """`Model` itself."""
    return next(
        base
        for base in cls.__mro__[1:]
        if isinstance(base, RecordBase) and "_meta" not in vars(base)
    )


@functools.cache
def _api_names(root: Any) -> frozenset[str]:
    reserved = {"query", "objects", "_meta", "_options", "_settings", "Meta"}
    for base in root.__mro__:
        if isinstance(base, RecordBase):
            reserved.update(own_annotations(base))
    return frozenset(dir(root)) - MAY_BE_HIDDEN | reserved
