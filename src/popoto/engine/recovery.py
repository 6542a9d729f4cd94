"""Errors of scripts: those that the server does not know, and those that stopped half-way.

NOSCRIPT means that nothing was done, so sending again, with the text, is always safe.
"""

from __future__ import annotations

from collections.abc import Sequence

from redis.exceptions import NoScriptError, ResponseError

from popoto.engine.request import Argument, Call, Reply, Request, ScriptCall

#: Positions among the replies, and the commands to send once more for them.
Again = tuple[list[int], list[list[Argument]]]


def scripts_to_teach(
    requests: Sequence[Request], replies: Sequence[Reply], *, is_cluster: bool
) -> Again:
    """What to send once more because the server did not know the script.

    The first call of each script carries its text, which teaches the server; those
    after it go by digest again, to each shard. All requests must concern one node, except for
    those on several shards.
    """
    positions: list[int] = []
    commands: list[list[Argument]] = []
    taught: set[tuple[str, str]] = set()
    position = -1
    for request in requests:
        for place, command in enumerate(request.commands):
            position += 1
            if isinstance(replies[position], NoScriptError) and isinstance(command, ScriptCall):
                prefix = request.prefix(place) if is_cluster else ""
                lesson = command.script.digest, prefix if request.shards is not None else ""
                commands.append(command.command(prefix, by_text=lesson not in taught))
                taught.add(lesson)
                positions.append(position)
    return positions, commands


def with_text(request: Request, error: NoScriptError, *, is_cluster: bool) -> list[Argument]:
    """The only command of a request once more, with its script's text. Else raises the error."""
    _, again = scripts_to_teach([request], [error], is_cluster=is_cluster)
    if not again:
        raise error
    return again[0]


def put_back(replies: list[Reply], positions: Sequence[int], again: Sequence[Reply]) -> None:
    """Put the replies of a second round into their places."""
    for position, reply in zip(positions, again, strict=True):
        replies[position] = reply


def located(error: BaseException, step: Request | Call) -> BaseException:
    """An error that a step was answered with; one of a script names the part and the line.

    Where different scripts were asked at once, and the server does not say which of them it
    was, its own message stays.
    """
    if isinstance(error, ResponseError) and isinstance(step, Request):
        message = str(error)
        scripts = {each.script for each in step.commands if isinstance(each, ScriptCall)}
        named = [script for script in scripts if script.digest in message] or list(scripts)
        if len(named) == 1:
            error.args = (named[0].located(message),)
    return error
