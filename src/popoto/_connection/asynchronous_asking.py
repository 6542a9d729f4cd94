"""Asking the sentinels, for the tasks of one event loop. The twin of `asking`."""

# redis-py leaves these methods of its own without types.
# mypy: allow-untyped-calls
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
from typing import Any, Final

import redis.asyncio as redis_asyncio
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from popoto._connection.asynchronous_connections import DirectAsyncConnection, direct
from popoto._connection.sentinels import (
    ANSWERS,
    OneSentinel,
    SentinelsOfService,
    Word,
    confirm_primary,
    is_unlike_a_word,
    question,
)
from popoto._connection.settings import Address, Options
from popoto._connection.steps import Step, carry_out_async

__all__ = ["AsyncSentinels"]

# Whatever a caller's own manager has for its clients.
_OPTIONS: Final[Options] = {"retry": Retry(NoBackoff(), 0), "protocol": 2}


class AsyncSentinels(SentinelsOfService["_Line"]):
    """The sentinels of one service, in the place of redis-py's own manager in a pool."""

    not_found = MasterNotFoundError

    def __init__(self, manager: Sentinel, service: str) -> None:
        super().__init__(manager, service)
        self._asking = asyncio.Lock()
        clients: list[redis_asyncio.Redis] = manager.sentinels
        self._lines = [_Line(client) for client in clients]

    async def discover_master(self, service_name: str) -> Address:
        """The primary, on a word that is fresh. As `Sentinels.discover_master`."""
        async with self._asking:  # one task asks for all that wait
            if self.watch.is_due():
                await carry_out_async(confirm_primary(self.watch), self._ask)
        return self._primary(service_name)

    async def discover_slaves(self, service_name: str) -> Any:
        """As redis-py's."""
        return await self.manager.discover_slaves(service_name)

    def drop(self) -> None:
        """Close the connections to the sentinels; they are opened again when needed."""
        for line in self._lines:
            line.drop()

    async def _ask(self, step: Step) -> list[Word]:
        """The words of all sentinels, which are asked at the same time."""
        lines, seconds = self._to_ask(step)
        words = await asyncio.gather(*(self._word_of(line, seconds) for line in lines))
        return self._heard(lines, words)

    async def _word_of(self, line: _Line, seconds: float | None) -> Word | None:
        replies = await line.ask(self.service, seconds)
        if replies and is_unlike_a_word(replies) and not line.lists_all:
            line.lists_all = True
            replies = await line.ask(self.service, seconds)
        return self._word(replies)


class _Line(OneSentinel):
    """A connection to one sentinel, opened when it is first needed."""

    def __init__(self, client: redis_asyncio.Redis) -> None:
        super().__init__()
        self._pool = client.connection_pool
        self._connection: DirectAsyncConnection | None = None

    async def ask(self, service: str, seconds: float | None) -> list[object]:
        """The replies to the question; none if they do not come."""
        self.failure = ""
        try:
            async with asyncio.timeout(seconds):
                connection = self._connection or self._make()
                await connection.prepare()
                data = question(service, lists_all=self.lists_all)
                return list(await connection.exchange(data, ANSWERS))
        except (RedisError, OSError) as error:
            self.did_not_answer(error, self._pool.connection_kwargs)
            self.drop()
            return []
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.drop()

    def _make(self) -> DirectAsyncConnection:
        options: Options = self._pool.connection_kwargs | _OPTIONS
        self._connection = direct(self._pool.connection_class)(**options)
        return self._connection
