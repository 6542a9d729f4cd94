"""The two runners: they drive plans over a sync client and over an asyncio client."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from redis.exceptions import NoScriptError, RedisError

from popoto import redis_db
from popoto.engine.coalescing import send_together
from popoto.engine.recovery import located, put_back, scripts_to_teach, with_text
from popoto.engine.replication import Shortfall, noted, told, wanted
from popoto.engine.request import Argument, Call, Plan, Reply, Request, Wait
from popoto.engine.tracing import async_traced, traced

T = TypeVar("T")


@traced
def run(plan: Plan[T]) -> T:
    """Drive a plan to its end over the current sync connection."""
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
                        shortfall = noted(shortfall, step, answer)
            except Exception as error:  # noqa: BLE001 - raised again inside the plan
                step = plan.throw(located(error, step))
            else:
                step = plan.send(answer)
    except StopIteration as stop:
        result: T = stop.value
    if shortfall is not None:
        raise shortfall.error(result)
    return result


@async_traced
async def arun(plan: Plan[T]) -> T:
    """Drive a plan to its end over the async connection of the running event loop."""
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
                        shortfall = noted(shortfall, step, answer)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - as above
                step = plan.throw(located(error, step))
            else:
                step = plan.send(answer)
    except StopIteration as stop:
        result: T = stop.value
    if shortfall is not None:
        raise shortfall.error(result)
    return result


async def _acall(call: Call) -> object:
    if call.async_function is not None:
        return await call.async_function()
    return await asyncio.to_thread(call.function)


def send(request: Request) -> list[Reply]:
    """Send one request; the first error of the server is raised."""
    connection = redis_db.connection()
    is_cluster, repeatable = connection.is_cluster, request.repeatable
    commands = request.physical(is_cluster=is_cluster)
    wait = wanted(request, connection.wait)
    if wait is not None:
        return _checked(_send_and_wait(connection, request, commands, wait))
    if len(commands) == 1:
        try:
            return [connection.call(commands[0], repeatable=repeatable)]
        except NoScriptError as error:
            again = with_text(request, error, is_cluster=is_cluster)
            return [connection.call(again, repeatable=repeatable)]
    replies = connection.call_many(commands, repeatable=repeatable)
    positions, lessons = scripts_to_teach([request], replies, is_cluster=is_cluster)
    if lessons:
        put_back(replies, positions, connection.call_many(lessons, repeatable=repeatable))
    return _checked(replies)


def _send_and_wait(
    connection: redis_db.SyncConnection,
    request: Request,
    commands: Sequence[Sequence[Argument]],
    wait: Wait,
) -> list[Reply]:
    """The replies, errors among them; the request takes note of how many replicas have it."""
    repeatable = request.repeatable
    replies = connection.call_many(commands, repeatable=repeatable, wait=wait)
    last = replies.pop()
    positions, lessons = scripts_to_teach([request], replies, is_cluster=connection.is_cluster)
    if len(lessons) < len(replies):
        told([request], wait, last)
    if lessons:
        again = connection.call_many(lessons, repeatable=repeatable, wait=wait)
        told([request], wait, again.pop())
        put_back(replies, positions, again)
    return replies


async def asend(request: Request) -> list[Reply]:
    """Send one request without blocking the event loop; the first error is raised.

    Requests of other tasks that wait in the same turn of the loop go along.
    """
    return _checked(await send_together(await redis_db.async_connection(), request))


def _checked(replies: list[Reply]) -> list[Reply]:
    for reply in replies:
        if isinstance(reply, RedisError):
            raise reply
    return replies
