"""Methods of ours that users may replace, and whether a class has done so.

What a user's class defines is called; what we defined is often not, because the work it
stands for is done in another way. A replacement is told by the mark that ours carry, not by
where it was written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

__all__ = ["Mark", "is_replaced", "stock"]

Method = TypeVar("Method", bound=Callable[..., Any])


class Mark:
    """What methods are decorated with to be told from others."""

    def __init__(self, attribute: str) -> None:
        self._attribute = attribute

    def __call__(self, method: Method) -> Method:
        # The mark names its bearer, so that a wrapper that copies attributes does not inherit it.
        setattr(method, self._attribute, method)
        return method

    def is_on(self, method: object) -> bool:
        """Whether this method bears the mark."""
        return getattr(method, self._attribute, None) is method


#: Marks a method that is ours.
stock: Final = Mark("_popoto_stock")


def is_replaced(cls: type, name: str) -> bool:
    """Whether the method that a class has under this name is not ours."""
    found = getattr(cls, name)
    return not stock.is_on(getattr(found, "__func__", found))
