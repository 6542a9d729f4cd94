"""Whether keys are on one server, or on the nodes of a cluster."""

from __future__ import annotations

from popoto import redis_db
from popoto.engine.request import Call, Plan

__all__ = ["on_cluster"]


def on_cluster() -> Plan[bool]:
    """Whether shards are on different nodes. Asks no server."""
    answer: bool = yield Call(lambda: redis_db.connection().is_cluster, _on_async_cluster)
    return answer


async def _on_async_cluster() -> bool:
    return (await redis_db.async_connection()).is_cluster
