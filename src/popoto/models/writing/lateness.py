"""Writes whose reply did not come: none of them is repeated, or takes effect later on.

Each call has a key of its own, which does not exist, and a guard that looks whether it does.
Whoever gives a call up sets that key first. So once the caller has been told that the outcome is
unknown, it is fixed, whatever the network still delivers: what others write from then on stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import urandom
from typing import Final, TypeAlias

from redis.exceptions import RedisError

from popoto.engine import keys
from popoto.engine.batch import Batch
from popoto.engine.request import Plan, Request
from popoto.exceptions import OutcomeUnknownError, OutcomeUnknownTimeoutError
from popoto.models.record.loading import indexed_of
from popoto.models.record.options import ModelOptions
from popoto.models.writing.operation import Operation

#: What a hash holds of some fields.
Values: TypeAlias = Sequence[bytes | None]

#: How often the reply to one write may be lost before its caller is told.
MOST_LOSSES: Final = 2
#: Milliseconds for which a call that was given up is remembered. No network holds one longer.
_REMEMBERED: Final = 3_600_000


def refuse_when_late(options: ModelOptions, batches: Iterable[Batch]) -> str:
    """Have the calls of these batches refused once they are given up, by this key."""
    key = keys.late_key(options.model_name, urandom(8).hex())
    for batch in batches:
        batch.guard("absent", key)
    return key


def give_up(
    options: ModelOptions, late: str, lost: OutcomeUnknownError, looks: Batch | None = None
) -> Plan[Sequence[Values]]:
    """Refuse the calls from now on, and then `looks`: what it sees. Raises `lost` if in vain.

    What is looked for may be told to be carried out. So replicas are waited for, if they are to
    have it: they have this no sooner than what was written before.
    """
    batch = Batch()
    batch.put("SET", late, "", "PX", _REMEMBERED)
    if looks is not None:
        batch.extend(looks)
    # A server that was too slow once is not asked for long.
    for _ in range(1 if isinstance(lost, OutcomeUnknownTimeoutError) else MOST_LOSSES):
        try:
            (reply,) = yield Request.of(
                batch.call(),
                shard=options.shard,
                replicates=looks is not None,
                wait=options.wait,
            )
        except OutcomeUnknownError:
            continue
        except RedisError:
            break
        seen: Sequence[Values] = reply[2:]
        return seen
    raise lost


def see_through(
    operations: Sequence[Operation], late: str, lost: OutcomeUnknownError, *, may_show: bool
) -> Plan[None]:
    """Give up the calls of operations. Raises `lost` unless all are seen to be carried out.

    They know then what is stored, and can be carried out again to no effect but their results.
    """
    options = operations[0].options
    is_seen = may_show and all(each.shows for each in operations)
    looks = Batch()
    if is_seen:
        for operation in operations:
            looks.put("HMGET", operation.key, *operation.options.index_names)
    try:
        seen = yield from give_up(options, late, lost, looks if is_seen else None)
        for operation, values in zip(operations, seen, strict=True) if is_seen else ():
            found = indexed_of(operation.options, values)
            is_seen = is_seen and bool(found) and operation.recognizes(found)
        if not is_seen:
            raise lost
    except OutcomeUnknownError:
        for operation in operations:
            operation.doubt()
        raise
