"""`Company`: operations that are carried out together, and what becomes of one that is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from popoto.exceptions import ConflictError, ModelException
from popoto.models.writing.operation import Operation

Op = TypeVar("Op", bound=Operation)


class Company(Generic[Op]):
    """Operations that are carried out together, and what becomes of one that is refused."""

    #: whether they go in one call, however large it is
    is_one_step = True
    #: whether results follow from the replies of commands, which then come one by one
    needs_replies = True
    #: whether somebody has the instances, and looks at what they hold afterwards
    is_seen = True
    #: whether stored bytes may show that they were carried out, if they all say so
    may_show = True

    @property
    def is_whole(self) -> bool:
        """Whether none is to be carried out if any of them is refused."""
        return True

    def refuse(self, operation: Op, error: ModelException) -> None:
        """Raise the error, or take note of it: the operation is then left out."""
        raise error

    def give_up(self, operations: Sequence[Op], attempts: int) -> None:
        """Refuse operations in whose way other writers were each time."""
        more = f" (and {len(operations) - 1} more)" if len(operations) > 1 else ""
        raise gave_up(f"{operations[0].title}{more}", attempts, "nothing was written")

    def end_round(self) -> None:
        """Raise what was taken note of since the last round."""

    def carried_out(self, operations: Sequence[Op]) -> None:
        """Take note of operations that were carried out, whatever happens to the others."""

    def claimed_by(self, operation: Op) -> str:
        """What to call an operation that claims the same value as another one."""
        return f"the {operation.title}"


def gave_up(what: str, attempts: int, outcome: str) -> ConflictError:
    """The error for what other writers were in the way of."""
    return ConflictError(
        f"the {what} could not be carried out: other writers changed what it writes "
        f"{attempts} times meanwhile; {outcome}. Do it again."
    )
