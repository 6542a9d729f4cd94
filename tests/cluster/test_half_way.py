"""A slot that is on its way to another node stops no script half-way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis
from redis.exceptions import TryAgainError

from popoto import redis_db
from tests.cluster_nodes import cluster_url
from tests.driver import Api
from tests.upkeep.zoo import state as everything

from .models import House

Contents = Callable[[], redis.Redis]


@pytest.fixture
def leaving(ports: list[int], nodes: list[redis.Redis]) -> Iterator[Callable[[], None]]:
    """`leaving()`: from now on the houses' slot is on its way, though no key has gone yet."""
    slot = redis.crc.key_slot(b"House")
    names = [each.execute_command("CLUSTER MYID").decode() for each in nodes]
    redis_db.set_REDIS_DB_settings(url=f"{cluster_url(ports)}?migration_timeout=0")

    def leave() -> None:
        source = next(
            each for each in nodes if each.execute_command("CLUSTER COUNTKEYSINSLOT", slot)
        )
        target = next(each for each in nodes if each is not source)
        target.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", names[nodes.index(source)])
        source.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", names[nodes.index(target)])

    yield leave
    for each in nodes:
        each.execute_command("CLUSTER SETSLOT", slot, "STABLE")
    redis_db.set_REDIS_DB_settings(url=cluster_url(ports))


def test_a_value_that_its_last_holder_gives_up(
    api: Api, leaving: Callable[[], None], state: Contents
) -> None:
    """Every key is there when the script begins; the set of a value goes with its last member,
    and who looks for it then is told that it may be elsewhere.
    """
    mine = House.create(number=1, colour="red")
    House.create(number=2, colour="blue")
    before = everything(state())
    leaving()
    mine.colour = "blue"
    with pytest.raises(TryAgainError):
        api(mine.save)
    assert everything(state()) == before
    assert redis_db.connection().is_cluster


def test_what_takes_no_key_away_waits_too(
    api: Api, leaving: Callable[[], None], state: Contents
) -> None:
    """No script can tell beforehand what it will look for."""
    mine = House.create(number=1, colour="red")
    before = everything(state())
    leaving()
    mine.floors = 3
    with pytest.raises(TryAgainError):
        api(mine.save, update_fields=["floors"])
    assert everything(state()) == before
