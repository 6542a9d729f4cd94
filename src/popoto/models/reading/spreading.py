"""Questions to a model with `Meta.shard_by` that concern several shards of a cluster."""

from __future__ import annotations

from popoto.engine.nodes import on_cluster
from popoto.engine.request import Plan
from popoto.exceptions import QueryException
from popoto.fields.keeping.shards import known_shards
from popoto.models.reading.fixing import fixed_shards
from popoto.models.reading.spec import QuerySpec
from popoto.models.record.options import ModelOptions

__all__ = ["check_in_one_shard", "in_each_shard", "shards_asked"]


def shards_asked(spec: QuerySpec) -> Plan[list[ModelOptions]]:
    """The shards that a query concerns: on a single server, and of most models, one.

    Those that its conditions name, else all that are registered: one round trip, and one for each
    further 1,000 shards.
    """
    options = spec.options
    if not options.is_spread or not (yield from on_cluster()):
        return [options]
    named = fixed_shards(options, spec.conditions)
    return named if named is not None else (yield from known_shards(options))


def in_each_shard(spec: QuerySpec) -> Plan[list[QuerySpec]]:
    """The query as one for each of the shards that it concerns."""
    return [spec.changed(within=each) for each in (yield from shards_asked(spec))]


def check_in_one_shard(spec: QuerySpec, what: str = "this query") -> Plan[None]:
    """Raises QueryException for what has to be answered by one shard, and may concern several."""
    options = spec.options
    if not options.is_spread or fixed_shards(options, spec.conditions) == []:
        return
    if (yield from on_cluster()):
        name = options.shard_by
        raise QueryException(
            f"{options.model_name}: {what} is answered by one shard, and it does not say by which "
            f"(Meta.shard_by is {name!r}; shards are on different nodes of the cluster). Give the "
            f"value: filter({name}=…)"
        )
