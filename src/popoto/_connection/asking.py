"""Asking the sentinels, for threads. What is asked and believed is in `sentinels`."""

# redis-py leaves these methods of its own without types.
# mypy: allow-untyped-calls
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import threading
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

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
from popoto._connection.steps import Step, carry_out

__all__ = ["Sentinels"]

# Whatever a caller's own manager has for its clients.
_OPTIONS: Final[Options] = {"retry": Retry(NoBackoff(), 0), "protocol": 2}


class Sentinels(SentinelsOfService["_Line"]):
    """The sentinels of one service, in the place of redis-py's own manager in a pool."""

    not_found = MasterNotFoundError

    def __init__(self, manager: Sentinel, service: str) -> None:
        super().__init__(manager, service)
        self._begin()

    def discover_master(self, service_name: str) -> Address:
        """The primary, on a word that is fresh. redis-py's name, called when connecting.

        Waits while a failover is under way. Raises MasterNotFoundError.
        """
        with self._asking:
            if self.watch.is_due():
                carry_out(confirm_primary(self.watch), self._ask)
        return self._primary(service_name)

    def discover_slaves(self, service_name: str) -> Any:
        """As redis-py's."""
        return self.manager.discover_slaves(service_name)

    def forget_after_fork(self) -> None:
        """The child begins anew. The parent keeps its sockets and its lock."""
        self.watch.forget()
        self._begin()

    def _begin(self) -> None:
        self._asking = threading.Lock()
        clients: list[redis.Redis] = self.manager.sentinels
        self._lines = [_Line(client) for client in clients]

    def _ask(self, step: Step) -> list[Word]:
        """The words of all sentinels, which are asked at the same time."""
        lines, seconds = self._to_ask(step)
        try:
            asked = [line for line in lines if line.send(self.service, seconds)]
            words = [self._word_of(line, seconds) for line in asked]
        except BaseException:
            for line in lines:
                line.drop()  # answers may be under way
            raise
        return self._heard(lines, words)

    def _word_of(self, line: _Line, seconds: float | None) -> Word | None:
        replies = line.receive(seconds)
        if replies and is_unlike_a_word(replies) and not line.lists_all:
            line.lists_all = True
            replies = line.receive(seconds) if line.send(self.service, seconds) else []
        return self._word(replies)


class _Line(OneSentinel):
    """A connection to one sentinel, opened when it is first needed."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        self._pool = client.connection_pool
        self._connection: AbstractConnection | None = None

    def send(self, service: str, seconds: float | None) -> bool:
        """Send the question; whether that could be done."""
        self.failure = ""
        try:
            data = question(service, lists_all=self.lists_all)
            self._open(seconds).send_packed_command([data], check_health=False)
        except (RedisError, OSError) as error:
            self._fail(error)
            return False
        return True

    def receive(self, seconds: float | None) -> list[object]:
        """The replies to the question; none if they do not come."""
        connection = self._open(seconds)
        try:
            if seconds is not None and not connection.can_read(timeout=seconds):
                raise redis.TimeoutError("no answer in time")
            return [_reply(connection) for _ in range(ANSWERS)]
        except (RedisError, OSError) as error:
            self._fail(error)
            return []

    def drop(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def _open(self, seconds: float | None) -> AbstractConnection:
        if self._connection is None:
            options: Options = self._pool.connection_kwargs | _OPTIONS
            made = self._pool.connection_class(**options)
            if seconds is not None:
                # Opening it takes replies, too.
                made.socket_connect_timeout = min(made.socket_connect_timeout or seconds, seconds)
                made.socket_timeout = min(made.socket_timeout or seconds, seconds)
            made.connect()
            self._connection = made
        return self._connection

    def _fail(self, error: Exception) -> None:
        self.did_not_answer(error, self._pool.connection_kwargs)
        self.drop()


def _reply(connection: AbstractConnection) -> object:
    try:
        return connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error
