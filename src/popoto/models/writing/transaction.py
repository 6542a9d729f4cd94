"""Writes of several records that are carried out together or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from popoto.engine.request import Plan, Reply
from popoto.exceptions import ModelException
from popoto.models.record.record import Record
from popoto.models.writing.adjusting import Adjusting
from popoto.models.writing.cascading import carry_out_deletions
from popoto.models.writing.change import Change
from popoto.models.writing.company import Company
from popoto.models.writing.operation import Nothing, Operation
from popoto.models.writing.preparing import names_of, prepared_save
from popoto.models.writing.save_request import SaveRequest
from popoto.models.writing.saving import Saving
from popoto.models.writing.unsaved_targets import tell_of_unsaved_targets


class _Together(Company[Operation]):
    """One step. The refusal of any operation is that of all."""

    # Of an addition, for one, nothing shows.
    may_show = False

    def __init__(self, number: int) -> None:
        self._number = number

    def refuse(self, operation: Operation, error: ModelException) -> None:
        error.add_note(
            f"Operation {operation.position} of the transaction, {operation.title}; none of its "
            f"{self._number} operations was carried out."
        )
        raise error

    def claimed_by(self, operation: Operation) -> str:
        return f"the {operation.title} in this transaction"


class Creation(Saving):
    """The save of a record that must not be stored yet. Its result is the instance."""

    what = "create"

    def finish(self, replies: Sequence[Reply]) -> Any:
        super().finish(replies)
        return self.instance


def saving(instance: Record, request: SaveRequest) -> Operation:
    """A save, checked and formatted at once."""
    names = names_of(instance, request)
    if names == []:
        return Nothing(instance, 0)
    kind = Creation if request.create_only else Saving
    return prepared_save(instance, request, names, kind) or Nothing(
        instance, instance if request.create_only else False
    )


def _refuse_moves_of_what_is_adjusted(operations: Sequence[Operation]) -> None:
    """Refuse what would be adjusted in one partition while the record moves to another one."""
    for each in operations:
        names = each.adjustment.names if isinstance(each, Adjusting) else ()
        for other in operations if names else ():
            if each.key in other.keys and isinstance(other, Change) and other.gives_up(names):
                raise ModelException(
                    f"{each.what} of {each.key!r} and the {other.title} cannot be in one "
                    f"transaction: what is adjusted stands where {', '.join(names)} lead to, and "
                    "that is changed here; nothing was written. Do one after the other"
                )


def _refuse_writes_of_what_is_learned(operations: Sequence[Operation]) -> None:
    """Refuse to write a base score anew while the confidence that it is learns.

    A save that moves the record, or names the decay field, has the score as it was before.
    """
    for each in operations:
        learned = each.adjustment.computed if isinstance(each, Adjusting) else ()
        for other in operations if learned else ():
            if not isinstance(other, Saving) or each.key not in other.keys:
                continue
            is_moved = other.old_key != other.key
            for field in other.options.listed("decay"):
                # What moves comes behind whatever stands beside it.
                is_behind = is_moved or each.position < other.position
                is_written = is_behind and (
                    is_moved or (other.partial and field.name in other.names)
                )
                base = field.base_score_field
                if is_written and base in learned and base not in other.changed:
                    raise ModelException(
                        f"{each.what} of {each.key!r} and the {other.title} cannot be in one "
                        f"transaction: {base!r} is the base score of {field.label}, which is "
                        "written here, and is not known before that is done; nothing was "
                        "written. Do one after the other"
                    )


def commit(operations: Sequence[Operation]) -> Plan[list[Any]]:
    """Carry all operations out in one step; their results, in order."""
    for position, operation in enumerate(operations):
        operation.position = position
    _refuse_moves_of_what_is_adjusted(operations)
    _refuse_writes_of_what_is_learned(operations)
    tell_of_unsaved_targets(operations)
    company = _Together(len(operations))
    yield from carry_out_deletions(operations, company, is_transaction=True)
    return [operation.result for operation in operations]
