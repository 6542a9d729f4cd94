"""One request of two commits, as those are of which a part may be carried out alone."""

from __future__ import annotations

from popoto.engine.batch import Batch
from popoto.engine.request import Plan, Request
from popoto.engine.run import arun, run


class TwoCalls:
    """Writes the field `text` of two records. Both ways, for `api(TwoCalls(...).write)`."""

    def __init__(self, *keys: str) -> None:
        self.keys = keys

    def write(self) -> None:
        run(self._plan())

    async def async_write(self) -> None:
        await arun(self._plan())

    def _plan(self) -> Plan[None]:
        batches: list[Batch] = []
        for key in self.keys:
            batch = Batch()
            batch.guard("exists", key)
            batch.put("HSET", key, "text", b"\xa1x")
            batches.append(batch)
        yield Request([batch.call() for batch in batches], "Berth")
