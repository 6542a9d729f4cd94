"""Carrying out what a query asks, of the primary or of replicas. All of its methods do so."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Never, Self, TypeVar

from popoto import redis_db
from popoto._unknown_names import missing_attribute
from popoto.engine.request import Plan
from popoto.engine.run import arun, run
from popoto.exceptions import QueryException
from popoto.fields.describing import describe
from popoto.models.reading.spec import QuerySpec
from popoto.models.record.elsewhere import no_attribute

T = TypeVar("T")

_COMBINE: Final = "combine Q objects, or conditions such as Model.field > 3, in filter() with & | ~"


class QueryRuns:
    """Runs plans where the query that `_spec` describes is to be answered."""

    _spec: QuerySpec

    if not TYPE_CHECKING:
        # Type checkers go on to refuse what is not there.

        def __getattr__(self, name):
            """Names of elsewhere are told what to write here."""
            if name.startswith("_"):
                raise missing_attribute(self, name)
            raise no_attribute(self, name, self._spec.options)

        def __or__(self, other):
            raise TypeError(f"{self!r}: queries are not combined; {_COMBINE}")

        __and__ = __xor__ = __add__ = __sub__ = __or__

        def __invert__(self):
            raise TypeError(f"{self!r}: a query is not negated; {_COMBINE}, or call exclude(…)")

    def using(self, *given: Never, replica: bool | None = None) -> Self:
        """Ask replicas (True) or the primary (False), who is asked if nothing is said.

        A replica may not have the latest writes yet; see docs/high-availability.md. Nothing is
        written: read hooks are not called, and what missing records left stays. What no replica
        answers, the primary does. Raises ConfigurationError, when it asks, where no replica is
        known and neither a cluster nor sentinels can tell.
        """
        found = copy.copy(self)
        found._spec = self._spec.changed(replica=self._asked_replica(given, replica))
        return found

    def _asked_replica(self, given: Sequence[object], replica: bool | None) -> bool:
        """What `using` was told. Raises TypeError for anything but a flag."""
        if given or not isinstance(replica, bool):
            raise TypeError(
                f"{self._spec.options.model_name}: using() takes replica=True or replica=False, "
                f"got {describe(given[0] if given else replica)}; another server is asked within "
                "`with popoto.redis_db.using(url):`"
            )
        return replica

    def _run(self, plan: Plan[T]) -> T:
        if not self._spec.replica:
            return run(plan)
        with redis_db.replica_reads():
            return run(plan)

    async def _arun(self, plan: Plan[T]) -> T:
        if not self._spec.replica:
            return await arun(plan)
        with redis_db.replica_reads():
            return await arun(plan)

    def _check_writes(self, what: str) -> None:
        """Raises QueryException where replicas are read: what they miss would be left as it is."""
        if self._spec.replica:
            raise QueryException(
                f"{self._spec.options.model_name}: {what} writes, and using(replica=True) reads "
                "replicas, which may not have all records yet. Leave it out, or say "
                "using(replica=False)."
            )
