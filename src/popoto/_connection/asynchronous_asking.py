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

from popoto._connection import decisions
from popoto._connection.asking import FORCED_ADDRESS
from popoto._connection.asynchronous_connections import DirectAsyncConnection, direct
from popoto._connection.hiding import passwords, without_secrets
from popoto._connection.sentinels import (
    ANSWERS,
    BRIEF,
    Patience,
    Watch,
    Word,
    is_unlike_a_word,
    question,
    word,
)
from popoto._connection.settings import Address, Options
from popoto._connection.steps import AskSentinels, Step, carry_out_async

__all__ = ["AsyncSentinels"]

# Whatever a caller's own manager has for its clients.
_OPTIONS: Final[Options] = {"retry": Retry(NoBackoff(), 0), "protocol": 2}


class AsyncSentinels:
    """The sentinels of one service, in the place of redis-py's own manager in a pool."""

    def __init__(self, manager: Sentinel, service: str) -> None:
        self.manager = manager
        self.service = service
        self.watch = Watch()
        self._asking = asyncio.Lock()
        clients: list[redis_asyncio.Redis] = manager.sentinels
        self._lines = [_Line(client) for client in clients]

    async def discover_master(self, service_name: str) -> Address:
        """The primary, on a word that is fresh. As `Sentinels.discover_master`."""
        async with self._asking:  # one task asks for all that wait
            if self.watch.is_due():
                await carry_out_async(decisions.confirm_primary(self.watch), self._ask)
        if self.watch.address is None:
            said = "; ".join(line.failure for line in self._lines if line.failure)
            raise MasterNotFoundError(f"No primary found for {service_name!r}: {said or 'unknown'}")
        return self.watch.address

    async def discover_slaves(self, service_name: str) -> Any:
        """As redis-py's."""
        return await self.manager.discover_slaves(service_name)

    def drop(self) -> None:
        """Close the connections to the sentinels; they are opened again when needed."""
        for line in self._lines:
            line.drop()

    async def _ask(self, step: Step) -> list[Word]:
        """The words of all sentinels, which are asked at the same time."""
        now = self.watch.clock()
        seconds = BRIEF if isinstance(step, AskSentinels) and step.is_brief else None
        known = self.watch.address is not None
        lines = [line for line in self._lines if not (known and line.patience.is_over(now))]
        words = await asyncio.gather(*(self._word_of(line, seconds) for line in lines))
        for line in lines:
            if line.failure:
                line.patience.failed(self.watch.clock())
            else:
                line.patience.answered()
        return [each for each in words if each is not None]

    async def _word_of(self, line: _Line, seconds: float | None) -> Word | None:
        replies = await line.ask(self.service, seconds)
        if replies and is_unlike_a_word(replies) and not line.lists_all:
            line.lists_all = True
            replies = await line.ask(self.service, seconds)
        least: int = self.manager.min_other_sentinels
        found = word(replies, self.service, least) if replies else None
        forced: str | None = getattr(self.manager, FORCED_ADDRESS, None)
        if found is None or forced is None:
            return found
        return Word(found.epoch, (forced, found.address[1]), found.is_failing_over)


class _Line:
    """A connection to one sentinel, opened when it is first needed."""

    def __init__(self, client: redis_asyncio.Redis) -> None:
        self._pool = client.connection_pool
        self._connection: DirectAsyncConnection | None = None
        self.patience = Patience()
        self.lists_all = False
        self.failure = ""
        """Why there was no answer, the last time."""

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
            place = self._pool.connection_kwargs
            reason = str(without_secrets(error, passwords(place))) or "no answer in time"
            self.failure = f"{place.get('host')}:{place.get('port')}: {reason}"
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
