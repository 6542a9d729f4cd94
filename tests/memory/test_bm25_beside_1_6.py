"""Indexes of words that the published popoto 1.6.1 and this package write together."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest
import redis

from popoto import BM25Field, KeyField, Model, StringField
from tests.interop.sides import peer_python

pytestmark = pytest.mark.interop

_PEER = """
import json, sys
import popoto

class Leaf(popoto.Model):
    name = popoto.KeyField()
    text = popoto.Field(type=str)
    words = popoto.BM25Field(source="text")

steps, asked, tokens = json.loads(sys.argv[1])
for what, name, text in steps:
    if what == "save":
        Leaf(name=name, text=text).save()
    elif what == "change":
        leaf = Leaf.query.get(name=name)
        leaf.text = text
        leaf.save()
    else:
        Leaf.query.get(name=name).delete()
print(json.dumps([
    [popoto.BM25Field.search(Leaf, "words", each, limit=400) for each in asked],
    popoto.BM25Field.get_idf(Leaf, "words", tokens),
]))
"""


class Leaf(Model):
    name = KeyField()
    text = StringField()
    words = BM25Field(source="text")


ODD = {
    "a": "redis cluster setup guide redis",
    "b": "python redis client library",
    "ü": "Straße 记忆系统 naïve CAFÉ naïve",
    "d": "user@example.com snake_case_word 2024-01-15 3.14159",
    "e": "the and for",
    "f": "日本語の文章です。 Привет мир как дела",
}
MANY = {f"n{number:03}": f"common word{number % 7} " * (1 + number % 5) for number in range(300)}
ASKED = ["redis", "redis python", "naïve straße", "记忆系统", "snake_case_word 2024", "common"]
ASKED += ["common word3", "word1 word2 word5", "nothing"]
TOKENS = ["redis", "common", "word3", "nothing"]


def published(server_url: str, steps: list[list[str]]) -> Any:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    told = json.dumps([steps, ASKED, TOKENS])
    done = subprocess.run(
        [str(peer_python()), "-W", "ignore", "-c", _PEER, told],
        env={**environment, "REDIS_URL": server_url},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr.strip().splitlines()[-1:]
    return json.loads(done.stdout)


def ours() -> Any:
    return [
        [BM25Field.search(Leaf, "words", each, limit=400) for each in ASKED],
        BM25Field.get_idf(Leaf, "words", TOKENS),
    ]


def agree(theirs: Any, mine: Any) -> None:
    """Whether both give every record the same score; ties have no order in 1.6."""
    for found, expected in zip(mine[0], theirs[0], strict=True):
        assert dict(found) == pytest.approx({key: float(each) for key, each in expected}, rel=1e-6)
    assert mine[1] == pytest.approx(theirs[1], rel=1e-12)


def saves(texts: dict[str, str]) -> list[list[str]]:
    return [["save", name, text] for name, text in texts.items()]


def stored(client: redis.Redis) -> dict[str, Any]:
    """The index as it is, numbers as numbers."""
    found: dict[str, Any] = {}
    for raw in client.keys("$BM25:*"):
        key = raw.decode()
        if client.type(raw) == b"zset":
            found[key] = {each.decode(): score for each, score in client.zscan_iter(raw)}
        else:
            found[key] = pytest.approx(float(client.get(raw) or 0), rel=1e-12)
    return found


def test_both_store_the_same(redis_client: redis.Redis, server_url: str) -> None:
    published(server_url, saves(ODD))
    theirs = stored(redis_client)
    redis_client.flushall()
    for name, text in ODD.items():
        Leaf(name=name, text=text).save()
    assert stored(redis_client) == theirs


@pytest.mark.parametrize("first", ["published", "ours"])
def test_what_one_has_indexed_the_other_finds(server_url: str, first: str) -> None:
    if first == "published":
        theirs = published(server_url, saves({**ODD, **MANY}))
        assert len(theirs[0][5]) == 300
    else:
        Leaf.bulk_create([Leaf(name=name, text=text) for name, text in {**ODD, **MANY}.items()])
        theirs = published(server_url, [])
    agree(theirs, ours())


def test_each_changes_and_deletes_what_the_other_has_indexed(
    redis_client: redis.Redis, server_url: str
) -> None:
    Leaf.bulk_create([Leaf(name=name, text=text) for name, text in {**ODD, **MANY}.items()])
    steps = [["change", f"n{number:03}", f"common word{number % 3}"] for number in range(0, 200, 3)]
    steps += [["delete", f"n{number:03}", ""] for number in range(1, 200, 3)]
    published(server_url, [*steps, ["change", "a", "python only"]])
    for number in range(2, 200, 3):
        leaf = Leaf.query.get(name=f"n{number:03}")
        leaf.text = "common " * (number % 4) + "again redis"
        leaf.save()
    for number in range(0, 200, 6):
        Leaf.query.get(name=f"n{number:03}").delete()
    agree(published(server_url, []), ours())
    Leaf.rebuild_indexes()
    agree(published(server_url, []), ours())
    for leaf in Leaf.query.all():
        leaf.delete()
    assert set(stored(redis_client)) == {*("$BM25:Leaf:words:n", "$BM25:Leaf:words:avgdl")}


def test_a_text_that_1_6_changed_alone_is_indexed_by_the_next_save_here(
    redis_client: redis.Redis,
) -> None:
    """Popoto 1.6 leaves the index as it was; what is stored there tells what to take back."""
    leaf = Leaf.create(name="a", text="apple")
    leaf.text = "cherry"
    leaf.save()
    redis_client.hset("Leaf:a", "text", b"\xa6banana")
    again = Leaf.query.get(name="a")
    again.text = "damson"
    again.save()
    assert [key.decode().rpartition(":")[2] for key in redis_client.keys("*:inv:*")] == ["damson"]
