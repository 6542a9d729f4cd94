"""Requests of all plans that wait in the same turn of an event loop, sent as one pipeline.

The first request of a turn waits for one more turn of the loop, in which the others of
an ``asyncio.gather`` arrive. If none does, it is sent as it is, by its own task. If
some do, a task of its own sends them all together, so that the cancellation of one
waiter takes nothing from the others. Each request keeps its own replies and errors.

On a cluster, only requests of one shard are sent together: they concern one node, whose
failure then is nobody else's.
"""

from __future__ import annotations

import asyncio
import copy
import types
from collections.abc import Generator, Sequence
from typing import NamedTuple, TypeAlias

import redis.exceptions
from redis.exceptions import BusyLoadingError, NoScriptError, ReadOnlyError, ResponseError

from popoto.engine.recovery import put_back, scripts_to_teach, with_text
from popoto.engine.replication import told, wanted
from popoto.engine.request import Reply, Request, Wait
from popoto.exceptions import OutcomeUnknownError
from popoto.redis_db import AsyncConnection

#: Commands of one pipeline. More are spread over several, so that none is long under way.
MOST_COMMANDS = 1000

#: Answers of a server that has not carried a command out, but soon may.
_NOT_READY = (BusyLoadingError, ReadOnlyError)

#: Errors of the connection, which concern every request on it.
_DISCONNECTED = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)


class _Waiter(NamedTuple):
    request: Request
    answer: asyncio.Future[list[Reply]]


#: Where the requests of a turn gather: at a connection (each event loop has its own), on a
#: cluster at a shard, and apart from others those that wait for replicas, who come slowly. An
#: entry lives for one turn.
_Place: TypeAlias = tuple[AsyncConnection, str | None, Wait | None]
_gathering: dict[_Place, list[_Waiter]] = {}

#: The tasks under way: an event loop keeps only weak references to them.
_under_way: set[asyncio.Task[None]] = set()


@types.coroutine
def _one_turn() -> Generator[None, None, None]:
    """Let everything run first that is ready in this turn of the loop."""
    yield


async def send_together(connection: AsyncConnection, request: Request) -> list[Reply]:
    """The replies of a request, with errors of the server among them where there are several.

    Raises what the connection raises. Costs a few microseconds when nobody joins.
    """
    wait = wanted(request, connection.wait)
    place = (connection, request.shard if connection.is_cluster else None, wait)
    waiting = _gathering.get(place)
    if waiting is not None:
        answer: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()
        waiting.append(_Waiter(request, answer))
        return await answer
    waiting = _gathering[place] = []
    try:
        await _one_turn()
    except asyncio.CancelledError:
        # The others go on without this one.
        _send_in_background(connection, waiting, wait)
        raise
    finally:
        del _gathering[place]
    if not waiting:
        return await _send_alone(connection, request, wait)
    answer = asyncio.get_running_loop().create_future()
    waiting.insert(0, _Waiter(request, answer))
    _send_in_background(connection, waiting, wait)
    return await answer


async def _send_alone(
    connection: AsyncConnection, request: Request, wait: Wait | None
) -> list[Reply]:
    """Send one request. A single command has its server error raised."""
    if len(request.commands) != 1 or wait is not None:
        return await _send_all(connection, [request], wait, repeatable=request.repeatable)
    commands = request.physical(is_cluster=connection.is_cluster)
    try:
        return [await connection.call(commands[0], repeatable=request.repeatable)]
    except NoScriptError as error:
        again = with_text(request, error, is_cluster=connection.is_cluster)
        return [await connection.call(again, repeatable=request.repeatable)]


async def _send_all(
    connection: AsyncConnection,
    requests: Sequence[Request],
    wait: Wait | None,
    *,
    repeatable: bool,
) -> list[Reply]:
    """Send requests as one pipeline; the replies of all, in order, errors among them.

    Those that wait for replicas all wait alike, and take note of how many have it.
    """
    is_cluster = connection.is_cluster
    commands = [
        command for request in requests for command in request.physical(is_cluster=is_cluster)
    ]
    replies = await connection.call_many(commands, repeatable=repeatable, wait=wait)
    last = replies.pop() if wait is not None else None
    positions, lessons = scripts_to_teach(requests, replies, is_cluster=is_cluster)
    if wait is not None and len(lessons) < len(replies):
        told(requests, wait, last)
    if lessons:
        again = await connection.call_many(lessons, repeatable=repeatable, wait=wait)
        if wait is not None:
            told(requests, wait, again.pop())
        put_back(replies, positions, again)
    return replies


