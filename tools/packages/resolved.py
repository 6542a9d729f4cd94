"""The packages that pip would install for popoto with its extras today; nothing is installed."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: For those who work on popoto. And sentence-transformers brings PyTorch: 34 packages, gigabytes.
_LEFT_OUT = frozenset({"demo", "dev", "docs", "sentence-transformers"})
#: Seconds that pip may take: where there is no network it tries for long.
_PATIENCE = 900
#: What says that pip did not tell what it would install.
FAILURES = (subprocess.CalledProcessError, subprocess.TimeoutExpired)
#: One package, as pip's report has it: `metadata`, `download_info`.
Package = dict[str, Any]


def extras() -> list[str]:
    """The extras that users ask for."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return sorted(set(tomllib.load(file)["project"]["optional-dependencies"]) - _LEFT_OUT)


def resolved(names: list[str]) -> list[Package]:
    """Popoto and what it needs with these extras. Raises one of FAILURES."""
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    words += ["--no-input", "--disable-pip-version-check", "--report", "-"]
    words.append(f".[{','.join(names)}]" if names else ".")
    found = subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=_PATIENCE)
    packages: list[Package] = json.loads(found.stdout)["install"]
    return sorted(packages, key=lambda each: str(each["metadata"]["name"]).lower())
