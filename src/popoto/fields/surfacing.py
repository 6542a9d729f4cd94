"""`RecallProposal`: records that were proposed to an agent and wait for an outcome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from popoto import clock
from popoto._former_names import formerly
from popoto.engine.batch import Batch
from popoto.engine.looking_up import looked_up
from popoto.engine.request import Argument, Plan
from popoto.engine.run import arun, run
from popoto.fields.given import model_in, number_in, record_in, records_in
from popoto.fields.keeping.adjusting import (
    Adjustment,
    Queued,
    carried_out,
    changed,
    check_waiting_place,
)
from popoto.fields.keeping.naming import model_name_of
from popoto.fields.keeping.noting import put_noted
from popoto.fields.keeping.proposals import partitions_key, pending_stem
from popoto.fields.keeping.shards import in_every_shard

__all__ = ["Proposing", "RecallProposal", "Withdrawing"]


class RecallProposal:
    """Which records are pending, by partition: sorted sets of record keys by the moment.

    Each method has a native asyncio twin, ``async_…``. Proposals go with their record.
    """

    DEFAULT_TTL = 3600
    """Seconds after which a proposal is stale."""

    @classmethod
    @formerly(model_class="model_class_or_instance")
    def _pending_key(cls, model_class_or_instance: Any, partition: str | None = None) -> str:
        return _key_of(_name_of(model_class_or_instance), partition)

    @classmethod
    def create_batch(
        cls,
        instances: Sequence[Any],
        reason: str = "proactive",
        partition: str | None = None,
        pipeline: Any = None,
    ) -> None:
        """Note that records were proposed now; again refreshes the moment.

        `reason` is for callers, nothing keeps it. Each record is filed under its own class. One
        that is gone is left out; in a pipeline it is an error of that command. One round trip.
        """
        run(_creating(instances, partition, pipeline))

    @classmethod
    async def async_create_batch(
        cls,
        instances: Sequence[Any],
        reason: str = "proactive",
        partition: str | None = None,
        pipeline: Any = None,
    ) -> None:
        """`create_batch` for asyncio."""
        await arun(_creating(instances, partition, pipeline))

    @classmethod
    def resolve(
        cls, instance: Any, outcome: str, partition: str | None = None, pipeline: Any = None
    ) -> Any:
        """A record is not pending any more: 1, or 0 if it was not; or the pipeline. One command."""
        return run(_resolving(instance, outcome, partition, pipeline))

    @classmethod
    async def async_resolve(
        cls, instance: Any, outcome: str, partition: str | None = None, pipeline: Any = None
    ) -> Any:
        """`resolve` for asyncio."""
        return await arun(_resolving(instance, outcome, partition, pipeline))

    @classmethod
    def expire_stale(
        cls,
        model_class: Any,
        partition: str | None = None,
        ttl: float | None = None,
        pipeline: Any = None,
    ) -> list[str]:
        """Remove proposals older than `ttl` seconds (`DEFAULT_TTL`).

        Their record keys, oldest first. With a pipeline, the removal is queued and the keys are
        read at once. Two commands.
        """
        return run(
            _expiring(model_class, partition, cls.DEFAULT_TTL if ttl is None else ttl, pipeline)
        )

    @classmethod
    async def async_expire_stale(
        cls,
        model_class: Any,
        partition: str | None = None,
        ttl: float | None = None,
        pipeline: Any = None,
    ) -> list[str]:
        """`expire_stale` for asyncio."""
        seconds = cls.DEFAULT_TTL if ttl is None else ttl
        return await arun(_expiring(model_class, partition, seconds, pipeline))

    @classmethod
    def get_pending(cls, model_class: Any, partition: str | None = None) -> list[tuple[str, float]]:
        """Record keys with the moments they were proposed, oldest first. One command.

        Overdue ones are among them until `expire_stale`.
        """
        return run(_reading(model_class, partition))

    @classmethod
    async def async_get_pending(
        cls, model_class: Any, partition: str | None = None
    ) -> list[tuple[str, float]]:
        """`get_pending` for asyncio."""
        return await arun(_reading(model_class, partition))


class Proposing(Adjustment):
    """A record is pending in a partition. Of one that is gone nothing would take it away."""

    what = "create_batch()"
    takes_constructed = True

    def __init__(self, instance: Any, partition: str | None, now: float) -> None:
        super().__init__(instance)
        self.partition = partition
        self.now = now

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        name = model_name_of(self.instance)
        batch.put("ZADD", _key_of(name, self.partition), repr(self.now), key)
        if self.partition and self.partition != "default":
            batch.put("SADD", partitions_key(name), str(self.partition))


class Withdrawing(Adjustment):
    """A record is pending no more, in one partition or in all."""

    what = "resolving of proposals"

    def __init__(self, instance: Any, partition: str | None) -> None:
        super().__init__(instance)
        self.partition = partition

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        name = model_name_of(self.instance)
        if self.partition:
            pending = _key_of(name, self.partition)
            put_noted(batch, "proposal", "", key, "ZREM", pending, key)
        else:
            words = (partitions_key(name), pending_stem(name), key)
            put_noted(batch, "proposal", "", key, "WITHDRAW", *words)


def _name_of(model_class_or_instance: Any) -> str:
    given = model_class_or_instance
    model: type = given if isinstance(given, type) else type(given)
    return model_name_of(model)


def _key_of(model_name: str, partition: str | None) -> str:
    return f"{pending_stem(model_name)}{partition or 'default'}"


def _creating(given: Iterable[Any], partition: str | None, pipeline: Any) -> Plan[None]:
    instances = records_in(given, "create_batch()")
    now = clock.now()
    by_model: dict[Any, list[Adjustment]] = {}
    for instance in instances:
        proposing = Proposing(instance, partition, now)
        by_model.setdefault(instance.__class__, []).append(proposing)
    for adjustments in by_model.values():
        yield from carried_out(adjustments, pipeline, skips_missing=True)


def _resolving(instance: Any, outcome: str, partition: str | None, pipeline: Any) -> Plan[Any]:
    record_in(instance, "resolve()")._meta.isolation.check_had(instance, "the proposals")
    command = ("ZREM", _key_of(model_name_of(instance), partition), instance.pk)
    noting = instance._meta.noting("resolve", outcome)
    if noting is not None:
        resolving = Queued(
            instance,
            "resolve()",
            lambda batch: put_noted(batch, "proposal", "", instance.pk, *command),
            beside=instance.pk,
        )
        resolving.noting = noting
        found = yield from carried_out([resolving], pipeline)
        return found[0] if pipeline is None else pipeline
    return (yield from changed(instance, "resolve()", pipeline, command, beside=instance.pk))


def _check_partition(model_class: Any, partition: str | None, what: str) -> None:
    model_in(model_class, what)
    if partition is None:
        model_class._meta.isolation.check_at_large(f"{what} without a partition", "partition=…")


def _expiring(
    model_class: Any, partition: str | None, ttl: float, pipeline: Any
) -> Plan[list[str]]:
    _check_partition(model_class, partition, "expire_stale()")
    check_waiting_place(pipeline)
    key = _key_of(_name_of(model_class), partition)
    latest = repr(clock.now() - number_in(ttl, "ttl (seconds)", infinite=True))
    command = ("ZRANGEBYSCORE", key, "-inf", latest, "WITHSCORES")
    stale: list[tuple[float, str]] = []
    for options, flat in (
        yield from in_every_shard(model_class._meta, lambda each: _overdue_in(each, command))
    ):
        if flat:
            removal = ("ZREMRANGEBYSCORE", key, "-inf", latest)
            yield from changed(model_class, "expire_stale()", pipeline, removal, options=options)
        stale += [
            (float(moment), member.decode("utf-8", "replace"))
            for member, moment in zip(flat[::2], flat[1::2], strict=True)
        ]
    return [member for _, member in sorted(stale)]


def _overdue_in(options: Any, command: tuple[Argument, ...]) -> Plan[tuple[Any, list[bytes]]]:
    """The options of a shard with what is overdue there, each with its moment."""
    (flat,) = yield from looked_up([command], options.shard, before_writing=True)
    return options, flat


def _reading(model_class: Any, partition: str | None) -> Plan[list[tuple[str, float]]]:
    _check_partition(model_class, partition, "get_pending()")
    command = ("ZRANGE", _key_of(_name_of(model_class), partition), 0, -1, "WITHSCORES")
    options: Any = model_class._meta
    replies = yield from in_every_shard(options, lambda each: looked_up([command], each.shard))
    found = [
        (key.decode("utf-8", "replace"), float(moment))
        for (flat,) in replies
        for key, moment in zip(flat[::2], flat[1::2], strict=True)
    ]
    # Of several shards; of one they are in this order already.
    return found if len(replies) == 1 else sorted(found, key=lambda each: (each[1], each[0]))
