"""The package by its path from the root of the repository: `src.popoto` is `popoto`."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WITHOUT_ITS_OWN_NAME = """
import os, sys
sys.path = [path for path in sys.path if not os.path.exists(os.path.join(path, "popoto"))]
sys.meta_path = [each for each in sys.meta_path if "editable" not in type(each).__module__]
"""


def said(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("before", ["", "import popoto", WITHOUT_ITS_OWN_NAME])
def test_both_names_are_of_one_package(before: str) -> None:
    program = """
    from src.popoto.models.query import QueryException
    from src import popoto as package
    import src.popoto.fields.bm25_field as words
    from src.popoto.exceptions import ModelException
    import popoto
    import popoto.fields.bm25_field
    assert package is popoto
    assert words is popoto.fields.bm25_field
    assert QueryException is popoto.QueryException
    assert ModelException is popoto.exceptions.ModelException
    print(words.__name__, words.__spec__.name)
    """
    assert said(before + textwrap.dedent(program)).split() == ["popoto.fields.bm25_field"] * 2


def test_what_is_replaced_under_one_name_is_replaced_under_the_other() -> None:
    program = """
    from unittest import mock
    import src.popoto.recipes.policy_cache
    from popoto.recipes import policy_cache
    with mock.patch("src.popoto.recipes.policy_cache.wilson_ci_lower", return_value=0.25):
        print(policy_cache.wilson_ci_lower(1, 1))
    """
    assert said(program) == "0.25"


def test_a_module_that_there_is_not_is_missed_by_the_name_it_was_asked_by() -> None:
    program = """
    import importlib
    try:
        importlib.import_module("src.popoto.fields.nonsense")
    except ModuleNotFoundError as error:
        print(error.name)
    """
    assert said(program) == "src.popoto.fields.nonsense"
