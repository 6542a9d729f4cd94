"""Moving tests to a database of their own by hand. Under pytest the plugin does this by itself."""

from __future__ import annotations

from popoto import redis_db
from popoto._connection.settings import from_url, masked

__all__ = ["flush_test_db", "use_test_db"]

DEFAULT_TEST_DATABASE = 15


def use_test_db(db: int = DEFAULT_TEST_DATABASE) -> None:
    """Move the process to database `db` of the server that it uses now, everything else kept.

    Opens no connection. Raises ConfigurationError, a ValueError, for a negative number, and
    on a cluster, which has only database 0.
    """
    redis_db.use_database(db)


def flush_test_db() -> None:
    """Delete every key of the database that is in use now. One command, FLUSHDB.

    Raises ValueError for database 0 and for the very database that REDIS_URL names, since
    either may hold what is no test's.
    """
    client = redis_db.get_REDIS_DB()
    options = client.connection_pool.connection_kwargs
    database = int(options.get("db") or 0)
    if database == 0:
        raise ValueError(
            "Database 0 is never flushed by tests, it may hold real data. Call use_test_db() "
            "first, which moves to database 15."
        )
    url = redis_db.REDIS_URL
    if url and _same_place(from_url(url).options, options):
        raise ValueError(
            f"{masked(url)} is what REDIS_URL names, and not flushed by tests: it may hold real "
            f"data. Call use_test_db() with a number other than {database} first."
        )
    client.flushdb()  # pyright: ignore[reportUnknownMemberType]  # untyped in redis-py


def _same_place(one: dict[str, object], other: dict[str, object]) -> bool:
    return all(one.get(name) == other.get(name) for name in ("host", "port", "path", "db"))
