"""`embed_missing` and `reembed`: vectors for records that are stored already."""

from __future__ import annotations

from collections.abc import Sequence

from popoto.engine.looking_up import members_of
from popoto.engine.request import Plan
from popoto.exceptions import ModelException
from popoto.fields.given import flag_in
from popoto.fields.keeping.shards import every_shard
from popoto.fields.vectors.embedding import described_by, embedded
from popoto.fields.vectors.keeper import Described, VectorKeeper
from popoto.models.record.options import AnyField, ModelOptions
from popoto.models.record.record import Record
from popoto.models.upkeep.whole import whole_records
from popoto.models.writing.rows import chunks


def embed_missing(model: type[Record], batch_size: int) -> Plan[int]:
    """The plan of `Model.embed_missing`; see there."""
    done = 0
    views = yield from every_shard(model._meta)
    for field in _fields(model):
        for view in views:
            marked = yield from _marked(field, view)
            for batch in chunks(marked, batch_size):
                done += yield from _embed(model, view, field, batch, are_marked=True)
    return done


def reembed(model: type[Record], batch_size: int, *, anew: bool) -> Plan[int]:
    """The plan of `Model.reembed`; see there."""
    chunks((), batch_size)
    anew = flag_in(anew, f"{model._meta.model_name}.reembed(anew=…)")
    done = 0
    views = yield from every_shard(model._meta)
    for field in _fields(model):
        wanted = yield from _described(field)
        # All shards first: what is kept in files is one store for all of them.
        for view in views:
            keeper: VectorKeeper = field.keeper_in(view.shard)
            told = yield from keeper.described()
            if anew or (told is not None and not wanted.agrees(told)):
                yield from field.begin_anew(model, view, wanted)
        for view in views:
            done += yield from _catch_up(model, view, field, batch_size)
    return done


def _catch_up(
    model: type[Record], options: ModelOptions, field: AnyField, batch_size: int
) -> Plan[int]:
    """Make the vectors that the records of one shard lack."""
    done = 0
    marked = yield from _marked(field, options)
    # Records that are saved meanwhile have their vectors.
    keys = yield from members_of(options.class_set_key, options.shard)
    for batch in chunks(keys, batch_size):
        lacking = set((yield from _lacking(field, options, batch)))
        lacking.update(set(marked).intersection(batch))
        wanting = [key for key in batch if key in lacking]
        done += yield from _embed(model, options, field, wanting, are_marked=False)
    return done


def _marked(field: AnyField, options: ModelOptions) -> Plan[list[str]]:
    found: Plan[list[str]] = field.marked(options.shard)
    return found


def _lacking(field: AnyField, options: ModelOptions, keys: Sequence[str]) -> Plan[set[str]]:
    found: Plan[set[str]] = field.lacking(keys, options.shard)
    return found


def _fields(model: type[Record]) -> list[AnyField]:
    fields = model._meta.listed("embedding")
    if not fields:
        raise ModelException(f"{model.__name__} has no EmbeddingField")
    for field in fields:
        if field.source and field.provider is None:
            raise ModelException(
                f"{field.label} has no embedding provider: give it one, or the process by "
                "popoto.configure(embedding_provider=...)"
            )
    return [field for field in fields if field.source]


def _described(field: AnyField) -> Plan[Described]:
    """What the field's provider makes. One that has not told yet is asked for a vector."""
    provider = field.provider
    try:
        dimensions = provider.dimensions
    except RuntimeError:
        yield from embedded(provider, ["dimensions"], "document")
        dimensions = provider.dimensions
    return described_by(provider, dimensions, field.keeper.form)


def _embed(
    model: type[Record],
    options: ModelOptions,
    field: AnyField,
    keys: Sequence[str],
    *,
    are_marked: bool,
) -> Plan[int]:
    if not keys:
        return 0
    records = yield from whole_records(model, options, keys)
    instances = [record.instance for record in records]
    plan: Plan[int] = field.embed(instances, are_marked=are_marked)
    return (yield from plan)
