"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "popoto"
MODULES = sorted(SOURCE.rglob("*.py"))
LONGEST_MODULE = 500


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


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_can_be_read_in_one_sitting(path: Path) -> None:
    length = len(path.read_text().splitlines())
    assert length <= LONGEST_MODULE
