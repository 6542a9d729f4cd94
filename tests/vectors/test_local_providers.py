"""Providers that run a model in this process, against fakes of their packages. No network."""

from __future__ import annotations

import importlib.machinery
import sys
from types import ModuleType
from typing import Any

import pytest

from popoto.embeddings.local import (
    FastEmbedProvider,
    LocalProvider,
    Model2VecProvider,
    SentenceTransformerProvider,
    WordLlamaProvider,
)


class Model:
    """What each of the packages has, under the name that it has there."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.made_with = arguments, options
        self.asked: list[tuple[str, list[str]]] = []

    @classmethod
    def load(cls, **options: Any) -> Model:
        return cls(**options)

    @classmethod
    def from_pretrained(cls, name: str) -> Model:
        return cls(name)

    def embed(self, texts: list[str]) -> Any:
        return self._answer("embed", texts)

    def encode(self, texts: list[str]) -> Any:
        return self._answer("encode", texts)

    def query_embed(self, texts: list[str]) -> Any:
        return self._answer("query_embed", texts)

    def _answer(self, how: str, texts: list[str]) -> Any:
        self.asked.append((how, texts))
        if "fail" in texts:
            raise KeyError("no such token")
        return ([float(len(text)), *[0.0] * 255] for text in texts)


PROVIDERS = [
    (WordLlamaProvider, "WordLlama", "popoto[wordllama]"),
    (Model2VecProvider, "StaticModel", "popoto[model2vec]"),
    (FastEmbedProvider, "TextEmbedding", "popoto[fastembed]"),
    (SentenceTransformerProvider, "SentenceTransformer", "popoto[sentence-transformers]"),
]


@pytest.fixture(params=PROVIDERS, ids=lambda each: each[0].__name__)
def provider(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> LocalProvider:
    kind, attribute, _ = request.param
    package = ModuleType(kind.package)
    package.__spec__ = importlib.machinery.ModuleSpec(kind.package, None)
    package.__file__ = f"/packages/{kind.package}/__init__.py"
    setattr(package, attribute, Model)
    monkeypatch.setitem(sys.modules, kind.package, package)
    made: LocalProvider = kind()
    return made


def test_texts_become_vectors_in_order(provider: LocalProvider) -> None:
    found = provider.embed(["a", "bb"], input_type="document")
    assert [vector[0] for vector in found] == [1.0, 2.0]
    assert provider.dimensions == 256
    assert provider.embed([]) == []


def test_dimensions_are_known_before_the_first_text(provider: LocalProvider) -> None:
    assert provider.dimensions == 256
    assert provider.model_name


def test_many_texts_go_in_batches(provider: LocalProvider) -> None:
    provider.embed([str(number) for number in range(provider.max_batch_size + 1)])
    assert [len(texts) for _, texts in provider._model.asked] == [provider.max_batch_size, 1]


def test_a_model_that_fails_says_which(provider: LocalProvider) -> None:
    with pytest.raises(RuntimeError, match="could not embed 1 texts"):
        provider.embed(["fail"])


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, _, extra in PROVIDERS:
        monkeypatch.setattr(kind, "package", f"no_{kind.package}")
        with pytest.raises(ImportError) as raised:
            kind()
        assert extra in str(raised.value)


def test_questions_are_asked_as_such_where_a_model_tells_them_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package: Any = ModuleType("fastembed")
    package.__spec__ = importlib.machinery.ModuleSpec("fastembed", None)
    package.TextEmbedding = Model
    monkeypatch.setitem(sys.modules, "fastembed", package)
    provider = FastEmbedProvider()
    provider.embed(["a"], "query")
    provider.embed(["a"], "document")
    assert [how for how, _ in provider._model.asked] == ["query_embed", "embed"]


def test_what_stands_in_the_wheel_is_loaded_and_nothing_downloaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package: Any = ModuleType("wordllama")
    package.__spec__ = importlib.machinery.ModuleSpec("wordllama", None)
    package.__file__ = "/packages/wordllama/__init__.py"
    package.WordLlama = Model
    monkeypatch.setitem(sys.modules, "wordllama", package)
    _, options = WordLlamaProvider()._model.made_with
    assert options["disable_download"] is True
    assert str(options["cache_dir"]) == "/packages/wordllama"
