"""Slips in the body of a model that Python takes without a word: idle hooks and settings."""

from __future__ import annotations

import datetime
import difflib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from types import FunctionType
from typing import Any, Final

from popoto._spoken_names import is_spoken_of, names_in
from popoto._unknown_names import is_strict, tell, warn_caller
from popoto.exceptions import ModelException
from popoto.fields.describing import describe
from popoto.fields.field import Field
from popoto.models.record.annotations import is_field_class
from popoto.models.record.meta import META_OPTIONS
from popoto.models.record.options import ModelOptions

#: What a model may define for popoto to call.
HOOKS: Final = ("pre_save", "is_valid", "compute_filter_score", "compute_prediction_error")
#: Those, and the methods under which plain functions are called; none of them can be awaited.
_CALLED_PLAINLY: Final = (*HOOKS, "save", "delete", "create")
#: From which likeness on a name is taken for a slip of a hook's, or of a setting's.
_LIKENESS: Final = 0.9
_LIKENESS_OF_SETTINGS: Final = 0.8
#: What other libraries call before or after they write or read.
_TIMES: Final = ("pre", "post", "before", "after", "on")
_ACTS: Final = ("init", "create", "save", "saved", "update", "delete", "deleted", "load", "loaded")
_CALLED_ELSEWHERE: Final = frozenset(
    f"{twin}{time}_{act}" for twin in ("", "async_") for time in _TIMES for act in _ACTS
)
#: What other libraries call to look at values; with a field's name behind it, too.
_CHECKS_ELSEWHERE: Final = ("clean", "full_clean", "clean_fields", "validate", "validate_unique")
#: By the mixin that reads them, settings and hooks that a model's body may have.
SETTINGS: Final[Mapping[str, Sequence[str]]] = {
    "AccessTrackerMixin": ("_max_access_log", "_track_reads", "_max_staged"),
    "EventStreamMixin": (
        "_stream_name",
        "_stream_partition_field",
        "_stream_max_length",
        "_stream_exact_length",
        "_stream_metadata_fields",
    ),
    "WriteFilterMixin": ("_wf_min_threshold", "_wf_priority_threshold", "compute_filter_score"),
    "PredictionLedgerMixin": (
        "_pl_partition",
        "_pl_confidence_error_threshold",
        "_pl_confidence_low_signal",
        "_pl_auto_resolve_errors",
        "compute_prediction_error",
    ),
}
#: How names begin that are settings of a mixin and nothing else.
_PREFIXES: Final = ("_stream_", "_pl_", "_wf_")
#: What the inner class of a model is called elsewhere.
_OPTIONS_ELSEWHERE: Final = frozenset({"Config", "Metadata", "Options"})
#: What other libraries read in the body of a class, and what does the same here.
_READ_ELSEWHERE: Final = {
    "__tablename__": "Meta.name chooses the name under which records are kept",
    "__table_args__": "Meta.indexes and Meta.unique_together have indexes and unique groups",
    "__mapper_args__": "Meta.version_field names a field that counts versions",
    **dict.fromkeys(
        ("__post_init__", "__attrs_post_init__", "model_post_init"),
        "what follows from values goes into pre_save(), or into an __init__() that calls "
        "super().__init__(**values)",
    ),
}
#: What the decorators of pydantic leave in a class body.
_PROXY: Final = "PydanticDescriptorProxy"
#: Marks that other libraries leave on functions which they, and nobody here, call.
_MARKS: Final = ("__sa_validators__", "_marshmallow_hook")
#: Attributes of instances that a class sets for all of them elsewhere.
_SET_BY_META: Final = {"_ttl": "Meta.ttl", "_expire_at": "save(expire_at=…)"}


#: Types that are no values of a class's own: who writes one in its body means a field.
_HELD_BY_FIELDS: Final = frozenset(
    {
        *(bool, int, float, str, bytes, list, dict, set, tuple),
        *(Decimal, datetime.date, datetime.datetime, datetime.time),
    }
)


class Body(dict[str, Any]):
    """The namespace of a class body, which remembers the fields that it has lost again."""

    def __init__(self) -> None:
        super().__init__()
        #: fields, and a Meta, whose names something else has taken in the same body
        self.lost: dict[str, Any] = {}

    def __setitem__(self, name: str, value: Any) -> None:
        earlier: object = self.get(name)
        is_lost = isinstance(earlier, Field) or (name == "Meta" and isinstance(earlier, type))
        if is_lost and earlier is not value:
            self.lost[name] = earlier
        super().__setitem__(name, value)


