"""Every ```python block of the README and the manual runs, in order, on an empty server.

The blocks of one page share their names. In a block of `>>>` lines the answers are compared.
`<!-- not executed: reason -->` above a block leaves it out.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from sybil import Document, Region
from sybil.parsers.markdown import PythonCodeBlockParser

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOT_EXECUTED = re.compile(r"<!-- not executed: \S[^\n]*-->\s*\Z")


def executed_blocks(document: Document) -> Iterable[Region]:
    for region in PythonCodeBlockParser()(document):
        if not NOT_EXECUTED.search(document.text[: region.start]):
            yield region


def with_samples() -> Iterator[object]:
    for page in PAGES:
        document = Document.parse(str(page), executed_blocks)
        if list(document.examples()):
            yield pytest.param(document, id=str(page.relative_to(ROOT)))


@pytest.mark.parametrize("document", list(with_samples()))
def test_the_samples_of_a_page_do_what_the_page_says(
    document: Document, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # A module of its own, because classes and annotations look up the module they were made in.
    page = ModuleType("page")
    monkeypatch.setitem(sys.modules, page.__name__, page)
    monkeypatch.chdir(tmp_path)
    document.namespace = vars(page)
    for example in document.examples():
        example.evaluate()
