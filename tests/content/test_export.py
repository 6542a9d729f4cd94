"""`popoto export` and `popoto import` carry texts, not references."""

from __future__ import annotations

from pathlib import Path

import pytest

from popoto.cli import main
from popoto.fields.content_field import set_default_store
from popoto.stores import FilesystemStore
from tests.cli.running import exported, imported
from tests.content.library import Book

LIBRARY = "tests.content.library"


def test_an_export_can_be_imported_beside_another_store(tmp_path: Path) -> None:
    texts = {"a": "once upon a time", "b": "$CF:looks like one", "c": "", "d": None}
    for title, text in texts.items():
        Book.create(title=title, text=text)
    lines = exported(tmp_path / "out", LIBRARY)
    assert "once upon a time" in lines
    for book in Book.query.all():
        book.delete()
    set_default_store(FilesystemStore(tmp_path / "elsewhere"))
    assert imported(tmp_path / "out", LIBRARY) == 0
    assert {book.title: book.text for book in Book.query.all()} == texts


def test_a_missing_text_is_a_problem_and_its_reference_is_kept(
    tmp_path: Path, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Book.create(title="a", text="gone")
    before = Book.query.filter(title="a").values("text").all()
    (directory / "Book" / "a.txt").rename(tmp_path / "saved")
    assert main(["export", LIBRARY, "--output", str(tmp_path / "out"), "--quiet"]) == 1
    assert "Content file missing" in capsys.readouterr().err
    Book.query.get(title="a").delete()
    assert imported(tmp_path / "out", LIBRARY) == 0
    assert Book.query.filter(title="a").values("text").all() == before
    (tmp_path / "saved").rename(directory / "Book" / "a.txt")
    assert Book.query.get(title="a").text == "gone"
