"""Records of this process's other models that refer to given ones."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from popoto.engine.codec import DecodeError
from popoto.engine.request import Plan
from popoto.fields.keeping.forgetting import Trace
from popoto.fields.keeping.shards import every_shard
from popoto.models.record.names_of_models import known_models
from popoto.models.record.options import AnyField, ModelOptions
from popoto.models.upkeep.stored import StoredWalk


def references_to(
    target: ModelOptions, record_keys: Container[str], batch_size: int
) -> Plan[Trace]:
    """How many records, of those looked at, refer to one of these records of a model."""
    trace = Trace()
    known: list[Any] = known_models()
    for model in known:
        options: ModelOptions = model._meta
        fields = [field for field in options.by_name.values() if _refers_to(field, target)]
        if not fields:
            continue
        for view in (yield from every_shard(options)):
            walk = StoredWalk(view, batch_size)
            page = yield from walk.next()
            while page is not None:
                trace.looked_at += len(page)
                names_one = (_names_one(each, fields, record_keys) for each in page.values())
                trace.remaining += sum(names_one)
                page = yield from walk.next()
    return trace


def _refers_to(field: AnyField, target: ModelOptions) -> bool:
    if not field.is_reference or not field.in_hash:
        return False
    model = field.known_target
    return model is not None and model._meta.model_name == target.model_name


def _names_one(
    stored: Mapping[str, bytes], fields: Sequence[AnyField], record_keys: Container[str]
) -> bool:
    for field in fields:
        try:
            if field.name in stored and str(field.decode(stored[field.name])) in record_keys:
                return True
        except DecodeError:
            continue
    return False
