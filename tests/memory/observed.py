"""The outcomes of contexts, told by either twin."""

from __future__ import annotations

from typing import Any

from popoto import ObservationProtocol


class Both:
    """Static methods as bound ones, which is how a test calls both twins."""

    def on_context_used(self, *arguments: Any, **more: Any) -> None:
        ObservationProtocol.on_context_used(*arguments, **more)

    async def async_on_context_used(self, *arguments: Any, **more: Any) -> None:
        await ObservationProtocol.async_on_context_used(*arguments, **more)
