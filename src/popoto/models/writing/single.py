"""Single writes: the plans behind `Model.save`, `delete` and `atomic_increment`."""

from __future__ import annotations

from typing import Any

from popoto.engine.request import Plan
from popoto.exceptions import UniquenessError
from popoto.models.record.checking import logger
from popoto.models.record.overridden import REACHED, UNMATCHED
from popoto.models.record.record import Record
from popoto.models.writing.carrying import carry_out
from popoto.models.writing.cascading import carry_out_deletions, queue_deletion
from popoto.models.writing.company import Company
from popoto.models.writing.deleting import Deletion
from popoto.models.writing.incrementing import Increment
from popoto.models.writing.operation import Operation
from popoto.models.writing.preparing import names_of, prepared_save
from popoto.models.writing.queueing import check_pipeline, queue_up
from popoto.models.writing.save_request import SaveRequest
from popoto.models.writing.unsaved_targets import tell_of_unsaved_targets

#: A refused operation that is alone raises its error.
_ALONE: Company[Operation] = Company()


def save(instance: Record, request: SaveRequest) -> Plan[Any]:
    """The plan of `Model.save`; see there."""
    state = vars(instance)
    if UNMATCHED in state:
        # The `save` of its class was called, and has called this one.
        state[REACHED] = True
    if request.pipeline is not None:
        check_pipeline(request.pipeline)
    names = names_of(instance, request)
    if names == []:
        return 0 if request.pipeline is None else request.pipeline
    nothing = False if request.pipeline is None else request.pipeline
    saving = prepared_save(instance, request, names)
    if saving is None:
        return nothing
    tell_of_unsaved_targets((saving,))
    try:
        if request.pipeline is not None:
            return (yield from queue_up(saving, request.pipeline))
        yield from carry_out((saving,), _ALONE)
        return saving.result
    except UniquenessError as error:
        if not request.ignore_errors:
            raise
        logger.error("%s", error)
        return nothing


def delete(instance: Record, pipeline: Any, hook_arguments: dict[str, Any]) -> Plan[Any]:
    """The plan of `Model.delete`; see there."""
    check_pipeline(pipeline)
    deletion = Deletion(instance, hook_arguments)
    if pipeline is not None:
        return (yield from queue_deletion(deletion, pipeline))
    yield from carry_out_deletions((deletion,), _ALONE)
    return deletion.result


def increment(instance: Record, name: str, delta: Any, pipeline: Any) -> Plan[Any]:
    """The plan of `Model.atomic_increment`; see there."""
    check_pipeline(pipeline)
    addition = Increment(instance, name, delta)
    if pipeline is not None:
        return (yield from queue_up(addition, pipeline))
    yield from carry_out((addition,), _ALONE)
    return addition.result