def _send_in_background(
    connection: AsyncConnection, waiting: list[_Waiter], wait: Wait | None
) -> None:
    """Start the tasks that send the requests and hand out the replies."""
    for part in _parts(waiting):
        task = asyncio.create_task(_send_part(connection, part, wait))
        _under_way.add(task)
        task.add_done_callback(_under_way.discard)


def _parts(waiting: list[_Waiter]) -> list[list[_Waiter]]:
    """The waiters in order, in parts of at most `MOST_COMMANDS` commands where possible."""
    parts: list[list[_Waiter]] = []
    room = 0
    for waiter in waiting:
        size = len(waiter.request.commands)
        if not parts or size > room:
            parts.append([])
            room = MOST_COMMANDS
        parts[-1].append(waiter)
        room -= size
    return parts


async def _send_part(
    connection: AsyncConnection, waiting: list[_Waiter], wait: Wait | None
) -> None:
    try:
        # Whoever was cancelled before anything was sent takes no part.
        await _answer(connection, [each for each in waiting if not each.answer.done()], wait)
    finally:
        # Cancelled with its loop: nobody is left waiting.
        for waiter in waiting:
            waiter.answer.cancel()


async def _answer(connection: AsyncConnection, waiting: list[_Waiter], wait: Wait | None) -> None:
    """Send the requests of these waiters and give each its replies or its error."""
    if not waiting:
        return
    repeatable = all(waiter.request.repeatable for waiter in waiting)
    requests = [waiter.request for waiter in waiting]
    try:
        replies = await _send_all(connection, requests, wait, repeatable=repeatable)
    except OutcomeUnknownError as error:
        # What may be repeated is repeated; the rest cannot know its outcome.
        for waiter in waiting:
            if not waiter.request.repeatable:
                _fail(waiter, error)
        await _answer(connection, [each for each in waiting if each.request.repeatable], wait)
    except _DISCONNECTED as error:
        for waiter in waiting:
            _fail(waiter, error)
    except Exception as error:  # noqa: BLE001 - handed on to whom it concerns
        # Nothing was sent: an argument of one request is nothing that can be sent.
        if len(waiting) == 1:
            _fail(waiting[0], error)
        else:
            for waiter in waiting:
                await _answer(connection, [waiter], wait)
    else:
        await _hand_out(connection, waiting, replies, wait)


async def _hand_out(
    connection: AsyncConnection, waiting: list[_Waiter], replies: list[Reply], wait: Wait | None
) -> None:
    first = 0
    unready: list[tuple[_Waiter, list[Reply]]] = []
    for waiter in waiting:
        end = first + len(waiter.request.commands)
        own = replies[first:end]
        first = end
        if any(isinstance(reply, _NOT_READY) for reply in own):
            unready.append((waiter, own))
        elif not waiter.answer.done():
            waiter.answer.set_result(own)
    for waiter, own in unready:
        try:
            await _carry_out_when_ready(connection, waiter.request, own, wait)
        except _DISCONNECTED as error:
            _fail(waiter, error)
        else:
            if not waiter.answer.done():
                waiter.answer.set_result(own)


async def _carry_out_when_ready(
    connection: AsyncConnection, request: Request, replies: list[Reply], wait: Wait | None
) -> None:
    """Carry out, one by one, what the server was not ready for: connections know how to wait."""
    commands = request.physical(is_cluster=connection.is_cluster)
    for index, reply in enumerate(replies):
        if not isinstance(reply, _NOT_READY):
            continue
        command, repeatable = commands[index], request.repeatable
        if wait is not None:
            again = await connection.call_many([command], repeatable=repeatable, wait=wait)
            told([request], wait, again.pop())
            replies[index] = again[0]
            continue
        try:
            replies[index] = await connection.call(command, repeatable=repeatable)
        except ResponseError as error:
            replies[index] = error


def _fail(waiter: _Waiter, error: Exception) -> None:
    """Give a waiter an exception of its own: a shared one would collect all tracebacks."""
    if not waiter.answer.done():
        own = copy.copy(error)
        own.__cause__ = error.__cause__ or error
        waiter.answer.set_exception(own)
