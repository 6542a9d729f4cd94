"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "popoto"
MODULES = sorted(SOURCE.rglob("*.py"))
SCRIPTS = sorted(SOURCE.rglob("*.lua"))

#: More is not read in one sitting. A file that has to be longer says why at its top, in a comment
#: that begins with "Length:".
LONGEST_FILE = 400
#: Files that are longer today and are to be cut. This list may only shrink: no file joins it, and
#: one that has become short enough leaves it.
TO_BE_CUT = frozenset(
    {
        "_connection/asynchronous_pools.py",
        "embedded/supervisor.py",
        "engine/codec.py",
        "engine/tagging.py",
        "fields/dataframe_codec.py",
        "fields/field.py",
        "fields/sorted_field_mixin.py",
        "models/base.py",
        "models/fetching.py",
        "models/options.py",
        "models/save_commit.py",
    }
)


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_inside_functions_are_for_optional_packages(path: Path) -> None:
    text = path.read_text()
    lines = text.splitlines()
    inner = {
        statement.lineno
        for function in ast.walk(ast.parse(text))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for statement in ast.walk(function)
        if isinstance(statement, ast.Import | ast.ImportFrom)
    }
    assert not [
        f"{name_of(path)}:{number}: {lines[number - 1].strip()}"
        for number in sorted(inner)
        if "# optional" not in lines[number - 1]
    ]


def is_too_long(path: Path) -> bool:
    lines = path.read_text().splitlines()
    has_reason = any(line.lstrip("#- ").startswith("Length:") for line in lines[:30])
    return len(lines) > LONGEST_FILE and not has_reason


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS], ids=name_of)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    assert is_too_long(path) == (name_of(path) in TO_BE_CUT)


def test_files_that_were_to_be_cut_are_there() -> None:
    assert {name_of(path) for path in MODULES} >= TO_BE_CUT
