"""What memories learn takes one round trip, for one record as for very many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any

import pytest

from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    CoOccurrenceField,
    CyclicDecayField,
    KeyField,
    Model,
    StringField,
    TemporalPeriod,
    transaction,
)
from tests.driver import Api, RoundTrips
from tests.memory.observed import Both

Counting = Callable[[], AbstractContextManager[RoundTrips]]


class Lore(AccessTrackerMixin, Model):
    name = KeyField()
    agent = StringField(default="a")
    certainty = ConfidenceField(partition_by="agent")
    relevance = CyclicDecayField(
        cycles=[(TemporalPeriod.WEEKLY, 1.0)], pressure_rate=0.1, partition_by="agent"
    )
    together = CoOccurrenceField()


LINKS: CoOccurrenceField = Lore._meta.by_name["together"]


OUTCOMES = ("acted", "used", "dismissed", "deferred", "contradicted")


def observed(api: Api, found: Sequence[Lore]) -> Any:
    outcomes = {each.pk: OUTCOMES[place % 5] for place, each in enumerate(found)}
    return api(Both().on_context_used, found, outcomes)


def pairs(found: Sequence[Lore]) -> list[tuple[str, str]]:
    return [(each.pk, other.pk) for each, other in pairwise(found)]


MANY: dict[str, Callable[[Api, Sequence[Lore]], Any]] = {
    "touch": lambda api, found: api(Lore.bulk_touch, found, "relevance"),
    "update_confidence": lambda api, found: api(
        ConfidenceField.bulk_update_confidence, [(each, 0.9) for each in found], "certainty"
    ),
    "link": lambda api, found: api(LINKS.bulk_link, Lore, pairs(found)),
    "confirm_access": lambda api, found: api(Lore.bulk_confirm_access, found),
    "on_context_used": observed,
}
ONE: dict[str, Callable[[Api, Lore], Any]] = {
    "touch": lambda api, one: api(one.touch, "relevance"),
    "update_confidence": lambda api, one: api(
        ConfidenceField.update_confidence, one, "certainty", 0.9
    ),
    "link": lambda api, one: api(LINKS.link, Lore, one.pk, "Lore:other"),
    "confirm_access": lambda api, one: api(one.confirm_access),
    "on_context_used": lambda api, one: observed(api, [one]),
    "strengthen_cycle": lambda api, one: api(one.strengthen_cycle, "relevance"),
    "resolve_pressure": lambda api, one: api(one.resolve_pressure, "relevance"),
}


@pytest.mark.parametrize("what", ONE)
def test_one_record(what: str, api: Api, round_trips: Counting) -> None:
    one = Lore.create(name="one")
    ONE[what](api, one)  # the server learns the script
    with round_trips() as seen:
        ONE[what](api, one)
    assert seen.sends == 1


@pytest.mark.parametrize("number", [10, 1_000])
@pytest.mark.parametrize("what", MANY)
def test_many_records(what: str, number: int, api: Api, round_trips: Counting) -> None:
    found = [Lore(name=f"n{each}") for each in range(number)]
    Lore.bulk_create(found)
    MANY[what](api, found[:2])
    with round_trips() as seen:
        MANY[what](api, found)
    assert seen.sends == 1


def test_reads_of_many_records_are_confirmed(api: Api) -> None:
    for name in ("x", "y", "z"):
        Lore.create(name=name)
    found = Lore.query.all()
    Lore.query.get(name="y")
    assert api(Lore.bulk_confirm_access, iter([*found, found[0]])) == [1, 2, 1, 0]
    assert [each.access_count for each in found] == [1, 2, 1]
    assert api(Lore.bulk_confirm_access, []) == []


def test_where_one_is_gone_no_read_is_confirmed(api: Api) -> None:
    for name in ("x", "y"):
        Lore.create(name=name)
    x, y = Lore.query.all()
    Lore.query.no_track().filter(name="y").delete()
    with pytest.raises(TypeError, match="requires a saved model instance"):
        api(Lore.bulk_confirm_access, [x, y])
    assert x.access_count == 0
    assert x.confirm_access() == 1


def test_confirmations_of_many_wait_in_a_transaction() -> None:
    for name in ("x", "y"):
        Lore.create(name=name)
    found = Lore.query.all()
    with transaction() as together:
        assert Lore.bulk_confirm_access(found, pipeline=together) is together
        assert [each.access_count for each in found] == [0, 0]
    assert [each.access_count for each in found] == [1, 1]
