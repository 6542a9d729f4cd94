"""`ModelOptions`: what is known about a model once its class exists (`Model._meta`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from popoto._stock import is_replaced
from popoto.engine import keys
from popoto.engine.batch import Batch, KeyArgument
from popoto.engine.db_key import DB_key
from popoto.exceptions import ModelException
from popoto.fields.describing import describe
from popoto.fields.field import Field
from popoto.fields.keeping.commit import defined_by_bases
from popoto.fields.keeping.entries import Entry
from popoto.fields.keeping.families import KeyFamily
from popoto.fields.keeping.noting import note_save
from popoto.fields.keeping.shards import InShards
from popoto.memory.history.noting import History, Noting, history_key
from popoto.memory.recall.declared import Recall
from popoto.models.record.composites import CompositeIndex, composite_digest
from popoto.models.record.decision import Decision
from popoto.models.record.field_names import check_field_name, check_parameters
from popoto.models.record.finishing import Finishing, is_filled
from popoto.models.record.isolation import Isolation
from popoto.models.record.reversing import attach, check_free
from popoto.redis_db import Wait

AnyField = Field[Any]

#: How many sets of changed fields are remembered with what they decide.
_MOST_DECISIONS = 256


class ModelOptions(Finishing, InShards):
    """Fields and `Meta` options of one model, and what follows from them.

    Derived facts are computed once, and again after `add_field`.
    """

    #: The class these options belong to; set as soon as it exists.
    model: type[Any] | None = None
    known_dependants: Any = None  #: who depends on its records; see `dependants_of`
    #: Names of the Model API, which no field may hide.
    api_names: frozenset[str] = frozenset()

    def __init__(self, model_name: str) -> None:
        self.model_name = model_name
        self.shard = model_name
        self.explicit_fields: dict[str, AnyField] = {}
        self.hidden_fields: dict[str, AnyField] = {}
        self.abstract = False
        self.order_by: str | tuple[str, ...] | None = None
        self.strict: bool | None = None  #: refuses unknown names; None: as `configure` says
        self.ttl: int | None = None
        self.ttl_policy = "reset"
        self.version_field: str | None = None
        self.subject: str | None = None  #: the field that says whose a record is
        #: for how many replicas writes wait, if the writer does not say; `Meta.wait_for_replicas`
        self.wait: Wait | None = None
        self.self_repair = True
        self.isolation = Isolation(model_name)
        #: how much is kept of what changes in the memory of records; None: nothing
        self.history: History | None = None
        self.recall: Recall | None = None  #: which fields tell the order of records and speakers
        self.indexes: tuple[tuple[tuple[str, ...], bool], ...] = ()
        self.meta: type | None = None
        self.base_meta: ModelOptions | None = None
        self.parents: list[Any] = []
        #: What the mixins of the model want to be asked; see `popoto.fields.keeping.commit`.
        self.save_checks: list[Callable[..., Any]] = []
        self._mixin_hooks: list[Callable[..., Any]] = []
        self.companion_sources: list[Callable[..., Any]] = []
        self.entry_sources: list[Callable[..., Any]] = []
        self.family_sources: list[Callable[..., Any]] = []
        self.whole_sources: list[Callable[..., Any]] = []
        self.unique_together: list[tuple[str, ...]] = []
        self.index_together: list[Any] = []
        self.auto_created = False
        self.db_class_key = DB_key(model_name)
        self.db_class_set_key = DB_key("$Class", model_name)
        self.class_set_key = KeyArgument(keys.class_set_key(model_name))
        self.record_keys_key = keys.record_keys_key(model_name)
        self.expiry_key = KeyArgument(keys.expiry_key(model_name))
        self.expiry_values_key = KeyArgument(keys.expiry_values_key(model_name))
        self._compile()

    # Fields ------------------------------------------------------------------------

    @property
    def fields(self) -> dict[str, AnyField]:
        """Name -> field: explicit ones, then hidden ones, in order of declaration."""
        return dict(self.by_name)

    @property
    def field_names(self) -> list[str]:
        return list(self.fields)

    def add_field(self, name: str, field: AnyField) -> None:
        """Register a field of a class that exists already, and make it the class's attribute.

        Raises ModelException for a name that cannot be used.
        """
        self.check_name(name)
        if name in self.explicit_fields or name in self.hidden_fields:
            raise ModelException(f"{self.model_name}.{name} is already a Field of this model")
        if not isinstance(field, Field):
            raise ModelException(f"{self.model_name}.{name}: {describe(field)} is not a Field")
        if field.model_name and (field.model_name, field.name) != (self.model_name, name):
            raise ModelException(
                f"the field object given for {self.model_name}.{name} is {field.label} already: "
                "make a field of its own for each attribute"
            )
        check_parameters(self.model_name, {**self.by_name, name: field})
        if self.model is not None:
            check_free(self.model, name)
        self._register(name, field)
        self._compile()
        if self.model is not None:
            setattr(self.model, name, field)
            attach(field)

    def adopt_fields(self, fields: Mapping[str, AnyField]) -> None:
        """Register the fields of a class body and of its bases, in their order."""
        for name, field in fields.items():
            self.check_name(name)
            self._register(name, field)
        self._compile()
        check_parameters(self.model_name, self.by_name)

    def check_name(self, name: str) -> None:
        """Raise ModelException for a name that no field of this model can have."""
        check_field_name(self.model_name, name)
        if name in self.api_names:
            raise ModelException(
                f"{self.model_name}.{name}: {name!r} is a name of the Model API and a field would "
                "hide it; choose another name"
            )

    def adopt_mixins(self, model: type) -> None:
        """Find what the model's mixins want to be asked, and let them check the model."""
        self.save_checks = defined_by_bases(model, "_before_save")
        self._mixin_hooks = defined_by_bases(model, "_on_commit")
        self.companion_sources = defined_by_bases(model, "_companion_keys")
        self.entry_sources = defined_by_bases(model, "_companion_entries")
        self.family_sources = defined_by_bases(model, "_key_families")
        if self.history is not None:
            self._mixin_hooks.append(note_save)
            self.companion_sources.append(partial(_history_keys, self.model_name))
        self.whole_sources = [
            vars(base)["_following_entries"]
            for base in model.__mro__
            if "_following_entries" in vars(base)
        ]
        self._find_commit_hooks()
        if not self.abstract:
            for check in defined_by_bases(model, "_check_model"):
                check()

    def _register(self, name: str, field: AnyField) -> None:
        field.bind(self.model_name, name)
        field.owner = self.model
        registry = self.hidden_fields if name.startswith("_") else self.explicit_fields
        registry[name] = field

    def _compile(self) -> None:
        fields = self.by_name = {**self.explicit_fields, **self.hidden_fields}  # only read
        #: names of attributes that are no slip of a field's name; see `tell_of_attributes`
        self.familiar_names: set[str] = {*fields}
        of_all: list[AnyField] = [*fields.values()]
        self.formatting_fields = [field for field in of_all if field.formats]
        self.companion_fields = [field for field in of_all if field.companion_keys("")]
        self.preparing_fields = [field for field in of_all if field.prepares]
        self.following_fields = [field for field in of_all if field.follows]
        self.present_fields = [field for field in of_all if field.is_present]
        self._registries: dict[str, list[AnyField]] = {}
        for field in fields.values():
            for word in field.registries:
                self._registries.setdefault(word, []).append(field)
        self.key_names: list[str] = sorted(name for name, field in fields.items() if field.key)
        self.key_fields: list[AnyField] = [fields[name] for name in self.key_names]
        self.fills_key = any(map(is_filled, self.key_fields))
        self.spelled_keys = [field for field in self.key_fields if field.is_spelled]
        self.hash_names: list[str] = [name for name, field in fields.items() if field.in_hash]
        self.list_names: list[str] = [name for name, field in fields.items() if not field.in_hash]
        self.stored_names: list[str] = self.hash_names + self.list_names
        self.filter_query_params_by_field: dict[str, set[str]] = {
            name: field.get_filter_query_params(name) for name, field in fields.items()
        }
        self.field_of_parameter: dict[str, str] = {}
        for name, parameters in self.filter_query_params_by_field.items():
            for parameter in parameters:
                self.field_of_parameter.setdefault(parameter, name)
        self.field_of_parameter.update({name: name for name in fields})
        self.has_references = any(field.is_reference for field in fields.values())
        self._find_commit_hooks()
        self.compile_indexes()

    def _find_commit_hooks(self) -> None:
        """Gather who adds to commits: mixins first, then fields."""
        adding = [each for each in self.by_name.values() if is_replaced(type(each), "on_commit")]
        self.commit_hooks: list[Callable[..., Any]] = [
            *self._mixin_hooks,
            *(field.on_commit for field in adding),
        ]

    def compile_indexes(self) -> None:
        """Work out which fields decide which entries."""
        fields = self.fields
        self.composites = [
            CompositeIndex(self.model_name, names, unique) for names, unique in self.indexes
        ]
        self.entry_fields: list[AnyField] = [each for each in fields.values() if each.makes_entries]
        self.unique_fields: list[AnyField] = [
            field for field in fields.values() if field.unique and field.keeps_value_sets
        ]
        #: fields that pointers of popoto 1.8 to 1.10 may be about
        self.pointed_names = [each.name for each in self.entry_fields if each.is_pointed_to]
        #: whether anything of the model has to be unique besides its keys
        self.has_claims = bool(self.unique_fields) or any(each.unique for each in self.composites)
        self.save_hooks = [
            field for field in fields.values() if is_replaced(type(field), "on_save")
        ]
        self.delete_hooks = [
            field for field in fields.values() if is_replaced(type(field), "on_delete")
        ]
        decided_by: set[str] = set(self.key_names)
        decided_by.update(*(field.deciding_names for field in self.entry_fields))
        decided_by.update(*(composite.names for composite in self.composites))
        if self.version_field is not None:
            decided_by.add(self.version_field)
        self.index_names: list[str] = [name for name in self.hash_names if name in decided_by]
        self._decisions: dict[frozenset[str], Decision] = {}
        self.whole = Decision(
            tuple(self.index_names), tuple(self.entry_fields), tuple(self.composites)
        )

    # Documented registries ------------------------------------------------------------

    def listed(self, word: str) -> list[AnyField]:
        """The fields that list themselves under a word, see `Field.registries`."""
        return list(self._registries.get(word, ()))

    def _names(self, word: str) -> set[str]:
        return {field.name for field in self._registries.get(word, ())}

    @property
    def key_field_names(self) -> set[str]:
        return set(self.key_names)

    @property
    def auto_field_names(self) -> set[str]:
        return {name for name, field in self.by_name.items() if field.auto}

    @property
    def sorted_field_names(self) -> set[str]:
        return self._names("sorted")

    @property
    def geo_field_names(self) -> set[str]:
        return self._names("geo")

    @property
    def indexed_field_names(self) -> set[str]:
        return self._names("indexed")

    @property
    def relationship_field_names(self) -> set[str]:
        return self._names("relationship")

    @property
    def content_fields(self) -> list[AnyField]:
        return self.listed("content")

    # Keys and indexes --------------------------------------------------------------------

    @property
    def db_key_length(self) -> int:
        """How many parts a record key has."""
        return 1 + len(self.key_names)

    def get_db_key_index_position(self, field_name: str) -> int:
        """The position of a key field's value in a record key."""
        return 1 + self.key_names.index(field_name)

    def record_key(self, values: Mapping[str, Any]) -> str:
        """The key of a record with these key values."""
        parts = [keys.escape(field.text_of(values[field.name])) for field in self.key_fields]
        return keys.SEPARATOR.join((self.model_name, *parts))

    def get_index_key(self, field_names: Iterable[str]) -> str:
        """The key of the composite index on these fields."""
        return keys.composite_index_key(self.model_name, field_names)

    def compute_index_hash(self, instance: object, field_names: Iterable[str]) -> str | None:
        """The digest of an instance in a composite index; None where any value is None."""
        values = {name: getattr(instance, name) for name in field_names}
        return composite_digest(values, values, self.by_name)

    def compute_index_hash_from_values(
        self, field_names: Iterable[str], values: Mapping[str, Any]
    ) -> str | None:
        """The digest of a mapping of values in a composite index; None where any is None."""
        return composite_digest(field_names, values, self.by_name)

    def entries(
        self, key: str, values: Mapping[str, Any], decision: Decision | None = None
    ) -> list[Entry]:
        """The entries of a record with these values: all, or those of a `Decision`."""
        decision = decision or self.whole
        found: list[Entry] = []
        for field in decision.fields:
            found += field.entries(key, values)
        for composite in decision.composites:
            entry = composite.entry(key, values, self.by_name)
            if entry is not None:
                found.append(entry)
        if decision is self.whole:
            for source in self.entry_sources:
                found += source(key)
        return found

    @property
    def keeps_belongings(self) -> bool:
        """Whether records may have anything beside their values and what follows from these."""
        return bool(
            any(family.of_companions for family in self.key_families())
            or self.entry_sources
            or self.companion_sources
        )

    def key_families(self) -> Iterator[KeyFamily]:
        """The families of keys that fields, composite indexes and mixins keep."""
        for field in self.by_name.values():
            yield from field.key_families()
        for composite in self.composites:
            yield composite.family
        for source in self.family_sources:
            yield from source()

    def decision(self, changed: frozenset[str]) -> Decision:
        """What a change of these fields decides."""
        decision = self._decisions.get(changed)
        if decision is None:
            fields = [
                field
                for field in self.entry_fields
                if not changed.isdisjoint((field.name, *field.depends_on))
            ]
            composites = [each for each in self.composites if not changed.isdisjoint(each.names)]
            names = {name for field in fields for name in field.deciding_names}
            names.update(name for composite in composites for name in composite.names)
            deciding = tuple(name for name in self.index_names if name in names)
            decision = Decision(
                deciding,
                tuple(fields),
                tuple(composites),
                covers_change=changed.issubset(deciding),
            )
            if len(self._decisions) < _MOST_DECISIONS:
                self._decisions[changed] = decision
        return decision

    def noting(self, cause: str, outcome: str = "") -> Noting | None:
        """Who changes records now, and why; None where no history is kept of it."""
        if self.history is None:
            return None
        return self.history.noting(self.model_name, cause, outcome)

    def put_member(self, batch: Batch, key: str) -> None:
        """Queue that a record belongs to the model: to its class set, and to that in order."""
        batch.put("SADD", self.class_set_key, key)
        batch.put("ZADD", self.record_keys_key, 0, key)

    def remove_member(self, batch: Batch, key: str) -> None:
        """Queue that a record does not belong to the model any more."""
        batch.put("SREM", self.class_set_key, key)
        batch.put("ZREM", self.record_keys_key, key)

    def put_kinds(self, batch: Batch, key: str) -> None:
        """Demand that companions of a record, which are about to be written, are ours."""
        for field in self.companion_fields:
            if field.companion_kind is not None:
                for companion in field.companion_keys(key):
                    batch.put("KIND", companion, field.companion_kind)

    def companion_keys(self, key: str) -> list[str]:
        """Further keys that belong to a record."""
        found: list[str] = []
        for field in self.companion_fields:
            found += field.companion_keys(key)
        for source in self.companion_sources:
            found += source(key)
        return found


def _history_keys(model_name: str, key: str) -> list[str]:
    return [history_key(model_name, key)]
