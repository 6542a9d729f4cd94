"""`Relationship`: a reference to a record of another model (or the same one)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Self, overload
from weakref import WeakSet

from popoto._stock import stock
from popoto.engine.blocking import check_may_block
from popoto.engine.codec import DecodeError, EncodeError, decoder_for, encoder_for
from popoto.engine.db_key import DB_key
from popoto.engine.keys import SEPARATOR
from popoto.exceptions import ModelException, QueryException, StoredDataError
from popoto.fields.asking.lookups import storable
from popoto.fields.asking.operands import Conditions, Operand, Scope
from popoto.fields.asking.referring import OWN_LOOKUPS, referring
from popoto.fields.asking.unsaved import tell_of_unsaved
from popoto.fields.coercion import is_falsy
from popoto.fields.describing import describe
from popoto.fields.field import Field
from popoto.fields.keeping.entries import Entry, SetEntry
from popoto.fields.keeping.families import KeyFamily
from popoto.fields.keeping.naming import model_name_of, model_of_key
from popoto.fields.naming_back import check_related_name, reverse_name
from popoto.fields.on_delete import OnDelete, on_delete_of
from popoto.fields.reference import Reference, is_reference, loaded
from popoto.fields.type_variables import Target

__all__ = ["UNSET", "Relationship", "Unset"]

logger = logging.getLogger("POPOTO.Relationship")

NO_TARGET = "a model instance or a record key is expected"

_encode_text = encoder_for(str)
_decode_text = decoder_for(str)


class Unset:
    """Marks an attribute that stays unset, because it is resolved at its first access."""


UNSET = Unset()


class Relationship(Field["Target | str | None"], Generic[Target]):
    """A reference, stored as the target's key.

    ``Relationship(Person)``, or a class name as text for a model that is defined later (``"self"``
    for the model itself). A value is a record, its key as text, or None. Records loaded by `get`
    read the target at the first access of the attribute (one command, then cached; None while the
    target is missing). In results of `filter` and `all` it is a `Reference`: the key as text, and
    the record, which is read when anything of it is asked for. Either raises BlockingReadError
    where an event loop is running; `select_related` and `async_related` read without blocking it.

    `related_name`: how records of the related model call those that refer to them; by default
    the plural of the class's name, ``"+"`` for none. `on_delete`: what becomes of these when
    the related record is deleted (`DO_NOTHING`, `CASCADE`, `SET_NULL`, `PROTECT`).

    Keyword lookups: the field itself (a record, its key or None), ``__isnull``, ``__in``, ``__ne``,
    and ``__`` + any lookup of the related model.
    """

    option_defaults: ClassVar[dict[str, Any]] = {
        "type": str,
        "model": None,
        "many": False,
        "related_name": None,
    }
    valid_types = None
    is_reference: ClassVar[bool] = True

    #: Finds a model class by its name, best in this module; set where models are defined.
    find_model: ClassVar[Callable[[str, str], Any]]

    #: every relationship of a model that is still there
    _bound: ClassVar[WeakSet[Relationship[Any]]] = WeakSet()

    many: bool
    related_name: str | None

    def __init__(
        self,
        model: type[Target] | str | None = None,
        *,
        on_delete: OnDelete | str = OnDelete.DO_NOTHING,
        **options: Any,
    ) -> None:
        options["model"] = model
        options["type"] = str
        self._model: Any = None
        # The field's `on_delete` is the hook of popoto 1.6.
        self._on_target_deleted = on_delete
        super().__init__(**options)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        model: Any = self._model
        if not (isinstance(model, str) and model) and not hasattr(model, "_meta"):
            raise ModelException(
                f"Relationship needs the related model: Relationship(Person), or its name as "
                f"text, got {describe(model)}"
            )
        if self.many:
            raise ModelException(
                "Relationship(many=True) is not supported: give the related model a "
                "Relationship to this one instead"
            )
        check_related_name(self.related_name)
        self._on_target_deleted = on_delete_of(self._on_target_deleted, null=self.null)

    @property
    def model(self) -> Any:
        """The related model. Raises ModelException for a name that no model has."""
        found = self.known_target
        if found is None:
            raise ModelException(
                f"{self.label}: there is no model named {self._model!r} (yet); define it first"
            )
        return found

    @model.setter
    def model(self, value: Any) -> None:
        self._model = value

    def bind(self, model_name: str, name: str) -> None:
        super().bind(model_name, name)
        Relationship._bound.add(self)

    @property
    def limits_nothing(self) -> bool:
        return True

    @property
    def target_model(self) -> Any:
        return self.model

    @property
    def target_name(self) -> str:
        """The name under which the related model keeps its records; it need not exist yet."""
        if self._model == "self":
            return self.model_name
        model = self.known_target
        return self.type_name if model is None else model_name_of(model)

    @property
    def known_target(self) -> Any:
        given: Any = self._model
        if not isinstance(given, str):
            return given
        if given in ("self", self.model_name) and self.owner is not None:
            return self.owner
        return Relationship.find_model(given, getattr(self.owner, "__module__", ""))

    @property
    def names_reverse(self) -> bool:
        return self.related_name is not None

    @property
    def reverse_name(self) -> str | None:
        return reverse_name(self.related_name, self.owner.__name__)

    @property
    def on_target_deleted(self) -> OnDelete:
        return OnDelete(self._on_target_deleted)

    def referrers(self, instance: Any) -> Any:
        problem = self.problem(instance)
        if problem is not None and instance._redis_key is None:
            raise ModelException(f"{self.label} can refer to no such record: {problem}")
        # By the key: the class of a record may have been defined once more since.
        is_told = instance.pk.startswith(f"{self.target_name}{SEPARATOR}")
        return self.owner.query.filter(**{self.name: instance.pk if is_told else instance})

    @property
    def type_name(self) -> str:
        # Its own word for a model that may not exist yet.
        model: type[Any] | str = self._model
        return model if isinstance(model, str) else model.__name__

    @staticmethod
    def all() -> list[Relationship[Any]]:
        """Every relationship of a model that is still there, former definitions included."""
        return sorted(Relationship._bound, key=lambda field: (field.model_name, field.name))

    # Values ---------------------------------------------------------------------

    def codec(self) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
        return (lambda value: _encode_text(self.target_key(value))), _decode_text

    def target_key(self, value: Any) -> str | None:
        """The key of a value: of a record, or the key itself. Raises EncodeError for another."""
        if value is None or isinstance(value, str):
            return None if value is None else str(value)
        if not hasattr(value, "db_key"):
            raise EncodeError(NO_TARGET)
        return str(value._redis_key or value.db_key.redis_key)

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: Any = None) -> Target | str | None: ...
    def __get__(self, instance: Any, owner: Any = None) -> Self | Target | str | None:
        if instance is None:
            return self
        key = self.reference(instance)
        dangling: dict[str, str] = instance.__dict__.get("_dangling", {})
        if key is None or dangling.get(self.name) == key:
            return None
        value = self.read(key) if instance._resolves_references else Reference(self, key)
        if value is not None:
            # A missing target stays unresolved, so that saving keeps the reference.
            instance.__dict__[self.name] = value
        return value

    def read(self, key: str) -> Any:
        """The record with this key, or None. Raises BlockingReadError in a running event loop."""
        check_may_block(
            f"{self.label}: reading {key!r} at the first access of the attribute",
            f"Read it with the record, by select_related({self.name!r}) in its query, or by "
            f"`await record.async_related({self.name!r})`, or in a thread (asyncio.to_thread)",
        )
        # The holder is what was read; looking through it at another record is not another read.
        model = model_of_key(self.model, key)
        return None if model is None else model.query.get_untracked(key)

    def reference(self, instance: Any) -> str | None:
        """The key that an instance refers to, without reading the target."""
        given: dict[str, str] = instance.__dict__.get("_references", {})
        if self.name in given:
            return given[self.name]
        raw = instance._stored.get(self.name)
        if raw is None:
            return self.target_key(self.make_default())
        try:
            key: str | None = self.decode(raw)
            return key
        except DecodeError as error:
            raise StoredDataError(
                f"{self.label} of record {instance._redis_key!r} holds no record key: {error}"
            ) from error

    def referred_key(self, instance: Any) -> str | None:
        values: dict[str, Any] = instance.__dict__
        if self.name in values:
            return self.target_key(values[self.name])
        return self.reference(instance)

    def referred_record(self, instance: Any) -> Any:
        value = getattr(instance, self.name)
        if is_reference(value):
            return loaded(value)
        return self.read(value) if isinstance(value, str) else value

    def settled_value(self, instance: Any) -> Any:
        return self.coerce(self.reference(instance))

    def make_default(self) -> Any:
        default = self.default
        return default() if callable(default) and not hasattr(default, "_meta") else default

    def assigned_value(self, instance: Any, value: Any) -> Any:
        if isinstance(value, str) and ":" in value:
            instance.__dict__.setdefault("_references", {})[self.name] = str(value)
            return UNSET
        if hasattr(value, "_meta"):
            return value
        if is_falsy(value):
            return None
        hint = ", which is no record key (Model:key)" if isinstance(value, str) else ""
        raise ModelException(
            f"{self.label} expects model instance or redis_key, got {describe(value)}{hint}"
        )

    def coerce(self, value: Any) -> Any:
        return Reference(self, value) if type(value) is str and ":" in value else value

    def problem(self, value: Any, *, null_check: bool = True) -> str | None:
        if value is None:
            return "it cannot be null" if null_check and not self.null else None
        if isinstance(value, str):
            return None if ":" in value else "it is no record key (Model:key)"
        if not hasattr(value, "_meta") or not hasattr(value, "db_key"):
            return NO_TARGET
        expected = self.model
        if not isinstance(value, expected):
            return f"an instance of {expected.__name__} is expected"
        if null_check and value._redis_key is None:
            incomplete = [name for name in value._meta.key_names if getattr(value, name) is None]
            if incomplete:
                return f"the {expected.__name__} has no key yet ({', '.join(incomplete)} is unset)"
        return None

    # Entries --------------------------------------------------------------------

    @property
    def keeps_value_sets(self) -> bool:
        return False

    @property
    def makes_entries(self) -> bool:
        return True

    @property
    def registries(self) -> frozenset[str]:
        return super().registries | {"relationship"}

    def entries(self, key: str, values: Mapping[str, Any]) -> Sequence[Entry]:
        target = self.target_key(values[self.name])
        if target is None:
            return ()
        return (SetEntry(self.value_set_prefix + target, key),)

    def key_families(self) -> Sequence[KeyFamily]:
        stem = self.value_set_prefix.removesuffix(SEPARATOR)
        return (KeyFamily("relationship_fields", self.name, stem, "set", is_open=True),)

    @classmethod
    @stock
    def on_save(
        cls,
        model_instance: Any,
        field_name: str,
        field_value: Any,
        pipeline: Any = None,
        **kwargs: Any,
    ) -> Any:
        if isinstance(field_value, str) and ":" not in field_value:
            logger.error("%s: %s is no record key", field_name, describe(field_value))
            return None
        return super().on_save(model_instance, field_name, field_value, pipeline, **kwargs)

    @classmethod
    @stock
    def on_delete(
        cls,
        model_instance: Any,
        field_name: str,
        field_value: Any,
        pipeline: Any = None,
        **kwargs: Any,
    ) -> Any:
        if isinstance(field_value, str) and ":" not in field_value:
            logger.error("%s: %s is no record key", field_name, describe(field_value))
            return None
        return super().on_delete(model_instance, field_name, field_value, pipeline, **kwargs)

    # Lookups ----------------------------------------------------------------------

    @property
    def lookup_names(self) -> tuple[str, ...]:
        return OWN_LOOKUPS

    def get_filter_query_params(self, field_name: str) -> set[str]:
        params = {f"{field_name}__{name}" if name else field_name for name in OWN_LOOKUPS}
        if hasattr(self._model, "_meta"):
            related = self._model._meta
            for name, field in related.fields.items():
                if not field.is_reference:
                    known = related.filter_query_params_by_field[name]
                    params |= {f"{field_name}__{each}" for each in known}
        return params

    def answers_unannounced(self, lookup: str) -> bool:
        return True  # Related records are asked by plain fields too, and further on.

    def coerce_operand(self, lookup: str, value: Any) -> str | None:
        """The key that an operand stands for. Raises QueryException."""
        if value is None:
            return None
        if isinstance(value, DB_key):
            return value.redis_key
        if isinstance(value, bytes):
            value = value.decode("utf-8", "surrogateescape")
        expected = self.model
        if isinstance(value, str):
            key = str(value)
            storable(self, key)
            if not key.startswith(f"{expected._meta.model_name}:"):
                raise QueryException(
                    f"{self.label} expects an instance of {expected.__name__} or its key "
                    f"({expected._meta.model_name}:…), got {describe(value)}"
                )
            return key
        if not isinstance(value, expected):
            raise QueryException(
                f"{self.label} expects an instance of {expected.__name__}, got {describe(value)}"
            )
        tell_of_unsaved(self.label, value)
        return self.target_key(value)

    def operand(self, conditions: Conditions, scope: Scope) -> Operand:
        return referring(self, conditions)

    @property
    def is_orderable(self) -> bool:
        return False
