"""Records with content move both ways between this package and the published one."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from popoto import ContentField, KeyField, Model
from popoto.fields.content_field import set_default_store
from popoto.stores import FilesystemStore
from tests.interop.sides import peer_python

pytestmark = pytest.mark.interop

_PEER = """
import json, sys
import popoto

class Paper(popoto.Model):
    name = popoto.KeyField()
    body = popoto.ContentField()

command, name, *texts = sys.argv[1:]
if command == "write":
    for text in texts:
        paper = Paper.query.get(name=name) or Paper(name=name)
        paper.body = text
        paper.save()
elif command == "read":
    print(json.dumps(Paper.query.get(name=name).body))
"""

NAMES = ["plain", "a/b c", "ü:*?", "x" * 40]


class Paper(Model):
    name = KeyField()
    body = ContentField()


@pytest.fixture(autouse=True)
def directory(tmp_path: Path) -> Iterator[Path]:
    set_default_store(FilesystemStore(tmp_path))
    yield tmp_path
    set_default_store(None)


def published(server_url: str, directory: Path, *arguments: str) -> Any:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(peer_python()), "-P", "-W", "ignore", "-c", _PEER, *arguments],
        env={**environment, "REDIS_URL": server_url, "POPOTO_CONTENT_PATH": str(directory)},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr.strip().splitlines()[-1:]
    return json.loads(done.stdout or "null")


@pytest.mark.parametrize("name", NAMES)
def test_what_the_published_package_stored_is_read(
    server_url: str, directory: Path, name: str
) -> None:
    published(server_url, directory, "write", name, "one", "two ü")
    paper = Paper.query.get(name=name)
    assert paper is not None
    assert paper.body == "two ü"
    reference = Paper.query.filter(name=name).values("body").all()[0]["body"]
    paper.save()
    assert Paper.query.filter(name=name).values("body").all() == [{"body": reference}]
    paper.body = "three"
    paper.save()
    assert published(server_url, directory, "read", name) == "three"
    assert FilesystemStore(directory).load(reference).decode() == "two ü"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_stored_here_is_read_by_the_published_package(
    server_url: str, directory: Path, name: str
) -> None:
    paper = Paper.create(name=name, body="one")
    assert published(server_url, directory, "read", name) == "one"
    paper.body = "two"
    paper.save()
    assert published(server_url, directory, "read", name) == "two"
    published(server_url, directory, "write", name, "theirs")
    paper.refresh()
    assert paper.body == "theirs"


def test_collecting_spares_what_the_published_package_stored(
    server_url: str, directory: Path
) -> None:
    published(server_url, directory, "write", "a/b", "one", "two")
    Paper.create(name="c", body="three").delete()
    assert ContentField.garbage_collect(Paper, min_age_seconds=0) == 2
    assert published(server_url, directory, "read", "a/b") == "two"
