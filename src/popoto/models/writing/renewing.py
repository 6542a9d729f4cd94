"""`Renewal`: the time of a stored record begins anew, and none of its values is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from popoto.engine.batch import Batch, GuardFailure, QueuedCommits, Step
from popoto.engine.codec import Stored
from popoto.engine.request import Plan, Reply
from popoto.exceptions import ModelException
from popoto.fields.field import LEFT_OUT
from popoto.models.beside.expiry import note_applied, put_expiry
from popoto.models.record.checking import coerce_and_check
from popoto.models.record.further import ask_expiry
from popoto.models.record.record import Record
from popoto.models.record.stored import stored_key
from popoto.models.writing.adjusting import carry_or_queue
from popoto.models.writing.carrying import carry_out
from popoto.models.writing.conditions import Condition
from popoto.models.writing.keywords import Lifetime, Moment
from popoto.models.writing.operation import Operation, not_stored
from popoto.models.writing.rows import Matches, Rows, telling


class Renewal(Operation):
    """A record, and what belongs to it, ends when its instance asks for it, counted from now."""

    what = "renew_ttl"

    def __init__(
        self,
        instance: Record,
        ttl: Lifetime,
        expire_at: Moment,
        condition: Condition | None = None,
    ) -> None:
        name = instance._meta.model_name
        super().__init__(instance, stored_key(instance, f"{name}.renew_ttl()"))
        ask_expiry(instance, ttl=ttl, expire_at=expire_at)
        is_told = ttl is not LEFT_OUT or expire_at is not LEFT_OUT
        if not is_told and instance._ttl is None and instance._expire_at is None:
            raise ModelException(
                f"{name}.renew_ttl(): neither Meta.ttl nor this record says how long it lives; "
                "give ttl= (seconds, a timedelta, or None for ever) or expire_at="
            )
        self._condition = condition
        #: what is believed to be stored in the fields that decide it
        self._known: Mapping[str, Stored] = instance._stored
        self._demanded = condition.fields(self.options) if condition is not None else ()
        problem = coerce_and_check(instance, (), null_check=False)
        if problem is not None:
            raise problem

    @property
    def keys(self) -> tuple[str, ...]:
        # No value of the record is written: others may write it in the same step.
        return ()

    def look(self, queued: QueuedCommits) -> Plan[None]:
        yield from ()

    def batch(self) -> Batch:
        batch = Batch(self.noting)
        if self._demanded:
            batch.guard_holds(self.key, self._known, self._demanded)
        else:
            batch.guard("exists", self.key)
        # Whatever the model's policy is: it is what was asked for.
        put_expiry(batch, self.instance, self.key, is_new=False, replaces=True)
        return batch

    def learn(self, failure: GuardFailure, step: Step | None) -> None:
        if step is None or failure.what == "type":
            raise failure.error()
        if failure.what != "holds" or self._condition is None:
            raise not_stored(self.key)
        self._known = failure.stored(self.options.hash_names)
        self._condition.check(self.options, self.key, self._known)

    def finish(self, replies: Sequence[Reply]) -> None:
        self.queue_up()

    def leave(self, queued: QueuedCommits) -> None:
        """Its values stay as they are."""

    def queue_up(self) -> None:
        if self.options.ttl_policy != "reset":
            note_applied(self.instance)


def renew(instance: Record, ttl: Lifetime, expire_at: Moment, pipeline: Any) -> Plan[Any]:
    """The plan of `Model.renew_ttl`."""
    yield from carry_or_queue([Renewal(instance, ttl, expire_at)], pipeline)
    return pipeline


def renew_all(
    model: type[Record], query: Any, ttl: Lifetime, expire_at: Moment, batch_size: int
) -> Plan[int]:
    """The plan of `QueryBuilder.renew_ttl`."""
    rows = Rows(f"{model._meta.model_name}.query.renew_ttl", skips_missing=True)
    matches = Matches(model, "renew_ttl()", query, batch_size)
    return (yield from telling(rows, _renewed(matches, rows, ttl, expire_at)))


def _renewed(matches: Matches, rows: Rows, ttl: Lifetime, expire_at: Moment) -> Plan[int]:
    batch = yield from matches.next()
    while batch is not None:
        condition = matches.condition
        renewals = [Renewal(instance, ttl, expire_at, condition) for instance in batch]
        done = yield from carry_out(renewals, rows)
        rows.end_batch(len(done), len(batch))
        batch = yield from matches.next()
    return rows.done
