"""The wheel holds everything that the package needs at run time, and nothing else.

What is released under a version is what the changelog tells under it: RELEASING.md has the steps.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from datetime import date
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# [Unreleased] and the coming version, or [the version] and its date.
SECTION = re.compile(r"## \[(Unreleased|\d[\w.]+)\] \N{EN DASH} (\d\S+)")


@pytest.mark.slow
def test_the_wheel_holds_the_whole_package(tmp_path: Path) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", str(ROOT), "--wheel-dir", str(tmp_path)),
            *("--no-deps", "--no-build-isolation", "--quiet", "--disable-pip-version-check"),
        ],
        check=True,
        timeout=250,
    )
    (wheel,) = tmp_path.glob("popoto-*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    source = ROOT / "src"
    assert packed == {
        str(path.relative_to(source))
        for pattern in ("*.py", "*.lua", "py.typed")
        for path in source.rglob(pattern)
    }


def test_the_changelog_begins_with_the_version_of_the_package() -> None:
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## .*", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert [heading for heading in headings if not SECTION.fullmatch(heading)] == []
    sections = [SECTION.findall(heading)[0] for heading in headings]
    newest, detail = sections[0]
    if ".dev" in version:
        assert (newest, detail) == ("Unreleased", version.removesuffix(".dev0"))
    else:
        assert newest == version
        date.fromisoformat(detail)
    told = [detail if name == "Unreleased" else name for name, detail in sections]
    assert len(told) == len(set(told))
