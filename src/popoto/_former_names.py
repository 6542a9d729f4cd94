"""Keywords under the names that popoto 1.6 has for them, beside ours."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

__all__ = ["formerly"]

P = ParamSpec("P")
R = TypeVar("R")


def formerly(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Take a keyword of a former name for the parameter that it is the former name of.

    Unless that one is given: the keyword means something else then, or is refused.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        places = list(inspect.signature(function).parameters)
        renamed = [(old, new, places.index(new)) for old, new in names.items()]

        @wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            for old, new, place in renamed:
                if old in kwargs and new not in kwargs and len(args) <= place:
                    kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return called

    return decorate
