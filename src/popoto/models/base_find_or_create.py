"""The part of `Model` that finds a record, and creates it where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from popoto.engine.run import arun, run
from popoto.models.record.record import Record
from popoto.models.writing import creating


class FindOrCreateMethods(Record, is_base=True):
    """Methods of `Model` for a record that may be there."""

    @classmethod
    def get_or_create(
        cls, defaults: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> tuple[Self, bool]:
        """The record that the lookup finds, or a new one of lookup and defaults.

        Returns it and whether it was created; of concurrent callers exactly one
        creates, whatever fields the lookup names: the commit that creates finds nothing that
        matches. Where the lookup holds the whole key, the key alone decides. Raises
        QueryException for several matches. One command if found, two if created; three where
        Python has to compare values.
        """
        return run(creating.get_or_create(cls, defaults, kwargs))

    @classmethod
    async def async_get_or_create(
        cls, defaults: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> tuple[Self, bool]:
        """`get_or_create` for asyncio."""
        return await arun(creating.get_or_create(cls, defaults, kwargs))

    @classmethod
    def update_or_create(
        cls, defaults: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> tuple[Self, bool]:
        """The record that the lookup finds, changed by defaults, or a new one of both.

        Returns it and whether it was created. Key fields in `defaults` raise
        KeyMutationError when they differ. Two commands.
        """
        return run(creating.update_or_create(cls, defaults, kwargs))

    @classmethod
    async def async_update_or_create(
        cls, defaults: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> tuple[Self, bool]:
        """`update_or_create` for asyncio."""
        return await arun(creating.update_or_create(cls, defaults, kwargs))
