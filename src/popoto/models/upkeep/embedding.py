"""`embed_missing` and `reembed`: vectors for records that are stored already."""

from __future__ import annotations

from collections.abc import Sequence

from popoto.engine.looking_up import members_of
from popoto.engine.request import Plan
from popoto.exceptions import ModelException
from popoto.fields.vectors.embedding import described_by, embedded
from popoto.fields.vectors.keeper import Described, VectorKeeper
from popoto.models.record.options import AnyField
from popoto.models.record.record import Record
from popoto.models.upkeep.whole import whole_records
from popoto.models.writing.rows import chunks


def embed_missing(model: type[Record], batch_size: int) -> Plan[int]:
    """The plan of `Model.embed_missing`; see there."""
    done = 0
    for field in _fields(model):
        marked = yield from _marked(field)
        for batch in chunks(marked, batch_size):
            done += yield from _embed(model, field, batch, are_marked=True)
    return done


def reembed(model: type[Record], batch_size: int, *, anew: bool) -> Plan[int]:
    """The plan of `Model.reembed`; see there."""
    chunks((), batch_size)
    options = model._meta
    done = 0
    for field in _fields(model):
        wanted = yield from _described(field)
        keeper: VectorKeeper = field.keeper
        told = yield from keeper.described()
        if anew or (told is not None and not wanted.agrees(told)):
            yield from field.begin_anew(model, wanted)
        marked = yield from _marked(field)
        # Records that are saved meanwhile have their vectors.
        keys = yield from members_of(options.class_set_key, options.shard)
        for batch in chunks(keys, batch_size):
            lacking = set((yield from _lacking(field, batch))) | set(marked).intersection(batch)
            wanting = [key for key in batch if key in lacking]
            done += yield from _embed(model, field, wanting, are_marked=False)
    return done


def _marked(field: AnyField) -> Plan[list[str]]:
    found: Plan[list[str]] = field.marked()
    return found


def _lacking(field: AnyField, keys: Sequence[str]) -> Plan[set[str]]:
    found: Plan[set[str]] = field.lacking(keys)
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
    model: type[Record], field: AnyField, keys: Sequence[str], *, are_marked: bool
) -> Plan[int]:
    if not keys:
        return 0
    records = yield from whole_records(model, keys)
    instances = [record.instance for record in records]
    plan: Plan[int] = field.embed(instances, are_marked=are_marked)
    return (yield from plan)
