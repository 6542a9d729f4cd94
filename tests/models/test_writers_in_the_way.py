"""Another writer is faster every single time: there is an end, and nothing half-written."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import redis

import popoto
from popoto import DecimalField, IndexedField, KeyField, Model, SortedField
from popoto.exceptions import BulkError, ConflictError
from tests.driver import Api
from tests.interference import before_each_commit, in_each_pause
from tests.truth.oracle import violations


class Post(Model):
    name = KeyField()
    topic = IndexedField()
    rank = SortedField(type=float, default=0.0)
    fee = DecimalField(default=Decimal(0))


class Writer:
    """Gives the record another topic before each commit of anybody else."""

    def __init__(self, patch: pytest.MonkeyPatch, most: int = 1000) -> None:
        self.writes = 0
        self.most = most
        before_each_commit(patch, self.write)
        in_each_pause(patch, lambda: None)

    def write(self) -> None:
        if self.writes == self.most:
            return
        self.writes += 1
        other = Post.query.get(name="a")
        assert other is not None
        other.topic, other.fee = f"t{self.writes}", Decimal(self.writes)
        other.save()


@pytest.fixture
def post() -> Post:
    return Post.create(name="a", topic="t0")


def save(api: Api, post: Post) -> Any:
    post.topic = "mine"
    return api(post.save)


def save_partly(api: Api, post: Post) -> Any:
    post.topic = "mine"
    return api(post.save, update_fields=["topic"])


def move(api: Api, post: Post) -> Any:
    post.name = "b"
    return api(post.save, migrate_key=True)


def delete(api: Api, post: Post) -> Any:
    return api(post.delete)


def increment(api: Api, post: Post) -> Any:
    return api(post.atomic_increment, "fee", 1)


def delete_together(api: Api, post: Post) -> Any:
    try:
        return api(Post.bulk_delete, [post])
    except BulkError as refused:
        raise refused.errors[0].error from None


def in_a_transaction(api: Api, post: Post) -> Any:
    transaction = popoto.transaction()
    post.topic = "mine"
    transaction.save(post)
    return api(transaction.commit)


WAYS: list[Callable[[Api, Post], Any]] = [
    *(save, save_partly, move, delete, increment, delete_together, in_a_transaction)
]


@pytest.mark.parametrize("write", WAYS, ids=lambda write: write.__name__)
def test_a_writer_gives_up_at_last_and_says_so(
    api: Api,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    post: Post,
    write: Callable[[Api, Post], Any],
) -> None:
    with monkeypatch.context() as patch:
        other = Writer(patch)
        with pytest.raises(ConflictError, match="other writers"):
            write(api, post)
    assert 2 < other.writes < 200
    (found,) = Post.query.all()
    assert (found.name, found.topic, found.fee) == ("a", f"t{other.writes}", other.writes)
    assert violations(redis_client, Post) == []


@pytest.mark.parametrize("write", WAYS, ids=lambda write: write.__name__)
def test_a_writer_that_is_disturbed_a_few_times_succeeds(
    api: Api,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    post: Post,
    write: Callable[[Api, Post], Any],
) -> None:
    with monkeypatch.context() as patch:
        other = Writer(patch, most=7)
        write(api, post)
    assert other.writes == 7
    assert violations(redis_client, Post) == []


def test_a_record_that_is_gone_at_the_last_moment(
    api: Api, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, post: Post
) -> None:
    """Deleting it has nothing to do any more, one by one, together and in a transaction."""
    posts = [post, *Post.bulk_create([Post(name=name, topic="t") for name in "bc"])]
    with monkeypatch.context() as patch:
        before_each_commit(patch, lambda: [Post(name=name).delete() for name in "abc"] and None)
        assert api(posts[0].delete) is False
        assert api(Post.bulk_delete, posts[1:2]) == 1  # that many were given
        transaction = popoto.transaction()
        transaction.delete(posts[2])
        assert api(transaction.commit) == [False]
    assert redis_client.keys("*Post*") == []


def test_every_second_try_comes_after_a_pause_that_grows(
    api: Api, monkeypatch: pytest.MonkeyPatch, post: Post
) -> None:
    """From the fifth on, and never longer than a quarter of a second."""
    asked: list[tuple[float, float]] = []
    waited: list[float] = []
    wait = asyncio.sleep

    def longest(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    async def async_pause(seconds: float) -> None:
        if seconds:
            waited.append(seconds)
        await wait(0)

    with monkeypatch.context() as patch:
        other = Writer(patch)
        patch.setattr(random, "uniform", longest)
        patch.setattr(time, "sleep", waited.append)
        patch.setattr(asyncio, "sleep", async_pause)
        with pytest.raises(ConflictError, match="64 times"):
            save(api, post)
    assert other.writes == 64
    expected = [min(0.25, 0.0005 * 2**attempt) for attempt in range(4, 64, 2)]
    assert asked == [(0, seconds) for seconds in expected]
    assert waited == expected
