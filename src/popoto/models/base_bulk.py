"""The part of `Model` that works on many records at once, and on the model's indexes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, Self, cast, overload

from popoto.engine.run import arun, run
from popoto.fields.field import LEFT_OUT
from popoto.models.record.record import Record
from popoto.models.upkeep import emptying
from popoto.models.upkeep.checking import check_indexes
from popoto.models.upkeep.cleaning import clean_indexes
from popoto.models.upkeep.erasing import erasing
from popoto.models.upkeep.erasure import Erasure
from popoto.models.upkeep.rebuilding import Rebuilt, rebuild_indexes
from popoto.models.writing import bulk, raw_updating
from popoto.models.writing.save_request import SaveRequest

if TYPE_CHECKING:
    from popoto.exceptions import RowError
    from popoto.models.query_builder import QueryBuilder


class BulkMethods(Record, is_base=True):
    """Methods of `Model` on many records, and on what stands beside them.

    `batch_size` is how many records go into one step and over the wire at once; less than 1
    raises ValueError. `progress`, where it is taken, is called after each batch with the
    number of rows done so far.
    """

    # Creating --------------------------------------------------------------------------

    @overload
    @classmethod
    def bulk_create(
        cls,
        instances: Iterable[Self] | None,
        batch_size: int = ...,
        *,
        progress: Callable[[int], object] | None = ...,
        on_error: Callable[[RowError], object] | None = ...,
        recreate: bool = ...,
        keep: Literal[True] = ...,
    ) -> list[Self]: ...
    @overload
    @classmethod
    def bulk_create(
        cls,
        instances: Iterable[Self] | None,
        batch_size: int = ...,
        *,
        progress: Callable[[int], object] | None = ...,
        on_error: Callable[[RowError], object] | None = ...,
        recreate: bool = ...,
        keep: Literal[False],
    ) -> int: ...
    @classmethod
    def bulk_create(
        cls,
        instances: Iterable[Self] | None,
        batch_size: int = 1000,
        *,
        progress: Callable[[int], object] | None = None,
        on_error: Callable[[RowError], object] | None = None,
        recreate: bool = False,
        keep: bool = True,
    ) -> list[Self] | int:
        """Save many instances, each as `save()` would; returns the list of them, in order.

        A batch is validated whole before anything of it is written, and then written in one
        atomic step, in which uniqueness is decided, also between its rows: a batch with a row
        that cannot be saved is not written at all and raises BulkError, which tells the rows
        and how many rows the batches before it have written. (A batch of more than some 3,000
        records takes several steps. A key that occurs twice is written in order, the second
        time in a step of its own; new instances that share a unique key are refused.)

        `on_error`  called with a `RowError` for each row that cannot be saved, instead of
                    raising: the rows without problem are written, the others left out
        `recreate`  write records again that were stored, and are gone; see `save`
        `keep`      False: keep no instances, so that a generator of any length needs the
                    memory of one batch, and return how many were saved

        Raises ModelException for what is no instance of this model. One round trip per
        batch; one more where a batch meets stored records or other writers. A model that
        defines `save()` itself has it called for every instance, one by one.
        """
        return run(
            bulk.bulk_create(
                cls,
                cast("Any", instances),
                batch_size,
                progress,
                on_error,
                keep,
                SaveRequest(recreate=recreate),
            )
        )

    @overload
    @classmethod
    async def async_bulk_create(
        cls,
        instances: Iterable[Self] | None,
        batch_size: int = ...,
        *,
        progress: Callable[[int], object] | None = ...,
        on_error: Callable[[RowError], object] | None = ...,
        recreate: bool = ...,
        keep: Literal[True] = ...,
    ) -> list[Self]: ...
    @overload
    @classmethod
    async def async_bulk_create(
        cls,
        instances: Iterable[Self] | None,
        batch_size: int = ...,
        *,
        progress: Callable[[int], object] | None = ...,
        on_error: Callable[[RowError], object] | None = ...,
        recreate: bool = ...,
        keep: Literal[False],
    ) -> int: ...
    @classmethod
    async def async_bulk_create(
        cls,
        instances: Iterable[Self] | None,
        batch_size: int = 1000,
        *,
        progress: Callable[[int], object] | None = None,
        on_error: Callable[[RowError], object] | None = None,
        recreate: bool = False,
        keep: bool = True,
    ) -> list[Self] | int:
        """`bulk_create` for asyncio."""
        return await arun(
            bulk.bulk_create(
                cls,
                cast("Any", instances),
                batch_size,
                progress,
                on_error,
                keep,
                SaveRequest(recreate=recreate),
            )
        )

    # Changing --------------------------------------------------------------------------

    @classmethod
    def bulk_update(
        cls,
        queryset_or_instances: QueryBuilder[Any] | Iterable[Self] | Self | None,
        batch_size: int = 1000,
        *,
        progress: Callable[[int], object] | Any = LEFT_OUT,
        on_error: Callable[[RowError], object] | Any = LEFT_OUT,
        **updates: Any,
    ) -> int:
        """Set the same values on many stored records; returns how many were written.

        Records that a mixin or `pre_save` keeps from being saved are counted, as in popoto 1.6.
        Takes a query, instances, or one instance. Writes the named fields and ``auto_now``
        ones alone, so other writers' changes to other fields stay; indexes, uniqueness,
        hooks and expiry follow as in `save(update_fields=…)`, batches as in `bulk_create`.
        Records of a query that are gone or have stopped to match when it comes to writing are
        left out (unless the model has a `save` of its own). Of a model with a
        field `progress` or `on_error` these keywords are values of that field.

        Raises ModelException for unknown names, KeyMutationError for key fields,
        ValidationError for values that do not fit, before anything is written; BulkError for
        rows that cannot be written (not stored, not unique), or calls `on_error` with them.
        Two round trips for a query of up to 2,000 records, one per batch of instances.
        """
        return run(
            bulk.bulk_update(
                cls,
                queryset_or_instances,
                batch_size,
                bulk.told(cls, updates, "progress", progress),
                bulk.told(cls, updates, "on_error", on_error),
                updates,
            )
        )

    @classmethod
    async def async_bulk_update(
        cls,
        queryset_or_instances: QueryBuilder[Any] | Iterable[Self] | Self | None,
        batch_size: int = 1000,
        *,
        progress: Callable[[int], object] | Any = LEFT_OUT,
        on_error: Callable[[RowError], object] | Any = LEFT_OUT,
        **updates: Any,
    ) -> int:
        """`bulk_update` for asyncio."""
        return await arun(
            bulk.bulk_update(
                cls,
                queryset_or_instances,
                batch_size,
                bulk.told(cls, updates, "progress", progress),
                bulk.told(cls, updates, "on_error", on_error),
                updates,
            )
        )

    @classmethod
    def raw_update(
        cls, redis_keys: Iterable[Any], batch_size: int = 1000, **field_values: Any
    ) -> int:
        """Write encoded values into the hashes of these records, and nothing else.

        No hooks, no validation beyond the field's type, no ``auto_now`` and no index entries:
        call `rebuild_indexes()` afterwards where the fields are indexed. Keys are text, bytes
        or `DB_key`s; keys that are not stored are left alone. Returns how many were given.

        Raises ModelException for unknown fields and values that do not fit their fields,
        KeyMutationError for key fields, before anything is written; QueryException for keys
        of another model. One round trip per batch.
        """
        return run(raw_updating.raw_update(cls, redis_keys, batch_size, field_values))

    @classmethod
    async def async_raw_update(
        cls, redis_keys: Iterable[Any], batch_size: int = 1000, **field_values: Any
    ) -> int:
        """`raw_update` for asyncio."""
        return await arun(raw_updating.raw_update(cls, redis_keys, batch_size, field_values))

    # Deleting --------------------------------------------------------------------------

    @classmethod
    def bulk_delete(
        cls,
        queryset_or_instances: QueryBuilder[Any] | Iterable[Self] | Self | None,
        batch_size: int = 1000,
        *,
        progress: Callable[[int], object] | None = None,
    ) -> int:
        """Delete many records with everything that belongs to them; returns how many were given.

        Takes a query, instances, or one instance. Each batch goes in one atomic step; hooks
        and events follow for each record. Records of a query that are gone or have stopped to
        match when it comes to deleting are left out, and not counted (unless the model has a
        `delete` of its own). Two round trips for a query of up to 2,000 records.
        """
        return run(bulk.bulk_delete(cls, queryset_or_instances, batch_size, progress))

    @classmethod
    async def async_bulk_delete(
        cls,
        queryset_or_instances: QueryBuilder[Any] | Iterable[Self] | Self | None,
        batch_size: int = 1000,
        *,
        progress: Callable[[int], object] | None = None,
    ) -> int:
        """`bulk_delete` for asyncio."""
        return await arun(bulk.bulk_delete(cls, queryset_or_instances, batch_size, progress))

    @classmethod
    def delete_all(
        cls, batch_size: int = 1000, *, progress: Callable[[int], object] | None = None
    ) -> int:
        """Delete every record of the model; returns how many there were.

        No key of the model is left, whatever records that expired or broke have left behind;
        records that others create meanwhile stay whole. Two round trips per batch, and one
        per 1,000 keys that the server holds then.
        """
        return run(emptying.delete_all(cls, batch_size, progress))

    @classmethod
    async def async_delete_all(
        cls, batch_size: int = 1000, *, progress: Callable[[int], object] | None = None
    ) -> int:
        """`delete_all` for asyncio."""
        return await arun(emptying.delete_all(cls, batch_size, progress))

    # Erasing -----------------------------------------------------------------------------

    @classmethod
    def erase(cls, batch_size: int = 1000, **subject: Any) -> Erasure:
        """Remove everything that the model holds of a subject, and look whether it is gone.

        ``Memory.erase(agent_id="ann")``: the records with this value (of several conditions,
        with all of them), also those that no index knows, with all that belongs to them: index
        entries, words, vectors, edges, histories, events, dead letters, content files. Filters
        and sketches are made anew. Returns an `Erasure`: what was looked at, removed, remaining.

        What is not the subject's stays as it is. After a crash, the same call finishes. Records
        of the subject that others write meanwhile are looked for up to three times. No event
        tells of these deletions. Raises ModelException, with nothing removed, for unknown
        fields and values that do not fit them. Visits every key of the server several times, and
        every record and entry of the model; two round trips more for each batch.
        """
        return run(erasing(cls, subject, batch_size))

    @classmethod
    async def async_erase(cls, batch_size: int = 1000, **subject: Any) -> Erasure:
        """`erase` for asyncio."""
        return await arun(erasing(cls, subject, batch_size))

    # Index upkeep ------------------------------------------------------------------------

    @classmethod
    def check_indexes(cls, batch_size: int = 1000) -> dict[str, Any]:
        """Compare the model's indexes with its records, both ways. Writes nothing.

        Numbers of entries whose record is missing: ``class_set``, and by name ``key_fields``
        (automatic keys left out), ``sorted_fields``, ``geo_fields``, ``composite_indexes``,
        ``indexed_fields``, ``relationship_fields``, ``capped_lists``; where there are any,
        ``companions`` (other keys of missing records) and ``abandoned_indexes`` (of fields
        that the model does not have any more), ``shared_values`` (records that share a
        unique value with another one), ``unidentified_records`` (whose keys do not follow
        from the key fields, as if one had been renamed) and ``unregistered_shards``. Then
        ``wrong_values`` (entries whose record holds another value) and ``missing_entries``
        (that records lack, or have with another score). ``total`` is the sum of all these: 0
        means healthy. ``unreadable_records``, not in the total, counts hashes that cannot be
        indexed in whole or in part.

        Safe next to writers: what is counted was so when it was looked at. Visits every key
        of the server twice, and every entry and record: some 3 round trips per 1,000.
        """
        return run(check_indexes(cls, batch_size))

    @classmethod
    async def async_check_indexes(cls, batch_size: int = 1000) -> dict[str, Any]:
        """`check_indexes` for asyncio."""
        return await arun(check_indexes(cls, batch_size))

    @classmethod
    def clean_indexes(cls, batch_size: int = 1000) -> int:
        """Remove the entries and companions of records that are missing; returns how many.

        Each goes in a step that first makes sure that the record is still missing, so one
        created meanwhile keeps everything. Entries with a wrong value stay, and what is
        missing (evicted, or deleted by hand) stays missing: see `rebuild_indexes`. Visits
        every key of the server and every entry: some 2 round trips per 1,000.
        """
        return run(clean_indexes(cls, batch_size))

    @classmethod
    async def async_clean_indexes(cls, batch_size: int = 1000) -> int:
        """`clean_indexes` for asyncio."""
        return await arun(clean_indexes(cls, batch_size))

    @classmethod
    def rebuild_indexes(cls, batch_size: int = 1000) -> Rebuilt:
        """Make every index entry follow from the stored records; returns how many were indexed.

        Finds the records by scanning for their keys, so it helps after a lost index, after
        `raw_update`, and after a new field index. Wrong, orphaned and abandoned entries go,
        missing ones come; what memory fields have learned of living records stays, also
        that of fields which the model does not have any more. Right entries
        are never touched: queries stay complete meanwhile, and changes that others make stay.

        A hash that lacks its key fields, or holds bytes that cannot be decoded, and a record
        that shares a unique value with another one, are logged and listed in `.problems` of
        the result; what cannot be decoded is not indexed, and never
        by a default value. Memory holds a batch of records. Visits every key of the server
        twice, and every entry and record: some 3 round trips per 1,000; a text field's list
        of distinct texts is recounted in one step.
        """
        return run(rebuild_indexes(cls, batch_size))

    @classmethod
    async def async_rebuild_indexes(cls, batch_size: int = 1000) -> Rebuilt:
        """`rebuild_indexes` for asyncio."""
        return await arun(rebuild_indexes(cls, batch_size))
