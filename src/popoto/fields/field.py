"""`Field`: how one attribute is stored, validated, indexed and looked up."""

from __future__ import annotations

import builtins
import copy
import datetime
import difflib
import logging
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, overload

from popoto._stock import stock
from popoto.engine import keys
from popoto.engine.batch import KeyArgument
from popoto.engine.codec import DecodeError, decoder_for, encoder_for
from popoto.engine.db_key import DB_key
from popoto.engine.request import Argument
from popoto.exceptions import ModelException, QueryException, StoredDataError
from popoto.fields.asking import lookups
from popoto.fields.asking.comparing import Comparable
from popoto.fields.asking.operands import Conditions, Operand, Scope
from popoto.fields.coercion import CHECKED_TYPES, CoercionError, coerce, describe
from popoto.fields.keeping.entries import Entry, SetEntry
from popoto.fields.keeping.families import KeyFamily
from popoto.fields.type_variables import Value

if TYPE_CHECKING:
    from redis.client import Pipeline

logger = logging.getLogger("POPOTO.field")

VALID_FIELD_TYPES: frozenset[type] = frozenset(
    {
        int,
        float,
        Decimal,
        str,
        bool,
        bytes,
        list,
        dict,
        set,
        tuple,
        datetime.date,
        datetime.datetime,
        datetime.time,
    }
)

#: Defaults of these types are copied for every instance.
_IMMUTABLE = (int, float, complex, str, bytes, bool, Decimal, datetime.date, datetime.time)


class LeftOut:
    """Stands for a `type` keyword that the caller left out; None would be a wrong type."""


LEFT_OUT = LeftOut()


class FieldBase(type):
    """Metaclass of fields: gives every class the prefix of its index keys."""

    field_class_key: DB_key

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        super().__init__(name, bases, namespace)
        cls.field_class_key = DB_key(keys.field_prefix(name))


