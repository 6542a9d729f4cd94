"""A plugin of pytest that notes which tests call which parts of scripts.

Servers do not tell which lines of a script they carry out, so a part is known by its text, and
every test that calls a script of which it is a part may notice a change of it.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

#: Where to note them.
VARIABLE = "MUTANTS_CALLS"
#: The tests by script.
_calls: defaultdict[Any, set[str]] = defaultdict(set)


def pytest_collection_finish() -> None:
    """Begin: coverage is being measured by now, and the tests have imported the package."""
    made = importlib.import_module("popoto.engine.request").ScriptCall
    made.__init__ = _noted(made.__init__)


def _noted(made: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(made)
    def noted(self: Any, script: Any, *given: Any, **named: Any) -> None:
        _calls[script].add(
            os.environ.get("PYTEST_CURRENT_TEST", "").partition("[")[0].split(" ")[0]
        )
        made(self, script, *given, **named)

    return noted


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Write down the tests by the text of each part."""
    by_text: defaultdict[str, set[str]] = defaultdict(set)
    for script, tests in _calls.items():
        for text in script.part_texts().values():
            by_text[text] |= tests - {""}
    Path(os.environ[VARIABLE]).write_text(
        json.dumps({text: sorted(tests) for text, tests in by_text.items()})
    )
