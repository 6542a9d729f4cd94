"""Methods that a model's class defines in place of the stock ones.

A `save`, `delete` or `create` of a user's own is called wherever the published package calls
it: by `create()`, `get_or_create()`, `update_or_create()` and bulk operations, and by the
asyncio twin where the class defines no twin. There the method runs in a worker thread, since
it is blocking code that is not ours; stock methods never do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from popoto.engine.request import Call, Plan
from popoto.models.record.options import overrides
from popoto.models.writing.preparing import SaveRequest, save

if TYPE_CHECKING:
    from popoto.models.base import Model

#: Set on an instance while its own `save` runs for `create()`; see `Model.save`.
CREATE_ONLY = "_create_only"


def lacks_twin(cls: type, method: str) -> bool:
    """Whether a class defines this method itself, and no asyncio twin of it."""
    return overrides(cls, method) and not overrides(cls, f"async_{method}")


async def in_thread(method: Callable[..., Any], further: Mapping[str, Any], **options: Any) -> Any:
    """Call a blocking method of the user's, which need not know options that are not set."""
    given = {
        name: value for name, value in options.items() if value is not None and value is not False
    }
    return await asyncio.to_thread(method, **given, **further)


def save_as_defined(instance: Model, request: SaveRequest) -> Plan[Any]:
    """Save through the `save` that the class of an instance defines, or the stock one."""
    cls = type(instance)
    if not overrides(cls, "save") and not overrides(cls, "async_save"):
        return (yield from save(instance, request))
    arguments: dict[str, Any] = {}
    if request.pipeline is not None:
        arguments["pipeline"] = request.pipeline
    state = vars(instance)
    state[CREATE_ONLY] = request.create_only
    try:
        return (
            yield Call(lambda: instance.save(**arguments), lambda: instance.async_save(**arguments))
        )
    finally:
        state.pop(CREATE_ONLY, None)
