"""`DB_key`: a key as the list of its parts."""

from popoto.engine.db_key import DB_key

__all__ = ["DB_key"]
