"""`Field`: how one attribute is stored, validated, indexed and looked up."""

from __future__ import annotations

import builtins
import copy
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, overload

from popoto._stock import is_replaced, stock
from popoto._unknown_names import is_strict, tell
from popoto.engine import keys
from popoto.engine.codec import DecodeError
from popoto.engine.db_key import DB_key
from popoto.engine.plain import real_type
from popoto.exceptions import ModelException, StoredDataError
from popoto.fields.adapting import adapted, is_field_type, names_of
from popoto.fields.asking.asked import Asked
from popoto.fields.deferred import read_deferred
from popoto.fields.describing import describe
from popoto.fields.elsewhere import remedy_for
from popoto.fields.hook_names import tell_of_field_hooks
from popoto.fields.keywords import FIXED, check_given, check_keywords, tell_of_nature
from popoto.fields.on_delete import OnDelete
from popoto.fields.spelling import FORMS, SPELLED
from popoto.fields.type_variables import Value
from popoto.fields.valued import VALID_FIELD_TYPES

__all__ = ["LEFT_OUT", "VALID_FIELD_TYPES", "Field", "FieldBase", "LeftOut"]

logger = logging.getLogger("POPOTO.field")


class LeftOut:
    """Stands for a `type` keyword that the caller left out; None would be a wrong type."""


LEFT_OUT = LeftOut()


class FieldBase(type):
    """Metaclass of fields: gives every class the prefix of its index keys, unless it has one."""

    field_class_key: DB_key

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        super().__init__(name, bases, namespace)
        if "field_class_key" not in namespace:
            cls.field_class_key = DB_key(keys.field_prefix(name))
        tell_of_field_hooks(cls)

    if not TYPE_CHECKING:
        # Type checkers read the signatures of the constructors.

        def __call__(cls, *given, **options):
            """Values without a keyword are told which one they want, where none is taken so."""
            if given:
                check_given(cls, given)
            field = super().__call__(*given, **options)
            if options:
                tell_of_nature(field, options)
            return field


