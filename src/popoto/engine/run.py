"""The two runners: they drive plans over a sync client and over an asyncio client."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from redis.exceptions import NoScriptError

from popoto import redis_db
from popoto.engine.coalescing import send_together
from popoto.engine.failures import Story, checked, not_taught
from popoto.engine.recovery import located, put_back, scripts_to_teach, with_text
from popoto.engine.replication import Shortfall, heard, missing, wanted
from popoto.engine.request import Argument, Call, Plan, Reply, Request, Wait
from popoto.engine.tracing import async_traced, traced
from popoto.exceptions import NothingWrittenError

T = TypeVar("T")


@traced
def run(plan: Plan[T]) -> T:
    """Drive a plan to its end over the current sync connection."""
    story = Story()
    shortfall: Shortfall | None = None
    try:
        step = next(plan)
        while True:
            try:
                if isinstance(step, Call):
                    answer = step.function()
                else:
                    step.is_late = shortfall is not None
                    answer = send(step)
                    if step.waited is not None:
                        shortfall = shortfall or missing(step, answer)
            except Exception as error:  # noqa: BLE001 - raised again inside the plan
                step = plan.throw(located(story.told(error, step), step))
            else:
                story.take(step, answer)
                step = plan.send(answer)
    except StopIteration as stop:
        result: T = stop.value
    except NothingWrittenError as error:
        raise story.of_all(error)  # noqa: B904 - the cause is known already
    if shortfall is not None:
        raise shortfall.error(result)
    return result


@async_traced
async def arun(plan: Plan[T]) -> T:
    """Drive a plan to its end over the async connection of the running event loop."""
    story = Story()
    shortfall: Shortfall | None = None
    try:
        step = next(plan)
        while True:
            try:
                if isinstance(step, Call):
                    answer = await _acall(step)
                else:
                    step.is_late = shortfall is not None
                    answer = await asend(step)
                    if step.waited is not None:
                        shortfall = shortfall or missing(step, answer)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - as above
                step = plan.throw(located(story.told(error, step), step))
            else:
                story.take(step, answer)
                step = plan.send(answer)
    except StopIteration as stop:
        result: T = stop.value
    except NothingWrittenError as error:
        raise story.of_all(error)  # noqa: B904 - the cause is known already
    if shortfall is not None:
        raise shortfall.error(result)
    return result


async def _acall(call: Call) -> object:
    if call.async_function is not None:
        return await call.async_function()
    return await asyncio.to_thread(call.function)


def send(request: Request) -> list[Reply]:
    """Send one request; the first error of the server is raised."""
    connection = redis_db.connection(reads=not request.writes)
    is_cluster, repeatable = connection.is_cluster, request.repeatable
    commands = request.physical(is_cluster=is_cluster)
    wait = wanted(request, connection.wait)
    if len(commands) != 1 or wait is not None:
        return checked(request, _send_all(connection, request, commands, wait))
    try:
        return [connection.call(commands[0], repeatable=repeatable)]
    except NoScriptError as error:
        again = with_text(request, error, is_cluster=is_cluster)
    try:
        return [connection.call(again, repeatable=repeatable)]
    except NothingWrittenError as error:
        raise not_taught(error, request) from error


def _send_all(
    connection: redis_db.SyncConnection,
    request: Request,
    commands: Sequence[Sequence[Argument]],
    wait: Wait | None,
) -> list[Reply]:
    """The replies, errors among them; the request takes note of how many replicas have it."""
    repeatable = request.repeatable
    replies = connection.call_many(commands, repeatable=repeatable, wait=wait)
    last = replies.pop() if wait is not None else None
    positions, lessons = scripts_to_teach([request], replies, is_cluster=connection.is_cluster)
    if wait is not None and len(lessons) < len(replies):
        heard([request], wait, last)
    if lessons:
        try:
            again = connection.call_many(lessons, repeatable=repeatable, wait=wait)
        except NothingWrittenError as error:
            again = [error] * len(positions)
        else:
            if wait is not None:
                heard([request], wait, again.pop())
        put_back(replies, positions, again)
    return replies


async def asend(request: Request) -> list[Reply]:
    """Send one request without blocking the event loop; the first error is raised.

    Requests of other tasks that wait in the same turn of the loop go along.
    """
    connection = await redis_db.async_connection(reads=not request.writes)
    return checked(request, await send_together(connection, request))
