"""The search of one target, in a process of its own: `… tools.fuzz.search TARGET SECONDS KEPT`.

Every kind of failure is told once, with its input; then the search goes on.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import logging
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

# popoto reads this when it is imported; no search may reach the server that a user's URL names.
os.environ.pop("REDIS_URL", None)

with atheris.instrument_imports(include=["popoto"]):
    from popoto import embedded, redis_db

Property = Callable[[bytes], object]


class Search:
    """What proposes bytes to the properties of a module, until the time is over."""

    def __init__(
        self,
        target: str,
        seconds: float,
        kept: Path,
        properties: list[Property],
        close: Callable[[], object],
    ) -> None:
        self._target = target
        self._end = time.monotonic() + seconds
        self._kept = kept
        self._properties = properties
        self._close = close
        self._inputs = 0
        self._findings: dict[str, str] = {}

    def __call__(self, data: bytes) -> None:
        """Try one input; the first byte chooses the property."""
        if time.monotonic() > self._end:
            self._report()
        if not data:
            return
        self._inputs += 1
        try:
            self._properties[data[0] % len(self._properties)](data[1:])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            self._note(error, data)

    def _note(self, error: Exception, data: bytes) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        places = [
            each for each in frames if "/popoto/" in each.filename or "/hostile/" in each.filename
        ]
        kind = f"{type(error).__name__} at {places[-1].filename}:{places[-1].lineno}"
        if kind in self._findings:
            return
        name = f"{self._target}-{hashlib.sha256(kind.encode()).hexdigest()[:12]}"
        self._findings[kind] = name
        told = "".join(traceback.format_exception(error))
        (self._kept / "findings" / f"{name}.bytes").write_bytes(data)
        (self._kept / "findings" / f"{name}.txt").write_text(told, "utf-8", "backslashreplace")
        print(f"\n{self._target}: {kind}\n{told}", flush=True)

    def _report(self) -> None:
        figures = {
            "target": self._target,
            "inputs": self._inputs,
            "kept": len(list((self._kept / self._target).iterdir())),
            "findings": len(self._findings),
        }
        (self._kept / f"{self._target}.json").write_text(json.dumps(figures), encoding="utf-8")
        self._close()
        # libFuzzer knows no other way to end.
        os._exit(0)


def properties_of(module: Any) -> list[Property]:
    """The properties of a module that need nothing but what Hypothesis draws."""
    found: list[Property] = []
    for value in vars(module).values():
        test = getattr(value, "hypothesis", None)
        if test is not None and not inspect.signature(value).parameters:
            found.append(test.fuzz_one_input)
    return found


def main() -> None:
    """Search, and write the figures beside what was kept."""
    target, seconds, kept = sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("error")
    server = embedded.start()
    redis_db.set_REDIS_DB_settings(url=server.url)
    with atheris.instrument_imports(include=["popoto"]):
        module = importlib.import_module(f"tests.hostile.test_{target}")
    properties = properties_of(module)
    arguments = ["fuzz", str(kept / target), "-timeout=60", "-rss_limit_mb=4096", "-max_len=4096"]
    arguments += ["-verbosity=0", f"-artifact_prefix={kept / 'findings' / target}-"]
    atheris.Setup(arguments, Search(target, seconds, kept, properties, server.close))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
