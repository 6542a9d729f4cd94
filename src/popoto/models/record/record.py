"""`Record`: the state and identity of one stored instance. Nothing here talks to the server.

Everything below the front desk works on records. `Model`, on top, adds the methods that
users call.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self, cast

from popoto.engine.codec import NIL, DecodeError, Stored
from popoto.engine.db_key import DB_key
from popoto.exceptions import ModelException, StoredDataError
from popoto.models.record.metaclass import RecordBase
from popoto.models.record.options import AnyField, ModelOptions


class _NotConstructed:
    """In place of what the constructor sets, until it does. An instance's own stands before it."""

    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None:
            return self
        name = owner.__name__
        raise ModelException(
            f"this {name} was never constructed: {name}.__init__() does not call "
            f"super().__init__(**values), which a dataclass decorator does not do either"
        )


class Record(metaclass=RecordBase):
    """What an instance knows of the record that it stands for."""

    _meta: ClassVar[ModelOptions]
    _options: ClassVar[ModelOptions]
    _has_own_init: ClassVar[bool]
    _has_own_check: ClassVar[bool]
    #: Whether values that are given or made are assigned, so that the class's own method has them.
    _has_own_setattr: ClassVar[bool]

    #: Stored bytes by field name, as last saved or loaded; empty for a new record.
    _stored: dict[str, Stored] = cast("dict[str, Stored]", _NotConstructed())
    _redis_key: str | None = None
    _is_persisted: bool = False
    _ttl: int | datetime.timedelta | None = None
    _expire_at: datetime.datetime | None = None
    obsolete_redis_key: str | None = None
    _resolves_references: bool = False
    #: Set while `create()` calls a `save` of the class's own.
    _create_only: bool | None = None
    #: Set likewise for `get_or_create()`: the lookup that has found no record.
    _unmatched: Any = None
    _last_full_save: dict[str, Stored] | None = None
    #: Fields that were left out when it was loaded (`only`); read at the first access.
    _deferred: frozenset[str] = frozenset()
    #: By field, the bytes that were stored before a write that waits in a caller's pipeline.
    _unconfirmed: dict[str, set[Stored | None]] | None = None
    #: what a record that is imported has to have beside its values; None: what every new one has
    _belongings: Mapping[str, Any] | None = None
    #: By field, the keys of related records that were not read, and of those that are missing.
    _references: dict[str, str]
    _dangling: dict[str, str]
    #: Keywords of its constructor that were told of.
    _told: frozenset[str]
    #: The expiry that its last save has set.
    _applied_expiry: Any
    #: Set while a loaded record is being made.
    _is_loading: bool
    #: Set on results of a search around a place that asked for distances.
    _geo_distance: float
    _geo_distance_unit: str

    # Identity ------------------------------------------------------------------------

    @property
    def db_key(self) -> DB_key:
        """The key of the current values, as a list of its parts."""
        options = self._meta
        key = DB_key(
            options.model_name,
            [field.text_of(getattr(self, field.name)) for field in options.key_fields],
        )
        if options.shard_by is not None:
            key.shard = options.shard
        return key

    @property
    def pk(self) -> str:
        """The key under which the record is stored, or would be."""
        return self._redis_key or self.db_key.redis_key

    @property
    def _is_stored(self) -> bool:
        """Whether it stands for a stored record, even one that holds no field of its class."""
        return bool(self._stored) or self._is_persisted

    @property
    def _record_key(self) -> str:
        """The record key of the current values."""
        values, stored, key = vars(self), self._stored, self._redis_key
        if key is not None and (stored or self._is_persisted):
            for field in self._meta.key_fields:
                name = field.name
                if name in values and not _holds(field, values[name], stored.get(name)):
                    break
            else:
                return key
        return self._meta.record_key(self._key_values)

    @property
    def _key_values(self) -> dict[str, Any]:
        """The current values of the key fields."""
        return {name: getattr(self, name) for name in self._meta.key_names}

    def __str__(self) -> str:
        try:
            return self._record_key
        except StoredDataError:
            return self._redis_key or type(self).__name__

    def __repr__(self) -> str:
        return f"<{type(self).__name__} Popoto object at {self}>"

    @property
    def _is_keyless(self) -> bool:
        """Whether this record has no identity yet: never stored, every key field unset."""
        return not self._is_stored and all(
            getattr(self, name) is None for name in self._meta.key_names
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return False
        if self is other:
            return True
        return not self._is_keyless and not other._is_keyless and str(self) == str(other)

    def __hash__(self) -> int:
        # A reference, which is the key as text, is equal to its record.
        return id(self) if self._is_keyless else hash(str(self))

    def __copy__(self) -> Self:
        twin = type(self).__new__(type(self))
        values = vars(twin)
        values.update(vars(self))
        for own in ("_stored", "_references", "_dangling"):
            if own in values:
                values[own] = dict(values[own])
        twin._adopt_lists()
        return twin

    def __setstate__(self, state: Any) -> None:
        has_slots = bool(isinstance(state, tuple))
        values: Any = state[0] if has_slots else state
        slots: Any = state[1] if has_slots else {}
        vars(self).update(values or {})
        for name in slots:
            setattr(self, name, slots[name])
        self._adopt_lists()

    def _adopt_lists(self) -> None:
        """Make capped lists of lists that came here with the state of another record."""
        values = vars(self)
        for name in self._meta.list_names:
            if name in values:
                values[name] = self._meta.by_name[name].assigned_value(self, values[name])

    # What is known of the stored record ------------------------------------------------

    @property
    def _saved_field_values(self) -> dict[str, Any]:
        """Field -> value at the last save or load (references as keys)."""
        saved: dict[str, Any] = {}
        fields = self._meta.by_name
        for name, raw in self._stored.items():
            try:
                saved[name] = fields[name].loaded_value(self, fields[name].decode(raw))
            except DecodeError:
                continue
        return saved

    @_saved_field_values.setter
    def _saved_field_values(self, saved: Mapping[str, Any]) -> None:
        fields = self._meta.by_name
        self._stored = {
            name: NIL if value is None and fields[name].in_hash else fields[name].encode(value)
            for name, value in saved.items()
        }

    @property
    def _db_content(self) -> dict[bytes, bytes]:
        """Hash field -> bytes, as written by the last full save."""
        written = cast("dict[str, bytes]", self._last_full_save or {})
        names = self._meta.hash_names
        return {name.encode(): written[name] for name in names if name in written}

    @_db_content.setter
    def _db_content(self, written: Mapping[bytes, bytes]) -> None:
        self._last_full_save = {name.decode(): value for name, value in written.items()}

    def _settle(self, name: str) -> None:
        """Decode an attribute that was not looked at yet, without reading the server."""
        field = self._meta.by_name[name]
        try:
            value = field.settled_value(self)
        except ModelException:
            value = None
        vars(self)[name] = value

    def _keep_capped(self, name: str) -> None:
        """Bring a capped list attribute to what was stored: a proxy, not longer than its cap."""
        field = self._meta.by_name[name]
        if name in vars(self):
            capacity = field.max_length
            vars(self)[name] = proxy = field.assigned_value(self, vars(self)[name])
            del proxy[capacity:]


def _holds(field: AnyField, value: Any, stored: Stored | None) -> bool:
    """Whether a key value is surely that of the stored key, which may spell it otherwise."""
    if value is None and stored is None:
        # Of a record that was stored before the class had this key field.
        return True
    try:
        if type(value) is field.type and field.encode(value) == stored:
            return True
        return (
            field.is_spelled and stored is not None and field.is_same(field.decode(stored), value)
        )
    except ValueError:
        return False


#: Attributes in which instances keep what they know of the server: nobody gives them as values.
OWN_STATE: Final = frozenset(
    {name for name in Record.__annotations__ if name.startswith("_")}
    - {"_ttl", "_expire_at", "_geo_distance", "_geo_distance_unit"}
)
