"""The part of `Model` that keeps memories alive: touching, and what memory fields ask for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from popoto import clock
from popoto.engine.request import Plan
from popoto.engine.run import arun, run
from popoto.fields.cycles.adjusting import Amplifying, Releasing
from popoto.fields.given import number_in, records_in
from popoto.fields.history.entries import HistoryEntry, history_of
from popoto.fields.keeping.adjusting import Adjustment
from popoto.models.record import memory_fields
from popoto.models.record.record import Record
from popoto.models.upkeep.embedding import embed_missing, reembed
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

        Returns the moment, or the pipeline. Raises as `touch`, and TypeError unless the records
        come in a list. One command.
        """
        return run(cls._touch_all(instances, field_name, pipeline))

    @classmethod
    async def async_bulk_touch(
        cls, instances: Iterable[Any], field_name: str, pipeline: Any = None
    ) -> Any:
        """`bulk_touch` for asyncio."""
        return await arun(cls._touch_all(instances, field_name, pipeline))

    @staticmethod
    def _touch_all(instances: Iterable[Any], field_name: str, pipeline: Any) -> Plan[Any]:
        now = clock.now()
        records = records_in(instances, "bulk_touch()")
        touches = {id(each): Touch(each, field_name, now=now) for each in records}
        yield from carry_or_queue(list(touches.values()), pipeline)
        return now if pipeline is None else pipeline

    # Cycles and pressure ----------------------------------------------------------------

    def resolve_pressure(self, field_name: str, pipeline: Any = None) -> Any:
        """Let the pressure of a cyclic field build up anew from now.

        Returns the moment, or the pipeline (which may be a transaction). Raises as `touch`, and
        TypeError for a field without pressure. One command.
        """
        return run(self._resolve_pressure(field_name, pipeline))

    async def async_resolve_pressure(self, field_name: str, pipeline: Any = None) -> Any:
        """`resolve_pressure` for asyncio."""
        return await arun(self._resolve_pressure(field_name, pipeline))

    def _resolve_pressure(self, field_name: str, pipeline: Any) -> Plan[Any]:
        field = memory_fields.cyclic(self, field_name, "resolve_pressure()")
        if not field.pressure_rate:
            raise TypeError(f"{field.label} has no pressure to resolve: its pressure_rate is 0")
        return self._adjusted(Releasing(self, field), pipeline)

    def strengthen_cycle(self, field_name: str, factor: float = 1.2, pipeline: Any = None) -> Any:
        """Multiply the amplitudes of a record's cycles, each held within [0, 100].

        An amplitude below 0.01 becomes 0 and stays so. Returns the cycles as lists of period,
        amplitude and phase, or the pipeline (which may be a transaction). Raises as `touch`,
        TypeError for a factor that is no number, ValueError for one that is not finite. One
        command.
        """
        return run(self._amplify(field_name, factor, pipeline, "strengthen_cycle"))

    async def async_strengthen_cycle(
        self, field_name: str, factor: float = 1.2, pipeline: Any = None
    ) -> Any:
        """`strengthen_cycle` for asyncio."""
        return await arun(self._amplify(field_name, factor, pipeline, "strengthen_cycle"))

    def weaken_cycle(self, field_name: str, factor: float = 0.8, pipeline: Any = None) -> Any:
        """`strengthen_cycle` with another default."""
        return run(self._amplify(field_name, factor, pipeline, "weaken_cycle"))

    async def async_weaken_cycle(
        self, field_name: str, factor: float = 0.8, pipeline: Any = None
    ) -> Any:
        """`weaken_cycle` for asyncio."""
        return await arun(self._amplify(field_name, factor, pipeline, "weaken_cycle"))

    def _amplify(self, field_name: str, factor: float, pipeline: Any, cause: str) -> Plan[Any]:
        field = memory_fields.cyclic(self, field_name, "a change of amplitudes")
        number = number_in(factor, f"{field.label}: factor")
        return self._adjusted(Amplifying(self, field, number, cause), pipeline)

    # History ----------------------------------------------------------------------------

    def history(
        self, limit: int | None = None, since: datetime | float | None = None
    ) -> list[HistoryEntry]:
        """What changed in the memory of this record, in the order in which it happened.

        Of a model with `Meta.history`: every change of a confidence, a decay clock, cycles,
        pressure, links, confirmed reads and pending proposals: who, when, why, before and after.
        `limit`: the latest ones; `since`: from a moment on (a datetime, or seconds since 1970).
        Older entries than `History` keeps are gone; a record that is not stored has none. Raises
        ModelException for a model that keeps no history. One command.
        """
        return run(history_of(self, limit, since))

    async def async_history(
        self, limit: int | None = None, since: datetime | float | None = None
    ) -> list[HistoryEntry]:
        """`history` for asyncio."""
        return await arun(history_of(self, limit, since))

    # Vectors ----------------------------------------------------------------------------

    @classmethod
    def embed_missing(cls, batch_size: int = 256) -> int:
        """Give vectors to records that were saved without; how many have one now.

        Those whose provider had failed, or was not there, and those whose text alone was saved.
        Raises RuntimeError when the provider fails again: what was done stands, and the next call
        goes on from there. Raises ModelException without `EmbeddingField` or provider. Two round
        trips for each batch, and the provider's calls.
        """
        return run(embed_missing(cls, batch_size))

    @classmethod
    async def async_embed_missing(cls, batch_size: int = 256) -> int:
        """`embed_missing` for asyncio."""
        return await arun(embed_missing(cls, batch_size))

    @classmethod
    def reembed(cls, batch_size: int = 256, anew: bool = False) -> int:
        """Give every record a vector of the present provider; how many were made.

        Where another model has made the vectors, or `anew` is true, all of them are dropped first;
        then, and otherwise, those records get one that have none. So a call that was interrupted
        is taken up by the next one, without `anew`. Searches find what is there already. Raises as
        `embed_missing`. Three round trips for each batch, and the provider's calls.
        """
        return run(reembed(cls, batch_size, anew=anew))

    @classmethod
    async def async_reembed(cls, batch_size: int = 256, anew: bool = False) -> int:
        """`reembed` for asyncio."""
        return await arun(reembed(cls, batch_size, anew=anew))

    # How it is carried out --------------------------------------------------------------

    def _adjusted(self, adjustment: Adjustment, pipeline: Any) -> Plan[Any]:
        found = yield from adjust([adjustment], pipeline)
        return found[0] if pipeline is None else pipeline

    @staticmethod
    def _adjusting(
        adjustments: Sequence[Adjustment], pipeline: Any = None, *, skips_missing: bool = False
    ) -> Plan[list[Any]]:
        """Carry out what fields and mixins ask for; see `popoto.fields.keeping.adjusting`."""
        return adjust(adjustments, pipeline, skips_missing=skips_missing)
