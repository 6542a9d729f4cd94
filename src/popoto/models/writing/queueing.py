"""Operations that go into a caller's own pipeline.

A queued commit is built on what the server holds now, or on what was queued before it. When
the pipeline runs, its guards are checked like those of any other commit.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio.client import Pipeline as AsyncPipeline
from redis.client import Pipeline

from popoto.engine.batch import Batch, GuardFailure, QueuedCommits, prefix_in, queue
from popoto.engine.request import Plan, Request
from popoto.exceptions import ModelException
from popoto.fields.describing import describe
from popoto.fields.keeping.shards import register
from popoto.models.writing.claims import claim_of
from popoto.models.writing.contents import let_precede, prepare_contents
from popoto.models.writing.operation import Operation

_SLIP = "; all else, the values of fields too, is given by keyword"


def check_pipeline(pipeline: object) -> None:
    """Raise TypeError for something that is no redis-py pipeline."""
    if pipeline is not None and not isinstance(pipeline, (Pipeline, AsyncPipeline)):
        # As in `create("ann")`, where a value stands in the place of the pipeline.
        is_text = isinstance(pipeline, str)
        raise TypeError(
            f"pipeline must be a redis-py Pipeline (client.pipeline(); on a cluster "
            f"POPOTO_REDIS_DB.pipeline()), got {describe(pipeline)}{_SLIP if is_text else ''}"
        )


def queue_up(operation: Operation, pipeline: Any) -> Plan[Any]:
    """Queue an operation on the caller's pipeline, and return that. Looks at the server now."""
    operation.queued = True
    queued = QueuedCommits.of(pipeline)
    options = operation.options
    if options.shard_by is not None and prefix_in(pipeline, options.shard):
        operation.is_apart = operation.is_registered = True
        operation.check_shard()
        # Nobody could do so when the pipeline runs.
        yield from register([options])
    yield from operation.find_key(queued.records)
    yield from operation.look(queued)
    yield from prepare_contents((operation,))
    if not operation.is_ready:
        yield from operation.get_ready()
    batch = operation.batch()
    if batch is not None:
        _refuse_what_is_computed(operation, batch, queued)
        yield from _check_claims_now(operation, batch)
        queue(pipeline, batch, operation.options.shard)
        operation.leave(queued)
        queued.note(operation.keys)
        yield from let_precede(operation)
    operation.queue_up()
    return pipeline


def _refuse_what_is_computed(operation: Operation, batch: Batch, queued: QueuedCommits) -> None:
    """Refuse what depends on a number that the server will compute earlier in this pipeline.

    Its guards would ask for the number as it is now, and fail when the pipeline runs.
    """
    for name, key, arguments in batch.guards:
        computed = queued.computed.get(str(key), {})
        for field_name in arguments[::2] if name == "holds" and computed else ():
            if field_name in computed:
                raise ModelException(
                    f"{operation.what} of {key!r} cannot wait in this pipeline behind "
                    f"{computed[str(field_name)]}: what stands beside the record follows from "
                    f"{field_name!r}, which is not known before that is done. Nothing of it was "
                    "queued. Queue it first, or execute the pipeline before it"
                )


def _check_claims_now(operation: Operation, batch: Batch) -> Plan[None]:
    """Tell at once what is refused already; the commit checks again when it runs."""
    guards = [step for step in batch.guards if claim_of(step) is not None]
    if not guards:
        return
    check = Batch()
    check.guards = guards
    (reply,) = yield Request((check.call(),), operation.options.shard, repeatable=True)
    outcome = Batch.outcome(reply)
    if isinstance(outcome, GuardFailure):
        operation.learn(outcome, guards[outcome.guard] if outcome.guard >= 0 else None)
