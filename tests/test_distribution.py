"""The wheel holds everything that the package needs at run time, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_holds_the_whole_package(tmp_path: Path) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", str(ROOT), "--wheel-dir", str(tmp_path)),
            *("--no-deps", "--no-build-isolation", "--quiet", "--disable-pip-version-check"),
        ],
        check=True,
        timeout=50,
    )
    (wheel,) = tmp_path.glob("popoto-*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    source = ROOT / "src"
    assert packed == {
        str(path.relative_to(source))
        for pattern in ("*.py", "*.lua", "py.typed")
        for path in source.rglob(pattern)
    }
