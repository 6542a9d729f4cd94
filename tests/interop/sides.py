"""The two packages behind one interface: `side.create(model=..., values=...)`.

Arguments and results of both go through `tagged.py`, so a result compares equal
whichever side gave it and a test's sample values cannot be changed by a side.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

from .operations import Operations
from .schema import MODELS
from .tagged import dumps, loads

TESTS = Path(__file__).resolve().parents[1]
PROJECT = TESTS.parent
PUBLISHED_VERSION = "1.6.1"
#: What production users come from. Each has an environment of its own as well.
LATER_VERSIONS = ("1.8.0", "1.10.1")
ANSWER_SECONDS = 30.0

# `tests` goes last on the path: its folders must not hide installed modules.
_START_PEER = "import sys; sys.path.append(sys.argv[1]); from interop.peer import main; main()"


class PeerError(Exception):
    """The published package raised. `kind` is the name of its exception class."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class PeerMissingError(Exception):
    """There is no peer environment, or another version of the package is in it."""


class Side(Protocol):
    """One package. Every operation of `Operations`, called with keywords."""

    name: str

    def call(self, operation: str, **arguments: object) -> Any: ...

    def close(self) -> None: ...


class OurSide:
    """This package, in this process, on the connection that the tests configured."""

    name = "ours"

    def __init__(self) -> None:
        package = importlib.import_module("popoto")
        self._operations = Operations(package)
        self.call("define", models=MODELS)

    def call(self, operation: str, **arguments: object) -> Any:
        known = cast("dict[str, Any]", loads(dumps(arguments)))
        method: Callable[..., object] = getattr(self._operations, operation)
        return loads(dumps(method(**known)))

    def close(self) -> None:
        """Nothing is held."""


class PublishedSide:
    """The published package in its own process. Raises PeerMissingError without one."""

    name = "published"

    def __init__(self, server_url: str, version: str = PUBLISHED_VERSION) -> None:
        self.version = version
        python = peer_python(version)
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
        }
        # UTC, because naive datetimes are scored in the zone of the process.
        environment.update(REDIS_URL=server_url, TZ="UTC", PYTHONHASHSEED="0")
        self._process = subprocess.Popen(
            [str(python), "-P", "-c", _START_PEER, str(TESTS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
            encoding="utf-8",
        )
        self._answers: queue.Queue[str | None] = queue.Queue()
        self._collector = threading.Thread(target=self._collect, daemon=True)
        self._collector.start()
        try:
            self._prepare(python)
        except BaseException:
            self.close()
            raise

    def _prepare(self, python: Path) -> None:
        version = self.call("version")
        if version != self.version:
            raise PeerMissingError(
                f"{python} has popoto {version}, not {self.version}: "
                f"delete {peer_folder(self.version)} and run `make peer`"
            )
        self.call("define", models=MODELS)

    def _collect(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            for line in answers:
                self._answers.put(line)
        self._answers.put(None)

    def call(self, operation: str, **arguments: object) -> Any:
        assert self._process.stdin is not None
        request = dumps({"operation": operation, "arguments": arguments})
        try:
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
            answer = self._answers.get(timeout=ANSWER_SECONDS)
        except BrokenPipeError:
            answer = None
        except queue.Empty:
            self._process.kill()
            raise TimeoutError(f"the peer gave no answer to {operation!r}") from None
        if answer is None:
            raise PeerMissingError(
                "the process of the published package ended (its output is above); "
                f"if it cannot start, delete {peer_folder(self.version)} and run `make peer`"
            )
        content = cast("dict[str, Any]", loads(answer))
        if "error" in content:
            raise PeerError(content["error"], content["kind"])
        return content["result"]

    def close(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=60)
        self._collector.join(timeout=60)


def peer_folder(version: str) -> str:
    """The environment of a version, as `make peer` makes it."""
    return ".venv-peer" if version == PUBLISHED_VERSION else f".venv-peer-{version}"


def peer_python(version: str = PUBLISHED_VERSION) -> Path:
    """The Python of a peer environment. Raises PeerMissingError with the remedy."""
    chosen = os.environ.get("POPOTO_PEER_PYTHON") if version == PUBLISHED_VERSION else None
    folder = "Scripts" if sys.platform == "win32" else "bin"
    python = Path(chosen) if chosen else PROJECT / peer_folder(version) / folder / "python"
    if not python.exists():
        other = (
            ""
            if version != PUBLISHED_VERSION
            else (", or set POPOTO_PEER_PYTHON to the Python of an environment that has it")
        )
        raise PeerMissingError(
            f"no peer environment: {python} does not exist. Run `make peer`, which installs "
            f"popoto {version} there{other}"
        )
    return python
