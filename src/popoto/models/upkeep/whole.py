"""Records with all that they hold, for what fields keep of them beside entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from popoto.engine.codec import Stored
from popoto.engine.looking_up import looked_up
from popoto.engine.request import Plan
from popoto.models.record.loading import new_instance, read_commands, stored_of_each
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record


class Whole(NamedTuple):
    """A record, its stored bytes, and an instance of it."""

    key: str
    stored: Mapping[str, Stored]
    instance: Record


def whole_records(
    model: type[Record], options: ModelOptions, keys: Sequence[str]
) -> Plan[list[Whole]]:
    """The records of one shard under these keys, as far as they are there. One round trip."""
    commands = [command for key in keys for command in read_commands(options, key)]
    replies = yield from looked_up(commands, options.shard)
    found: list[Whole] = []
    for key, stored in stored_of_each(options, keys, replies):
        if stored is not None:
            instance = new_instance(model, key, stored, resolves_references=False)
            found.append(Whole(key, stored, instance))
    return found
