"""Methods that a model's class defines in place of the stock ones, and calling them.

A `save`, `delete` or `create` of a user's own is called wherever the published package calls
it: by `create()`, `get_or_create()`, `update_or_create()` and bulk operations. So is any method
by its asyncio twin where the class defines no twin. There the method runs in a worker thread,
since it is blocking code that is not ours; stock methods never do.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from popoto._stock import is_replaced
from popoto._unknown_names import warn_caller
from popoto.engine.request import Call
from popoto.fields.describing import describe

#: Set on an instance while its own `save` runs for `create()`; see `Model.save`.
CREATE_ONLY = "_create_only"
#: Set likewise: the lookup that no stored record may match.
UNMATCHED = "_unmatched"
#: Set meanwhile by the stock `save` that it calls.
REACHED = "_stock_save_reached"


_TWIN: Final = "async_"
#: Methods whose twins look for themselves: their arguments are not passed on as they are.
_LOOKING: Final = frozenset({"save", "delete", "create"})


def is_own(cls: type, method: str) -> bool:
    """Whether a class defines this method, or its asyncio twin, itself."""
    return is_replaced(cls, method) or is_replaced(cls, f"async_{method}")


def lacks_twin(cls: type, method: str) -> bool:
    """Whether a class defines this method itself, and no asyncio twin of it."""
    return is_replaced(cls, method) and not is_replaced(cls, f"async_{method}")


def own_call(target: Any, method: str, **arguments: Any) -> Call:
    """A call of this method of a class or an instance, or of its asyncio twin."""
    return Call(
        lambda: getattr(target, method)(**arguments),
        lambda: getattr(target, f"async_{method}")(**arguments),
        writes=True,
    )


def pre_save(instance: Any, **arguments: Any) -> Any:
    """What the `pre_save` of an instance's class answers; falsy = nothing is saved."""
    return instance.pre_save(**arguments)


def is_valid(instance: Any, names: Sequence[str] | None) -> bool:
    """What the class says of an instance's values: of all, or of some fields."""
    found: object = instance.is_valid() if names is None else instance._is_valid_in(names)
    if found and not isinstance(found, int):
        warn_caller(
            f"{type(instance).__name__}.is_valid() returns {describe(found)}, which counts as "
            "True; return True or False, or raise what is to be told"
        )
    return bool(found)


async def in_thread(method: Callable[..., Any], further: Mapping[str, Any], **options: Any) -> Any:
    """Call a blocking method of the user's, which need not know options that are not set."""
    given = {
        name: value for name, value in options.items() if value is not None and value is not False
    }
    return await asyncio.to_thread(method, **given, **further)


def add_twins(cls: type, root: type) -> None:
    """Give a class asyncio twins of the methods that it has in place of those of `root`."""
    for name, stock_twin in vars(root).items():
        method = name.removeprefix(_TWIN)
        if method == name or method in _LOOKING:
            continue
        own: Any = inspect.getattr_static(cls, method)
        if own is vars(root).get(method) or inspect.getattr_static(cls, name) is not stock_twin:
            continue
        if not inspect.iscoroutinefunction(getattr(cls, method)):
            twin = _twin_of(method)
            setattr(cls, name, classmethod(twin) if isinstance(own, classmethod) else twin)


def _twin_of(method: str) -> Callable[..., Any]:
    async def twin(target: Any, *arguments: Any, **options: Any) -> Any:
        return await asyncio.to_thread(getattr(target, method), *arguments, **options)

    twin.__name__ = f"{_TWIN}{method}"
    twin.__doc__ = f"`{method}` of this class for asyncio, in a worker thread."
    return twin
