"""A place to connect to, with its sync client and one async client per event loop."""

from __future__ import annotations

import asyncio
import weakref
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final

import redis
import redis.asyncio as redis_asyncio

from popoto._connection.asynchronous_clients import AsyncClient, make_async_client
from popoto._connection.asynchronous_pools import sync_settings
from popoto._connection.clients import Client, client_of_pool, make_client
from popoto._connection.settings import from_url
from popoto.exceptions import ConfigurationError

__all__ = ["Target", "is_mock", "target_of"]

_MOST_TARGETS: Final = 64


class Target:
    """A sync client, and the async clients that follow it, one per event loop."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _OfLoop] = (
            weakref.WeakKeyDictionary()
        )

    def async_client(self) -> AsyncClient:
        """The client of the running loop, made if there is none or if the sync client moved on."""
        loop = asyncio.get_running_loop()
        known = self._by_loop.get(loop)
        if known is not None:
            if known.client.source is self.client.connection_pool:
                return known.client
            known.client.retire()
        # A client refers to its loop, so the weak map alone would keep both for ever.
        for other in list(self._by_loop):
            if other.is_closed():
                del self._by_loop[other]
        made = _OfLoop(make_async_client(self.client))
        self._by_loop[loop] = made
        return made.client

    def forget(self) -> AsyncClient | None:
        """Part with the client of the running loop, and return it for closing."""
        known = self._by_loop.pop(asyncio.get_running_loop(), None)
        return known.client if known is not None else None


class _OfLoop:
    """The async client of one loop, closed when the loop shuts down."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        # `asyncio.run` closes the asynchronous generators of its loop before the loop: the one
        # moment at which connections can be closed in the loop that they belong to.
        self._guard = _retire_with_loop(client)
        with suppress(StopIteration):  # it has reached its yield
            self._guard.asend(None).send(None)


async def _retire_with_loop(client: AsyncClient) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        client.retire()
        await client.close_cluster_client()


_by_url: OrderedDict[str, Target] = OrderedDict()
_by_client: weakref.WeakKeyDictionary[redis.Redis | redis_asyncio.Redis, Target] = (
    weakref.WeakKeyDictionary()
)


_CLIENTS: Final = (redis.Redis, redis_asyncio.Redis)
_CLUSTER_CLIENTS: Final = (redis.RedisCluster, redis_asyncio.RedisCluster)


def is_mock(client: object) -> bool:
    """Whether it is no client of redis-py, though it may say that it is one.

    Raises ConfigurationError for a URL, which nobody would connect to.
    """
    if type(client) in (str, bytes):
        raise ConfigurationError(
            "A URL stands where a client is expected (popoto.redis_db.POPOTO_REDIS_DB): call "
            "set_REDIS_DB_settings(url=...) instead"
        )
    return not issubclass(type(client), (*_CLIENTS, *_CLUSTER_CLIENTS))


def target_of(place: str | redis.Redis | redis_asyncio.Redis) -> Target:
    """The target for a URL or a client; the same one for the same URL or client.

    Raises ConfigurationError for anything else.
    """
    if isinstance(place, str):
        target = _by_url.get(place)
        if target is None:
            target = _by_url.setdefault(place, Target(make_client(from_url(place))))
            if len(_by_url) > _MOST_TARGETS:
                _, oldest = _by_url.popitem(last=False)
                oldest.client.connection_pool.disconnect(inuse_connections=False)
        return target
    if not issubclass(type(place), _CLIENTS):
        raise ConfigurationError(
            f"{type(place).__name__} is neither a connection URL nor a redis.Redis or "
            "redis.asyncio.Redis client. A cluster is reached by redis+cluster://host:port"
        )
    if isinstance(place, Client):
        # Kept by the client itself: a weak map would never let go of what refers to its own key.
        if not isinstance(place.target, Target):
            place.target = Target(place)
        return place.target
    target = _by_client.get(place)
    if target is None:
        if isinstance(place, redis.Redis):
            client = client_of_pool(place.connection_pool)
        else:
            client = make_client(sync_settings(place.connection_pool))
        target = _by_client[place] = Target(client)
    return target
