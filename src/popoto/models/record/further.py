"""Keywords of a constructor that are no fields: attributes of the class, an expiry, or unknown."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from types import FunctionType
from typing import Any, Final

from popoto._stock import is_replaced
from popoto._unknown_names import closest, is_strict, slip_of, tell, warn_caller
from popoto.exceptions import ModelException
from popoto.fields.describing import describe
from popoto.fields.field import LEFT_OUT, Field, LeftOut
from popoto.models.record.annotations import own_annotations
from popoto.models.record.metaclass import RecordBase
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import OWN_STATE, Record
from popoto.models.record.reversing import Reverse
from popoto.models.record.value_types import is_of_the_class

#: What asks for an expiry wherever values are given, and where instances keep it.
EXPIRY: Final = {"ttl": "_ttl", "expire_at": "_expire_at"}

#: Keywords of calls that hand on the rest of theirs to a constructor.
_OF_CALLS: Final = ("overwrite", "defaults", "pipeline")

_METHODS: tuple[type, ...] = (FunctionType, classmethod, staticmethod)

#: So many names of attributes are remembered as known, for each model.
_MOST_FAMILIAR: Final = 500


def refuses_unknown(options: ModelOptions) -> bool:
    """Whether an unknown keyword is an error, and no warning."""
    return is_strict(options.strict)


def not_constructed(cls: type[Record], given: Sequence[object]) -> Exception:
    """What refuses a call of a class that has no instances, or one with positional arguments."""
    options: ModelOptions | None = getattr(cls, "_meta", None)
    if options is None:
        return ModelException(f"{cls.__name__} itself has no fields: derive a class from it")
    if options.abstract:
        return ModelException(
            f"{options.model_name} is abstract and cannot be instantiated; "
            "instantiate a model derived from it"
        )
    names = [name for name, field in options.explicit_fields.items() if not field.auto]
    pairs = zip(names, given, strict=False)
    example = ", ".join(f"{name}={describe(value)}" for name, value in pairs)
    return TypeError(
        f"{cls.__name__} takes values by keyword, as {cls.__name__}({example or 'field=value'}), "
        f"got {', '.join(describe(value) for value in given)} without one"
    )


def set_further(instance: Record, values: Mapping[str, Any]) -> None:
    """Take over keywords that are no fields.

    What the class has an attribute or a property for is set, and `ttl` and `expire_at` are the
    record's expiry. Others are told of, and set all the same, as popoto 1.6 does.
    """
    cls = type(instance)
    ask_expiry(
        instance, **{name: values[name] for name in _expiry_keywords(cls, instance._meta, values)}
    )
    for name, value in values.items():
        if name in instance._meta.by_name or name in _expiry_keywords(cls, instance._meta, (name,)):
            continue
        hint = _hint(cls, name)
        if hint is not None:
            tell(hint, refuse=refuses_unknown(instance._meta))
            vars(instance)["_told"] = vars(instance).get("_told", frozenset()) | {name}
        if not _is_fixed(cls, name):
            setattr(instance, name, value)


def ask_expiry(instance: Record, *, ttl: Any = LEFT_OUT, expire_at: Any = LEFT_OUT) -> None:
    """Let the next save set this expiry, whatever the instance asked for before."""
    if isinstance(ttl, LeftOut) and isinstance(expire_at, LeftOut):
        return
    if type(ttl) is int and ttl <= 0:
        warn_caller(
            f"{instance._meta.model_name}: ttl={ttl} means that the record has expired already, "
            "so that it is gone at once; ttl=None means that it does not expire"
        )
    instance._ttl = None if isinstance(ttl, LeftOut) else ttl
    instance._expire_at = None if isinstance(expire_at, LeftOut) else expire_at
    if instance._meta.ttl_policy != "reset":
        # Also the same expiry as before is meant anew.
        vars(instance)["_applied_expiry"] = None


def tell_of_attributes(instance: Record) -> None:
    """Tell of attributes that look like a field's name, before a save that leaves them out.

    Raises UnknownNameError where the model is strict.
    """
    options = instance._meta
    attributes = vars(instance)
    if options.familiar_names.issuperset(attributes):
        return
    cls = type(instance)
    told: frozenset[str] = attributes.get("_told", frozenset())
    for name in [each for each in attributes if each not in options.familiar_names]:
        if name in told:
            continue
        hint = _hint_of_attribute(cls, name)
        if hint is None:
            if len(options.familiar_names) < _MOST_FAMILIAR:
                options.familiar_names.add(name)
            continue
        tell(
            f"{options.model_name}: the record has an attribute {name!r}, which is no field, so "
            f"it is not stored; {hint}",
            refuse=refuses_unknown(options),
        )


def _hint_of_attribute(cls: type[Record], name: str) -> str | None:
    """What is to be said of an attribute of an instance that is no field; None: nothing."""
    kind = _name_of_field(_attribute(cls, name))
    if kind is not None:
        return (
            f"the {kind} was assigned to a class that had been made: register it, by "
            f"{cls.__name__}._meta.add_field({name!r}, {cls.__name__}.{name})"
        )
    if name.startswith("_") or hasattr(cls, name) or _is_declared(cls, name):
        return None
    if name in EXPIRY:
        return f"write save({name}=…), or set {EXPIRY[name]!r}, for an end of the record"
    meant = slip_of(name, cls._meta.by_name)
    if meant is None and name.removesuffix("_id") in cls._meta.relationship_field_names:
        # Django's name for the key of a related record.
        meant = name.removesuffix("_id")
    return None if meant is None else f"did you mean {meant!r}?"


def check_further(
    model: type[Record], values: Iterable[str], *, refuse_only: bool, through: Iterable[str] = ()
) -> None:
    """Tell of unknown keywords before anything is asked of the server.

    `through`: methods of the class that these keywords go through; what one of those that a class
    has replaced takes by name is known. `refuse_only`: where they are refused, and otherwise not,
    since the constructor is about to do so.
    """
    options = model._meta
    refuse = refuses_unknown(options)
    unknown = [name for name in values if name not in options.by_name]
    if not unknown or (refuse_only and not refuse):
        return
    known, takes_any = taken_by(
        getattr(model, method) for method in (*through, "__init__") if is_replaced(model, method)
    )
    for name in unknown:
        if takes_any or name in known or name in _expiry_keywords(model, options, (name,)):
            continue
        hint = _hint(model, name)
        if hint is not None:
            tell(hint, refuse=refuse)


def taken_by(methods: Iterable[Any]) -> tuple[set[str], bool]:
    """The keywords that methods take by name, and whether any of them takes all others too."""
    names: set[str] = set()
    takes_any = False
    for method in methods:
        for name, parameter in inspect.signature(method).parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                takes_any = True
            elif parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
                names.add(name)
    return names, takes_any


def _expiry_keywords(cls: type, options: ModelOptions, names: Iterable[str]) -> list[str]:
    """Those of the names that mean an expiry here: neither a field nor an attribute has them."""
    return [
        name
        for name in EXPIRY
        if name in names and name not in options.by_name and not hasattr(cls, name)
    ]


def _attribute(cls: type, name: str) -> tuple[Any] | None:
    """What a class has under a name, itself and not what it gives; None where there is nothing."""
    for base in cls.__mro__:
        if name in vars(base):
            return (vars(base)[name],)
    return None


def _is_fixed(cls: type[Record], name: str) -> bool:
    """Whether the class has something of this name that no instance may replace."""
    if name in OWN_STATE or (name.startswith("__") and name.endswith("__")):
        return True
    found = _attribute(cls, name)
    if found is None:
        return False
    value: object = found[0]
    if isinstance(value, property):
        return value.fset is None
    if hasattr(type(value), "__delete__") and not hasattr(type(value), "__set__"):
        return True
    if isinstance(value, _METHODS) and not name.startswith("_"):
        return True
    # Of every model: hidden on one instance, the record could not be saved any more.
    is_method = callable(value) or hasattr(type(value), "__get__")
    return name in cls._meta.api_names and (is_method or not name.startswith("_"))


def _hint(cls: type[Record], name: str) -> str | None:
    """What is to be said of a keyword that is no field; None where it is known."""
    model_name = cls._meta.model_name
    if _is_fixed(cls, name):
        return (
            f"{model_name}({name}=…): {name!r} is part of the class and cannot be set, so the "
            f"value is ignored; {closest(name, cls._meta.by_name, 'fields')}"
        )
    found = _attribute(cls, name)
    # Named or not, `Reverse` is the way back of a relationship; to set a named one is an error.
    is_plural = found is not None and type(found[0]) is Reverse
    late = _name_of_field(found)
    if late is not None:
        return (
            f"{model_name}({name}=…): the {late} was assigned to a class that "
            "had been made, so the value is not stored; register it, by "
            f"{model_name}._meta.add_field({name!r}, {model_name}.{name})"
        )
    mixin = _annotating_mixin(cls, name)
    if mixin is not None:
        return (
            f"{model_name}({name}=…): {mixin.__name__}.{name} is no field, as {mixin.__name__} is "
            "no model and has no fields, so the value is not stored; derive that from Model, with "
            f"Meta.abstract, or write {name} = Field(…) there"
        )
    if (found is not None and not is_plural) or _is_declared(cls, name):
        return None
    if name in _OF_CALLS:
        return (
            f"{model_name}({name}=…): {name!r} is a keyword of other calls and no field, so it has "
            "no effect here"
        )
    further = EXPIRY.values() if name.startswith("_") else (*EXPIRY, *_OF_CALLS)
    return (
        f"{model_name}({name}=…): {model_name} has no field {name!r}, so the value is not stored; "
        f"{closest(name, cls._meta.by_name, 'fields', further)}"
    )


def _name_of_field(found: tuple[object] | None) -> str | None:
    """The class of a field that a class has under some name, and has not as one of its fields."""
    kind: type[object] = type(found[0] if found else None)
    return kind.__name__ if Field in kind.__mro__ else None


def _annotating_mixin(cls: type[Record], name: str) -> type | None:
    """The plain class whose body has this attribute as ``name: type = value``, if any."""
    for base in cls.__mro__:
        if name in vars(base):
            is_plain = not isinstance(base, RecordBase) and not name.startswith("_")
            annotation = own_annotations(base).get(name)
            is_meant = annotation is not None and not is_of_the_class(annotation)
            return base if is_plain and is_meant else None
    return None


def _is_declared(cls: type[Record], name: str) -> bool:
    """Whether a class of the user's own says in its body that instances have this attribute."""
    return any(
        name in annotations and not is_of_the_class(annotations[name])
        for base in cls.__mro__
        if "_meta" in vars(base) or not isinstance(base, RecordBase)
        for annotations in (own_annotations(base),)
    )
