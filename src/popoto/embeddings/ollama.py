"""`OllamaProvider`: embeddings of a model that Ollama runs, on this machine or another."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any, TypeGuard, cast

from popoto.embeddings.abstract import AbstractEmbeddingProvider, batches, vectors

__all__ = ["OllamaProvider"]

#: Seconds without an answer; Ollama may have to load the model first.
_TIMEOUT = 120
#: How much of a server's own words goes into a message.
_LONGEST_REASON = 500


class OllamaProvider(AbstractEmbeddingProvider):
    """Embeddings of a model in Ollama, over HTTP, with the standard library only.

    `base_url`  where Ollama answers
    `model`     the name of a model that was pulled
    `dim`       the length of its vectors, if it must be known before the first answer

    Constructing one makes no call. Raises ValueError for a `base_url` with a password. One
    request for each 32 texts; a request that is not answered within two minutes fails.
    """

    def __init__(
        self,
        base_url: str = "http://localhost:11434",
        model: str = "nomic-embed-text",
        dim: int | None = None,
    ) -> None:
        if "@" in base_url:
            # The standard library takes the password for a port, and tells it.
            raise ValueError("OllamaProvider takes no user name and password in base_url")
        self._base_url = base_url.rstrip("/")
        self._model = model
        self._dim = dim

    @property
    def model_name(self) -> str:
        """The model, as the constructor was given it."""
        return self._model

    @property
    def dimensions(self) -> int:
        """The length of the vectors. Raises RuntimeError before the first answer."""
        if self._dim is None:
            raise RuntimeError(
                f"dimensions unknown: {self._model!r} has not answered yet; embed something, or "
                "construct OllamaProvider(dim=...)"
            )
        return self._dim

    @property
    def max_batch_size(self) -> int:
        """How many texts go into one request."""
        return 32

    def embed(self, texts: list[str], input_type: str | None = None) -> list[list[float]]:
        """One vector for each text; `input_type` is not sent.

        Raises RuntimeError when Ollama cannot be reached, lacks the model or fails.
        """
        found: list[list[float]] = []
        for batch in batches(texts, self.max_batch_size):
            found += vectors(self._request(batch), len(batch), "Ollama")
        if found and self._dim is None:
            self._dim = len(found[0])
        return found

    def _request(self, texts: list[str]) -> list[Any]:
        request = urllib.request.Request(  # noqa: S310 - the address is the caller's own
            f"{self._base_url}/api/embed",
            data=json.dumps({"model": self._model, "input": texts}).encode("utf-8"),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
                body: bytes = answer.read()
        except urllib.error.HTTPError as error:
            raise self._refused(error) from error
        except urllib.error.URLError as error:
            raise self._unreachable(error.reason) from error
        except OSError as error:
            raise self._unreachable(error) from error
        try:
            found: object = json.loads(body)
        except ValueError as error:
            raise RuntimeError(f"Ollama answered with malformed JSON: {error}") from error
        embeddings: Any = (
            cast("dict[str, Any]", found).get("embeddings") if isinstance(found, dict) else None
        )
        if not _is_list(embeddings) or not embeddings:
            raise RuntimeError("Ollama's answer is missing 'embeddings'")
        return embeddings

    def _unreachable(self, reason: object) -> RuntimeError:
        return RuntimeError(
            f"cannot reach Ollama at {self._base_url}: {reason}. Is it running? Start it with: "
            "ollama serve"
        )

    def _refused(self, error: urllib.error.HTTPError) -> RuntimeError:
        reason = _reason(error)
        if "not found" in reason.from_json.lower():
            return RuntimeError(
                f"Ollama has no model {self._model!r}: {reason.text}. Fetch it with: "
                f"ollama pull {self._model}"
            )
        return RuntimeError(f"Ollama HTTP {error.code}: {reason.text}")


def _is_list(found: object) -> TypeGuard[list[Any]]:
    return isinstance(found, list)


class _Reason:
    """Why Ollama refused: the ``error`` of a JSON answer, or else whatever it said."""

    def __init__(self, from_json: str, text: str) -> None:
        self.from_json = from_json
        self.text = text[:_LONGEST_REASON]


def _reason(error: urllib.error.HTTPError) -> _Reason:
    try:
        text = error.read().decode("utf-8", "replace")
    except OSError:
        text = ""
    try:
        found: object = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict):
        said = cast("dict[str, object]", found).get("error")
        if isinstance(said, str):
            return _Reason(said, said)
    return _Reason("", text or str(error.reason))
