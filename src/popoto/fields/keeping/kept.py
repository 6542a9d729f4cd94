"""What a field keeps beside the records: entries of each record, and families of keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from popoto._stock import stock
from popoto.engine import keys
from popoto.engine.batch import Batch, KeyArgument
from popoto.engine.moments import later_text
from popoto.fields.keeping.entries import Entry, SetEntry
from popoto.fields.keeping.families import KeyFamily
from popoto.fields.valued import Valued

if TYPE_CHECKING:
    from redis.client import Pipeline


class Kept(Valued):
    """How a field keeps its index. Everything follows from the entries that a value has."""

    value_set_prefix: str
    #: Whether popoto 1.8 to 1.10 note for each record in which set of this field's it stands.
    is_pointed_to: ClassVar[bool] = False
    #: Whether saves bring words of the record, by `take_words`.
    takes_words: ClassVar[bool] = False
    #: The distinct texts beside the value sets, and the key that counts what these cover.
    values_key: KeyArgument
    coverage_key: KeyArgument

    def bind_keys(self, model_name: str, name: str) -> None:
        """Note the keys that do not depend on a value."""
        self.values_key = KeyArgument(keys.values_key(model_name, name))
        self.coverage_key = KeyArgument(keys.values_coverage_key(model_name))

    @property
    def depends_on(self) -> tuple[str, ...]:
        """Other fields whose values decide where this field's entries stand."""
        return ()

    @property
    def deciding_names(self) -> tuple[str, ...]:
        """The fields from whose values this field's entries follow: its own, and those others."""
        return (self.name, *self.depends_on)

    @property
    def keeps_value_sets(self) -> bool:
        """Whether a set of record keys is kept per value."""
        return bool(self.indexed or self.unique)

    @property
    def makes_entries(self) -> bool:
        """Whether values of this field make entries at all."""
        return self.keeps_value_sets

    @property
    def registries(self) -> frozenset[str]:
        """The words under which `ModelOptions` lists this field: sorted, geo, indexed and so on."""
        is_indexed = self.keeps_value_sets and not self.key
        return frozenset({"indexed"}) if is_indexed else frozenset()

    def check_model(
        self, fields: Mapping[str, Any], indexes: Sequence[tuple[tuple[str, ...], bool]]
    ) -> None:
        """Refuse a model that this field cannot belong to, once its class is made.

        `indexes` are those of its `Meta`. Raises ModelException.
        """

    def without_effect(self, model: Any) -> Iterator[str]:
        """What is to be said of keywords that do nothing in this model, once its class is made."""
        return iter(())

    # Entries --------------------------------------------------------------------

    def value_set_key(self, value: Any) -> str:
        """The key of the set of records with this value."""
        return self.value_set_prefix + keys.escape(self.text_of(value))

    def value_set_keys(self, value: Any) -> Sequence[str]:
        """The keys of all sets of records with an equal value, that of this one first."""
        texts = self.spellings(value) or (self.text_of(value),)
        return [self.value_set_prefix + keys.escape(text) for text in texts]

    @stock
    def entries(self, key: str, values: Mapping[str, Any]) -> Sequence[Entry]:
        """The entries of the record `key` with these values (all of `depends_on` included)."""
        if not self.keeps_value_sets:
            return ()
        return (self.value_entry(key, values[self.name]),)

    def value_entry(self, key: str, value: Any) -> SetEntry:
        """The entry in the set of one value."""
        set_key = self.value_set_key(value)
        pointed = self.name if self.is_pointed_to else ""
        if self.type is not str:
            named_later = later_text(value)
            if named_later is not None:
                named_later = self.value_set_prefix + keys.escape(named_later)
            others = self._set_keys_of_before(value, set_key) if self.is_spelled else ()
            return SetEntry(
                set_key, key, pointed=pointed, named_later=named_later or "", others=others
            )
        return SetEntry(
            set_key,
            key,
            self.name,
            self.values_key,
            self.coverage_key,
            None if value is None else str(value),
            pointed,
        )

    def _set_keys_of_before(self, value: Any, set_key: str) -> tuple[str, ...]:
        """The set in which a record stands whose value was entered by its own text."""
        form = self.one_form
        if value is None or (form is not None and form(value) is value):
            return ()
        own = self.value_set_prefix + keys.escape(str(value))
        return () if own == set_key else (own,)

    @property
    def text_keys(self) -> tuple[KeyArgument, KeyArgument]:
        """The keys of the list of distinct texts and of its count; empty where there is none."""
        if self.type is str:
            return self.values_key, self.coverage_key
        return KeyArgument(), KeyArgument()

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
            text_lists = self.name, self.values_key, self.coverage_key
        stem = self.value_set_prefix.removesuffix(keys.SEPARATOR)
        return KeyFamily(section, self.name, stem, "set", is_open=True, text_lists=text_lists)

    #: The type of the companion keys, where it is known: another one is not ours.
    companion_kind: ClassVar[str | None] = None

    def companion_keys(self, key: str) -> Sequence[str]:
        """Further keys that belong to one record: they expire, move and go with it."""
        return ()

    def kept_keys(self, key: str) -> Sequence[str]:
        """Further keys of one record that its entries stand for; upkeep looks for those left."""
        return ()

    # Hooks of popoto 1.6 --------------------------------------------------------

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
        field: Kept = model_instance._meta.by_name[field_name]
        if not field.makes_entries and not field.takes_words:
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
        field: Kept = model_instance._meta.by_name[field_name]
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

        def take(batch: Batch) -> None:
            self.take_words(instance, batch, key)

        return instance._apply_entries(old, new, pipeline, take if self.takes_words else None)

    def take_words(self, instance: Any, batch: Batch, key: str) -> None:
        """Queue what a save of the whole record would bring, for a hook that is called directly."""

    def unindex_now(self, instance: Any, value: Any, key: str, pipeline: Pipeline | None) -> Any:
        """Queue or carry out the removal of the entries of `value`."""
        return instance._apply_entries(
            self.entries_to_remove(instance, value, str(key)), (), pipeline
        )

    def entries_to_remove(self, instance: Any, value: Any, key: str) -> Sequence[Entry]:
        """The entries that a record of this value has, to be removed."""
        return self._entries_with(instance, value, key)

    def entries_of_any(
        self, instance: Any, value: Any, key: str, any_value: Any
    ) -> Sequence[Entry]:
        """The entries of a field that has one place for a record, whatever its value.

        popoto 1.6 does not look at the value that it is given there, and its callers give None
        or the record's key.
        """
        saved = instance._saved_field_values.get(self.name)
        for each in (value, saved, getattr(instance, self.name), any_value):
            if self.problem(each) is None:
                entries = self._entries_with(instance, each, key)
                if entries:
                    return entries
        return ()
