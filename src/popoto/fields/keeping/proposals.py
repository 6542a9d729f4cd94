"""Proposals to recall a record, which are withdrawn and carried along with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from popoto.engine.batch import Batch
from popoto.engine.request import Reply
from popoto.fields.keeping.entries import Carried, scored, told_scores
from popoto.fields.keeping.families import KeyFamily
from popoto.memory.commands import put

__all__ = ["ProposalEntry", "partitions_key", "pending_family", "pending_stem"]


def pending_stem(model_name: str) -> str:
    """What the keys of pending proposals begin with; the partition follows."""
    return f"$RP:{model_name}:pending:"


def partitions_key(model_name: str) -> str:
    """The set of the partitions in which proposals are pending, or were."""
    return f"$RP:{model_name}:partitions"


def pending_family(model_name: str) -> KeyFamily:
    """The keys of pending proposals, for upkeep."""
    return KeyFamily(
        "companions",
        "proposals",
        pending_stem(model_name).rstrip(":"),
        "zset",
        of_companions=True,
        is_open=True,
        derived=False,
        listed_in=partitions_key(model_name),
    )


@dataclass(frozen=True, slots=True)
class ProposalEntry(Carried):
    """That a record is pending, in whichever partitions; `key` lists them."""

    key: str
    member: str
    model_name: str
    kind: str = "$RP"

    @classmethod
    def of(cls, model_name: str, member: str) -> Self:
        """What is pending of one record."""
        return cls(partitions_key(model_name), member, model_name)

    def begin(self, batch: Batch) -> None:
        """Nobody proposes a record by saving it."""

    def carry(self, batch: Batch, to: ProposalEntry) -> None:
        self._withdraw(batch, to.member)

    def remove(self, batch: Batch) -> None:
        self._withdraw(batch)

    def _withdraw(self, batch: Batch, *name: str) -> None:
        stem = pending_stem(self.model_name)
        put(batch, "WITHDRAW", self.key, stem, self.member, *name)

    def look(self, batch: Batch) -> None:
        batch.put("EXISTS", self.key)

    can_be_told = True

    def tell(self, batch: Batch) -> None:
        put(batch, "PENDING", self.key, pending_stem(self.model_name), self.member)

    def told(self, reply: Reply) -> object:
        # In order: the partitions are a set, which each server tells as it likes.
        return sorted(told_scores(reply) or []) or None

    def restore(self, batch: Batch, told: Any) -> None:
        self._withdraw(batch)
        for partition, since in scored(told) if told else ():
            pending = pending_stem(self.model_name) + partition
            batch.put("ZADD", pending, repr(since), self.member)
            if partition != "default":
                batch.put("SADD", self.key, partition)
