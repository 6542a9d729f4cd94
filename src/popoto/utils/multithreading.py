"""Functions on threads of their own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import ParamSpec, TypeVar

from popoto._former_names import formerly

Parameters = ParamSpec("Parameters")
Parameter = TypeVar("Parameter")
Result = TypeVar("Result")

MOST_THREADS = 32


def start_new_thread(function: Callable[Parameters, object]) -> Callable[Parameters, None]:
    """Decorator: each call runs on a new daemon thread and returns None at once.

    What the function returns is lost; what it raises is printed by `threading.excepthook`.
    """

    @functools.wraps(function)
    def started(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        Thread(target=function, args=args, kwargs=kwargs, daemon=True).start()

    return started


@formerly(function_def="fn", list_of_params="params")
def run_all_multithreaded(
    fn: Callable[[Parameter], Result], params: Iterable[Parameter]
) -> list[Result]:
    """`[fn(param) for param in params]`, on up to 32 threads at a time.

    The results are in the order of `params`. The first exception is raised when all calls
    have ended. Raises ValueError where there is nothing to call it with.
    """
    waiting = list(params)
    if not waiting:
        raise ValueError("run_all_multithreaded() got no params: there is nothing to run")
    with ThreadPoolExecutor(max_workers=min(len(waiting), MOST_THREADS)) as threads:
        return list(threads.map(fn, waiting))
