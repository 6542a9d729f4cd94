"""The database of a session's tests, which they may empty."""

# redis-py leaves many of its methods without types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import redis

from popoto import redis_db
from popoto._connection.clients import make_client
from popoto._connection.pools import Pool
from popoto._connection.settings import Options, Settings, from_url, with_database
from popoto.exceptions import NothingWrittenError, PopotoException

__all__ = ["OPTION", "VARIABLE", "TestDatabase", "TestDatabaseError"]

logger = logging.getLogger("POPOTO-PYTEST")

OPTION = "popoto_test_db"
VARIABLE = "POPOTO_TEST_DB"


class TestDatabaseError(PopotoException):
    """The tests have no database that may be emptied. Nothing was written to one."""

    __test__ = False


class TestDatabase:
    """The database of this session's tests: claimed at the first use, then emptied for each."""

    __test__ = False

    def __init__(self, original: Settings, number: int, mark: Path | None) -> None:
        self.original = original
        self.number = number
        self.problem: Exception | None = None
        self.is_claimed = False
        self.is_empty = False
        #: whether a test was stopped by the problem
        self.is_needed = False
        self._lock = threading.RLock()
        try:
            self.settings = with_database(original, number)
        except ValueError:
            self.settings = from_url(f"redis://127.0.0.1:6379/{number}")
            self.problem = TestDatabaseError(
                f"{original.url} is a cluster, which has only database 0, and tests never empty "
                "that. Use the fixture popoto_server, or REDIS_URL=embedded://"
            )
        self.client = make_client(self.settings)
        self.mark = None if mark is None else mark / _mark_name(self.settings)
        self.pool: redis.ConnectionPool | None = None

    def install(self) -> None:
        """Lead the process to the test database. Opens no connection."""
        client = make_client(self.settings)
        pool = client.connection_pool
        if isinstance(pool, Pool):
            pool.locate = self._before_connecting(pool.locate)
        self.pool = pool
        redis_db._client.become(client)

    @property
    def is_installed(self) -> bool:
        """Whether nobody has led the process elsewhere meanwhile."""
        return redis_db._client.connection_pool is self.pool

    def _before_connecting(self, locate: Callable[[], Options] | None) -> Callable[[], Options]:
        def prepared() -> Options:
            with self._lock:
                if not self.is_empty:
                    self.is_needed = True
                    self.empty()
            return {} if locate is None else locate()

        return prepared

    def empty(self) -> None:
        """Empty the database. Raises TestDatabaseError, and NothingWrittenError without server."""
        if self.problem is not None:
            raise self.problem
        try:
            if not self.is_claimed:
                self._claim()
            self.client.flushdb()
        except (NothingWrittenError, TestDatabaseError) as error:
            self.problem = error
            raise
        self.is_empty = True

    def _claim(self) -> None:
        if self.client.dbsize() and not (self.mark is not None and self.mark.exists()):
            raise TestDatabaseError(
                f"{self.settings.url} is not empty, and not known as a test database, so tests do "
                f"not touch it. If nothing in it is needed, empty it once (redis-cli -n "
                f"{self.number} FLUSHDB); or choose another one with the ini option {OPTION} or "
                f"the environment variable {VARIABLE}; or set REDIS_URL=embedded://"
            )
        if self.mark is not None:
            self.mark.write_text(f"{self.settings.url}\n")
        self.is_claimed = True
        logger.info("The tests use %s", self.settings.url)

    def size(self) -> int:
        """How many keys it has, as far as somebody has used it: nobody is asked otherwise."""
        if not self.is_claimed:
            return 0
        try:
            return int(self.client.dbsize())
        except redis.RedisError:
            return 0

    def finish(self) -> None:
        """Give the database back, empty. Raises whatever stands in the way."""
        if self.is_claimed:
            self.client.flushdb()
            if self.mark is not None:
                self.mark.unlink(missing_ok=True)
        self.client.close()


def _mark_name(settings: Settings) -> str:
    return hashlib.sha256(settings.url.encode()).hexdigest()[:16]
