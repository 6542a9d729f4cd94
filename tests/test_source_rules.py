"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from popoto import Field

SOURCE = Path(__file__).parents[1] / "src" / "popoto"
MODULES = sorted(SOURCE.rglob("*.py"))
SCRIPTS = sorted(SOURCE.rglob("*.lua"))

#: More is not read in one sitting. A file that has to be longer says why at its top, in a comment
#: that begins with "Length:".
LONGEST_FILE = 400


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
    assert not is_too_long(path)


ABOVE_FIELDS = [
    path
    for path in MODULES
    if path.is_relative_to(SOURCE / "models")
    or path.is_relative_to(SOURCE / "cli")
    or path.name == "pytest_plugin.py"
]


def kinds_of_fields(tree: ast.Module) -> set[str]:
    """The names by which a module knows field classes, `Field` itself left out."""
    found: set[str] = set()
    for statement in ast.walk(tree):
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("popoto"):
            module = importlib.import_module(statement.module or "")
            found |= {
                each.asname or each.name
                for each in statement.names
                if isinstance(kind := getattr(module, each.name, None), type)
                and issubclass(kind, Field)
                and kind is not Field
            }
    return found


def names_in(tree: ast.expr) -> set[str]:
    return {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)}


@pytest.mark.parametrize("path", ABOVE_FIELDS, ids=name_of)
def test_nothing_above_fields_asks_for_the_class_of_a_field(path: Path) -> None:
    tree = ast.parse(path.read_text())
    kinds = kinds_of_fields(tree)
    asked = [
        f"{name_of(path)}:{call.lineno}: {ast.unparse(call)}"
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in ("isinstance", "issubclass")
        and kinds & names_in(call.args[1])
    ]
    # `cls.entries is SortedField.entries` asks for the class as well.
    asked += [
        f"{name_of(path)}:{test.lineno}: {ast.unparse(test)}"
        for test in ast.walk(tree)
        if isinstance(test, ast.Compare)
        and any(isinstance(operator, ast.Is | ast.IsNot) for operator in test.ops)
        and (kinds | {"Field"}) & names_in(test)
    ]
    assert not asked
