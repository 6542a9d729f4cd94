"""Do a program again, as a failure has printed it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.driver import Api

from .programs import Step, Twins, servers


def again(*, is_async: bool, steps: Iterable[tuple[str, int]]) -> None:
    """AssertionError where the twins differ."""
    calls = Api(is_async=is_async)
    try:
        with servers() as running, tempfile.TemporaryDirectory() as files:
            twins = Twins(running, calls, Path(files))
            for step in steps:
                twins.do(Step(*step))
    finally:
        calls.close()
