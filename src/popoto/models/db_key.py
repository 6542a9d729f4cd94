"""`DB_key`: a key as the list of its parts."""

from popoto.engine.db_key import DB_key
from popoto.redis_db import POPOTO_REDIS_DB

__all__ = ["POPOTO_REDIS_DB", "DB_key"]
