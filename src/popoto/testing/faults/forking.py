"""Started by `crashes` as a process: imports the work once, and forks a child for each run."""

from __future__ import annotations

import base64
import importlib
import operator
import os
import pickle
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

__all__ = ["main"]

_MOST_OF_A_TRACEBACK = 20_000


def main() -> None:
    """For each line that is read: start a child and tell its id; at the next line, how it ended.

    That is ``-9`` if it was killed, ``0`` if it was done, and ``! `` with its traceback in hex.
    """
    name, arguments = pickle.loads(base64.b64decode(sys.argv[1]))  # noqa: S301  # of the parent
    module, _, path = name.partition(":")
    work = operator.attrgetter(path)(importlib.import_module(module))
    while sys.stdin.readline():
        story, told = os.pipe()
        child = os.fork()
        if child == 0:
            _work(work, arguments, told)
        os.close(told)
        _tell(str(child))
        sys.stdin.readline()
        _, status = os.waitpid(child, 0)
        with os.fdopen(story, "rb") as pipe:
            failure = pipe.read()
        _tell(f"! {failure.hex()}" if failure else str(os.waitstatus_to_exitcode(status)))


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _work(work: Callable[..., object], arguments: tuple[object, ...], told: int) -> NoReturn:
    os.dup2(2, 1)  # what it prints is no answer of this process
    try:
        work(*arguments)
    except BaseException:  # noqa: BLE001  # of any kind: it is told by the parent
        os.write(told, traceback.format_exc()[-_MOST_OF_A_TRACEBACK:].encode())
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
