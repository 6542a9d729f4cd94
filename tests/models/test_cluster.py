"""The model core on a Redis Cluster: every key of a model in one slot, every step atomic."""

from __future__ import annotations

from typing import Any

import pytest

from popoto import ModelException
from tests.cluster_nodes import stored_keys
from tests.driver import Api

from .shop import FULL, OTHER, Shop, Town, assign, plain

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.usefixtures("on_the_cluster"),
]


def test_the_life_of_a_record(api: Api, ports: list[int]) -> None:
    api(Town.create, name="berlin")
    record = api(Shop.create, **FULL)
    assert plain(api(Shop.query.get, name="a"))["note"] == "n"
    assert all(key.startswith((b"{Shop}", b"{Town}")) for key in stored_keys(ports))
    assert api(Shop.query.get, name="a").town.name == "berlin"
    (found,) = api(Shop.query.filter(kind="books", rank__gte=5).all)
    assign(found, OTHER)
    api(found.save)
    assert api(Shop.query.count, kind="books") == 0
    assert api(Shop.query.count, kind="wine", town="Town:munich") == 1
    found.name = "b"
    api(found.save, migrate_key=True)
    with pytest.raises(ModelException, match="already exists"):
        api(Shop.create, name="c", code="c2")
    found.log.append("more")
    api(found.save, update_fields=["log"])
    assert api(Shop.query.get, name="b").log == ["z", "more"]
    assert api(record.delete) is False
    assert api(found.delete) is True
    api(Town.query.all)[0].delete()
    assert stored_keys(ports) == set()


def test_expired_records_are_swept(api: Api, ports: list[int]) -> None:
    api(Shop.create, **FULL, _ttl=0)
    api(Shop.create, **{**FULL, "name": "b"})
    assert [each.name for each in api(Shop.query.filter(kind="books").all)] == ["b"]
    api(api(Shop.query.get, name="b").delete)
    assert stored_keys(ports) == set()


def test_of_two_creators_one_wins(api: Api) -> None:
    first: tuple[Any, bool] = api(Shop.get_or_create, name="a", defaults=OTHER)
    second = api(Shop.get_or_create, name="a", defaults={"code": "x"})
    assert (first[1], second[1]) == (True, False)
    assert first[0] == second[0]
