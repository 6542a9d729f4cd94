"""Where the process leads, so that it can be led back there."""

from __future__ import annotations

from dataclasses import dataclass

import redis

from popoto import redis_db
from popoto._connection.clients import client_of_pool
from popoto._connection.settings import Options, Settings
from popoto._connection.sync import SyncConnection
from popoto._connection.targets import Target

__all__ = ["Place"]


@dataclass(frozen=True, eq=False)
class Place:
    """What decides which server a command reaches, as it is at one moment.

    The name `POPOTO_REDIS_DB`, the client of the process, and the server of `using` in this
    thread or task.
    """

    named: redis.Redis
    pool: redis.ConnectionPool
    settings: Settings | None
    cluster_options: Options | None
    raw: SyncConnection
    override: Target | None

    @staticmethod
    def current() -> Place:
        """Where the process leads now."""
        client = redis_db._client
        return Place(
            redis_db.POPOTO_REDIS_DB,
            client.connection_pool,
            client.settings,
            client.cluster_options,
            client.raw,
            redis_db._override.get(),
        )

    def is_current(self) -> bool:
        """Whether nobody has changed any of them meanwhile."""
        now = Place.current()
        return self.named is now.named and self.pool is now.pool and self.override is now.override

    def lead_back(self) -> None:
        """Lead the process there again. Opens no connection."""
        if redis_db.POPOTO_REDIS_DB is not self.named:
            redis_db.POPOTO_REDIS_DB = self.named
        redis_db._override.set(self.override)
        if redis_db._client.connection_pool is not self.pool:
            former = client_of_pool(self.pool)
            former.raw = self.raw
            former.settings = self.settings
            former.cluster_options = self.cluster_options
            redis_db._client.become(former)
