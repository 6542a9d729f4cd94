"""No attribute blocks a running event loop without being told so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

import popoto
from popoto import KeyField, Model, Relationship, StringField
from popoto.exceptions import BlockingReadError, ModelException
from tests.driver import Api, RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class House(Model):
    name = KeyField()
    street = StringField()
    twin = Relationship("self")


class Flat(Model):
    name = KeyField()
    house = Relationship(House)


@pytest.fixture(autouse=True)
def flats() -> None:
    House.create(name="b", street="B")
    House.create(name="a", street="A", twin="House:b")
    Flat.create(name="1", house="House:a")


@pytest.fixture
def blocking() -> Iterator[None]:
    popoto.configure(blocking_relationships=True)
    yield
    popoto.configure(blocking_relationships=False)


def listed() -> object:
    return Flat.query.filter().first().house.street


def got() -> object:
    return Flat.query.get("Flat:1").house


def constructed() -> object:
    return Flat(name="2", house="House:a").house


def assigned_through() -> object:
    Flat.query.filter().first().house.street = "C"
    return None


def as_dict() -> object:
    return Flat.query.get("Flat:1").to_dict(relationships=True)


TOUCHES = [listed, got, constructed, assigned_through, as_dict]


@pytest.mark.parametrize("touch", TOUCHES)
def test_a_first_access_in_a_running_loop_is_refused_and_says_what_to_do(
    api: Api, touch: Callable[[], object]
) -> None:
    async def in_the_loop() -> object:
        return touch()

    with pytest.raises(BlockingReadError) as caught:
        api.run(in_the_loop())
    assert str(caught.value) == (
        "Flat.house: reading 'House:a' at the first access of the attribute would block the "
        "running event loop; nothing was read. Read it with the record, by select_related('house') "
        "in its query, or by `await record.async_related('house')`, or in a thread "
        "(asyncio.to_thread). popoto.configure(blocking_relationships=True) lets it block, as in "
        "a notebook."
    )
    assert isinstance(caught.value, (ModelException, RuntimeError))
    # Outside of it, nothing has changed.
    assert touch() in (None, "A", House(name="a")) or touch is as_dict


@pytest.mark.parametrize("touch", TOUCHES)
@pytest.mark.usefixtures("blocking")
def test_it_blocks_where_that_is_wanted(api: Api, touch: Callable[[], object]) -> None:
    async def in_the_loop() -> object:
        return touch()

    assert api.run(in_the_loop()) == touch()


def test_what_the_error_names_reads_without_blocking(api: Api, round_trips: Counter) -> None:
    async def streets() -> list[str]:
        found: list[str] = []
        for flat in await Flat.query.filter().select_related("house"):
            found.append(flat.house.street)
        flat = (await Flat.query.filter())[0]
        assert (await flat.async_related("house")) is flat.house
        found.append(flat.house.street)
        flat = Flat(name="2", house="House:a")
        await flat.async_related("house")
        found.append(flat.house.street)
        found.append((await Flat.query.async_get("Flat:1")).house.street)
        (flat,) = await Flat.query.async_get_many(["Flat:1"])
        found.append(flat.house.street)
        found.append((await flat.house.async_related("twin")).street)
        return found

    assert api.run(streets()) == ["A", "A", "A", "A", "A", "B"]


def test_what_is_known_to_be_missing_reads_nothing(api: Api) -> None:
    House.query.get("House:a").delete()

    async def house() -> list[object]:
        flats = [
            await Flat.query.async_get("Flat:1"),
            *(await Flat.query.filter().select_related("house")),
        ]
        return [flat.house for flat in flats]

    assert api.run(house()) == [None, None]


def test_the_key_and_what_follows_from_it_read_nothing(api: Api) -> None:
    async def keys() -> list[object]:
        flat = (await Flat.query.filter())[0]
        flat.name = "1"
        await flat.async_save()
        return [flat.house, flat.to_dict(), flat == Flat(name="1")]

    assert api.run(keys()) == ["House:a", {"name": "1", "house": "House:a"}, True]


def test_a_level_that_was_not_read_is_refused_too(api: Api) -> None:
    async def deeper() -> object:
        return (await Flat.query.async_get("Flat:1")).house.twin

    with pytest.raises(BlockingReadError, match=r"House\.twin: reading 'House:b'"):
        api.run(deeper())
