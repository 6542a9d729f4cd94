"""What `make audit` makes of what pip and pip-audit tell, and which packages it looks at."""

from __future__ import annotations

from typing import Any

import pytest

from tools.fuzz.__main__ import targets
from tools.packages import audit
from tools.packages.resolved import extras

MENDED: dict[str, Any] = {"name": "redis", "version": "8.1.0", "vulns": []}
SKIPPED: dict[str, Any] = {"name": "odd", "skip_reason": "not found on PyPI: odd (1.0)"}
PROBLEM = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.0"]}
HARMFUL: dict[str, Any] = {"name": "evil", "version": "1.0", "vulns": [PROBLEM]}


@pytest.mark.parametrize(
    ("told", "code", "said"),
    [
        ([MENDED], 0, "1 packages audited, something is known against 0"),
        ([MENDED, HARMFUL], 1, "evil 1.0: PYSEC-1, CVE-1; mended in 2.0"),
        ([MENDED, SKIPPED], 0, "not audited: not found on PyPI: odd (1.0)"),
        ([SKIPPED], 0, "nothing was audited: the advisories of PyPI cannot be reached"),
        ([], 0, "nothing was audited"),
    ],
)
def test_what_is_known_fails_and_what_cannot_be_known_is_told(
    told: list[dict[str, Any]], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit._reported(told) == code
    assert said in capsys.readouterr().out


def test_it_looks_at_what_users_ask_for() -> None:
    assert {"cli", "embedded", "minilm", "otel"} <= set(extras())
    assert not {"dev", "docs"} & set(extras())


def test_every_file_of_hostile_input_is_a_target() -> None:
    assert {"arguments", "planted", "stored_bytes", "texts", "vector_files"} <= set(targets())
