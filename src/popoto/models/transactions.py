"""Transactions: writes of several records that are carried out together or not at all.

Each operation brings the guards and commands that it would send alone. Joined, they are
one call of commit.lua, which carries out nothing unless every guard holds. What
instances know of their records changes only after that.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from popoto import redis_db
from popoto._blocks import Collection
from popoto._unknown_names import warn_caller
from popoto.engine.request import Plan
from popoto.engine.run import arun, run
from popoto.exceptions import ModelException
from popoto.fields.describing import describe
from popoto.fields.field import LEFT_OUT
from popoto.models.record.record import Record
from popoto.models.writing import transaction as transaction_plans
from popoto.models.writing.adjusting import Collecting
from popoto.models.writing.deleting import Deletion
from popoto.models.writing.expecting import Expectation, Expected
from popoto.models.writing.incrementing import Increment
from popoto.models.writing.keywords import Lifetime, Moment, take_expiry
from popoto.models.writing.operation import Operation
from popoto.models.writing.relatives import check_shards
from popoto.models.writing.save_request import SaveRequest
from popoto.models.writing.touching import Touch

if TYPE_CHECKING:
    from decimal import Decimal

M = TypeVar("M", bound=Record)


def transaction() -> Transaction:
    """A new transaction, for ``with`` or ``async with``."""
    return Transaction()


class Transaction(Collecting):
    """Saves, deletes and additions that are carried out in one step, or not at all.

    In a ``with`` or ``async with`` block, operations are collected, checked and sent at its
    end, as one command; if the block raises, nothing is sent. Without a block, end it with
    `commit()` or `await async_commit()`. `results` then has one result for each operation,
    in order: what the single operation returns. A failed guard of any operation (a unique
    value that is taken, an expectation, a record that is gone) raises that operation's own
    exception with a note naming the operation, and nothing is written; instances and
    stored records stay as they were, except that attributes were converted and formatted
    as before every save. A record may be saved or deleted once.

    Methods of memory fields and mixins take a transaction in place of a pipeline:
    ``record.touch("relevance", pipeline=transaction)``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._operations: list[Operation] = []
        self._keys: dict[str, list[Operation]] = {}
        self._is_over = False
        self._block = Collection()
        #: One result per operation, in order; empty until the transaction is committed.
        self.results: list[Any] = []

    # Operations --------------------------------------------------------------------------

    def save(
        self,
        instance: Record,
        *,
        update_fields: Iterable[str] | None = None,
        skip_auto_now: bool = False,
        migrate_key: bool = False,
        expected: Expected = None,
        recreate: bool = False,
        ttl: Lifetime = LEFT_OUT,
        expire_at: Moment = LEFT_OUT,
        **kwargs: Any,
    ) -> None:
        """Save an instance as it is now; arguments, checks and result as of `Model.save`."""
        _check_record(instance, "save")
        request = SaveRequest(
            skip_auto_now=skip_auto_now,
            update_fields=update_fields,
            migrate_key=migrate_key,
            expected=expected,
            recreate=recreate,
            asks_expiry=take_expiry(instance, kwargs, ttl, expire_at),
            hook_arguments=kwargs,
        )
        self.collect(transaction_plans.saving(instance, request))

    def create(self, model: type[M], /, **values: Any) -> M:
        """Construct and save a new record, and return it. Fails if its key is taken."""
        if not isinstance(model, type):
            raise TypeError(
                f"create() of a transaction takes a model and the values of a record, got "
                f"{describe(model)}; save() takes a record that is made already"
            )
        instance = model(**values)
        self.collect(transaction_plans.saving(instance, SaveRequest(create_only=True)))
        return instance

    def delete(self, instance: Record, **kwargs: Any) -> None:
        """Delete a record. The result says whether it existed."""
        _check_record(instance, "delete")
        self.collect(Deletion(instance, kwargs))

    def increment(self, instance: Record, field_name: str, delta: float | Decimal) -> None:
        """Add to a stored number; checks and result as of `Model.atomic_increment`."""
        _check_record(instance, "increment")
        self.collect(Increment(instance, field_name, delta))

    def expect(self, instance: Record, expected: Expected = True) -> None:
        """Commit only if a record that is not written here is as expected; see `Model.save`.

        The failure is a ConflictError. True, the default, means as it was loaded.
        """
        _check_record(instance, "expect")
        self.collect(Expectation(instance, expected))

    def touch(self, instance: Record, field_name: str) -> None:
        """Set a decay field to now; checks and result as of `Model.touch`."""
        _check_record(instance, "touch")
        self.collect(Touch(instance, field_name))

    def collect(self, *operations: Operation) -> None:
        """Take operations up: all of them, or none where one is refused.

        Raises ModelException for a record that takes part already.
        """
        self._check_not_over()
        taken: dict[str, list[Operation]] = {}
        together: list[tuple[Operation, Operation]] = []
        for operation in operations:
            for key in operation.keys:
                for other in (*self._keys.get(key, ()), *taken.get(key, ())):
                    if not operation.goes_with(other) and not other.goes_with(operation):
                        raise ModelException(
                            f"{key!r} takes part in this transaction already ({other.title}); a "
                            "record may do so once: make all its changes, then save it"
                        )
                    together += ((operation, other), (other, operation))
                taken.setdefault(key, []).append(operation)
        for key, several in taken.items():
            self._keys.setdefault(key, []).extend(several)
        self._operations += operations
        for operation, other in together:
            operation.join(other)

    # Committing --------------------------------------------------------------------------

    def commit(self) -> list[Any]:
        """Carry everything out and return the results. One command, one round trip.

        One more for each time that another writer was faster. Raises what the operations
        raise; ModelException where they concern several shards of a cluster.
        """
        return run(self._plan(is_cluster=redis_db.connection().is_cluster))

    async def async_commit(self) -> list[Any]:
        """`commit` for asyncio."""
        connection = await redis_db.async_connection()
        return await arun(self._plan(is_cluster=connection.is_cluster))

    def discard(self) -> None:
        """End the transaction without sending anything."""
        self._is_over = True
        self._block.is_open = False

    def __enter__(self) -> Self:
        self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._block.leave()
        if error is not None:
            self.discard()
        elif not self._is_over:
            self.commit()

    async def __aenter__(self) -> Self:
        self._enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._block.leave()
        if error is not None:
            self.discard()
        elif not self._is_over:
            await self.async_commit()

    def __del__(self) -> None:
        if self._operations and not self._is_over:
            titles = ", ".join(operation.title for operation in self._operations[:3])
            more = "" if len(self._operations) <= 3 else ", …"
            warn_caller(
                f"a transaction of {len(self._operations)} operations ({titles}{more}) was never "
                "committed, so none of it is written: use it as with transaction() as changes:, "
                "or call commit() or await async_commit(); discard() gives it up"
            )

    def _enter(self) -> None:
        self._check_not_over()
        if self._block.is_open:
            raise ModelException("the block of this transaction has begun: begin another one")
        self._block.enter()

    # The plan ----------------------------------------------------------------------------

    def _check_not_over(self) -> None:
        if self._is_over:
            raise ModelException("this transaction is over: begin a new one")

    def _plan(self, *, is_cluster: bool) -> Plan[list[Any]]:
        self._check_not_over()
        self._is_over = True
        self._block.is_open = False
        if self._operations:
            check_shards(self._operations, is_cluster=is_cluster)
            self.results = yield from transaction_plans.commit(self._operations)
        return self.results


def _check_record(given: object, method: str) -> None:
    if not isinstance(given, Record):
        raise TypeError(
            f"{method}() of a transaction takes a record, got {describe(given)}; of a query or a "
            "list, give its records one by one"
        )
