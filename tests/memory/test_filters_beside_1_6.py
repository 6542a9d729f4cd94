"""Filters and sketches that the published popoto 1.6.1 and this package write together."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest
import redis

from popoto import Defaults, ExistenceFilter, FrequencySketch, KeyField, Model, StringField
from tests.interop.sides import peer_python
from tests.memory.words import set_bits, text_of

pytestmark = pytest.mark.interop

_PEER = """
import json, sys
import popoto

class Memo(popoto.Model):
    name = popoto.KeyField()
    text = popoto.Field(type=str)
    words = popoto.ExistenceFilter(capacity=2000, fingerprint_fn=lambda memo: memo.text)
    counts = popoto.FrequencySketch(width=300, depth=4, fingerprint_fn=lambda memo: memo.text)

for name, text in json.loads(sys.argv[1]):
    Memo(name=name, text=text).save()
asked = json.loads(sys.argv[2])
words, counts = Memo._meta.fields["words"], Memo._meta.fields["counts"]
print(json.dumps([
    [words.might_exist(Memo, each) for each in asked],
    [counts.get_frequency(Memo, each) for each in asked],
    words.fill_ratio(Memo),
]))
"""


class Memo(Model):
    name = KeyField()
    text = StringField()
    words = ExistenceFilter(capacity=2000, fingerprint_fn=text_of)
    counts = FrequencySketch(width=300, depth=4, fingerprint_fn=text_of)


SAVED = [
    *([f"m{each}", f"document{each:06d} number {each} of many"] for each in range(0, 60, 2)),
    ["ü", "Straße 记忆系统 naïve CAFÉ"],
    ["empty", ""],
    ["short", "a"],
    ["odd", "user@example.com snake_case_word 2024-01-15 \U0001f9e0brain"],
    ["long", "x" * 300 + " kubernetes deployment kubernetes"],
]
ASKED = [
    *(f"document{each:06d}" for each in range(60)),
    *(str(each) for each in range(300)),
    *("", "a", "b", "zz", "STRASSE", "Straße", "记忆系统", "café", "cafe", "snake_case_word"),
    *("kubernetes", "deployment", "kubernetes unknown", "x" * 300, "\U0001f9e0brain", "brain"),
]


def published(server_url: str, saved: list[list[str]]) -> Any:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(peer_python()), "-W", "ignore", "-c", _PEER, json.dumps(saved), json.dumps(ASKED)],
        env={**environment, "REDIS_URL": server_url},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr.strip().splitlines()[-1:]
    return json.loads(done.stdout)


def ours(saved: list[list[str]]) -> Any:
    for name, text in saved:
        Memo(name=name, text=text).save()
    return [
        [Memo.words.might_exist(Memo, each) for each in ASKED],
        [Memo.counts.get_frequency(Memo, each) for each in ASKED],
        Memo.words.fill_ratio(Memo),
    ]


def test_what_the_published_package_has_written_answers_the_same_here(server_url: str) -> None:
    assert ours([]) == [[False] * len(ASKED), [0] * len(ASKED), 0.0]
    theirs = published(server_url, SAVED)
    assert ours([]) == theirs
    # Its wrong answers too.
    assert sum(theirs[0][:60]) > 30


def test_what_is_written_here_for_it_is_byte_by_byte_its_own(
    server_url: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Defaults, "HASH_VERSION", 1)
    theirs = published(server_url, SAVED)
    bits, counts = redis_client.get("$EF:Memo:words"), redis_client.hgetall("$FS:Memo:counts")
    redis_client.flushall()
    assert ours(SAVED) == theirs
    assert redis_client.get("$EF:Memo:words") == bits
    mark = {b"form": b"popoto 1 sketch: 300 columns, 4 rows".ljust(64)}
    assert redis_client.hgetall("$FS:Memo:counts") == {**counts, **mark}
    assert published(server_url, []) == theirs


def test_both_extend_what_the_published_package_has_begun(server_url: str) -> None:
    published(server_url, SAVED[:10])
    ours(SAVED[10:20])
    theirs = published(server_url, SAVED[20:])
    assert ours([]) == theirs
    assert sum(theirs[0][:60:2]) == 30
    assert min(theirs[1][:60:2]) >= 1


def test_a_rebuild_ends_its_wrong_answers(server_url: str, redis_client: redis.Redis) -> None:
    published(server_url, SAVED)
    before = set_bits(redis_client, "$EF:Memo:words")
    Memo.rebuild_indexes()
    found, _, _ = ours([])
    assert sum(found[:60]) == 30
    assert len(set_bits(redis_client, "$EF:Memo:words", 19170)) > len(before)
