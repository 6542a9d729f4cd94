"""The part of `Model` that keeps memories alive: touching, and what memory fields ask for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from popoto import clock
from popoto.engine.request import Plan
from popoto.engine.run import arun, run
from popoto.fields.keeping.adjusting import Adjustment
from popoto.models.record.record import Record
from popoto.models.writing.adjusting import adjust, carry_or_queue
from popoto.models.writing.touching import Touch


class MemoryMethods(Record, is_base=True):
    """Methods of `Model` for records whose relevance changes without a save."""

    def touch(self, field_name: str, pipeline: Any = None) -> Any:
        """Set a decay field to now, in the record and in its ranking; nothing else is written.

        Returns the moment (seconds since 1970), or the pipeline if one was given; the
        attribute has it at once. `pipeline` may be a transaction. Raises AttributeError (no
        such field), TypeError (no DecayingSortedField; an unsaved instance), NotStoredError
        when the record is gone; nothing was written then. One command.
        """
        return run(self._touch(field_name, pipeline))

    async def async_touch(self, field_name: str, pipeline: Any = None) -> Any:
        """`touch` for asyncio."""
        return await arun(self._touch(field_name, pipeline))

    def _touch(self, field_name: str, pipeline: Any) -> Plan[Any]:
        found = yield from carry_or_queue([Touch(self, field_name)], pipeline)
        return found[0] if pipeline is None else pipeline

    @classmethod
    def bulk_touch(cls, instances: Iterable[Any], field_name: str, pipeline: Any = None) -> Any:
        """`touch` of many records in one step: all of them are, or none.

        Returns the moment, or the pipeline. Raises as `touch`. One command.
        """
        return run(cls._touch_all(list(instances), field_name, pipeline))

    @classmethod
    async def async_bulk_touch(
        cls, instances: Iterable[Any], field_name: str, pipeline: Any = None
    ) -> Any:
        """`bulk_touch` for asyncio."""
        return await arun(cls._touch_all(list(instances), field_name, pipeline))

    @staticmethod
    def _touch_all(instances: Sequence[Any], field_name: str, pipeline: Any) -> Plan[Any]:
        now = clock.now()
        touches = {id(each): Touch(each, field_name, now) for each in instances}
        yield from carry_or_queue(list(touches.values()), pipeline)
        return now if pipeline is None else pipeline

    @staticmethod
    def _adjusting(adjustments: Sequence[Adjustment], pipeline: Any = None) -> Plan[list[Any]]:
        """Carry out what fields and mixins ask for; see `popoto.fields.keeping.adjusting`."""
        return adjust(adjustments, pipeline)