class Field(Asked[Value], Generic[Value], metaclass=FieldBase):
    """One attribute of a model.

    On the class it is this object, for expressions (``Restaurant.rating > 4``).
    On an instance it decodes the stored bytes at the first touch and leaves the
    value in the instance's ``__dict__``, where Python finds it from then on.

    Keywords (unknown ones are ignored with a warning, or refused by `configure(strict=True)`):

    `type`        the Python type of values; one of `VALID_FIELD_TYPES`
    `null`        whether None may be saved (default True)
    `default`     a value, or a callable called once per instance; mutable values are copied
    `max_length`  longest text that may be saved; no limit by default (of other types it limits
                  nothing, which a warning says)
    `unique`      no two records may hold the same value; None is exempt
    `indexed`     keeps a set of records per value, as `IndexedField` does
    """

    #: Default of every keyword that this class understands. Extended by mixins.
    option_defaults: ClassVar[dict[str, Any]] = {
        "type": str,
        "key": False,
        "unique": False,
        "auto": False,
        "null": True,
        "value": None,
        "max_length": None,
        "default": None,
        "sorted": False,
        "indexed": False,
    }
    #: Types that the `type` keyword may name; None = not checked.
    valid_types: ClassVar[frozenset[type] | None] = VALID_FIELD_TYPES

    if TYPE_CHECKING:
        # Without its own __new__ a class below Any is built by an unknown one, and
        # pyright then no longer takes the value type from `type=`.
        def __new__(cls, *arguments: Any, **options: Any) -> Self: ...

        # Assignment is checked but not intercepted: instances store plain attributes.
        def __set__(self, instance: object, value: Value | None) -> None: ...

    #: The only values there may be, as an annotation `Literal` says; None: any of the type.
    choices: frozenset[Any] | None = None
    #: Whether loaded instances have the value from the beginning, untouched.
    is_present: ClassVar[bool] = False
    #: Whether a base of the model declares it, and not the model itself.
    is_inherited: bool = False
    #: The model class that the field belongs to, once that exists.
    owner: Any = None
    #: Whether its values, if it has any, are of no type that a caller could choose.
    takes_no_type: ClassVar[bool] = False
    #: Whether it is found by an index of its own, whatever `indexed` says.
    keeps_own_index: ClassVar[bool] = False
    #: Whether a caller decides about `auto_now`, where the field has it.
    takes_auto_now: ClassVar[bool] = True
    #: Whether that class is finished, so that what follows from options was worked out.
    is_finished: bool = False

    def __init__(
        self,
        *,
        type: builtins.type[Value] | LeftOut = LEFT_OUT,  # noqa: A002 - the contract's name
        **options: Any,
    ) -> None:
        if not isinstance(type, LeftOut):
            options["type"] = type
        defaults: dict[str, Any] = {}
        for cls in reversed(self.__class__.__mro__):
            defaults.update(cls.__dict__.get("option_defaults", {}))
        self.field_defaults = defaults
        self.type_given = "type" in options
        self.null_given = "null" in options
        self.name = ""
        self.model_name = ""
        self.__dict__.update(defaults)
        for name, value in options.items():
            if name not in defaults:
                tell(
                    f"{self.__class__.__name__} ignores the unknown keyword {name!r}; "
                    f"{remedy_for(name, defaults)}",
                    refuse=is_strict(),
                )
            setattr(self, name, value)
        self.type = real_type(self.type)
        self.check_options(options)
        check_keywords(self, options)

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Refuse options that cannot work. `options` are those given by the caller."""
        if self.valid_types is not None and not is_field_type(self.type, self.valid_types):
            raise ModelException(
                f"{describe(self.type)} is not a valid {type(self).__name__} type; "
                f"use one of {names_of(self.valid_types)}"
            )
        if self.null and self.never_null:
            raise ModelException(
                f"{type(self).__name__} cannot be null: {self.never_null}. Leave out null=True."
            )
        if self.unique and not self.auto and not self.keeps_value_sets:
            raise ModelException(
                f"{type(self).__name__}(unique=True) is not supported: make it unique with "
                "Meta.indexes = (((name,), True),)"
            )

    #: Why no default can stand for a value here; "" where one can.
    takes_no_default: ClassVar[str] = ""

    @property
    def limits_nothing(self) -> bool:
        """Whether `max_length` has nothing to limit here."""
        return self.type is not str

    @property
    def never_null(self) -> str:
        """Why no field of this class may be null, and what to use instead; "" where one may."""
        return ""

    def takes_type(self, wanted: builtins.type[Any]) -> bool:
        """Whether ``type=`` may be this type (an annotation stands for it)."""
        return self.valid_types is not None and is_field_type(wanted, self.valid_types)

    # Belonging to a model -------------------------------------------------------

    def in_model(self, model_or_instance: Any) -> Self:
        """The field as that model has it, which may have inherited it from the one it is of."""
        found = model_or_instance._meta.by_name.get(self.name)
        return found if isinstance(found, type(self)) else self

    def bind(self, model_name: str, name: str) -> None:
        """Become the field `name` of a model. Called once per field and model."""
        self.name = name
        self.model_name = model_name
        self.value_set_prefix = f"{self.field_class_key}:{model_name}:{name}:"
        self.bind_keys(model_name, name)
        self.adapted = adapted(self.type)
        if self.adapted is not None and self.adapted.problem is not None:
            raise ModelException(f"{self.label}: {self.adapted.problem}")
        self.encode, self.decode = self.codec()
        cls = self.__class__
        has_own_texts = is_replaced(cls, "text_of") or is_replaced(cls, "canonical")
        self.is_spelled = self.type in SPELLED and not (self.adapted or has_own_texts)
        self.one_form = FORMS.get(self.type) if self.is_spelled else None
        #: Whether a method of the user's own checks values too.
        self.has_own_check = is_replaced(cls, "is_valid")
        #: Whether a method of the user's own answers queries.
        self.has_own_answers = is_replaced(cls, "filter_query")
        #: What tells at once of a value of exactly `type` that it may be saved as it is, if any.
        self.passes = None if self.has_own_check else self.quick_look()
        #: Whether values change before they are stored, and whether even untouched ones may.
        self.formats = cls.format_value_pre_save is not Field.format_value_pre_save
        self.formats_untouched = self.stamps_writes or is_replaced(cls, "format_value_pre_save")
        #: Whether the text of a record key tells the value.
        self.told_by_key = self.key and self.type in (str, int) and not has_own_texts

    def __setattr__(self, name: str, value: Any) -> None:
        if self.is_finished and name in FIXED and value is not getattr(self, name, LEFT_OUT):
            tell(
                f"{self.label}.{name} = {describe(value)} comes after its model was made, and may "
                "have no effect; write it into the class",
                refuse=is_strict(),
            )
        object.__setattr__(self, name, value)

    def copy_for(self, model_name: str) -> Self:
        """A copy for another model (inheritance, or a field object used twice)."""
        twin = copy.copy(self)
        twin.is_finished = False
        twin.bind(model_name, self.name)
        return twin

    # Values ---------------------------------------------------------------------

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: Any = None) -> Value: ...
    def __get__(self, instance: Any, owner: Any = None) -> Self | Value:
        if instance is None:
            return self
        name = self.name
        raw = instance._stored.get(name)
        if raw is None and name in instance._deferred:
            raw = read_deferred(instance, name)
        value: Value
        if raw is None:
            value = self.missing_value(instance)
        else:
            try:
                value = self.loaded_value(instance, self.decode(raw))
            except DecodeError as error:
                raise StoredDataError(
                    f"{self.label} of record {instance._redis_key!r} holds bytes that are no "
                    f"{self.type.__name__}: {error}. Assign a value and save, or repair the hash."
                ) from error
        instance.__dict__[name] = value
        return value

    def missing_value(self, instance: Any) -> Any:
        """The value of a record whose hash lacks this field."""
        return self.make_default()

    def loaded_value(self, instance: Any, value: Any) -> Any:
        """Turn a decoded value into the attribute's value."""
        return value

    def assigned_value(self, instance: Any, value: Any) -> Any:
        """Turn a value given to the constructor into the attribute's value."""
        return value

    def self_contained(self, value: Any, key: str) -> Any:
        """A decoded value of the record `key` as it can stand elsewhere, without store or class."""
        return value if self.adapted is None or value is None else self.adapted.plain(value)

    def settled_value(self, instance: Any) -> Any:
        """What an instance keeps that is no stored record any more, with nothing else read."""
        return getattr(instance, self.name)

    @classmethod
    @stock
    def is_valid(
        cls, field: Field[Any], value: Any, null_check: bool = True, **kwargs: Any
    ) -> bool:
        """Whether a value may be saved as it is (nothing is converted here)."""
        problem = field.problem(value, null_check=null_check)
        if problem is not None:
            logger.error("%s: invalid value %s: %s", field.label, describe(value), problem)
        return problem is None

    # References -----------------------------------------------------------------

    #: Whether values refer to records of another model.
    is_reference: ClassVar[bool] = False

    @property
    def target_model(self) -> Any:
        """The model that values refer to; None for fields that refer to none.

        Raises ModelException while a model that is named as text is not defined.
        """
        return None

    def referred_key(self, instance: Any) -> str | None:
        """The key of the record that an instance refers to, without reading that record."""
        return None

    def referred_record(self, instance: Any) -> Any:
        """The record that an instance refers to, read if it was not yet; None: it is missing."""
        return None

    @property
    def known_target(self) -> Any:
        """The model that values refer to, if it is defined; None otherwise."""
        return None

    @property
    def reverse_name(self) -> str | None:
        """The attribute by which records know those that refer to them; None: they have none."""
        return None

    @property
    def names_reverse(self) -> bool:
        """Whether the user has chosen that name."""
        return False

    @property
    def on_target_deleted(self) -> OnDelete:
        """What becomes of records when the one that they refer to by this field is deleted."""
        return OnDelete.DO_NOTHING

    def referrers(self, instance: Any) -> Any:
        """The query for the records that refer to a record by this field."""
        raise NotImplementedError

    # For people -----------------------------------------------------------------

    #: Keywords that `details` names where they are set.
    shown_keywords: ClassVar[tuple[str, ...]] = ()

    @property
    def partition_names(self) -> tuple[str, ...]:
        """The fields whose values decide in which partition a record stands."""
        return ()

    @property
    def type_name(self) -> str:
        """What values are, in a word."""
        return self.type.__name__

    def details(self) -> Iterator[str]:
        """What the keywords say of this field, each in a word or two."""
        if self.key:
            yield "key"
        if self.unique:
            yield "unique"
        if not self.null:
            yield "not null"
        if self.max_length is not None:
            yield f"at most {self.max_length}"
        if self.partition_names:
            yield f"partition by {', '.join(self.partition_names)}"
        yield from (name for name in self.shown_keywords if getattr(self, name))
        if self.default is not None:
            yield f"default {getattr(self.default, '__name__', repr(self.default))}"
