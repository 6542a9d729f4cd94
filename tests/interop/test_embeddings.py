"""Vectors in files move both ways between this package and the published one."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from popoto import EmbeddingField, KeyField, Model, StringField
from popoto.embeddings.default import set_default_provider
from popoto.fields import embedding_field
from tests.interop.sides import peer_python
from tests.vectors.provider import TABLE, Known

pytestmark = pytest.mark.interop

_PEER = """
import json, sys
import popoto
from popoto.embeddings import AbstractEmbeddingProvider

TABLE = json.loads(sys.argv[1])

class Known(AbstractEmbeddingProvider):
    dimensions, max_batch_size = 3, 10
    def embed(self, texts, input_type=None):
        return [[float(each) for each in TABLE[text]] for text in texts]

class Memo(popoto.Model):
    name = popoto.KeyField()
    text = popoto.StringField()
    vector = popoto.EmbeddingField(source="text", provider=Known())

command, name, text = sys.argv[2:]
if command == "write":
    memo = Memo.query.get(name=name) or Memo(name=name)
    memo.text = text
    memo.save()
elif command == "delete":
    Memo.query.get(name=name).delete()
elif command == "search":
    print(json.dumps([[each.name, each.vector] for each in Memo.query.semantic_search(text)]))
"""


class Memo(Model):
    name = KeyField()
    text = StringField()
    vector = EmbeddingField(source="text", provider=Known(TABLE))


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POPOTO_CONTENT_PATH", str(tmp_path))
    set_default_provider(None)


def published(server_url: str, command: str, name: str, text: str = "") -> Any:
    environment = {name: value for name, value in os.environ.items() if "PYTHON" not in name}
    done = subprocess.run(
        [
            *(str(peer_python()), "-P", "-W", "ignore", "-c", _PEER),
            *(json.dumps(TABLE), command, name, text),
        ],
        env={**environment, "REDIS_URL": server_url},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr.strip().splitlines()[-1:]
    return json.loads(done.stdout or "null")


def found() -> list[list[Any]]:
    return [[each.name, each.vector] for each in Memo.query.semantic_search("up")]


def test_each_finds_what_the_other_has_saved(server_url: str) -> None:
    Memo.create(name="ü:*", text="a")
    published(server_url, "write", "theirs", "b")
    expected = [["ü:*", 3], ["theirs", 3]]
    assert found() == expected
    assert published(server_url, "search", "", "up") == expected
    memo = Memo.query.get(name="theirs")
    assert memo is not None
    memo.text = "a"
    memo.save()
    published(server_url, "write", "ü:*", "b")
    expected = [["theirs", 3], ["ü:*", 3]]
    assert found() == expected
    assert published(server_url, "search", "", "up") == expected


def test_each_forgets_what_the_other_has_deleted(server_url: str) -> None:
    for name in ("one", "two"):
        Memo.create(name=name, text="a")
    published(server_url, "delete", "one")
    assert found() == [["two", 3]]
    memo = Memo.query.get(name="two")
    assert memo is not None
    memo.delete()
    assert published(server_url, "search", "", "up") == []
    assert embedding_field._read_index("Memo") == {}
