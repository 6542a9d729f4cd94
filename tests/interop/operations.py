"""What a side of the harness can do, written once against the documented API.

`Operations(popoto)` works with this package and with the published one: every
call takes and returns plain values (`tagged.py`), names records by their stored
key and keeps nothing between calls but the model classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

from .remembering import Remembering
from .tagged import ModelNamed, Reference

# The published package has no type information; records and classes of both
# sides are therefore `Any` in this file, and nowhere else.
Record = Any
Values = Mapping[str, object]


class Operations(Remembering):
    """The operations on one package. Every public method can be called by name."""

    def __init__(self, package: ModuleType) -> None:
        super().__init__(package)
        self._models: dict[str, Any] = {}

    # -- models ---------------------------------------------------------------

    def version(self) -> str:
        return str(self._package.__version__)

    def define(self, models: Sequence[Mapping[str, Any]]) -> None:
        """Builds the classes of `schema.MODELS`, in that order."""
        for description in models:
            body: dict[str, object] = {"__module__": __name__, "__qualname__": description["name"]}
            body |= {
                name: self._field(kind, options)
                for name, (kind, options) in description["fields"].items()
            }
            if description["meta"]:
                body["Meta"] = type("Meta", (), dict(description["meta"]))
            base = self._package.Model
            self._models[description["name"]] = type(base)(description["name"], (base,), body)

    def _field(self, kind: str, options: Mapping[str, object]) -> object:
        known = {
            name: self._models[option.name] if isinstance(option, ModelNamed) else option
            for name, option in options.items()
        }
        return getattr(self._package, kind)(**known)

    def prefix(self, class_name: str) -> str:
        """`field_class_key` of an exported field class, or of a new subclass so named."""
        field_class: Any = getattr(self._package, class_name, None)
        if field_class is None:
            field_class = type(class_name, (self._package.Field,), {})
        return str(field_class.field_class_key)

    def escape(self, text: str) -> str:
        return str(self._package.models.db_key.DB_key.clean(text))

    def unescape(self, text: str) -> str:
        return str(self._package.models.db_key.DB_key.unclean(text))

    # -- writing --------------------------------------------------------------

    def create(self, model: str, values: Values) -> str:
        return self._key(self._models[model].create(**self._resolved(values)))

    def save_new(self, model: str, values: Values) -> object:
        """Constructs and saves; the result of `save()`."""
        return self._models[model](**self._resolved(values)).save()

    def bulk_create(self, model: str, records: Sequence[Values]) -> list[str]:
        made = [self._models[model](**self._resolved(values)) for values in records]
        return [self._key(record) for record in self._models[model].bulk_create(made)]

    def update(
        self,
        model: str,
        key: str,
        changes: Values,
        *,
        only: Sequence[str] | None = None,
        migrate_key: bool = False,
    ) -> object:
        """Loads with `get`, assigns, saves: all fields, or only the listed ones."""
        return self._save(self._loaded(model, key), changes, only, migrate_key)

    def update_found(
        self,
        model: str,
        lookup: Values,
        changes: Values,
        *,
        only: Sequence[str] | None = None,
        migrate_key: bool = False,
    ) -> object:
        """As `update`, on the one record that `filter` finds (decoded lazily)."""
        return self._save(self._found(model, lookup), changes, only, migrate_key)

    def _save(
        self, record: Record, changes: Values, only: Sequence[str] | None, migrate_key: bool
    ) -> object:
        for name, value in self._resolved(changes).items():
            setattr(record, name, value)
        return record.save(update_fields=only, migrate_key=migrate_key)

    def bulk_update(self, model: str, lookup: Values, changes: Values) -> int:
        found = self._models[model].query.filter(**self._resolved(lookup))
        return int(self._models[model].bulk_update(found, **self._resolved(changes)))

    def increment(self, model: str, key: str, field: str, delta: object) -> object:
        return self._loaded(model, key).atomic_increment(field, delta)

    def push(self, model: str, key: str, field: str, value: object) -> None:
        getattr(self._loaded(model, key), field).push(value)

    def raw_update(self, model: str, keys: Sequence[str], changes: Values) -> int:
        return int(self._models[model].raw_update(keys, **self._resolved(changes)))

    def get_or_create(self, model: str, lookup: Values, defaults: Values) -> tuple[str, bool]:
        record, created = self._models[model].get_or_create(
            defaults=self._resolved(defaults), **self._resolved(lookup)
        )
        return self._key(record), bool(created)

    def delete(self, model: str, key: str) -> bool:
        return bool(self._loaded(model, key).delete())

    def delete_found(self, model: str, lookup: Values) -> bool:
        """Deletes the one record that `filter` finds (decoded lazily)."""
        return bool(self._found(model, lookup).delete())

    def delete_all(self, model: str) -> int:
        return int(self._models[model].delete_all())

    # -- reading --------------------------------------------------------------

    def get(self, model: str, key: str) -> dict[str, object] | None:
        """Every field of the record under that stored key, hidden ones included."""
        record = self._models[model].query.get(redis_key=key)
        return None if record is None else self._values(record)

    def find(self, model: str, lookup: Values) -> str | None:
        record = self._models[model].query.get(**self._resolved(lookup))
        return None if record is None else self._key(record)

    def to_dict(self, model: str, key: str) -> dict[str, object]:
        shown: dict[str, object] = self._loaded(model, key).to_dict()
        return {name: self._plain(value) for name, value in shown.items()}

    def filter(
        self, model: str, lookup: Values, order_by: str | None = None, limit: int | None = None
    ) -> list[str]:
        """Keys of the records found, in the order found."""
        modifiers = {"order_by": order_by, "limit": limit}
        given = {name: value for name, value in modifiers.items() if value is not None}
        return self._keys(self._models[model].query.filter(**self._resolved(lookup), **given).all())

    def filter_records(self, model: str, lookup: Values) -> dict[str, dict[str, object]]:
        """Every field of the records found (decoded lazily), by key."""
        found = self._models[model].query.filter(**self._resolved(lookup)).all()
        return {self._key(record): self._values(record) for record in found}

    def filter_values(self, model: str, lookup: Values, names: Sequence[str]) -> list[object]:
        found = self._models[model].query.filter(**self._resolved(lookup), values=tuple(names))
        return [
            {name: self._plain(value) for name, value in row.items()} for row in list(found.all())
        ]

    def count(self, model: str, lookup: Values | None = None) -> int:
        return int(self._models[model].query.count(**self._resolved(lookup or {})))

    def all(self, model: str) -> list[str]:
        return self._keys(self._models[model].query.all())

    def keys(self, model: str) -> list[str]:
        stored: list[bytes] = self._models[model].query.keys()
        return [key.decode() for key in stored]

    # -- index upkeep ---------------------------------------------------------

    def check_indexes(self, model: str) -> int:
        """The documented total: entries whose record is missing."""
        return int(self._models[model].check_indexes()["total"])

    def clean_indexes(self, model: str) -> int:
        return int(self._models[model].clean_indexes())

    def rebuild_indexes(self, model: str) -> int:
        return int(self._models[model].rebuild_indexes())

    # -- records and values ---------------------------------------------------

    def _loaded(self, model: str, key: str) -> Record:
        record = self._models[model].query.get(redis_key=key)
        if record is None:
            raise LookupError(f"no {model} is stored under {key!r}")
        return record

    def _found(self, model: str, lookup: Values) -> Record:
        found = self._models[model].query.filter(**self._resolved(lookup)).all()
        if len(found) != 1:
            raise LookupError(f"{len(found)} {model} records match {lookup!r}, expected one")
        return found[0]

    def _keys(self, records: Iterable[Record]) -> list[str]:
        return [self._key(record) for record in records]

    def _key(self, record: Record) -> str:
        return str(record.pk)

    def _values(self, record: Record) -> dict[str, object]:
        return {name: self._plain(getattr(record, name)) for name in record._meta.field_names}

    def _plain(self, value: Any) -> object:
        """A record as its key, a capped list as a list, anything else as it is."""
        if isinstance(value, self._package.Model):
            return str(value.db_key.redis_key)
        if hasattr(value, "push"):
            return list(value)
        return value

    def _resolved(self, values: Values) -> dict[str, Any]:
        return {
            name: self._loaded(value.model, value.key) if isinstance(value, Reference) else value
            for name, value in values.items()
        }
