"""The part of `Model` that changes a stored record in place."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from popoto.engine.run import arun, run
from popoto.fields.field import LEFT_OUT
from popoto.models.beside import field_expiry
from popoto.models.reading import refreshing, remaining
from popoto.models.record.record import Record
from popoto.models.writing import renewing, single
from popoto.models.writing.keywords import Lifetime, Moment

if TYPE_CHECKING:
    from decimal import Decimal


class InPlaceMethods(Record, is_base=True):
    """Methods of `Model` on records that are stored already."""

    def atomic_increment(
        self, field_name: str, delta: float | Decimal, pipeline: Any = None
    ) -> Any:
        """Add to a stored number, exactly, whatever other writers do meanwhile.

        For int, float and Decimal fields; None and a missing value count as 0. Indexes follow
        in the same step; the expiry and all other fields stay as they are, also here. Returns
        the new value in the field's type, which the attribute then has, or the pipeline if
        one was given (the attribute then has the value to be expected).

        Raises AttributeError (no such field), UnsavedError (a TypeError), TypeError (no
        number), ValidationError (a fraction for an int field), NumberOverflowError (ints have
        64 bits), NotStoredError when the record is gone; nothing was written then. A float
        delta of a Decimal field counts with the digits it shows. One command; where Decimals,
        ints beyond 2**53, versions or value indexes are concerned, one more for each writer
        that was faster.
        """
        return run(single.increment(self, field_name, delta, pipeline))

    async def async_atomic_increment(
        self, field_name: str, delta: float | Decimal, pipeline: Any = None
    ) -> Any:
        """`atomic_increment` for asyncio."""
        return await arun(single.increment(self, field_name, delta, pipeline))

    def refresh(self, fields: Iterable[str] | None = None) -> Self:
        """Load the stored values again, all or those of some fields; unsaved changes go.

        Returns the instance. Raises NotStoredError when the record is gone. One round trip.
        """
        run(refreshing.refresh(self, fields))
        return self

    async def async_refresh(self, fields: Iterable[str] | None = None) -> Self:
        """`refresh` for asyncio."""
        await arun(refreshing.refresh(self, fields))
        return self

    def renew_ttl(
        self, ttl: Lifetime = LEFT_OUT, *, expire_at: Moment = LEFT_OUT, pipeline: Any = None
    ) -> None:
        """Let the record's time begin anew, without writing any of its values.

        Counted from now by what this instance asks for: its `_ttl` or `_expire_at`, which is
        `Meta.ttl` unless something else was set, whatever `Meta.ttl_policy` says. Or for `ttl`
        seconds (a timedelta; None: for ever), or until the moment `expire_at`; later saves ask for
        the same. All that belongs to the record follows.

        Goes into a redis-py `pipeline` or a transaction if one is given. Raises NotStoredError
        when the record is gone, UnsavedError (a TypeError), ValidationError for what is no
        time, ModelException where nothing says how long. One command.
        """
        run(renewing.renew(self, ttl, expire_at, pipeline))

    async def async_renew_ttl(
        self, ttl: Lifetime = LEFT_OUT, *, expire_at: Moment = LEFT_OUT, pipeline: Any = None
    ) -> None:
        """`renew_ttl` for asyncio."""
        await arun(renewing.renew(self, ttl, expire_at, pipeline))

    def remaining_ttl(self) -> float | None:
        """Seconds until the record expires; None: it does not.

        Asks the server, so it is a method. Raises NotStoredError when the record is gone,
        UnsavedError (a TypeError). One command.
        """
        return run(remaining.remaining_ttl(self))

    async def async_remaining_ttl(self) -> float | None:
        """`remaining_ttl` for asyncio."""
        return await arun(remaining.remaining_ttl(self))

    def expire_field(self, field_name: str, ttl: int | datetime.timedelta | None) -> None:
        """Let one field's stored value expire by itself, in seconds from now; None: never.

        The value then reads as its default. A save that changes the field takes its expiry
        away. Fields of the key and of indexes cannot expire alone. Raises NotStoredError when
        there is no stored value, ModelException where the server cannot do this: it takes
        Redis 7.4 or Valkey 9. One command.
        """
        run(field_expiry.expire_field(self, field_name, ttl))

    async def async_expire_field(
        self, field_name: str, ttl: int | datetime.timedelta | None
    ) -> None:
        """`expire_field` for asyncio."""
        await arun(field_expiry.expire_field(self, field_name, ttl))

    def field_ttl(self, field_name: str) -> float | None:
        """Seconds until a field's stored value expires by itself; None: it does not.

        Raises as `expire_field`. One command.
        """
        return run(field_expiry.field_ttl(self, field_name))

    async def async_field_ttl(self, field_name: str) -> float | None:
        """`field_ttl` for asyncio."""
        return await arun(field_expiry.field_ttl(self, field_name))
