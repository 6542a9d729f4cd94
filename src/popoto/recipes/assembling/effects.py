"""What an assembled context does to records: shown ones are read, proposed, or suppress others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from popoto import clock
from popoto.engine.batch import Batch
from popoto.engine.looking_up import looked_up
from popoto.engine.request import Argument, Plan, Reply
from popoto.fields.confidence.evidence import Learning
from popoto.fields.keeping.adjusting import Adjustment, carried_out
from popoto.fields.keeping.shards import are_apart
from popoto.fields.surfacing import Proposing

__all__ = ["take_effect"]


class _Staging(Adjustment):
    """A record that is shown was read."""

    what = "assemble()"
    takes_constructed = True

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        self.instance.on_read(pipeline=batch)


class _Looking(Adjustment):
    """What else is to be known of the records: reading commands, in the step that writes."""

    what = "assemble()"
    needs_record = False

    def __init__(self, model: Any, options: Any, commands: Sequence[tuple[Argument, ...]]) -> None:
        super().__init__(model)
        self.options = options
        self.commands = commands
        self.replies: Sequence[Any] = ()

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        for name, place, *arguments in self.commands:
            # Another program's key is refused before anything is written.
            batch.put("KIND", str(place), "zset" if str(name).startswith("Z") else "hash")
            batch.put(str(name), str(place), *arguments)

    def finish(self, replies: Sequence[Reply]) -> None:
        self.replies = replies[1::2]


def take_effect(
    model: Any,
    shown: Sequence[Any],
    proactive: Sequence[Any],
    suppressed: Sequence[Any],
    partition: str,
    signal: float,
    looks: Sequence[tuple[Argument, ...]] = (),
    shards: Sequence[str] | None = None,
) -> Plan[Sequence[Any]]:
    """All effects in one step; records that are gone meanwhile are left out. One command.

    What is to be looked up is, in the same step; the replies. Of records in several shards of a
    cluster, it is before that, and each shard has a step. `shards`: that of each look.
    """
    options: Any = model._meta
    effects: list[Adjustment] = []
    if hasattr(model, "on_read") and getattr(model, "_track_reads", True):
        effects += [_Staging(record) for record in shown]
    now = clock.now()
    effects += [Proposing(record, partition, now) for record in proactive]
    for field in model._meta.listed("confidence")[:1]:
        effects += [Learning(record, field, signal) for record in suppressed]
    is_spread = len({*(shards or ())}) > 1 and (yield from are_apart(options))
    seen: Sequence[Any] = ()
    if looks and (is_spread or not effects):
        seen, looks = (yield from looked_up(looks, options.shard, shards=shards)), ()
    if not effects:
        return seen
    looking = _Looking(model, effects[0].options, looks)
    yield from carried_out([*effects, looking] if looks else effects, skips_missing=True)
    return looking.replies if looks else seen
