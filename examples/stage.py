"""Where a demonstration runs, and what it says where there is no server.

Without REDIS_URL, or with an empty one, that is a temporary server of its own. A server that cannot
be reached is told of in one line, with status 1. Import this module before popoto, which reads
REDIS_URL.
"""

from __future__ import annotations

import sys

import redis

try:
    from popoto import redis_db
except ValueError as error:
    # A REDIS_URL that means nothing.
    sys.exit(f"REDIS_URL: {error}")


def enter() -> bool:
    """Choose the server and see that it answers; whether it is one of the demonstration's own."""
    is_own = not redis_db.REDIS_URL
    if is_own:
        redis_db.set_REDIS_DB_settings(url="embedded://")
    try:
        redis_db.get_REDIS_DB().ping()  # pyright: ignore[reportUnknownMemberType]  # untyped in redis-py
    except redis.RedisError as error:
        sys.exit(str(error))
    return is_own


def address() -> str:
    """The URL by which other processes reach the server; none is needed for one of REDIS_URL."""
    if redis_db.REDIS_URL:
        return redis_db.REDIS_URL
    return f"unix://{redis_db.POPOTO_REDIS_DB.connection_pool.connection_kwargs['path']}?db=0"