def tell_of_slips(cls: type, options: ModelOptions, body: Mapping[str, Any]) -> None:
    """Tell of what the body of a class defines, and nothing will ever read.

    Raises ModelException for a hook that is a coroutine function, and UnknownNameError for
    settings where unknown names are refused.
    """
    refuse = is_strict(options.strict)
    for name, value in body.items():
        plain = getattr(value, "__func__", value)
        if name in _CALLED_PLAINLY:
            _check_is_plain(cls, name, plain)
        _tell_of_elsewhere(cls, name, body, refuse=refuse)
        if isinstance(value, FunctionType) and not name.startswith("_"):
            _tell_of_hook(cls, name, body, options)
        elif isinstance(value, type) and _looks_like_meta(name, value):
            tell(
                f"{cls.__name__}.{name}: options go into a class named Meta, so this one has no "
                "effect",
                refuse=refuse,
            )
    if not options.abstract:
        for field in options.by_name.values():
            for problem in field.without_effect(cls):
                tell(problem, refuse=refuse)
    for problem in _idle_settings(cls, options, body):
        tell(f"{cls.__name__}.{problem}", refuse=refuse)


def is_field_in_tuple(value: Any) -> bool:
    """Whether it is what a comma behind a field makes of it."""
    parts = list(value) if issubclass(type(value), tuple) else []
    return len(parts) == 1 and isinstance(parts[0], Field)


def tell_of_mixins(cls: type, options: ModelOptions) -> None:
    """Tell of what the plain classes that a model is derived from define to no effect.

    Of classes of the same package alone: others are there for more than this model. Raises
    ModelException for what was meant to be a field, and UnknownNameError as `tell_of_slips`.
    """
    package = cls.__module__.partition(".")[0]
    known = {each for parent in options.parents for each in parent.__mro__}
    for base in cls.__mro__[1:]:
        if base in known or base.__module__.partition(".")[0] != package:
            continue
        body: dict[str, Any] = {
            name: value
            for name, value in vars(base).items()
            if not isinstance(value, (Field, type(None))) and not hasattr(Field, name)
        }
        for name, value in body.items():
            if is_field_class(value) or is_field_in_tuple(value):
                raise ModelException(
                    f"{base.__name__}.{name}, a base of {cls.__name__}, is no field: write "
                    f"{name} = SomeField(), without a comma behind it"
                )
            if isinstance(value, FunctionType) and not name.startswith("_"):
                _tell_of_hook(base, name, body, options)
            elif isinstance(value, type) and _looks_like_meta(name, value) and name != "Meta":
                tell(
                    f"{base.__name__}.{name}: options go into a class named Meta, so this one has "
                    "no effect",
                    refuse=is_strict(options.strict),
                )
            elif name in _SET_BY_META and name not in options.by_name:
                tell(
                    f"{base.__name__}.{name} is set anew on every instance, so it has no effect "
                    f"here; use {_SET_BY_META[name]}",
                    refuse=is_strict(options.strict),
                )


def tell_of_lost(cls: type, options: ModelOptions, lost: Mapping[str, Any]) -> None:
    """Tell of fields, or of a Meta, whose names something else has taken in the same body."""
    for name, field in lost.items():
        if name == "Meta":
            tell(
                f"{cls.__name__} has two classes Meta, so the first is dropped; make them one",
                refuse=is_strict(options.strict),
            )
        elif name in vars(cls):
            tell(
                f"{cls.__name__}.{name} is defined twice in the class, so the first, the "
                f"{type(field).__name__}, is dropped; give them two names",
                refuse=is_strict(options.strict),
            )


def tell_of_assignment(cls: type, options: ModelOptions, name: str, value: object) -> None:
    """Tell of something that is assigned to a finished class for a field, or for Meta."""
    if name == "Meta":
        tell(
            f"{cls.__name__}.Meta = {describe(value)} has no effect on a class that is finished; "
            "write it into the body of the class",
            refuse=is_strict(options.strict),
        )
        return
    field = options.by_name[name]
    if value is not field:
        tell(
            f"{cls.__name__}.{name} = {describe(value)}: {name!r} is a field of a class that is "
            f"finished, so records go on with its {type(field).__name__}, and conditions on "
            f"{cls.__name__}.{name} cannot be written any more; change the body of the class",
            refuse=is_strict(options.strict),
        )


