"""The part of `Model` that follows relationships."""

from __future__ import annotations

from typing import Any

from popoto.engine.run import arun, run
from popoto.models.reading.related import related
from popoto.models.record.record import Record


class RelatedMethods(Record, is_base=True):
    """Methods of `Model` for the records that one refers to."""

    def related(self, name: str) -> Any:
        """The record that the relationship `name` refers to, or None; the attribute has it, too.

        None where there is none, or where it is missing: then the key stays stored, and is
        looked up again by the next call. Raises QueryException for a name that is no
        Relationship. One command, unless the attribute has the record already.
        """
        return run(related(self, name))

    async def async_related(self, name: str) -> Any:
        """`related` for asyncio: the attribute itself reads no record in a running event loop."""
        return await arun(related(self, name))
