"""Every ```python block of the manual and the pages beside it runs, in order, on an empty server.

The blocks of one page share their names. In a block of `>>>` lines the answers are compared.
`<!-- not executed: reason -->` above a block leaves it out. `<!-- takes COMMAND -->` above a block
says that not every supported server can do it: on one without the command, the block has to raise
the ModelException that names the command.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
import redis
from sybil import Document, Example, Region
from sybil.parsers.markdown import PythonCodeBlockParser

from popoto import ModelException, redis_db

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
NOT_EXECUTED = re.compile(r"<!-- not executed: \S[^\n]*-->\s*\Z")
TAKES = re.compile(r"<!-- takes ([A-Z]+) -->\s*\Z")


LOGGERS = re.compile(r"^\|[^|]*`POPOTO[-.][^|]*\|", re.MULTILINE)


def test_the_manual_names_every_logger() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    documented = {name for row in LOGGERS.findall(page) for name in re.findall(r"`(.*?)`", row)}
    found: set[str] = set()
    for path in sorted((ROOT / "src" / "popoto").rglob("[!_]*.py")):
        name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        module = sys.modules.get(name) or importlib.import_module(name)
        found |= {each.name for each in vars(module).values() if isinstance(each, logging.Logger)}
    assert found == documented


def executed_blocks(document: Document) -> Iterable[Region]:
    for region in PythonCodeBlockParser()(document):
        if not NOT_EXECUTED.search(document.text[: region.start]):
            yield region


def with_samples() -> Iterator[object]:
    for page in PAGES:
        document = Document.parse(str(page), executed_blocks)
        if list(document.examples()):
            yield pytest.param(document, id=str(page.relative_to(ROOT)))


def missing_command(example: Example, client: redis.Redis) -> str | None:
    """The command that the block takes, if the server does not have it."""
    taken = TAKES.search(example.document.text[: example.start])
    if taken is None:
        return None
    (description,) = client.execute_command("COMMAND INFO", taken[1])
    return None if description else taken[1]


@pytest.fixture
def levels() -> Iterator[None]:
    """What a sample says of logging holds for its page only."""
    loggers = {name: logging.getLogger(name) for name in logging.root.manager.loggerDict}
    before = {name: logger.level for name, logger in loggers.items()}
    yield
    for name, level in before.items():
        loggers[name].setLevel(level)


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """A module for the samples, because classes and annotations look up the one they were made in.

    Files that samples write are below `tmp_path`.
    """
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.chdir(tmp_path)
    return module


@pytest.mark.slow(0.5)
@pytest.mark.usefixtures("levels")
@pytest.mark.parametrize("document", list(with_samples()))
def test_the_samples_of_a_page_do_what_the_page_says(
    document: Document, page: ModuleType, redis_client: redis.Redis
) -> None:
    document.namespace = vars(page)
    for example in document.examples():
        missing = missing_command(example, redis_client)
        if missing is None:
            example.evaluate()
        else:
            with pytest.raises(ModelException, match=f"it lacks {missing}"):
                example.evaluate()


@pytest.mark.parametrize("name", ["README.md", "docs/index.md", "docs/installing.md"])
def test_the_first_pages_run_again_on_what_they_have_stored(
    name: str, page: ModuleType, tmp_path: Path
) -> None:
    for _ in range(2):
        document = Document.parse(str(ROOT / name), executed_blocks)
        document.namespace = vars(page)
        # A directory that outlives the process, as the README proposes it.
        with redis_db.using(f"embedded://{tmp_path}/popoto"):
            for example in document.examples():
                example.evaluate()


def test_every_page_is_named_in_the_navigation_and_at_the_start() -> None:
    docs = ROOT / "docs"
    pages = {str(path.relative_to(docs)) for path in docs.rglob("*.md")}
    navigation = re.findall(r"(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(navigation) == sorted(pages)
    start = set(re.findall(r"\]\(([^)#]+\.md)", (docs / "index.md").read_text()))
    # Decisions have a page of contents of their own.
    assert start == {page for page in pages if "decisions/" not in page} - {"index.md"} | {
        "decisions/index.md"
    }


def test_the_plots_are_pictures() -> None:
    path = ROOT / "docs" / "plots.py"
    spec = importlib.util.spec_from_file_location("plots", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for text in module.plots().values():
        assert ElementTree.fromstring(text).tag.endswith("svg")
