"""Methods of ours that users may replace, and whether a class has done so.

What a user's class defines is called; what we defined is often not, because the work it
stands for is done in another way. A replacement is told by the mark that ours carry, not by
where it was written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["MARK", "is_replaced", "stock"]

Method = TypeVar("Method", bound=Callable[..., Any])

#: The attribute of a method that is ours; it names the method itself.
MARK = "_popoto_stock"


def stock(method: Method) -> Method:
    """Mark a method that is ours."""
    # The mark names its bearer, so that a wrapper that copies attributes does not inherit it.
    setattr(method, MARK, method)
    return method


def is_replaced(cls: type, name: str) -> bool:
    """Whether the method that a class has under this name is not ours."""
    found = getattr(cls, name)
    function = getattr(found, "__func__", found)
    return getattr(function, MARK, None) is not function