class Field(Comparable[Value], Generic[Value], metaclass=FieldBase):
    """One attribute of a model.

    On the class it is this object, for expressions (``Restaurant.rating > 4``).
    On an instance it decodes the stored bytes at the first touch and leaves the
    value in the instance's ``__dict__``, where Python finds it from then on.

    Keywords (unknown ones are ignored with a warning):

    `type`        the Python type of values; one of `VALID_FIELD_TYPES`
    `null`        whether None may be saved (default True)
    `default`     a value, or a callable called once per instance; mutable values are copied
    `max_length`  longest text that may be saved; no limit by default
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
    #: Whether the value stands in the record's hash.
    in_hash: bool = True

    if TYPE_CHECKING:
        type: builtins.type[Any]
        key: bool
        unique: bool
        auto: bool
        null: bool
        value: Any
        max_length: int | None
        default: Any
        sorted: bool
        indexed: bool

        # Without its own __new__ a class below Any is built by an unknown one, and
        # pyright then no longer takes the value type from `type=`.
        def __new__(cls, *arguments: Any, **options: Any) -> Self: ...

        # Assignment is checked but not intercepted: instances store plain attributes.
        def __set__(self, instance: object, value: Value | None) -> None: ...

    model_name: str

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
        self.name = ""
        self.model_name = ""
        self.__dict__.update(defaults)
        for name, value in options.items():
            if name not in defaults:
                self._warn_unknown(name, defaults)
            setattr(self, name, value)
        self.check_options(options)

    def _warn_unknown(self, name: str, known: Iterable[str]) -> None:
        close = difflib.get_close_matches(name, list(known), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        warnings.warn(
            f"{type(self).__name__} ignores the unknown keyword {name!r}{hint}",
            UserWarning,
            stacklevel=4,
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Refuse options that cannot work. `options` are those given by the caller."""
        if self.valid_types is not None and self.type not in self.valid_types:
            raise ModelException(
                f"{describe(self.type)} is not a valid {type(self).__name__} type; "
                f"use one of {', '.join(sorted(valid.__name__ for valid in self.valid_types))}"
            )
        if self.unique and not self.auto and not self.keeps_value_sets:
            raise ModelException(
                f"{type(self).__name__}(unique=True) is not supported: make it unique with "
                "Meta.indexes = (((name,), True),)"
            )

    def takes_type(self, wanted: builtins.type[Any]) -> bool:
        """Whether ``type=`` may be this type (an annotation stands for it)."""
        return self.valid_types is not None and wanted in self.valid_types

    # Belonging to a model -------------------------------------------------------

    def bind(self, model_name: str, name: str) -> None:
        """Become the field `name` of a model. Called once per field and model."""
        self.name = name
        self.model_name = model_name
        self.value_set_prefix = f"{self.field_class_key}:{model_name}:{name}:"
        self.encode, self.decode = self.codec()
        cls = self.__class__
        #: Whether each instance of `type` may be saved as it is, without a look at its value.
        self.takes_every_instance = (
            cls.coerce is Field.coerce
            and cls.problem is Field.problem
            and cls.is_valid.__func__ is vars(Field)["is_valid"].__func__
            and self.max_length is None
            and self.type not in CHECKED_TYPES
        )

    def codec(self) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
        """How values become stored bytes and back; chosen once, when the model is made."""
        return encoder_for(self.type), decoder_for(self.type)

    def copy_for(self, model_name: str) -> Self:
        """A copy for another model (inheritance, or a field object used twice)."""
        twin = copy.copy(self)
        twin.bind(model_name, self.name)
        return twin

    @property
    def label(self) -> str:
        """Model and field, for messages."""
        return f"{self.model_name}.{self.name}" if self.model_name else type(self).__name__

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

    def make_default(self) -> Any:
        """A fresh default value."""
        default = self.default
        if default is None or isinstance(default, _IMMUTABLE):
            return default
        if callable(default):
            return default()
        return copy.deepcopy(default)

    def missing_value(self, instance: Any) -> Any:
        """The value of a record whose hash lacks this field."""
        return self.make_default()

    def loaded_value(self, instance: Any, value: Any) -> Any:
        """Turn a decoded value into the attribute's value."""
        return value

    def assigned_value(self, instance: Any, value: Any) -> Any:
        """Turn a value given to the constructor into the attribute's value."""
        return value

    def settled_value(self, instance: Any) -> Any:
        """What an instance keeps that is no stored record any more, with nothing else read."""
        return getattr(instance, self.name)

    def canonical(self, value: Any) -> Any:
        """The value as it is read back from the server: what keys and entries are made of."""
        if type(value) is self.type or value is None:
            return value
        if self.type is datetime.date and isinstance(value, datetime.datetime):
            return value.date()
        # The members of `class Colour(str, Enum)` and their like are stored as plain values,
        # while str() of them is something else.
        if self.type is str and isinstance(value, str):
            return str.__str__(value)
        if self.type is int and isinstance(value, int) and not isinstance(value, bool):
            return int(value)
        return value

    def text_of(self, value: Any) -> str:
        """The text by which a value stands in keys."""
        return str(self.canonical(value))

    def coerce(self, value: Any) -> Any:
        """The value in this field's type. Raises CoercionError."""
        if value is None or isinstance(value, self.type):
            return value
        if self.type not in VALID_FIELD_TYPES:
            return value
        return coerce(self.type, value)

    def problem(self, value: Any, *, null_check: bool = True) -> str | None:
        """Why a coerced value may not be saved, or None."""
        if value is None:
            if self.null or not null_check:
                return None
            return "it cannot be null"
        if not isinstance(value, self.type):
            return f"expected {self.type.__name__}, got {type(value).__name__}"
        if self.type in CHECKED_TYPES:
            try:
                coerce(self.type, value)
            except CoercionError as error:
                return str(error)
        if self.max_length is not None and self.type is str and len(value) > self.max_length:
            return f"its length {len(value)} exceeds max_length={self.max_length}"
        return None

    @classmethod
    def is_valid(
        cls, field: Field[Any], value: Any, null_check: bool = True, **kwargs: Any
    ) -> bool:
        """Whether a value may be saved as it is (nothing is converted here)."""
        problem = field.problem(value, null_check=null_check)
        if problem is not None:
            logger.error("%s: invalid value %s: %s", field.label, describe(value), problem)
        return problem is None

    @stock
    def format_value_pre_save(self, field_value: Any, **kwargs: Any) -> Any:
        """The last change to a value before it is stored; also written back to the instance."""
        return field_value

    # Entries --------------------------------------------------------------------

    @property
    def keeps_value_sets(self) -> bool:
        """Whether a set of record keys is kept per value."""
        return bool(self.indexed or self.unique)

    @property
    def depends_on(self) -> tuple[str, ...]:
        """Other fields whose values decide where this field's entries stand."""
        return ()

    @property
    def makes_entries(self) -> bool:
        """Whether values of this field make entries at all."""
        return self.keeps_value_sets

    def value_set_key(self, value: Any) -> str:
        """The key of the set of records with this value."""
        return self.value_set_prefix + keys.escape(self.text_of(value))

    def entries(self, key: str, values: Mapping[str, Any]) -> Sequence[Entry]:
        """The entries of the record `key` with these values (all of `depends_on` included)."""
        if not self.keeps_value_sets:
            return ()
        return (self.value_entry(key, values[self.name]),)

    def value_entry(self, key: str, value: Any) -> SetEntry:
        """The entry in the set of one value."""
        set_key = self.value_set_key(value)
        if self.type is not str:
            return SetEntry(set_key, key)
        return SetEntry(
            set_key,
            key,
            self.name,
            keys.values_key(self.model_name, self.name),
            keys.values_coverage_key(self.model_name),
            None if value is None else str(value),
        )

    @property
    def coverage_argument(self) -> Argument:
        """The key that counts the records in this field's sets, for a guard; 0 = not counted."""
        if self.type is not str:
            return 0
        return KeyArgument(keys.values_coverage_key(self.model_name))

    def key_families(self) -> Sequence[KeyFamily]:
        """The families of keys that upkeep checks, cleans and rebuilds for this field.

        A field that keeps something for all records in keys of its own adds them here
        (`derived=False` unless they hold what `entries` says).
        """
        if not self.keeps_value_sets:
            return ()
        section = "key_fields" if self.key else "indexed_fields"
        return (self.value_set_family(section),)

    def value_set_family(self, section: str) -> KeyFamily:
        """The sets of records per value."""
        text_lists = None
        if self.type is str:
            text_lists = (
                self.name,
                keys.values_key(self.model_name, self.name),
                keys.values_coverage_key(self.model_name),
            )
        stem = self.value_set_prefix.removesuffix(keys.SEPARATOR)
        return KeyFamily(section, self.name, stem, "set", is_open=True, text_lists=text_lists)

    def companion_keys(self, key: str) -> Sequence[str]:
        """Further keys that belong to one record: they expire, move and go with it."""
        return ()

    # Hooks ------------------------------------------------------------------------

    @classmethod
    @stock
    def on_save(
        cls,
        model_instance: Any,
        field_name: str,
        field_value: Any,
        pipeline: Pipeline | None = None,
        **kwargs: Any,
    ) -> Any:
        """Keep this field's index in step with a save. Override it to add to that.

        Given a pipeline, queue on it and return it; without an index to keep there is
        nothing to do (None without a pipeline). The model's own saving does
        not call this method unless it is overridden: it compares entries.
        """
        field: Field[Any] = model_instance._meta.fields[field_name]
        if not field.makes_entries:
            return pipeline
        return field.index_now(model_instance, field_value, pipeline)

    @classmethod
    @stock
    def on_delete(
        cls,
        model_instance: Any,
        field_name: str,
        field_value: Any,
        pipeline: Pipeline | None = None,
        **kwargs: Any,
    ) -> Any:
        """Take a record out of this field's index (`saved_redis_key=` names it)."""
        field: Field[Any] = model_instance._meta.fields[field_name]
        if not field.makes_entries:
            return pipeline
        key = kwargs.get("saved_redis_key") or model_instance.db_key.redis_key
        return field.unindex_now(model_instance, field_value, key, pipeline)

    def _entries_with(self, instance: Any, value: Any, key: str) -> Sequence[Entry]:
        values = {name: getattr(instance, name) for name in self.depends_on}
        values[self.name] = value
        return self.entries(key, values)

    def index_now(self, instance: Any, value: Any, pipeline: Pipeline | None) -> Any:
        """Queue or carry out the change of entries to `value`, from the last saved value."""
        key: str = instance.db_key.redis_key
        new = self._entries_with(instance, value, key)
        old: Sequence[Entry] = ()
        saved = instance._saved_field_values
        if all(name in saved for name in (self.name, *self.depends_on)):
            old = self.entries(instance._redis_key or key, saved)
        return instance._apply_entries(old, new, pipeline)

    def unindex_now(self, instance: Any, value: Any, key: str, pipeline: Pipeline | None) -> Any:
        """Queue or carry out the removal of the entries of `value`."""
        return instance._apply_entries(self._entries_with(instance, value, str(key)), (), pipeline)

    # Lookups ----------------------------------------------------------------------

    @property
    def lookup_names(self) -> tuple[str, ...]:
        """The lookups that this field understands; "" is equality."""
        return tuple(lookups.VALUE_SET_LOOKUPS) if self.keeps_value_sets else ("",)

    def get_filter_query_params(self, field_name: str) -> set[str]:
        """The filter keywords that this field announces."""
        if not self.keeps_value_sets:
            return set()
        return {f"{field_name}__{lookup}" if lookup else field_name for lookup in self.lookup_names}

    def operand(self, conditions: Conditions, scope: Scope) -> Operand:
        """Compile this field's conditions of one conjunction. Raises QueryException."""
        if self.keeps_value_sets:
            return lookups.value_sets(self, conditions)
        return lookups.stored_values(self, conditions)

    def coerce_operand(self, lookup: str, value: Any) -> Any:
        """A lookup's operand in this field's type. Raises QueryException."""
        try:
            value = self.canonical(self.coerce(value))
            return lookups.storable(self, value) if isinstance(value, str) else value
        except CoercionError as error:
            raise QueryException(
                f"{self.label}: {self.name}{'__' + lookup if lookup else ''}={describe(value)} "
                f"cannot be compared with a {self.type.__name__} field: {error}"
            ) from error

    def coerce_key_operand(self, value: Any) -> Any:
        """A key value to look a record up by. Raises QueryException."""
        return None if value is None else self.coerce_operand("", value)

    @classmethod
    @stock
    def filter_query(cls, model: Any, field_name: str, **params: Any) -> Any:
        """The keys of the records that match. Override it to answer lookups of your own."""
        field: Field[Any] = model._meta.fields[field_name]
        if not field.makes_entries:
            raise QueryException(
                f"filter_query is not allowed on base Field: {field.label} keeps no index"
            )
        return set(model.query.filter(**params).keys())

    @classmethod
    def get_special_use_field_db_key(cls, model: Any, *field_names: Any) -> DB_key:
        """The `DB_key` of this field class's keys for a model (or instance) and further parts."""
        name = model.__name__ if isinstance(model, type) else type(model).__name__
        return DB_key(cls.field_class_key, name, *field_names)
