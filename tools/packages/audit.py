"""`make audit`: is anything known against the packages that popoto brings? By pip-audit.

It ends with 1 where a vulnerability is known, with 0 otherwise. Where the advisories cannot be
reached, it says so: nothing was audited then, and that is no failure of this package.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tools.packages.resolved import FAILURES, Package, extras, resolved

_UNREACHED = "nothing was audited: the advisories of PyPI cannot be reached from here"


def main() -> int:
    """Audit the packages of the extras that are named, or of all."""
    try:
        packages = resolved(sys.argv[1:] or extras())
    except FAILURES:
        print("nothing was audited: pip cannot tell what it would install, see above")
        return 0
    pins = [pin for package in packages if (pin := _pin(package)) is not None]
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "requirements.txt")
        file.write_text("\n".join(pins), encoding="utf-8")
        words = [sys.executable, "-m", "pip_audit", "--requirement", str(file), "--no-deps"]
        words += ["--disable-pip", "--format", "json", "--progress-spinner", "off"]
        done = subprocess.run(words, check=False, capture_output=True, text=True)
    try:
        told: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        last = done.stderr.strip().splitlines()[-1:] or ["pip-audit has told nothing"]
        print(f"{_UNREACHED} ({last[0]})")
        return 0
    return _reported(told)


def _pin(package: Package) -> str | None:
    """None for popoto itself, which is no file of PyPI yet."""
    metadata = package["metadata"]
    is_ours = "dir_info" in package["download_info"]
    return None if is_ours else f"{metadata['name']}=={metadata['version']}"


def _reported(told: list[dict[str, Any]]) -> int:
    looked_at = [each for each in told if "skip_reason" not in each]
    if not looked_at:
        print(_UNREACHED)
        return 0
    found = [each for each in looked_at if each["vulns"]]
    for each in found:
        for problem in each["vulns"]:
            mended = ", ".join(problem["fix_versions"]) or "no version yet"
            names = ", ".join([problem["id"], *problem["aliases"]])
            print(f"{each['name']} {each['version']}: {names}; mended in {mended}")
    for each in told:
        if "skip_reason" in each:
            print(f"not audited: {each['skip_reason']}")
    print(f"{len(looked_at)} packages audited, something is known against {len(found)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
