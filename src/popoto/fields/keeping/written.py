"""What a write asks of a field: what to prepare before it, and what to add to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from popoto._stock import is_replaced, stock
from popoto.engine.batch import Batch
from popoto.engine.codec import Stored
from popoto.engine.request import Plan
from popoto.fields.keeping.adding import ServerAddition, server_addition
from popoto.fields.keeping.commit import Commit
from popoto.fields.keeping.forgetting import Subject, Trace, nothing
from popoto.fields.keeping.kept import Kept
from popoto.fields.keeping.renewing import Renewal
from popoto.fields.keeping.stand_in import StandIn

#: What decides how a number is stored and checked. Where one of them is replaced, the server
#: cannot do the same.
_METHODS_OF_VALUES = ("codec", "is_valid", "problem", "coerce")


class Written(Kept):
    """What a field has to do with a commit that writes its value."""

    # Before the commit ----------------------------------------------------------

    #: Whether values have to be prepared outside the server before a commit: a text to be put
    #: into a store, a vector to be made of it. Such a field defines the methods below.
    prepares: ClassVar[bool] = False

    def unprepared(
        self, instance: Any, encoded: Stored | None, commit: Commit, *, is_held: bool
    ) -> StandIn | None:
        """What is to be prepared before a commit; None where nothing is.

        `encoded` is what the commit would store, None for a field that it does not write, and
        `is_held` says whether the record is known to hold that already.
        """
        return None

    def prepare(self, wanted: Sequence[tuple[Any, StandIn]]) -> Plan[Sequence[bytes]]:
        """Prepare it for these instances, once however often the commits are built anew.

        The bytes to be stored, of each. What was prepared is written even where the record
        holds the same bytes if they are a `Prepared`.
        """
        return [bytes(each) for _, each in wanted]
        yield  # a plan, though it asks for nothing

    def settle(self, instance: Any, wanted: StandIn, stored: bytes) -> None:
        """Let the instance hold what was stored in place of `wanted`."""

    #: Whether something outside the server follows the records, so that it has to be told.
    follows: bool = False

    def follow(self, moved: Sequence[tuple[str, str | None]]) -> Plan[None]:
        """Records are no longer stored under their first keys, but the second ones, or nowhere.

        Called once the commit has been carried out.
        """
        yield from ()

    def precede(self, moving: Sequence[tuple[str, str]]) -> Plan[None]:
        """Records may come to be stored under the second keys, once a caller's pipeline has run.

        What is kept of them has to be found under both: nobody is told whether that happens.
        """
        yield from ()

    def put_back(self, replaced: Mapping[str, Any]) -> Plan[None]:
        """Let what is kept outside the server be as it was, by record key (`Prepared.replaced`).

        Called where these records were not written.
        """
        yield from ()

    def unready(self, encoded: Stored) -> str | None:
        """Why these bytes can neither be compared with stored ones nor written as they are.

        None for bytes that can, which is what most fields have to say.
        """
        return None

    # The commit -----------------------------------------------------------------

    @stock
    def on_commit(self, instance: Any, batch: Batch, commit: Commit) -> None:
        """Queue what this field adds to a save or delete, carried out with it or not at all.

        As `_on_commit` of a mixin (`popoto.fields.keeping.commit`): called again when the
        commit is built anew, so it must have no other effect. What it raises reaches the
        caller, with nothing written.
        """

    def rebuilding(self, model_name: str, shard: str) -> Renewal | None:
        """What makes anew what this field keeps for all records of a model together.

        None where it keeps nothing but entries and what belongs to single records.
        """
        return None

    #: Whether what it keeps of a record only goes by making all anew (`rebuilding`).
    forgets_anew: ClassVar[bool] = False

    def forgetting(self, subject: Subject) -> Plan[Mapping[str, Trace]]:
        """Forget what it keeps of erased records beside their entries and keys; by kind, what.

        Called when they are gone, and again until nothing is found, so it must be repeatable.
        """
        return nothing()

    def misindexed(self, records: Sequence[Any]) -> Plan[list[tuple[str, bool]]]:
        """The keys of records of which it keeps something else than follows from them.

        With each: whether it keeps anything of that. Asked of fields that list themselves under
        "compared"; entries are compared without them.
        """
        return []
        yield  # a plan, though it asks for nothing

    def server_addition(self, delta: Any) -> ServerAddition | None:
        """How the server itself adds an amount in the field's type; None where it must not.

        It may where its doubles are exact, no method of the caller's own has a say, and
        nothing but the order follows from the number.
        """
        if self.makes_entries or self.decides_how_numbers_are_stored:
            return None
        return server_addition(self.type, delta)

    @property
    def decides_how_numbers_are_stored(self) -> bool:
        """Whether a method of the user's own checks, converts or encodes values."""
        return any(is_replaced(type(self), method) for method in _METHODS_OF_VALUES)
