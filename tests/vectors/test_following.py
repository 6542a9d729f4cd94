"""Following many vectors: page by page, cancelled on the way, by threads with their own loops."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from popoto import EmbeddingField, KeyField, Model, StringField
from popoto.fields.vectors.on_server import ServerKeeper, forget_followed
from tests.vectors.provider import TABLE, Known

COUNT = 3500
PAGES = 4


@pytest.fixture
def served() -> Any:
    class Served(Model):
        name = KeyField()
        text = StringField()
        vector = EmbeddingField(source="text", provider=Known(TABLE), store="server")

    return Served


@pytest.fixture
def filled(served: Any) -> Any:
    served.bulk_create([served(name=f"n{n:04}", text="a") for n in range(COUNT)])
    forget_followed(None)
    return served


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many vectors each reply brought."""
    found: list[int] = []
    plain = ServerKeeper.changes_since

    def watched(self: ServerKeeper, epoch: str, version: int) -> Any:
        reply = yield from plain(self, epoch, version)
        found.append(len(reply[2]) // 3)
        return reply

    monkeypatch.setattr(ServerKeeper, "changes_since", watched)
    return found


def best(found: list[Any]) -> list[str]:
    return [each.name for each in found]


LAST = [f"n{COUNT - number:04}" for number in range(1, 11)]


def test_no_reply_brings_more_than_a_page(filled: Any, pages: list[int]) -> None:
    assert EmbeddingField.prepare_search(filled) == COUNT
    assert pages == [1000, 1000, 1000, 500]
    assert best(filled.query.semantic_search("right")) == LAST
    assert pages[PAGES:] == [0]


async def test_a_search_that_is_cancelled_while_it_reads_leaves_what_it_has(
    filled: Any, pages: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = ServerKeeper.changes_since

    def cancelling(self: ServerKeeper, epoch: str, version: int) -> Any:
        if len(pages) == 2:
            task.cancel()
        return (yield from plain(self, epoch, version))

    with monkeypatch.context() as patched:
        patched.setattr(ServerKeeper, "changes_since", cancelling)
        task = asyncio.ensure_future(filled.query.async_semantic_search("right"))
        with pytest.raises(asyncio.CancelledError):
            await task
    assert pages == [1000, 1000]
    assert best(await filled.query.async_semantic_search("right")) == LAST
    assert pages == [1000, 1000, 1000, 500]


def test_threads_with_loops_of_their_own_follow_one_matrix_together(
    filled: Any, pages: list[int]
) -> None:
    searches = 10
    results: list[list[str]] = []
    together = threading.Barrier(3)

    async def search() -> None:
        for _ in range(searches):
            found = await asyncio.gather(
                *(filled.query.async_semantic_search("right") for _ in range(3))
            )
            results.extend(map(best, found))

    def run() -> None:
        together.wait()
        asyncio.run(search())

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    together.wait()
    written = [f"z{number:02}" for number in range(20)]
    for name in written:
        filled.create(name=name, text="a")
    for thread in threads:
        thread.join()
    assert len(results) == 2 * 3 * searches
    whole = sorted([*LAST, *written], reverse=True)
    # Each has found some moment between the first write and the last one.
    moments = [sorted([*LAST, *written[:count]], reverse=True)[:10] for count in range(21)]
    assert all(found in moments for found in results)
    assert best(filled.query.semantic_search("right")) == whole[:10]
    matrix, keys = EmbeddingField.load_embeddings(filled)
    assert len(keys) == len(set(keys)) == len(matrix) == COUNT + 20
