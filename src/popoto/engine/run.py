"""The two runners: they drive plans over a sync client and over an asyncio client."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from redis.exceptions import NoScriptError, ResponseError

from popoto import redis_db
from popoto.engine.request import Call, Plan, Reply, Request

T = TypeVar("T")


def run(plan: Plan[T]) -> T:
    """Drive a plan to its end over the current sync connection."""
    try:
        step = next(plan)
        while True:
            try:
                answer = step.function() if isinstance(step, Call) else send(step)
            except Exception as error:
                step = plan.throw(error)
            else:
                step = plan.send(answer)
    except StopIteration as stop:
        return stop.value


async def arun(plan: Plan[T]) -> T:
    """Drive a plan to its end over the async connection of the running event loop."""
    try:
        step = next(plan)
        while True:
            try:
                if isinstance(step, Call):
                    answer = await _acall(step)
                else:
                    answer = await asend(step)
            except (Exception, asyncio.CancelledError) as error:
                step = plan.throw(error)
            else:
                step = plan.send(answer)
    except StopIteration as stop:
        return stop.value


async def _acall(call: Call) -> object:
    if call.async_function is not None:
        return await call.async_function()
    return await asyncio.to_thread(call.function)


def send(request: Request) -> list[Reply]:
    """Send one request; the first error of the server is raised."""
    connection = redis_db.connection()
    commands = request.physical(is_cluster=connection.is_cluster)
    if len(commands) == 1:
        try:
            return [connection.call(commands[0], repeatable=request.repeatable)]
        except NoScriptError:
            (text,) = request.physical(is_cluster=connection.is_cluster, by_text=True)
            return [connection.call(text, repeatable=request.repeatable)]
    replies = connection.call_many(commands, repeatable=request.repeatable)
    unknown = _unknown_scripts(replies)
    if unknown:
        texts = request.physical(is_cluster=connection.is_cluster, by_text=True)
        again = connection.call_many(
            [texts[index] for index in unknown], repeatable=request.repeatable
        )
        _put_back(replies, unknown, again)
    return _checked(replies)


async def asend(request: Request) -> list[Reply]:
    """Send one request without blocking the event loop; the first error is raised."""
    connection = await redis_db.async_connection()
    commands = request.physical(is_cluster=connection.is_cluster)
    if len(commands) == 1:
        try:
            return [await connection.call(commands[0], repeatable=request.repeatable)]
        except NoScriptError:
            (text,) = request.physical(is_cluster=connection.is_cluster, by_text=True)
            return [await connection.call(text, repeatable=request.repeatable)]
    replies = await connection.call_many(commands, repeatable=request.repeatable)
    unknown = _unknown_scripts(replies)
    if unknown:
        texts = request.physical(is_cluster=connection.is_cluster, by_text=True)
        again = await connection.call_many(
            [texts[index] for index in unknown], repeatable=request.repeatable
        )
        _put_back(replies, unknown, again)
    return _checked(replies)


def _unknown_scripts(replies: list[Reply]) -> list[int]:
    return [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]


def _put_back(replies: list[Reply], positions: list[int], again: list[Reply]) -> None:
    for position, reply in zip(positions, again, strict=True):
        replies[position] = reply


def _checked(replies: list[Reply]) -> list[Reply]:
    for reply in replies:
        if isinstance(reply, ResponseError):
            raise reply
    return replies
