"""Records that are gone are invisible at once, and what they left is cleared away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from popoto import (
    GeoField,
    IndexedField,
    KeyField,
    Model,
    Q,
    Relationship,
    SortedField,
    StringField,
    UniqueField,
)
from tests.driver import Api


class Lease(Model):
    name = KeyField()
    group = KeyField()
    tag = IndexedField()
    serial = UniqueField()
    price = SortedField(type=float)
    ranked = SortedField(type=int, partition_by="group")
    place = GeoField()
    parent = Relationship("self")
    note = StringField()


ROME = (41.9, 12.5)


def leases(count: int = 6, **changes: Any) -> list[Lease]:
    return [
        Lease.create(
            name=str(number),
            group="g",
            tag="t",
            serial=str(number),
            price=float(number),
            ranked=number,
            place=ROME,
            parent="Lease:p:p",
            note="n",
            **changes,
        )
        for number in range(count)
    ]


READS: list[Callable[[], Any]] = [
    Lease.query.filter,
    lambda: Lease.query.filter(group="g"),
    lambda: Lease.query.filter(tag="t"),
    lambda: Lease.query.filter(tag__startswith="t"),
    lambda: Lease.query.filter(name__contains=""),
    lambda: Lease.query.filter(name__isnull=False),
    lambda: Lease.query.filter(tag__in=["t", "u"]),
    lambda: Lease.query.filter(price__gte=0),
    lambda: Lease.query.filter(ranked__gte=0, group="g"),
    lambda: Lease.query.filter(place=ROME, place_radius=10),
    lambda: Lease.query.filter(parent="Lease:p:p"),
    lambda: Lease.query.filter(parent__name="p"),
    lambda: Lease.query.filter(note="n"),
    lambda: Lease.query.filter(~Q(tag="other")),
    lambda: Lease.query.filter(Q(tag="t") | Q(price=3)),
    lambda: Lease.query.filter().order_by("price"),
    lambda: Lease.query.filter().order_by("-price"),
    lambda: Lease.query.filter().order_by("note"),
    lambda: Lease.query.filter().order_by("name"),
]


@pytest.mark.parametrize("make", READS, ids=lambda make: str(READS.index(make)))
@pytest.mark.parametrize("repairs", [True, False])
def test_every_read_leaves_missing_records_out(
    api: Api,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], Any],
    repairs: bool,
) -> None:
    monkeypatch.setattr(Lease._meta, "self_repair", repairs)
    leases()
    if make is READS[11]:
        Lease.create(name="p", group="p", serial="p", price=-1.0, ranked=0)
    redis_client.delete("Lease:g:0", "Lease:g:1", "Lease:g:4")
    alive = {"2", "3", "5"}
    expected = 3

    def names(found: list[Any]) -> set[str]:
        return {lease.name for lease in found}

    for _ in range(2):
        assert names(api(make().all)) == alive
        assert api(make().count) == expected
        assert len(api(make().limit(2).all)) == 2
        assert len(api(make().offset(1).limit(5).all)) == 2
        assert api(make().first).name in alive
        assert api(make().last).name in alive
        assert api(make().exists) is True
        assert {row["name"] for row in api(make().values("name", "group").all)} == alive
        assert {row["note"] for row in api(make().values("note").all)} == {"n"}
        assert {key.decode() for key in api(make().keys)} == {f"Lease:g:{name}" for name in alive}
    assert {lease.name for lease in make().iterator(1)} == alive


@pytest.mark.parametrize("make", READS[:4], ids=range(4))
def test_missing_records_are_no_results_of_get(
    api: Api, redis_client: redis.Redis, make: Callable[[], Any]
) -> None:
    leases(1)
    redis_client.delete("Lease:g:0")
    assert api(Lease.query.get, "Lease:g:0") is None
    assert api(Lease.query.get, name="0", group="g") is None
    assert api(Lease.query.get, serial="0") is None
    assert api(Lease.query.get, tag="t") is None
    assert api(Lease.query.get_many, ["Lease:g:0"]) == [None]
    assert api(make().first) is None
    assert api(make().exists) is False
    assert api(make().count) == 0


def test_a_query_clears_away_what_it_found_dead(api: Api, redis_client: redis.Redis) -> None:
    leases()
    redis_client.delete("Lease:g:1")
    assert api(Lease.query.count, tag="t") == 5
    assert b"Lease:g:1" not in redis_client.smembers("$IndexF:Lease:tag:t")
    assert b"Lease:g:1" not in redis_client.smembers("$Class:Lease")
    assert b"Lease:g:1" not in redis_client.smembers("$KeyF:Lease:name:1")
    assert not redis_client.exists("$KeyF:Lease:name:1")
    assert redis_client.zscore("$SortF:Lease:price", "Lease:g:1") is not None
    api(Lease.query.filter(price__gte=0).all)
    assert redis_client.zscore("$SortF:Lease:price", "Lease:g:1") is None
    assert api(Lease.query.count, tag__startswith="t") == 5


def test_self_repair_can_be_switched_off(api: Api, redis_client: redis.Redis) -> None:
    class Kept(Model):
        name = KeyField()

        class Meta:
            self_repair = False

    api(Kept.create, name="a")
    redis_client.delete("Kept:a")
    assert api(Kept.query.all) == []
    assert redis_client.smembers("$Class:Kept") == {b"Kept:a"}


def test_a_record_that_came_back_is_not_repaired_away(
    api: Api, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    from popoto.models.reading import calls

    leases(1)
    (stored,) = Lease.query.values(*(name for name in Lease._meta.fields)).all()
    redis_client.delete("Lease:g:0")
    real = calls.repair

    def after_a_writer_came_first(*arguments: Any) -> Any:
        Lease.create(**stored)
        return (yield from real(*arguments))

    monkeypatch.setattr(calls, "repair", after_a_writer_came_first)
    assert api(Lease.query.filter(tag="t").all) == []
    monkeypatch.undo()
    assert [each.name for each in api(Lease.query.filter(tag="t").all)] == ["0"]
    assert api(Lease.query.count, price__gte=0) == 1
    assert api(Lease.query.count, serial="0") == 1


def test_skipping_is_no_error(
    api: Api, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    leases(2)
    redis_client.delete("Lease:g:1")
    with caplog.at_level(logging.INFO):
        assert len(api(Lease.query.all)) == 1
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


def test_expiry_is_seen_by_every_read(api: Api, redis_client: redis.Redis) -> None:
    class Short(Lease):
        class Meta:
            ttl = 1

    for number in range(5):
        api(
            Short.create,
            name=str(number),
            group="g",
            tag="t",
            serial=str(number),
            price=1.0,
            ranked=1,
            place=ROME,
            note="n",
            parent="Short:g:0",
        )
    assert api(Short.query.count, tag="t") == 5
    lasting = Short(name="x", group="g", tag="t", serial="x", price=1.0, ranked=1, place=ROME)
    lasting._ttl = None
    api(lasting.save)
    time.sleep(1.05)
    assert api(Short.query.count) == 1
    assert api(Short.query.count, tag="t") == 1
    assert api(Short.query.count, price__gte=0) == 1
    assert api(Short.query.count, place=ROME, place_radius=10) == 1
    assert [each.name for each in api(Short.query.all)] == ["x"]
    assert api(Short.query.get, serial="3") is None
    assert api(Short.create, name="3b", group="g", serial="3", price=1.0, ranked=1).serial == "3"
    api(Short.query.filter(serial="3").delete)
    api(lasting.delete)
    assert api(Short.query.count) == 0
    assert redis_client.keys("*Short*") == []


# Many deleted by hand ----------------------------------------------------------------------------


@pytest.mark.slow(0.5)
@pytest.mark.parametrize(
    "look",
    [
        lambda: Lease.query.filter(tag="t").all,
        lambda: Lease.query.filter(price__gte=0).all,
        lambda: Lease.query.all,
        lambda: Lease.query.keys,
    ],
    ids=["equality", "range", "all", "keys"],
)
def test_a_query_that_meets_many_missing_records_takes_all_of_them_out(
    api: Api, redis_client: redis.Redis, look: Any
) -> None:
    """So that a count afterwards, which looks at some records only, is right."""
    made = [
        Lease(name=str(n), group="g", serial=str(n), tag="t", price=n, ranked=n) for n in range(900)
    ]
    api(Lease.bulk_create, made)
    redis_client.delete(*(each.pk for each in made[::3]))
    assert len(api(look())) == 600
    exact = len(redis_client.smembers("$Class:Lease"))
    assert exact == 600
    assert api(Lease.query.count) == 600
