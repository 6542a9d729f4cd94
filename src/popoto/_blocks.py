"""`with` blocks and what goes past them without a word: told at the caller's line.

A block that is never entered has no effect, and a write that is not given to the transaction around
it is carried out at once, whatever becomes of that.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from popoto._unknown_names import warn_caller

__all__ = ["Block", "Collection", "Passage", "block", "tell_of_write"]

#: What tells of a result that nothing has run of yet.
_RUNS_LATER = (inspect.isgenerator, inspect.isasyncgen, inspect.iscoroutine)

P = ParamSpec("P")
Function = TypeVar("Function", bound=Callable[..., Any])


class Passage(AbstractContextManager[None]):
    """A `with` block, also a decorator of functions and coroutine functions.

    Of the whole process: it may be left in another thread or task than it was entered in.
    """

    def __init__(self, title: str, begin: Callable[[], AbstractContextManager[None]]) -> None:
        self._title = title
        self._begin = begin
        self._is_used = False
        self._entered: list[AbstractContextManager[None]] = []

    def __enter__(self) -> None:
        self._is_used = True
        begun = self._begin()
        begun.__enter__()
        self._entered.append(begun)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return self._entered.pop().__exit__(kind, error, trace)

    def __call__(self, function: Function) -> Function:
        """The function, each call of it in a block of its own.

        Raises TypeError for what would do its work when the block is over: a function with a
        `yield`, a class, a property.
        """
        self._is_used = True
        called: Any = function
        runs_later = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        if runs_later or isinstance(function, type) or not callable(function):
            raise TypeError(self._too_late(f"{function!r} does its work"))

        async def awaited(*arguments: Any, **keywords: Any) -> Any:
            with self._begin():
                return await called(*arguments, **keywords)

        def returned(*arguments: Any, **keywords: Any) -> Any:
            with self._begin():
                found = called(*arguments, **keywords)
            if any(runs(found) for runs in _RUNS_LATER):
                close = getattr(found, "close", None)  # so that nobody waits for it
                if close is not None:
                    close()
                raise TypeError(self._too_late(f"what {function!r} has returned runs"))
            return found

        wrapper: Any = awaited if inspect.iscoroutinefunction(function) else returned
        return cast("Function", functools.wraps(function)(wrapper))

    def _too_late(self, what: str) -> str:
        return (
            f"{self._title}() decorates functions and coroutine functions, and {what} when its "
            f"block is over; write with {self._title}(…): inside of it"
        )

    def __del__(self) -> None:
        if not self._is_used:
            warn_caller(
                f"{self._title}() was called and not entered, so it had no effect: write "
                f"with {self._title}(…): around what it is meant for"
            )


class Block(Passage):
    """A block of one thread or task.

    It may be entered again, also within itself, and in several threads and tasks at once.
    """

    def __enter__(self) -> None:
        self._is_used = True
        begun = self._begin()
        begun.__enter__()
        _begun.set((*_begun.get(), (self, begun)))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        entered = _begun.get()
        places = [place for place, (block, _) in enumerate(entered) if block is self]
        if not places:
            raise RuntimeError(f"{self._title}() was entered in another thread or task than this")
        place = places[-1]
        _begun.set(entered[:place] + entered[place + 1 :])
        return entered[place][1].__exit__(kind, error, trace)


#: What this thread or task has entered and not left yet, the innermost last.
_begun: ContextVar[tuple[tuple[Block, AbstractContextManager[None]], ...]] = ContextVar(
    "popoto_blocks", default=()
)


def block(function: Callable[P, Generator[None]], title: str = "") -> Callable[P, Block]:
    """A generator of one yield as the block that it describes, as by `contextmanager`.

    `title` is what users call it, if that is not the function's name. Arguments are counted and
    named when the block is made, not when it is entered.
    """
    manager = contextmanager(function)
    parameters = inspect.signature(function)

    @functools.wraps(function)
    def begun(*arguments: P.args, **keywords: P.kwargs) -> Block:
        try:
            parameters.bind(*arguments, **keywords)
        except TypeError as error:
            raise TypeError(f"{title or function.__name__}(): {error}") from None
        return Block(title or function.__name__, lambda: manager(*arguments, **keywords))

    return begun


class Collection:
    """The block of a transaction, while it is open: what is written in it should go through it."""

    def __init__(self) -> None:
        self.is_open = False
        self._outer: Collection | None = None
        self._has_told = False

    def enter(self) -> None:
        """Be the block around what this thread or task does from now on."""
        self._outer = _innermost.get()
        self.is_open = True
        _innermost.set(self)

    def leave(self) -> None:
        """Be it no longer."""
        self.is_open = False
        _innermost.set(self._outer)

    def find_open(self) -> Collection | None:
        """The innermost block that is still open, from this one outwards."""
        found: Collection | None = self
        while found is not None and not found.is_open:
            found = found._outer
        return found

    def tell(self, what: str) -> None:
        """Tell of the first write that goes past this block."""
        if not self._has_told:
            self._has_told = True
            warn_caller(
                f"{what}: this write is no part of the transaction around it; it is carried out at "
                "once, and stays if the block raises. Ask the transaction for it "
                "(with transaction() as changes: changes.save(record); pipeline=changes where a "
                "method takes one), or write before or after the block"
            )


_innermost: ContextVar[Collection | None] = ContextVar("popoto_transaction", default=None)


def tell_of_write(what: str) -> None:
    """Tell of a write that the transaction around it, if there is one, knows nothing of."""
    innermost = _innermost.get()
    around = innermost and innermost.find_open()
    if around is not None:
        around.tell(what)
