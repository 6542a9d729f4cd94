"""Servers that evict keys of their own choice: said once, when popoto first connects to them.

Index entries are keys like any other. A server that may evict them all (``allkeys-*``) answers
queries wrongly without an error, and forgets which unique values are taken. Under a
``volatile-*`` policy it evicts only records with a time to live, which are then gone a little
earlier; `docs/configuration.md` says what that means.
"""

from __future__ import annotations

import logging
from typing import Final

from popoto._connection.resp import Reply

__all__ = ["EvictionNotice"]

logger = logging.getLogger("POPOTO-REDIS_DB")


class EvictionNotice:
    """What one place to connect to is asked once, by whichever of its pools connects first."""

    #: INFO takes no right to configure, and one that may not ask is told nothing
    QUESTION: Final = b"*2\r\n$4\r\nINFO\r\n$6\r\nmemory\r\n"

    def __init__(self) -> None:
        self.is_due = True

    def take(self, answer: Reply, url: str) -> None:
        """Log a warning if the answer to the question calls for one."""
        text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else ""
        pairs = (line.partition(":") for line in text.splitlines())
        said = {name: value for name, _, value in pairs}
        policy = said.get("maxmemory_policy", "")
        if policy.startswith("allkeys-") and said.get("maxmemory", "0") != "0":
            logger.warning(
                "%s may evict any key when its memory is full (maxmemory-policy %s): queries then "
                "miss records, and unique values are given twice, without an error. Set "
                "maxmemory-policy to noeviction, or to volatile-ttl for models with a time to "
                "live. rebuild_indexes() mends what has been evicted.",
                url,
                policy,
            )
