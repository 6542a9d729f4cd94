"""Statements about relationships that the other suites did not make."""

from __future__ import annotations

import logging

import pytest

from popoto import KeyField, Model, Relationship
from tests.driver import Api


class City(Model):
    name = KeyField()
    twin = Relationship("self")


class Shop(Model):
    name = KeyField()
    city = Relationship(City)


def test_records_that_refer_to_a_key_that_moved_are_reported(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    city = City.create(name="a")
    Shop.create(name="1", city=city)
    Shop.create(name="2", city=city)
    City.create(name="b", twin=city)
    city.name = "c"
    with caplog.at_level(logging.WARNING, logger="POPOTO.Relationship"):
        api(city.save, migrate_key=True)
    reports = [record.getMessage() for record in caplog.records]
    assert len(reports) == 2
    assert reports[0].startswith("1 records of City still refer to City:a, which is City:c now")
    assert reports[1].startswith("2 records of Shop still refer to City:a, which is City:c now")
    # What the report advises.
    for shop in Shop.query.filter(city="City:a"):
        shop.city = city
        shop.save()
    assert Shop.query.count(city=city) == 2


def test_a_key_that_nobody_refers_to_moves_silently(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    city = City.create(name="a")
    city.name = "c"
    api(city.save, migrate_key=True)
    assert caplog.records == []
