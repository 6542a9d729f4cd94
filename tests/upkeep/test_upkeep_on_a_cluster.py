"""Bulk operations and upkeep on three primaries: every key of a model is on one of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from popoto import redis_db
from tests.cluster_nodes import cluster, cluster_url, node
from tests.driver import Api

from .zoo import Animal, Visit, animal

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def ports() -> Iterator[list[int]]:
    with cluster(3) as ports:
        yield ports


@pytest.fixture(autouse=True)
def _on_the_cluster(ports: list[int], _fresh_server: None) -> None:
    for port in ports:
        with node(port) as client:
            client.flushall()
    redis_db.set_REDIS_DB_settings(url=cluster_url(ports))


def everything(ports: list[int]) -> set[bytes]:
    return {key for port in ports for key in node(port).scan_iter(count=1000)}


def test_bulk_and_upkeep(api: Api, ports: list[int]) -> None:
    api(Visit.bulk_create, [Visit(place=str(n)) for n in range(10)])
    others = everything(ports)
    api(Animal.bulk_create, [animal(number) for number in range(40)])
    whole = everything(ports)
    assert api(Animal.check_indexes)["total"] == 0
    for key in whole - others:
        if b"}$" in key:
            redis_db.POPOTO_REDIS_DB.delete(key)
    assert api(Animal.check_indexes)["total"] > 0
    assert api(Animal.rebuild_indexes) == 40
    assert everything(ports) == whole
    assert api(Animal.check_indexes)["total"] == 0
    assert api(Animal.bulk_update, Animal.query.filter(mood="happy"), mood="sad") == 8
    gone = Animal.query.filter(mood="sad").keys()
    for key in gone:
        redis_db.POPOTO_REDIS_DB.delete(b"{Animal}" + key)
    found = api(Animal.check_indexes)["total"]
    assert found > 8
    assert api(Animal.clean_indexes) == found
    assert api(Animal.bulk_delete, Animal.query.filter(born__lt=20)) == 16
    assert api(Animal.delete_all) == 16
    assert everything(ports) == others
