"""The embedding providers, against fakes of their SDKs and of Ollama. No network."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from popoto import configure
from popoto.embeddings import AbstractEmbeddingProvider, OllamaProvider, openai, voyage
from popoto.embeddings.default import get_default_provider, set_default_provider


class Letters(AbstractEmbeddingProvider):
    dimensions = 1
    max_batch_size = 8

    def embed(self, texts: list[str], input_type: str | None = None) -> list[list[float]]:
        return [[float(len(text))] for text in texts]


def test_the_interface_cannot_be_instantiated() -> None:
    with pytest.raises(TypeError):
        AbstractEmbeddingProvider()  # type: ignore[abstract]


async def test_every_provider_has_an_asyncio_twin() -> None:
    assert await Letters().async_embed(["a", "bb"], "query") == [[1.0], [2.0]]


def test_configure_sets_the_provider_and_changes_nothing_else() -> None:
    provider = Letters()
    configure(embedding_provider=provider)
    assert get_default_provider() is provider
    configure()
    configure(content_path="/nowhere")
    assert get_default_provider() is provider
    set_default_provider(None)
    assert get_default_provider() is None


def test_providers_cost_no_import_of_an_sdk() -> None:
    program = (
        "import sys, popoto, popoto.embeddings.openai, popoto.embeddings.voyage\n"
        "print([name for name in ('openai', 'voyageai', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=250, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_a_stand_in_for_an_sdk_will_do_and_a_blocked_one_will_not() -> None:
    program = (
        "import sys, types\n"
        "sys.modules['openai'] = types.ModuleType('openai')\n"
        "sys.modules['voyageai'] = None\n"
        "from popoto.embeddings import openai, voyage\n"
        "print(openai._openai_available, voyage._voyageai_available)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=250, check=False
    )
    assert done.stdout.strip() == "True False", done.stderr


# ── SDKs ─────────────────────────────────────────────────────────────────────


class FakeOpenAI:
    def __init__(self, api_key: str | None = None) -> None:
        self.api_key = api_key
        self.calls: list[dict[str, Any]] = []
        self.embeddings = self

    def create(self, **arguments: Any) -> Any:
        self.calls.append(arguments)
        if "fail" in arguments["input"]:
            raise KeyError("quota")
        size = arguments.get("dimensions", 1536)
        return SimpleNamespace(
            data=[SimpleNamespace(embedding=[1] * size) for _ in arguments["input"]]
        )


class FakeVoyage:
    def __init__(self, api_key: str | None = None) -> None:
        self.api_key = api_key
        self.calls: list[tuple[list[str], dict[str, Any]]] = []

    def embed(self, texts: list[str], **arguments: Any) -> Any:
        self.calls.append((texts, arguments))
        if "fail" in texts:
            raise KeyError("quota")
        return SimpleNamespace(embeddings=[[0.5, 1.0]] * (1 if "short" in texts else len(texts)))


@pytest.fixture
def sdks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module, attribute, fake in (
        ("openai", openai, "OpenAI", FakeOpenAI),
        ("voyageai", voyage, "Client", FakeVoyage),
    ):
        sdk = ModuleType(name)
        setattr(sdk, attribute, fake)
        monkeypatch.setitem(sys.modules, name, sdk)
        monkeypatch.setattr(module, f"_{name}_available", True)


@pytest.mark.parametrize(
    ("module", "make", "words"),
    [
        (openai, openai.OpenAIProvider, ["openai", "popoto[openai]"]),
        (voyage, voyage.VoyageProvider, ["voyageai", "popoto[voyage]"]),
    ],
)
def test_without_the_sdk_the_error_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch, module: Any, make: Callable[[], object], words: list[str]
) -> None:
    monkeypatch.setattr(module, f"_{words[0]}_available", False)
    with pytest.raises(ImportError) as raised:
        make()
    assert all(word in str(raised.value) for word in words)


@pytest.mark.usefixtures("sdks")
def test_openai() -> None:
    provider = openai.OpenAIProvider(api_key="k")
    client = provider._client
    assert client.api_key == "k"
    assert (provider.dimensions, provider.max_batch_size) == (1536, 2048)
    assert provider.embed([]) == []
    assert client.calls == []
    assert provider.embed(["a", "b"], "query") == [[1.0] * 1536] * 2
    assert client.calls == [{"input": ["a", "b"], "model": "text-embedding-3-small"}]
    assert len(provider.embed(["x"] * 2049)) == 2049
    assert [len(call["input"]) for call in client.calls[1:]] == [2048, 1]
    with pytest.raises(RuntimeError, match="quota"):
        provider.embed(["fail"])


@pytest.mark.usefixtures("sdks")
def test_openai_is_asked_for_vectors_of_the_wanted_length() -> None:
    provider = openai.OpenAIProvider(dim=256)
    assert provider.dimensions == len(provider.embed(["a"])[0]) == 256
    assert provider._client.calls[0]["dimensions"] == 256


@pytest.mark.usefixtures("sdks")
def test_voyage() -> None:
    provider = voyage.VoyageProvider(api_key="k")
    client = provider._client
    assert client.api_key == "k"
    assert (provider.dimensions, provider.max_batch_size) == (1024, 128)
    assert provider.embed([]) == []
    assert provider.embed(["a"], "document") == [[0.5, 1.0]]
    assert client.calls == [(["a"], {"model": "voyage-3", "input_type": "document"})]
    assert len(provider.embed(["x"] * 300)) == 300
    assert [len(texts) for texts, _ in client.calls[1:]] == [128, 128, 44]
    with pytest.raises(RuntimeError, match="quota"):
        provider.embed(["fail"])
    with pytest.raises(RuntimeError, match="1 vectors for 2 texts"):
        provider.embed(["short", "b"])
    assert voyage.VoyageProvider(model="voyage-3-lite").dimensions == 512


# ── Ollama ───────────────────────────────────────────────────────────────────


class Handler(BaseHTTPRequestHandler):
    """Answers as its server was told, and remembers what it was asked."""

    def do_POST(self) -> None:
        server: Any = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.seen.append((self.path, self.headers["Content-Type"], body))
        status, answer = server.answer(body)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@pytest.fixture
def ollama() -> Iterator[Any]:
    server: Any = HTTPServer(("127.0.0.1", 0), Handler)
    server.seen = []
    server.answer = lambda body: (
        200,
        json.dumps({"embeddings": [[len(text), 0.5] for text in body["input"]]}).encode(),
    )
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_ollama_is_asked_over_http(ollama: Any) -> None:
    provider = OllamaProvider(base_url=f"{ollama.url}//", model="m")
    with pytest.raises(RuntimeError, match="dimensions unknown"):
        provider.dimensions
    assert provider.embed([]) == []
    assert ollama.seen == []
    assert provider.embed(["a", "bb"], input_type="query") == [[1.0, 0.5], [2.0, 0.5]]
    assert ollama.seen == [("/api/embed", "application/json", {"model": "m", "input": ["a", "bb"]})]
    assert (provider.dimensions, provider.max_batch_size) == (2, 32)
    assert len(provider.embed(["x"] * 70)) == 70
    assert [len(body["input"]) for _, _, body in ollama.seen[1:]] == [32, 32, 6]
    assert OllamaProvider(dim=768).dimensions == 768


@pytest.mark.parametrize(
    ("status", "answer", "words", "absent"),
    [
        (404, b'{"error": "model \\"m\\" NOT FOUND, try pulling"}', ["m", "ollama pull m"], ""),
        (400, b'{"error": "this model does not embed"}', ["Ollama HTTP 400", "does not"], "pull"),
        (500, b"", ["Ollama HTTP 500"], "ollama pull"),
        (502, b"<html>not found</html>", ["Ollama HTTP 502", "<html>"], "ollama pull"),
        (200, b"<html>", ["malformed JSON"], "pull"),
        (200, b"{}", ["missing 'embeddings'"], "pull"),
        (200, b"[]", ["missing 'embeddings'"], "pull"),
        (200, b'{"embeddings": []}', ["missing 'embeddings'"], "pull"),
        (200, b'{"embeddings": "x"}', ["missing 'embeddings'"], "pull"),
        (200, b'{"embeddings": [["x"]]}', ["vectors"], "pull"),
        (200, b'{"embeddings": [[1], [2]]}', ["2 vectors for 1 texts"], "pull"),
    ],
)
def test_what_ollama_refuses(
    ollama: Any, status: int, answer: bytes, words: list[str], absent: str
) -> None:
    ollama.answer = lambda body: (status, answer)
    with pytest.raises(RuntimeError) as raised:
        OllamaProvider(base_url=ollama.url, model="m").embed(["a"])
    assert all(word in str(raised.value) for word in words)
    assert not absent or absent not in str(raised.value)


def test_an_ollama_that_is_not_running() -> None:
    with pytest.raises(RuntimeError, match="ollama serve") as raised:
        OllamaProvider(base_url="http://127.0.0.1:1").embed(["a"])
    assert "http://127.0.0.1:1" in str(raised.value)
    assert "refused" in str(raised.value)


@pytest.mark.parametrize("error", [TimeoutError("timed out"), urllib.error.URLError("no route")])
def test_errors_of_the_connection(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(request: urllib.request.Request, *arguments: object, **keywords: object) -> None:
        assert isinstance(request, urllib.request.Request)
        raise error

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    with pytest.raises(RuntimeError, match="ollama serve"):
        OllamaProvider().embed(["a"])


def test_an_error_without_a_body(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(request: urllib.request.Request, *arguments: object, **keywords: object) -> None:
        raise urllib.error.HTTPError(request.full_url, 503, "Busy", Message(), io.BytesIO(b""))

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    with pytest.raises(RuntimeError, match="Ollama HTTP 503: Busy"):
        OllamaProvider().embed(["a"])
