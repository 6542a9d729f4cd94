"""The two runners: they drive plans over a sync client and over an asyncio client."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from redis.exceptions import NoScriptError

from popoto import redis_db
from popoto.engine.coalescing import send_together
from popoto.engine.outcomes import Story, checked, not_taught
from popoto.engine.recovery import located, put_back, scripts_to_teach, with_text
from popoto.engine.request import Call, Plan, Reply, Request
from popoto.engine.tracing import async_traced, traced
from popoto.exceptions import NothingWrittenError

T = TypeVar("T")


@traced
def run(plan: Plan[T]) -> T:
    """Drive a plan to its end over the current sync connection."""
    story = Story()
    try:
        step = next(plan)
        while True:
            try:
                answer = step.function() if isinstance(step, Call) else send(step)
            except Exception as error:  # noqa: BLE001 - raised again inside the plan
                step = plan.throw(located(story.told(error, step), step))
            else:
                story.take(step, answer)
                step = plan.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result


@async_traced
async def arun(plan: Plan[T]) -> T:
    """Drive a plan to its end over the async connection of the running event loop."""
    story = Story()
    try:
        step = next(plan)
        while True:
            try:
                if isinstance(step, Call):
                    answer = await _acall(step)
                else:
                    answer = await asend(step)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - as above
                step = plan.throw(located(story.told(error, step), step))
            else:
                story.take(step, answer)
                step = plan.send(answer)
    except StopIteration as stop:
        result: T = stop.value
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
    if len(commands) == 1:
        try:
            return [connection.call(commands[0], repeatable=repeatable)]
        except NoScriptError as error:
            again = with_text(request, error, is_cluster=is_cluster)
        try:
            return [connection.call(again, repeatable=repeatable)]
        except NothingWrittenError as error:
            raise not_taught(error, request) from error
    replies = connection.call_many(commands, repeatable=repeatable)
    positions, lessons = scripts_to_teach([request], replies, is_cluster=is_cluster)
    if lessons:
        try:
            put_back(replies, positions, connection.call_many(lessons, repeatable=repeatable))
        except NothingWrittenError as error:
            put_back(replies, positions, [error] * len(positions))
    return checked(request, replies)


async def asend(request: Request) -> list[Reply]:
    """Send one request without blocking the event loop; the first error is raised.

    Requests of other tasks that wait in the same turn of the loop go along.
    """
    return checked(request, await send_together(await redis_db.async_connection(), request))
