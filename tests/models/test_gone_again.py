"""Records that go without the library while another one is created under their key."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

import popoto
from popoto import IndexedField, KeyField, Model
from tests.driver import Api
from tests.interference import before_each_commit
from tests.truth.oracle import violations


class Lamp(Model):
    name = KeyField()
    colour = IndexedField()


def save(api: Api) -> None:
    api(Lamp(name="a", colour="mine").save)


def save_in_bulk(api: Api) -> None:
    api(Lamp.bulk_create, [Lamp(name="b"), Lamp(name="a", colour="mine")])


def save_in_a_transaction(api: Api) -> None:
    transaction = popoto.transaction()
    transaction.save(Lamp(name="a", colour="mine"))
    transaction.save(Lamp(name="b"))
    api(transaction.commit)


@pytest.mark.parametrize("create", [save, save_in_bulk, save_in_a_transaction])
def test_nothing_stays_of_one_that_came_and_went_meanwhile(
    api: Api,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    create: Callable[[Api], None],
) -> None:
    Lamp.create(name="a", colour="first")
    others = iter(
        [
            lambda: redis_client.delete("Lamp:a"),
            Lamp(name="a", colour="second").save,
            lambda: redis_client.delete("Lamp:a"),
        ]
    )

    def other_writer() -> None:
        step = next(others, None)
        if step is not None:
            step()

    before_each_commit(monkeypatch, other_writer)
    create(api)
    assert next(others, None) is None
    assert violations(redis_client, Lamp) == []
