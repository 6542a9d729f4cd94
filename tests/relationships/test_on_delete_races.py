"""Others who write while a record is deleted on which theirs depend."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis

from popoto import (
    CASCADE,
    PROTECT,
    SET_NULL,
    IndexedField,
    IntField,
    KeyField,
    Model,
    Relationship,
    UniqueField,
)
from popoto.exceptions import ConflictError, ProtectedError
from popoto.models.transactions import Transaction
from popoto.models.writing import cascading
from tests.driver import Api, at_the
from tests.interference import before_each_commit


class Dock(Model):
    name = KeyField()
    city = IndexedField()


class Ship(Model):
    name = KeyField()
    dock = Relationship(Dock, on_delete=CASCADE)
    tonnage = IntField(default=0)
    flag = UniqueField(default="")


class Sailor(Model):
    name = KeyField()
    ship = Relationship(Ship, on_delete=CASCADE)
    dock = Relationship(Dock, on_delete=SET_NULL)
    rank = IndexedField()


class Crane(Model):
    name = KeyField()
    dock = Relationship(Dock, on_delete=PROTECT)


def ship(name: str, **values: Any) -> Ship:
    return Ship.create(name=name, flag=name, **values)


def by_record(api: Api, dock: Dock) -> bool:
    return api(dock.delete)


def by_query(api: Api, dock: Dock) -> bool:
    return api(Dock.query.filter(city="x").delete) == 1


def by_transaction(api: Api, dock: Dock) -> bool:
    work = Transaction()
    work.delete(dock)
    return api(work.commit) == [True]


WAYS = [by_record, by_query, by_transaction]


@pytest.fixture
def dock(api: Api) -> Dock:
    return Dock.create(name="d", city="x")


def nobody_refers_to_what_is_gone() -> bool:
    for model, names in ((Ship, ["dock"]), (Sailor, ["ship", "dock"]), (Crane, ["dock"])):
        assert model.check_indexes()["total"] == 0
        for record in model.query.all():
            for name in names:
                if getattr(record, name) is not None and record.related(name) is None:
                    return False
    return True


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_who_comes_to_depend_on_it_before_the_commit_goes_too(
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    dock: Dock,
    way: Callable[[Api, Dock], bool],
    number: int,
) -> None:
    ship("a", dock=dock)
    Sailor.create(name="a", ship="Ship:a")

    def work() -> None:
        if Dock.query.get("Dock:d") is not None:
            ship("late", dock="Dock:d")
            Sailor.create(name="late", ship="Ship:late", dock="Dock:d")
            Sailor.create(name="free", dock="Dock:d")
            Sailor.create(name="late on a", ship="Ship:a")

    with monkeypatch.context() as patch:
        before_each_commit(patch, at_the(number, work))
        assert way(api, dock)
    assert Ship.query.count() == 0
    assert [each.name for each in Sailor.query.all()] in ([], ["free"])
    assert nobody_refers_to_what_is_gone()


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("number", [1, 2])
def test_who_comes_to_protect_it_before_the_commit_does(
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    dock: Dock,
    way: Callable[[Api, Dock], bool],
    number: int,
) -> None:
    ship("a", dock=dock)
    with monkeypatch.context() as patch:
        before_each_commit(patch, at_the(number, lambda: Crane.create(name="c", dock="Dock:d")))
        with pytest.raises(ProtectedError, match="'Crane:c'; nothing was written"):
            way(api, dock)
    assert (Dock.query.count(), Ship.query.count(), Crane.query.count()) == (1, 1, 1)


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
@pytest.mark.parametrize("way", WAYS)
def test_who_stops_depending_on_it_before_the_commit_stays(
    api: Api, monkeypatch: pytest.MonkeyPatch, dock: Dock, way: Callable[[Api, Dock], bool]
) -> None:
    Dock.create(name="other")
    for name in "abc":
        ship(name, dock=dock)
        Sailor.create(name=name, dock=dock)

    def work() -> None:
        for model, name in ((Ship, "a"), (Sailor, "a")):
            record: Any = model.query.get(f"{model.__name__}:{name}")
            record.dock = "Dock:other"
            record.save()
        Ship.query.get("Ship:b").delete()
        Sailor.query.get("Sailor:b").delete()

    with monkeypatch.context() as patch:
        before_each_commit(patch, at_the(2, work))
        assert way(api, dock)
    assert [each.to_dict()["dock"] for each in Ship.query.all()] == ["Dock:other"]
    sailors = {each.name: each.to_dict()["dock"] for each in Sailor.query.all()}
    assert sailors == {"a": "Dock:other", "c": None}
    assert nobody_refers_to_what_is_gone()


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
@pytest.mark.parametrize("model", [Ship, Sailor])
@pytest.mark.parametrize("goes", [False, True])
def test_the_only_one_that_depended_on_it_may_go_elsewhere_before_the_commit(
    api: Api, monkeypatch: pytest.MonkeyPatch, dock: Dock, model: Any, goes: bool
) -> None:
    """Or be deleted."""
    Dock.create(name="other")
    values = {"flag": "a"} if model is Ship else {}
    model.create(name="a", dock=dock, **values)

    def work() -> None:
        record = model.query.get(name="a")
        record.dock = "Dock:other"
        record.delete() if goes else record.save()

    with monkeypatch.context() as patch:
        before_each_commit(patch, at_the(2, work))
        assert api(dock.delete) is True
    assert [each.to_dict()["dock"] for each in model.query.all()] == ["Dock:other"] * (not goes)
    assert nobody_refers_to_what_is_gone()


def test_dependants_may_change_otherwise_and_go(
    api: Api, monkeypatch: pytest.MonkeyPatch, dock: Dock
) -> None:
    ship("a", dock=dock)
    Sailor.create(name="a", dock=dock)

    def work() -> None:
        found = Ship.query.get("Ship:a")
        found.flag, found.tonnage = "other", 5
        found.save()
        sailor = Sailor.query.get("Sailor:a")
        sailor.rank = "captain"
        sailor.save()

    with monkeypatch.context() as patch:
        before_each_commit(patch, at_the(2, work))
        assert api(dock.delete) is True
    assert Ship.query.count() == 0
    (sailor,) = Sailor.query.all()
    assert (sailor.rank, sailor.dock) == ("captain", None)
    assert nobody_refers_to_what_is_gone()
    assert ship("again", tonnage=1).flag == "again"


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
def test_a_record_that_is_deleted_meanwhile_takes_nobody_along(
    api: Api, monkeypatch: pytest.MonkeyPatch, dock: Dock, redis_client: redis.Redis
) -> None:
    def work() -> None:
        dock_ = Dock.query.get("Dock:d")
        dock_.delete()
        ship("a", dock="Dock:d")

    with monkeypatch.context() as patch:
        before_each_commit(patch, at_the(1, work))
        assert api(dock.delete) is False
    assert Ship.query.count() == 1


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
def test_who_comes_each_time_is_a_conflict(
    api: Api, monkeypatch: pytest.MonkeyPatch, dock: Dock
) -> None:
    number = 0
    assert cascading._MOST_LOOKS == 256
    monkeypatch.setattr(cascading, "_MOST_LOOKS", 24)

    def work() -> None:
        nonlocal number
        number += 1
        ship(str(number), dock="Dock:d")

    with monkeypatch.context() as patch:
        before_each_commit(patch, work)
        with pytest.raises(ConflictError, match=r"delete of <Dock.*24 times.*nothing was written"):
            api(dock.delete)
    assert Dock.query.count() == 1
    assert Ship.query.count() == number


@pytest.mark.slow
@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
def test_thousands_that_others_join_go_all_the_same(
    api: Api, monkeypatch: pytest.MonkeyPatch, dock: Dock
) -> None:
    def work() -> None:
        some = Ship.query.filter().first()
        Sailor.create(name="late", ship=some, dock="Dock:d")
        ship("late", dock="Dock:d")

    for number in (2, 4):
        dock = Dock.create(name="d", city="x", overwrite=True)
        Ship.bulk_create([Ship(name=str(each), flag=str(each), dock=dock) for each in range(1100)])
        with monkeypatch.context() as patch:
            before_each_commit(patch, at_the(number, work))
            assert api(dock.delete) is True
        assert Ship.query.count() == 0
        assert Sailor.query.filter(ship__isnull=False).count() == 0
        assert nobody_refers_to_what_is_gone()


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
def test_who_protects_it_half_way_is_told_with_what_was_deleted_before(
    api: Api, monkeypatch: pytest.MonkeyPatch, dock: Dock
) -> None:
    Ship.bulk_create([Ship(name=str(each), flag=str(each), dock=dock) for each in range(1100)])
    with monkeypatch.context() as patch:
        before_each_commit(patch, at_the(5, lambda: Crane.create(name="c", dock="Dock:d")))
        with pytest.raises(ProtectedError) as caught:
            api(dock.delete)
    assert "; 1100 records that depended on it were deleted or changed before." in str(caught.value)
    assert Ship.query.count() == 0
    Crane.delete_all()
    assert api(dock.delete) is True


class Interrupted(Exception):
    pass


def interrupt() -> None:
    raise Interrupted


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_what_a_crash_leaves_is_whole_and_finished_by_repeating(
    api: Api, monkeypatch: pytest.MonkeyPatch, dock: Dock, number: int
) -> None:
    """The record itself goes last, so that nobody refers to what is gone."""
    Ship.bulk_create([Ship(name=str(each), flag=str(each), dock=dock) for each in range(1100)])
    Sailor.bulk_create([Sailor(name=str(each), ship=f"Ship:{each}") for each in range(300)])
    with monkeypatch.context() as patch:
        before_each_commit(patch, at_the(number, interrupt))
        with pytest.raises(Interrupted):
            api(dock.delete)
    assert Dock.query.count() == 1
    assert nobody_refers_to_what_is_gone()
    assert api(Dock.query.get("Dock:d").delete) is True
    assert (Dock.query.count(), Ship.query.count(), Sailor.query.count()) == (0, 0, 0)


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
def test_many_writers_at_once_leave_nobody_behind() -> None:
    """Ships are moved between docks while docks are deleted and built again."""
    names = [f"d{each}" for each in range(4)]
    for name in names:
        Dock.create(name=name)
    stop = threading.Event()
    problems: list[BaseException] = []

    def deleting() -> None:
        try:
            for number in range(40):
                found = Dock.query.get(f"Dock:{names[number % 4]}")
                if found is not None:
                    found.delete()
        except Exception as problem:  # noqa: BLE001  # told by the test
            problems.append(problem)
        finally:
            stop.set()

    def saving(number: int) -> None:
        try:
            each = 0
            while not stop.is_set():
                each += 1
                # Who refers to a dock makes sure, in the same step, that it is there.
                with Transaction() as work:
                    target = Dock(name=names[each % 4])
                    work.save(target)
                    ship_ = Ship(
                        name=f"{number}-{each % 6}", flag=f"{number}-{each % 6}", dock=target
                    )
                    work.save(ship_)
        except Exception as problem:  # noqa: BLE001  # told by the test
            problems.append(problem)
            stop.set()

    threads = [threading.Thread(target=saving, args=(number,)) for number in range(3)]
    threads.append(threading.Thread(target=deleting))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert nobody_refers_to_what_is_gone()
