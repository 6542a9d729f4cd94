"""Several plans in one: what they ask of the server at the same time goes in one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError

from popoto.engine.keys import model_of_shard
from popoto.engine.request import Call, Plan, Request

__all__ = ["together"]


def together(*plans: Plan[Any]) -> Plan[list[Any]]:
    """The results of these plans, in order.

    Reads of one model that they ask for at the same time are one request, which waits for the calls
    that others of them make first; of several shards it goes to each node. Where the server refuses
    it, each of them asks for its own part alone, so that each is told what concerns it; where it
    fails otherwise, each is told of that.
    """
    results: list[Any] = [None] * len(plans)
    steps: dict[int, Request | Call] = {}

    def go_on(place: int, reply: Any = None, error: Exception | None = None) -> None:
        plan = plans[place]
        try:
            steps[place] = plan.send(reply) if error is None else plan.throw(error)
        except StopIteration as done:
            steps.pop(place, None)
            results[place] = done.value

    def alone(place: int) -> Plan[None]:
        try:
            reply = yield steps[place]
        except Exception as error:  # noqa: BLE001 - the plan that asked is told
            go_on(place, error=error)
        else:
            go_on(place, reply)

    for place in range(len(plans)):
        go_on(place)
    while steps:
        calls = [place for place, step in steps.items() if isinstance(step, Call)]
        joined = {} if calls else _joined(steps)
        if len(joined) < 2:
            yield from alone(next(iter(calls or joined or steps)))
            continue
        request = _as_one(list(joined.values()))
        try:
            replies = yield request
        except ResponseError:
            for place in joined:
                yield from alone(place)
            continue
        except Exception as error:  # noqa: BLE001 - the plans that asked are told
            for place in joined:
                go_on(place, error=error)
            continue
        first = 0
        for place, request in joined.items():
            last = first + len(request.commands)
            go_on(place, replies[first:last])
            first = last
    return results


def _joined(steps: dict[int, Request | Call]) -> dict[int, Request]:
    """The reads that may go in one request, by place."""
    found: dict[int, Request] = {}
    for place, step in steps.items():
        if not isinstance(step, Request) or not step.repeatable or step.upkeep:
            continue
        first = next(iter(found.values()), step)
        if model_of_shard(step.shard) == model_of_shard(first.shard):
            found[place] = step
    return found


def _as_one(requests: Sequence[Request]) -> Request:
    """Reads of one model as one request."""
    commands = [command for request in requests for command in request.commands]
    first = requests[0].shard
    if all(each.shard == first and each.shards is None for each in requests):
        return Request(commands, first, repeatable=True)
    shards = [
        shard for each in requests for shard in each.shards or [each.shard] * len(each.commands)
    ]
    return Request(commands, model_of_shard(first), repeatable=True, shards=shards)