def _check_is_plain(cls: type, name: str, function: Any) -> None:
    """Refuse what does nothing when it is called: its result has to be awaited, or gone through."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise ModelException(
            f"{cls.__name__}.{name} is called by plain code, which cannot await it: define it "
            "without async"
        )
    if name in HOOKS and inspect.isgeneratorfunction(function):
        raise ModelException(
            f"{cls.__name__}.{name} has a yield, so a call of it runs nothing: return its result"
        )


def _tell_of_elsewhere(cls: type, name: str, body: Mapping[str, Any], *, refuse: bool) -> None:
    """Tell of what only another library reads or calls."""
    plain: object = getattr(body[name], "__func__", body[name])
    bases: Sequence[type] = cls.__mro__[1:]
    if name in _READ_ELSEWHERE:
        if any(name in vars(base) for base in bases) or is_spoken_of(name, body):
            return
        hint = _READ_ELSEWHERE[name]
    elif type(plain).__name__ == _PROXY or any(hasattr(plain, mark) for mark in _MARKS):
        hint = (
            "checks go into pre_save(), or into an is_valid(); what follows from other values "
            "into a property"
        )
    else:
        return
    tell(f"{cls.__name__}.{name}: popoto does not read or call it; {hint}", refuse=refuse)


def _looks_like_meta(name: str, inner: type) -> bool:
    is_near = bool(difflib.get_close_matches(name, ("Meta",), cutoff=0.7))
    is_meant = is_near or name in _OPTIONS_ELSEWHERE
    return is_meant and any(option in vars(inner) for option in META_OPTIONS)


def _tell_of_hook(cls: type, name: str, body: Mapping[str, Any], options: ModelOptions) -> None:
    bases: Sequence[type] = cls.__mro__[1:]
    if name in HOOKS or any(name in vars(base) for base in bases):
        return
    near = difflib.get_close_matches(name, HOOKS, n=1, cutoff=_LIKENESS)
    is_check = _is_check(options, name, body[name])
    if not (near or is_check or name in _CALLED_ELSEWHERE) or is_spoken_of(name, body):
        return
    if near:
        meant = f"did you mean {near[0]!r}?"
    elif is_check:
        meant = "checks of values go into pre_save(), or into an is_valid()"
    else:
        meant = (
            "what is to run with every save goes into pre_save() or into a save() of the class's "
            "own, and with every delete into a delete()"
        )
    warn_caller(f"{cls.__name__}.{name}(): popoto calls no method of this name; {meant}")


def _is_check(options: ModelOptions, name: str, function: Any) -> bool:
    """Whether a method looks at values as other libraries have it: by its name, and by raising."""
    check, _, field = name.partition("_")
    is_named_so = name in _CHECKS_ELSEWHERE or (
        check in _CHECKS_ELSEWHERE and field in options.by_name
    )
    return is_named_so and any(each.endswith("Error") for each in names_in(function))


def _idle_settings(cls: type, options: ModelOptions, body: Mapping[str, Any]) -> Iterator[str]:
    """What is to be said of settings in a class body that nothing reads."""
    bases = {base.__name__ for base in cls.__mro__}
    known = {name: mixin for mixin, names in SETTINGS.items() for name in names}
    own = [name for mixin, names in SETTINGS.items() if mixin in bases for name in names]
    for name, value in body.items():
        if name in _SET_BY_META and name not in options.by_name:
            yield (
                f"{name} is set anew on every instance, so it has no effect here; use "
                + (_SET_BY_META[name])
            )
        elif isinstance(value, type) and value in _HELD_BY_FIELDS and not name.startswith("_"):
            yield (
                f"{name} = {value.__name__} makes no field, so values of it are not stored; write "
                f"{name}: {value.__name__}, or {name} = Field(type={value.__name__})"
            )
        elif name in known and known[name] not in bases and not options.abstract:
            yield (
                f"{name} is read by {known[name]} alone, which is none of the bases, so it has no "
                f"effect: class {cls.__name__}({known[name]}, Model)"
            )
        elif name not in known and _is_setting(cls, name, value, options):
            near = difflib.get_close_matches(name, own, n=1, cutoff=_LIKENESS_OF_SETTINGS)
            if near:
                yield f"{name} is no setting of its mixins; did you mean {near[0]!r}?"
            elif own and name.startswith(_PREFIXES):
                yield f"{name} is no setting of its mixins, which are {', '.join(own)}"


def _is_setting(cls: type, name: str, value: object, options: ModelOptions) -> bool:
    """Whether an attribute looks as if it was to set something."""
    bases: Sequence[type] = cls.__mro__[1:]
    return (
        name.startswith("_")
        and not name.startswith("__")
        and name not in options.by_name
        and not isinstance(value, (FunctionType, staticmethod, classmethod, property))
        and not any(name in vars(base) for base in bases)
    )
