"""Running the command inside the tests' process, and as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from popoto.cli import main

ROOT = Path(__file__).parents[2]
ZOO = "tests.cli.zoo"


def exported(path: Path, models: str = ZOO, *options: str) -> str:
    """The file that an export of these models writes without problems."""
    assert main(["export", models, "--output", str(path), "--quiet", *options]) == 0
    return path.read_text(encoding="utf-8")


def imported(path: Path, models: str = ZOO, *options: str) -> int:
    """The exit code of an import."""
    return main(["import", models, str(path), *options])


def in_process(
    *arguments: str, server_url: str, stdin: bytes = b"", timeout: float = 250
) -> subprocess.CompletedProcess[bytes]:
    """The command as a process of its own, on the tests' server."""
    return subprocess.run(
        [sys.executable, "-m", "popoto", *arguments],
        input=stdin,
        capture_output=True,
        cwd=ROOT,
        env=environment(server_url),
        timeout=timeout,
        check=False,
    )


def environment(server_url: str) -> dict[str, str]:
    return {
        **os.environ,
        "REDIS_URL": server_url,
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
