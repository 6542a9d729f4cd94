"""Bulk operations and upkeep on three primaries: every key of a model is on one of them."""

from __future__ import annotations

import pytest

from popoto import redis_db
from tests.cluster_nodes import stored_keys
from tests.driver import Api

from .zoo import Animal, Visit, animal

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.usefixtures("on_the_cluster"),
]


def test_bulk_and_upkeep(api: Api, ports: list[int]) -> None:
    api(Visit.bulk_create, [Visit(place=str(n)) for n in range(10)])
    others = stored_keys(ports)
    api(Animal.bulk_create, [animal(number) for number in range(40)])
    whole = stored_keys(ports)
    assert api(Animal.check_indexes)["total"] == 0
    for key in whole - others:
        if b"}$" in key:
            redis_db.POPOTO_REDIS_DB.delete(key)
    assert api(Animal.check_indexes)["total"] > 0
    assert api(Animal.rebuild_indexes) == 40
    assert stored_keys(ports) == whole
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
    assert stored_keys(ports) == others
