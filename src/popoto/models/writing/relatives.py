"""The operations on records that depend on deleted ones: they go too, or let go of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from popoto.engine.batch import Batch, GuardFailure, Step
from popoto.engine.codec import Stored
from popoto.exceptions import ModelException
from popoto.fields.on_delete import OnDelete
from popoto.models.beside.expiry import put_expiry_as_is
from popoto.models.record.record import Record
from popoto.models.writing.deleting import Deletion, ReferredError
from popoto.models.writing.depending import Relatives
from popoto.models.writing.operation import Operation
from popoto.models.writing.save_request import SaveRequest
from popoto.models.writing.saving import Saving


class DependantDeletion(Deletion):
    """The delete of a record for its references, as long as it has them."""

    def __init__(self, instance: Record, reasons: Mapping[str, Stored]) -> None:
        super().__init__(instance, {})
        self._reasons = reasons

    def take_stored(self, stored: Mapping[str, Stored] | None) -> None:
        if stored is not None and any(
            stored.get(name) != now for name, now in self._reasons.items()
        ):
            raise ReferredError(self.key, ())
        super().take_stored(stored)


class Clearing(Saving):
    """The save by which a record lets go of its references, as long as it has them.

    Nothing else of it is checked or written, and no method of its class is called.
    """

    @classmethod
    def of(cls, instance: Record, names: Sequence[str], key: str) -> Self:
        vars(instance).update(dict.fromkeys(names))
        return cls(instance, SaveRequest(update_fields=names), list(names), key)

    def _put_expiry(self, batch: Batch) -> None:
        put_expiry_as_is(batch, self.options, self.key)

    def learn(self, failure: GuardFailure, step: Step | None) -> None:
        if failure.what in ("holds", "exists"):
            raise ReferredError(self.key, ())
        super().learn(failure, step)


def check_others(found: Relatives, others: Iterable[Operation]) -> None:
    """Refuse operations of the same step that would let a record refer to one that goes."""
    for operation in others:
        for field in operation.options.by_name.values():
            if field.on_target_deleted is not OnDelete.DO_NOTHING:
                target = field.referred_key(operation.instance)
                if target in found.going:
                    raise ModelException(
                        f"the {operation.title} belongs to the same step as the delete of "
                        f"{target!r}, to which it refers by {field.label} (on_delete="
                        f"{field.on_target_deleted}); nothing was written. Let it refer to "
                        "another record, or delete it as well."
                    )


def check_shards(operations: Iterable[Operation], *, is_cluster: bool) -> None:
    """Raise ModelException for operations that concern several shards of a cluster."""
    shards = sorted({operation.options.shard for operation in operations})
    if is_cluster and len(shards) > 1:
        raise ModelException(
            f"a transaction on a cluster concerns one shard, not {', '.join(shards)}: their "
            "records may be on different nodes, which commit nothing together. Nothing was "
            "written."
        )


def referrers_first(deletions: Sequence[Deletion], found: Relatives) -> list[Deletion]:
    """Deletions in an order in which records go before those that they refer to.

    Commits on several shards are one after the other: who turns out to stay, as it does not match
    any more, has a say yet. Circles have no such order.
    """
    by_key = {each.key: each for each in deletions}
    order: list[Deletion] = []
    seen: set[str] = set()
    for key in by_key:
        path: list[str] = [] if key in seen else [key]
        seen.add(key)
        while path:
            referrers = found.referrers.get(path[-1], ())
            other = next((each for each in referrers if each in by_key and each not in seen), None)
            if other is None:
                order.append(by_key[path.pop()])
            else:
                seen.add(other)
                path.append(other)
    return order
