"""`Deletion`: hash, companions and every entry of a record go in one guarded commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from popoto.engine.batch import Batch, GuardFailure, QueuedCommits, Step
from popoto.engine.codec import Stored
from popoto.engine.request import Plan, Reply
from popoto.exceptions import ConflictError
from popoto.fields.keeping.commit import Commit
from popoto.models.beside.expiry import put_removal
from popoto.models.record.dependants import dependants_of
from popoto.models.record.record import Record
from popoto.models.record.record_keys import other_keys
from popoto.models.record.stored_form import decoded_values, key_field_that_differs
from popoto.models.writing.conditions import Condition
from popoto.models.writing.hooks import call_delete_hooks
from popoto.models.writing.keywords import check_keywords
from popoto.models.writing.operation import Operation, text_of
from popoto.models.writing.partition import Claimed


class ReferredError(ConflictError):
    """Somebody refers to a record that was to be deleted, and has a say in that."""

    def __init__(self, key: str, holders: Sequence[str]) -> None:
        super().__init__(
            f"{key!r} was not deleted or changed: {', '.join(holders[:3]) or 'others'} came to "
            "refer to it, or it to another one, meanwhile; nothing was written. Do it again."
        )


class Deletion(Operation):
    """A delete. A record that is gone is no error: the result says whether there was one.

    One that does not meet `condition` (any more) stays.
    """

    what = cause = "delete"

    def __init__(
        self, instance: Record, hook_arguments: dict[str, Any], condition: Condition | None = None
    ) -> None:
        stored_key = instance._redis_key if instance._is_stored else None
        super().__init__(instance, stored_key or instance.db_key.redis_key)
        if hook_arguments:
            check_keywords(instance, "delete", hook_arguments)
        #: what is believed to be stored; None = nothing
        self.known: Mapping[str, Stored] | None = instance._stored if instance._is_stored else None
        self.hook_arguments = hook_arguments
        self.condition = condition
        self._guarded: Sequence[str] = self.options.index_names
        if condition is not None:
            self._guarded = list(dict.fromkeys([*self._guarded, *condition.fields(self.options)]))
        #: records that may refer to this one all the same, since their turn is still to come
        self.spared: Sequence[str] = ()
        #: the partition of a record that was not read
        self._claimed: Claimed | None = None
        if self.known is None:
            self._claimed = Claimed.of(instance, "delete()")
            self.unknown_key = self.key
            self.other_keys = other_keys(instance)

    def look(self, queued: QueuedCommits) -> Plan[None]:
        if self._claimed is not None:
            yield from self._claimed.look(self.key, queued)
        yield from super().look(queued)

    def take_stored(self, stored: Mapping[str, Stored] | None) -> None:
        is_another = (
            stored is not None
            and not self.instance._is_stored
            # None and "None" make one key.
            and key_field_that_differs(self.instance, stored) is not None
        )
        self.known = None if is_another else stored

    def check(self, stored: Mapping[str, Stored]) -> None:
        """Raise UnmatchedError where a record that holds this is to stay."""
        if self.condition is not None:
            self.condition.check(self.options, self.key, stored)

    def batch(self) -> Batch | None:
        known, options = self.known, self.options
        if known is None:
            return None
        batch = Batch(self.noting)
        if self._claimed is not None:
            self._claimed.put(batch, self.key)
        batch.guard_holds(self.key, known, self._guarded)
        for field in dependants_of(type(self.instance)):
            batch.guard("unreferred", field.value_set_prefix + self.key, *self.spared)
        values = decoded_values(options, known)
        for entry in dict.fromkeys(options.entries(self.key, values)):
            entry.remove(batch)
        put_removal(batch, options, self.key)
        call_delete_hooks(batch, self.instance, self.key, self.hook_arguments)
        if options.commit_hooks:
            commit = Commit("delete", self.key, self.key, queued=self.queued, values=values)
            for hook in options.commit_hooks:
                hook(self.instance, batch, commit)
        return batch

    def learn(self, failure: GuardFailure, step: Step | None) -> None:
        if self._claimed is not None:
            self._claimed.learn(failure, step)
        if step is not None and failure.what == "holds":
            self.check(failure.stored(self.options.hash_names))
            self.take_stored(failure.stored(self._guarded))
        elif step is not None and failure.what == "exists":
            self.known = None
        elif step is not None and failure.what == "referred":
            raise ReferredError(self.key, [text_of(each) for each in failure.details[1:]])
        else:
            raise failure.error()

    def gives_up(self, names: Iterable[str]) -> bool:
        return self.known is not None

    def renews(self, names: Iterable[str]) -> bool:
        return True

    def finish(self, replies: Sequence[Reply]) -> bool:
        self.queue_up()
        return self.known is not None

    @property
    def left(self) -> tuple[str, str | None] | None:
        return None if self.known is None else (self.key, None)

    def leave(self, queued: QueuedCommits) -> None:
        queued.remove(self.key)

    def queue_up(self) -> None:
        """The instance is no stored record any more; it keeps its values and can be saved again."""
        instance = self.instance
        for name in self.options.by_name:
            # Decode what was not looked at yet, before its bytes go.
            if name not in vars(instance) and name not in instance._deferred:
                instance._settle(name)
        instance._stored = {}
        instance._unconfirmed = None
        instance._last_full_save = None
        instance._is_persisted = False
