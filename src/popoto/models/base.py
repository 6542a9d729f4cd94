"""`Model`: the class that users derive from. Its methods hand over to modules doing the work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Never,
    Self,
    TypeVar,
    dataclass_transform,
    overload,
)

from popoto._stock import stock
from popoto.engine.batch import Batch
from popoto.engine.db_key import DB_key
from popoto.engine.run import arun, run
from popoto.exceptions import (
    ModelException,  # noqa: F401  # pyright: ignore[reportUnusedImport]  # as in popoto 1.6
)
from popoto.fields.field import LEFT_OUT
from popoto.fields.keeping.entries import Entry
from popoto.fields.relationship import UNSET
from popoto.models.base_as_dict import AsDictMethods
from popoto.models.base_bulk import BulkMethods
from popoto.models.base_find_or_create import FindOrCreateMethods
from popoto.models.base_in_place import InPlaceMethods
from popoto.models.base_memory import MemoryMethods
from popoto.models.base_related import RelatedMethods
from popoto.models.query import Query
from popoto.models.query_of_model import query_of
from popoto.models.record import assigning, checking, overridden
from popoto.models.record.composites import INDEX_HASH_LENGTH
from popoto.models.record.further import not_constructed, set_further
from popoto.models.record.metaclass import RecordBase
from popoto.models.record.options import ModelOptions
from popoto.models.writing import creating, hooks, preparing, single
from popoto.models.writing.expecting import Expected
from popoto.models.writing.keywords import Lifetime, Moment, given, take_expiry
from popoto.models.writing.save_request import SaveRequest
from popoto.redis_db import POPOTO_REDIS_DB

if TYPE_CHECKING:
    from redis.asyncio.client import Pipeline as AsyncPipeline
    from redis.client import Pipeline

__all__ = [
    "INDEX_HASH_LENGTH",
    "POPOTO_REDIS_DB",
    "Model",
    "ModelBase",
    "ModelOptions",
    "TypedModel",
]

GivenPipeline = TypeVar("GivenPipeline", bound="Pipeline | AsyncPipeline")


class ModelBase(RecordBase):
    """Metaclass of models: gives each of them its `query`."""

    def __new__(mcs, *arguments: Any, **keywords: Any) -> Any:
        """A model, or a class that models are derived from."""
        cls: Any = super().__new__(mcs, *arguments, **keywords)
        if "_meta" in vars(cls):
            cls.query = cls.objects = query_of(cls)
        return cls


class Model(
    MemoryMethods,
    RelatedMethods,
    InPlaceMethods,
    AsDictMethods,
    FindOrCreateMethods,
    BulkMethods,
    metaclass=ModelBase,
    is_base=True,
):
    """A record: one hash, found by its key and through its indexes.

    Give a subclass `Field` objects as class attributes; key fields make the record
    key, and a model without one gets a random ``_auto_key``; ``age: int = 3`` makes a field
    too. Options go into an inner class ``Meta``: ``order_by``, ``ttl``, ``strict`` and more.

    Creating an instance touches no server and needs no values; `save()` checks.
    Every method that talks to the server has a native asyncio twin, ``async_…``.
    Errors of the server (`redis.ConnectionError` …) pass through; wrong values are
    `ModelException`s, raised before anything is written.
    """

    query: ClassVar[Query[Self]]
    objects: ClassVar[Query[Self]]

    @stock
    def __init__(self, *positional: Never, **kwargs: Any) -> None:
        values = vars(self)
        if "_is_loading" in values:
            # Called for a record that is being loaded: its stored bytes are the values.
            return
        options: ModelOptions | None = getattr(type(self), "_meta", None)
        if positional or options is None or options.abstract:
            raise not_constructed(type(self), positional)
        values["_stored"] = {}
        if options.has_references:
            values["_resolves_references"] = True
        fields = options.by_name
        if type(self)._has_own_setattr:
            assigning.assign(self, kwargs)
        else:
            for name, field in fields.items():
                value = kwargs[name] if name in kwargs else field.make_default()
                value = field.assigned_value(self, value)
                if value is not UNSET:
                    values[name] = value
        if not kwargs.keys() <= fields.keys():
            # After the fields: one may be a property of the class that sets some of them.
            set_further(self, kwargs)
        problem = checking.coerce_and_check(self, fields, null_check=False)
        if problem is not None:
            checking.logger.error("%s", problem)
            raise type(problem)(
                f"Could not instantiate class {options.model_name}: {problem}",
                model_name=problem.model_name,
                field_name=problem.field_name,
                value=problem.value,
            )
        if all(values[name] is not None for name in options.key_names):
            self._redis_key = options.record_key(values)
        if type(self)._has_own_check and not self.is_valid(null_check=False):
            raise checking.not_instantiated(self)

    # Hooks --------------------------------------------------------------------------

    def _apply_entries(
        self,
        old: Sequence[Entry],
        new: Sequence[Entry],
        pipeline: Pipeline | None,
        more: Callable[[Batch], None] | None = None,
    ) -> Any:
        """Change entries at once, or on a pipeline; for field hooks that are called directly."""
        return hooks.apply_entries(self._meta.shard, old, new, pipeline, more)

    # Validation ------------------------------------------------------------------------

    @stock
    def is_valid(self, null_check: bool = True) -> bool:
        """Convert values to their fields' types and tell whether all of them may be saved.

        The first problem is logged at ERROR. Raises ModelException when `_ttl` and
        `_expire_at` are both set.
        """
        return self._is_valid_in(self._meta.by_name, null_check=null_check)

    def _is_valid_in(self, names: Iterable[str], *, null_check: bool = True) -> bool:
        problem = checking.coerce_and_check(self, names, null_check=null_check)
        if problem is None:
            return True
        if problem.field_name is None:
            raise problem
        checking.logger.error("%s", problem)
        return False

    @stock
    def pre_save(
        self,
        pipeline: Pipeline | None = None,
        ignore_errors: bool = False,
        skip_auto_now: bool = False,
        update_fields: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Validate and format the values that are about to be saved.

        Override it to set fields before every save, and return what
        ``super().pre_save(**kwargs)`` returns; a falsy result cancels the save.
        """
        if not preparing.pre_save(
            self,
            update_fields=update_fields,
            skip_auto_now=skip_auto_now,
            ignore_errors=ignore_errors,
        ):
            return False
        return True if pipeline is None else pipeline

    # Saving and deleting ---------------------------------------------------------------

    @stock
    def save(
        self,
        pipeline: Pipeline | None = None,
        ignore_errors: bool = False,
        skip_auto_now: bool = False,
        update_fields: Iterable[str] | None = None,
        migrate_key: bool = False,
        expected: Expected = None,
        *,
        recreate: bool = False,
        ttl: Lifetime = LEFT_OUT,
        expire_at: Moment = LEFT_OUT,
        **kwargs: Any,
    ) -> Any:
        """Store the record and bring its index entries in step, atomically.

        A new record is written whole, replacing one that is stored under the same
        key. Of a stored one only the fields that changed are written, so another
        writer's changes to other fields stay. One that is gone, because somebody has deleted
        it or because it expired, is not written again: RecordGoneError.

        `pipeline`       queue the write on a redis-py pipeline and return that
        `ignore_errors`  return False instead of raising for invalid or not unique values
        `skip_auto_now`  leave ``auto_now`` fields as they are
        `update_fields`  write just these fields (even if unchanged) of a stored record
        `migrate_key`    allow changed key fields: the record moves to its new key
        `expected`       write only if the stored record is as expected: True (all fields as
                         this instance loaded them), field names (these as loaded) or a dict of
                         values; else ConflictError, which carries both sides
        `recreate`       write a record that is gone again, whole; one that this instance has
                         deleted itself may be saved without
        `ttl`, `expire_at`  end the record after seconds, or at a moment; this and later saves
        further keywords go to `pre_save` and to the fields' hooks that take them

        Returns the number of hash fields that did not exist before. Raises
        ValidationError, UniquenessError, KeyMutationError, AlreadyExistsError (the
        new key is taken), ConflictError; RecordGoneError for a record that is gone, and
        NotStoredError for a partial save of one that never was; UnknownNameError for a keyword
        that no hook takes. One command, one round trip; one more for each time another writer
        changed the record's indexed values meanwhile.
        """
        return run(
            single.save(
                self,
                SaveRequest(
                    pipeline,
                    ignore_errors,
                    skip_auto_now,
                    update_fields,
                    migrate_key,
                    create_only=self._create_only,
                    unmatched=self._unmatched,
                    expected=expected,
                    recreate=recreate,
                    asks_expiry=take_expiry(self, kwargs, ttl, expire_at),
                    hook_arguments=kwargs,
                ),
            )
        )

    @stock
    async def async_save(
        self,
        pipeline: Any = None,
        ignore_errors: bool = False,
        skip_auto_now: bool = False,
        update_fields: Iterable[str] | None = None,
        migrate_key: bool = False,
        expected: Expected = None,
        *,
        recreate: bool = False,
        ttl: Lifetime = LEFT_OUT,
        expire_at: Moment = LEFT_OUT,
        **kwargs: Any,
    ) -> Any:
        """`save` for asyncio."""
        if overridden.lacks_twin(type(self), "save"):
            return await overridden.in_thread(
                self.save,
                kwargs | given(ttl=ttl, expire_at=expire_at),
                pipeline=pipeline,
                ignore_errors=ignore_errors,
                skip_auto_now=skip_auto_now,
                update_fields=update_fields,
                migrate_key=migrate_key,
                expected=expected,
                recreate=recreate,
            )
        return await arun(
            single.save(
                self,
                SaveRequest(
                    pipeline,
                    ignore_errors,
                    skip_auto_now,
                    update_fields,
                    migrate_key,
                    create_only=self._create_only,
                    unmatched=self._unmatched,
                    expected=expected,
                    recreate=recreate,
                    asks_expiry=take_expiry(self, kwargs, ttl, expire_at),
                    hook_arguments=kwargs,
                ),
            )
        )

    @stock
    def delete(self, pipeline: Pipeline | None = None, **kwargs: Any) -> Any:
        """Delete the record, its companions and all its index entries, atomically.

        Records that refer to it by a relationship with a rule (`on_delete`) go or change in the
        same step, if they are not too many; ProtectedError where they keep it.

        Returns whether the record existed, or the pipeline if one was given. Further keywords go to
        the fields' hooks; UnknownNameError where none takes them. The
        instance keeps its values and can be saved again. One command for a loaded
        or saved instance, two for one that was only constructed; see the manual for those on
        which others depend.
        """
        return run(single.delete(self, pipeline, kwargs))

    @stock
    async def async_delete(self, pipeline: Any = None, **kwargs: Any) -> Any:
        """`delete` for asyncio."""
        if overridden.lacks_twin(type(self), "delete"):
            return await overridden.in_thread(self.delete, kwargs, pipeline=pipeline)
        return await arun(single.delete(self, pipeline, kwargs))

    # Creating and looking up ------------------------------------------------------------

    @overload
    @classmethod
    def create(cls, pipeline: None = None, *, overwrite: bool = False, **kwargs: Any) -> Self: ...
    @overload
    @classmethod
    def create(
        cls, pipeline: GivenPipeline, *, overwrite: bool = False, **kwargs: Any
    ) -> GivenPipeline: ...
    @classmethod
    @stock
    def create(cls, pipeline: Any = None, *, overwrite: bool = False, **kwargs: Any) -> Any:
        """Construct and save a new record; returns it, or the pipeline if one was given.

        Raises AlreadyExistsError when a record is stored under its key, unless
        `overwrite` is set (`save()` of a new instance replaces as well). One command.
        """
        return run(creating.create(cls, pipeline, overwrite, kwargs))

    @overload
    @classmethod
    async def async_create(
        cls, pipeline: None = None, *, overwrite: bool = False, **kwargs: Any
    ) -> Self: ...
    @overload
    @classmethod
    async def async_create(
        cls, pipeline: GivenPipeline, *, overwrite: bool = False, **kwargs: Any
    ) -> GivenPipeline: ...
    @classmethod
    @stock
    async def async_create(
        cls, pipeline: Any = None, *, overwrite: bool = False, **kwargs: Any
    ) -> Any:
        """`create` for asyncio."""
        if overridden.lacks_twin(cls, "create"):
            return await overridden.in_thread(
                cls.create, kwargs, pipeline=pipeline, overwrite=overwrite
            )
        return await arun(creating.create(cls, pipeline, overwrite, kwargs))

    @classmethod
    def load(cls, db_key: str | bytes | DB_key | None = None, **kwargs: Any) -> Self | None:
        """The record with this key (text, bytes or `DB_key`, or key values), or None."""
        return cls.query.get(db_key, **kwargs)

    @classmethod
    async def async_load(
        cls, db_key: str | bytes | DB_key | None = None, **kwargs: Any
    ) -> Self | None:
        """`load` for asyncio."""
        return await cls.query.async_get(db_key, **kwargs)

    # Introspection -----------------------------------------------------------------------

    @classmethod
    def get_info(cls) -> dict[str, Any]:
        """Name, field names and filter keywords of the model."""
        return {
            "name": cls.__name__,
            "fields": cls._meta.field_names,
            "query_filters": [
                parameter
                for parameters in cls._meta.filter_query_params_by_field.values()
                for parameter in sorted(parameters)
            ],
        }


@dataclass_transform(kw_only_default=True, eq_default=False)
class TypedModel(Model, is_base=True):
    """A `Model` whose annotated fields are the keywords of its constructor, for checkers.

    At run time too: it is strict, unless its `Meta.strict` is False.
    """

    _settings: ClassVar[dict[str, Any]] = {"strict": True}
