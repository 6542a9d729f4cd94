"""The operations of a transaction: each prepares, builds, learns and ends like the single one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from popoto.engine.batch import Batch, GuardFailure
from popoto.engine.request import Plan, Reply
from popoto.exceptions import ModelException
from popoto.models import deleting, in_place, queueing, saving
from popoto.models.contents import store_contents
from popoto.models.expectations import Expected, conflict, expected_bytes, said_otherwise
from popoto.models.save_commit import SaveRequest

if TYPE_CHECKING:
    from popoto.models.base import Model


class Operation:
    """One write of a transaction."""

    #: what it does, for messages
    what: str

    def __init__(self, instance: Model) -> None:
        self.instance = instance
        self.options = instance._meta

    @property
    def keys(self) -> frozenset[str]:
        """The record keys that it writes or looks at."""
        raise NotImplementedError

    def prepare(self) -> Plan[None]:
        """Learn from the server what has to be known before the first try."""
        yield from ()

    def store_contents(self) -> Plan[None]:
        """Hand texts that belong into content stores to those, before what refers to them."""
        yield from ()

    def batch(self) -> Batch | None:
        """Guards and commands as far as is known now; None: there is nothing to do."""
        raise NotImplementedError

    def learn(self, failure: GuardFailure) -> None:
        """Correct what is believed to be stored, or raise what the caller has to know."""
        raise NotImplementedError

    def gives_up(self, names: Iterable[str]) -> bool:
        """Whether the record does not keep its values of these fields."""
        return False

    def finish(self, replies: Sequence[Reply]) -> Any:
        """Take over that it was carried out; returns its result."""
        raise NotImplementedError


class Saving(Operation):
    """`save`, or `create`, whose result is the instance. Checked at once, as it is now."""

    def __init__(self, instance: Model, request: SaveRequest, *, creates: bool = False) -> None:
        super().__init__(instance)
        self.creates = creates
        self.what = f"{'create' if creates else 'save'} of {instance!r}"
        names = saving._checked_names(self.options, request.update_fields)
        self.writes_nothing = names is not None and not names
        self.commit = None if self.writes_nothing else saving.prepared(instance, request, names)

    @property
    def keys(self) -> frozenset[str]:
        commit = self.commit
        return frozenset() if commit is None else frozenset({commit.key, commit.old_key})

    def prepare(self) -> Plan[None]:
        commit = self.commit
        if commit is not None:
            if commit.partial and commit.known is None:
                yield from commit._read_stored()
            yield from queueing.confirm(commit)

    def store_contents(self) -> Plan[None]:
        if self.commit is not None:
            yield from store_contents(self.commit)

    def batch(self) -> Batch | None:
        return None if self.commit is None else self.commit.batch()

    def learn(self, failure: GuardFailure) -> None:
        if self.commit is not None:
            self.commit.learn(failure)

    def gives_up(self, names: Iterable[str]) -> bool:
        return self.commit is not None and any(name in self.commit.changed for name in names)

    def finish(self, replies: Sequence[Reply]) -> Any:
        if self.commit is not None:
            self.commit.remember(persisted=True)
        if self.creates:
            return self.instance
        if self.commit is None:
            return 0 if self.writes_nothing else False
        return self.commit._result(list(replies))


class Deletion(Operation):
    """`delete`. A record that is gone is no error: the result says so."""

    def __init__(self, instance: Model, hook_arguments: dict[str, Any]) -> None:
        super().__init__(instance)
        self.what = f"delete of {instance!r}"
        self.key = deleting.key_to_delete(instance)
        self.known: dict[str, Any] | None = instance._stored or None
        self.hook_arguments = hook_arguments

    @property
    def keys(self) -> frozenset[str]:
        return frozenset({self.key})

    def prepare(self) -> Plan[None]:
        if self.known is None:
            self.known = yield from deleting._read(self.options, self.key)
            if self.known is not None and deleting.is_another(self.instance, self.known):
                self.known = None

    def batch(self) -> Batch | None:
        if self.known is None:
            return None
        return deleting._removal(self.instance, self.key, self.known, self.hook_arguments)

    def learn(self, failure: GuardFailure) -> None:
        if failure.what == "holds":
            self.known = failure.stored(self.options.index_names)
        elif failure.what == "exists":
            self.known = None
        else:
            raise ModelException(
                f"{self.key!r} cannot be deleted: {failure.what} {failure.details!r}"
            )

    def gives_up(self, names: Iterable[str]) -> bool:
        return self.known is not None

    def finish(self, replies: Sequence[Reply]) -> Any:
        deleting._forget(self.instance)
        return self.known is not None


class Addition(Operation):
    """`atomic_increment`."""

    def __init__(self, instance: Model, field_name: str, delta: Any) -> None:
        super().__init__(instance)
        self.what = f"increment of {field_name!r} of {instance!r}"
        self.increment = in_place.started(instance, field_name, delta)
        self.by_server = True

    @property
    def keys(self) -> frozenset[str]:
        return frozenset({self.increment.key})

    def batch(self) -> Batch | None:
        batch = self.increment.batch_of_server() if self.by_server else None
        self.by_server = batch is not None
        return batch or self.increment.batch()

    def learn(self, failure: GuardFailure) -> None:
        self.increment.learn(failure)
        self.by_server = self.by_server and failure.what == "holds"

    def gives_up(self, names: Iterable[str]) -> bool:
        return self.increment.field.name in names

    def finish(self, replies: Sequence[Reply]) -> Any:
        if self.by_server:
            self.increment.take(replies[0])
        self.increment.remember(persisted=True)
        return self.increment.value


class Expectation(Operation):
    """Demands that a record, which the transaction does not write, is as it is expected."""

    def __init__(self, instance: Model, expected: Expected) -> None:
        super().__init__(instance)
        self.what = f"expectation of {instance!r}"
        self.key = in_place.stored_key(instance, f"{self.options.model_name} is not stored")
        self.expected = expected_bytes(instance, expected)

    @property
    def keys(self) -> frozenset[str]:
        return frozenset({self.key})

    def batch(self) -> Batch | None:
        batch = Batch()
        batch.guard("holds", self.key, *(part for pair in self.expected.items() for part in pair))
        return batch

    def learn(self, failure: GuardFailure) -> None:
        stored = failure.stored(self.options.hash_names) if failure.what == "holds" else None
        same = None if stored is None else said_otherwise(self.options, self.expected, stored)
        if same is None:
            raise conflict(self.options, self.key, self.expected, stored, {})
        self.expected = same

    def finish(self, replies: Sequence[Reply]) -> Any:
        return True
