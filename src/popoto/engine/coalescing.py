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
from typing import NamedTuple, TypeAlias, TypeVar

from redis.exceptions import BusyLoadingError, NoScriptError, ReadOnlyError, RedisError

from popoto._connection import policy
from popoto.engine.failures import DISCONNECTED, not_taught
from popoto.engine.recovery import put_back, scripts_to_teach, with_text
from popoto.engine.replication import heard, wanted
from popoto.engine.request import Reply, Request, Wait
from popoto.exceptions import NothingWrittenError, OutcomeUnknownError
from popoto.redis_db import AsyncConnection

#: Commands of one pipeline. More are spread over several, so that none is long under way.
MOST_COMMANDS = 1000

#: Answers of a server that has not carried a command out, but soon may.
_NOT_READY = (BusyLoadingError, ReadOnlyError)

E = TypeVar("E", bound=Exception)


class _Waiter(NamedTuple):
    request: Request
    answer: asyncio.Future[list[Reply]]


#: Where the requests of a turn gather: at a connection (each event loop has its own), on a
#: cluster at a shard, and apart from others those that wait for replicas, who come slowly. An
#: entry lives for one turn.
_Place: TypeAlias = tuple[AsyncConnection, str | None, Wait | None]
_gathering: dict[_Place, list[_Waiter]] = {}


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
    try:
        return [await connection.call(again, repeatable=request.repeatable)]
    except NothingWrittenError as error:
        raise not_taught(error, request) from error


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
        heard(requests, wait, last)
    if lessons:
        again: list[Reply]
        try:
            again = await connection.call_many(lessons, repeatable=repeatable, wait=wait)
        except DISCONNECTED as error:
            # It concerns those alone whose scripts were unknown.
            again = [_own(error) for _ in positions]
        else:
            if wait is not None:
                heard(requests, wait, again.pop())
        put_back(replies, positions, again)
    return replies


def _send_in_background(
    connection: AsyncConnection, waiting: list[_Waiter], wait: Wait | None
) -> None:
    """Start the tasks that send the requests and hand out the replies."""
    for part in _parts(waiting):
        task = asyncio.create_task(_send_part(connection, part, wait))
        connection.under_way.add(task)
        task.add_done_callback(connection.under_way.discard)


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


async def _answer(
    connection: AsyncConnection,
    waiting: list[_Waiter],
    wait: Wait | None,
    lost: OutcomeUnknownError | None = None,
) -> None:
    """Send the requests of these waiters and give each its replies or its error.

    `lost`: what became of them when they were sent before, together with others.
    """
    if not waiting:
        return
    repeatable = all(waiter.request.repeatable for waiter in waiting)
    requests = [waiter.request for waiter in waiting]
    try:
        replies = await _send_all(connection, requests, wait, repeatable=repeatable)
    except OutcomeUnknownError as error:
        await _answer(connection, _left_after(error, connection, waiting), wait, error)
    except DISCONNECTED as error:
        for waiter in waiting:
            # Of what was sent before, a reply was lost, whatever came of sending it again.
            _fail(waiter, error if lost is None else _of_a_read(lost, connection))
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
        if any(map(_is_unready, own)):
            unready.append((waiter, own))
        elif not waiter.answer.done():
            waiter.answer.set_result(own)
    for waiter, own in unready:
        await _carry_out_when_ready(connection, waiter.request, own, wait)
        if not waiter.answer.done():
            waiter.answer.set_result(own)


def _is_unready(reply: Reply) -> bool:
    """Whether it may be carried out later. A connection that has waited in vain says that, too."""
    return isinstance(reply, _NOT_READY) and not isinstance(reply, NothingWrittenError)


async def _carry_out_when_ready(
    connection: AsyncConnection, request: Request, replies: list[Reply], wait: Wait | None
) -> None:
    """Carry out, one by one, what the server was not ready for: connections know how to wait."""
    commands = request.physical(is_cluster=connection.is_cluster)
    for index, reply in enumerate(replies):
        if not _is_unready(reply):
            continue
        command, repeatable = commands[index], request.repeatable
        try:
            if wait is None:
                replies[index] = await connection.call(command, repeatable=repeatable)
            else:
                again = await connection.call_many([command], repeatable=repeatable, wait=wait)
                heard([request], wait, again.pop())
                replies[index] = again[0]
        except RedisError as error:
            replies[index] = error


def _left_after(
    lost: OutcomeUnknownError, connection: AsyncConnection, waiting: list[_Waiter]
) -> list[_Waiter]:
    """Those that may be sent again; the others are told. A write cannot know its outcome."""
    is_late = policy.is_time_out(lost)
    for waiter in waiting:
        if not waiter.request.repeatable:
            _fail(waiter, lost)
        elif is_late:
            # The server may be busy with it.
            _fail(waiter, _of_a_read(lost, connection))
    return [waiter for waiter in waiting if waiter.request.repeatable and not is_late]


def _of_a_read(lost: OutcomeUnknownError, connection: AsyncConnection) -> RedisError:
    """The error of a read whose reply was lost together with those of writes."""
    return policy.lost_reply(lost.__cause__ or lost, connection.url, repeatable=True)


def _fail(waiter: _Waiter, error: Exception) -> None:
    if not waiter.answer.done():
        waiter.answer.set_exception(_own(error))


def _own(error: E) -> E:
    """An exception of one's own: a shared one would collect all tracebacks."""
    own = copy.copy(error)
    own.__cause__ = error.__cause__ or error
    return own
