"""Writes that a transaction knows nothing of, and operations that nobody commits, are told of."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import popoto
from popoto import AccessTrackerMixin, AutoKeyField, IntField, KeyField, Model, transaction
from popoto.acting import actor
from popoto.exceptions import ModelException
from popoto.models.transactions import Transaction

PAST = r"Purse: this write is no part of the transaction around it.*changes\.save\(record\)"


class Purse(AccessTrackerMixin, Model):
    name = KeyField()
    coins = IntField(default=0)


class Receipt(Model):
    number = AutoKeyField()


@pytest.fixture
def purse() -> Purse:
    return Purse.create(name="ann", coins=3)


WRITES: dict[str, Callable[[Purse], Any]] = {
    "save": lambda purse: purse.save(),
    "create": lambda _: Purse.create(name="bob"),
    "increment": lambda purse: purse.atomic_increment("coins", 1),
    "delete": lambda purse: purse.delete(),
    "update": lambda _: Purse.query.filter(name="ann").update(coins=4),
    "bulk": lambda purse: Purse.bulk_create([purse]),
    "raw": lambda purse: Purse.raw_update([purse.pk], coins=4),
    "access": lambda purse: purse.confirm_access(),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_write_past_the_block_is_told_of(write: Callable[[Purse], Any], purse: Purse) -> None:
    def in_a_block() -> Transaction:
        with transaction() as changes:
            write(purse)
            Purse.create(name="cyd")  # told of once for each block
        return changes

    with pytest.warns(UserWarning, match=PAST) as seen:
        changes = in_a_block()
    assert seen[0].filename == __file__
    assert len([each for each in seen if "no part of" in str(each.message)]) == 1
    assert changes.results == []


def test_a_write_past_the_block_is_carried_out_all_the_same(purse: Purse) -> None:
    def leave() -> None:
        with transaction():
            purse.save()
            raise KeyError

    purse.coins = 9
    with pytest.warns(UserWarning, match=PAST), pytest.raises(KeyError):
        leave()
    assert Purse.query.get("ann").coins == 9


def test_a_transaction_inside_another_is_one_of_its_own() -> None:
    def leave() -> None:
        with transaction() as outer:
            outer.create(Purse, name="bob")
            with transaction() as inner:
                inner.create(Purse, name="cyd")
            raise KeyError

    with pytest.warns(UserWarning, match=PAST), pytest.raises(KeyError):
        leave()
    assert [purse.name for purse in Purse.query.all()] == ["cyd"]


def test_asyncio_tasks_within_the_block_are_told_of_too(purse: Purse) -> None:
    async def main() -> None:
        async with transaction() as changes:
            await asyncio.gather(purse.async_save(), Purse.async_create(name="bob"))
            changes.create(Receipt)

    with pytest.warns(UserWarning, match=PAST):
        asyncio.run(main())
    assert Receipt.query.count() == 1


def test_what_is_no_write_past_the_block_is_not_told_of(purse: Purse) -> None:
    async def save_later(ready: asyncio.Event) -> None:
        await ready.wait()
        await purse.async_save()

    async def main() -> None:
        ready = asyncio.Event()
        async with transaction() as changes:
            task = asyncio.create_task(save_later(ready))
            assert (await Purse.query.async_get("ann")).coins == 3
            changes.save(purse)
        ready.set()
        await task

    with transaction() as changes:
        assert [each.name for each in Purse.query.all()] == ["ann"]
        assert Purse.get_or_create(name="ann")[1] is False
        changes.increment(purse, "coins", 1)
        purse.confirm_access(pipeline=changes)
        changes.commit()
        purse.save()  # the transaction is over
    with transaction() as changes:
        changes.discard()
        purse.save()
    with pytest.raises(KeyError), transaction():
        raise KeyError
    purse.save()
    purse.coins = 3
    purse.save()
    asyncio.run(main())


def test_operations_that_nobody_commits_are_told_of(purse: Purse) -> None:
    def forget() -> None:
        changes: Transaction | None = transaction()
        assert changes is not None
        changes.save(purse)
        changes.create(Receipt)
        changes = None
        gc.collect()

    message = r"a transaction of 2 operations \(.*Purse.*\) was never committed.*commit\(\)"
    with pytest.warns(UserWarning, match=message):
        forget()
    assert Receipt.query.count() == 0


def test_a_transaction_that_is_given_up_is_not_told_of(purse: Purse) -> None:
    def give_up() -> None:
        transaction()
        changes = transaction()
        changes.save(purse)
        changes.discard()
        try:
            with transaction() as changes:
                changes.save(purse)
                raise KeyError
        except KeyError:
            pass

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        give_up()
        gc.collect()


def test_a_block_is_entered_once() -> None:
    changes = transaction()
    with changes, pytest.raises(ModelException, match="begun"), changes:
        pass
    with pytest.raises(ModelException, match="over"), changes:
        pass


@pytest.mark.parametrize("method", ["save", "delete", "expect"])
@pytest.mark.parametrize("given", [{"name": "ann"}, Purse, [Purse(name="ann")], None])
def test_what_is_no_record_is_named(method: str, given: Any) -> None:
    with transaction() as changes:
        with pytest.raises(TypeError, match=rf"{method}\(\) of a transaction takes a record, got"):
            getattr(changes, method)(given)
        with pytest.raises(TypeError, match="takes a record, got"):
            changes.increment(given, "coins", 1)
        with pytest.raises(TypeError, match="takes a record, got"):
            changes.touch(given, "coins")


def test_create_of_an_instance_is_told_to_save_it() -> None:
    changes: Any = transaction()
    with pytest.raises(TypeError, match=r"takes a model.*save\(\) takes a record"):
        changes.create(Purse(name="ann"))


# Blocks that nobody enters --------------------------------------------------------------------


@pytest.mark.parametrize(
    "begin", [lambda: popoto.acting_as("ann"), lambda: popoto.wait_for_replicas(0)]
)
def test_a_block_that_is_not_entered_is_told_of(begin: Callable[[], Any]) -> None:
    def call() -> None:
        begin()
        gc.collect()

    with pytest.warns(UserWarning, match=r"\(\) was called and not entered.*write with"):
        call()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with begin():
            pass


class Diary(Model):
    name = KeyField()
    mood = popoto.ConfidenceField()

    class Meta:
        history = True


def test_a_block_is_a_decorator_of_functions_and_coroutine_functions() -> None:
    note = Diary.create(name="n")

    @popoto.acting_as("ann")
    def learn(signal: float) -> float:
        """Learn."""
        return popoto.ConfidenceField.update_confidence(note, "mood", signal)

    @popoto.acting_as("bob")
    async def learn_later(signal: float) -> float:
        await asyncio.sleep(0)
        return await popoto.ConfidenceField.async_update_confidence(note, "mood", signal)

    learn(0.9)
    learn(0.8)
    asyncio.run(learn_later(0.7))
    assert learn.__name__ == "learn"
    assert [entry.actor for entry in note.history()][-3:] == ["ann", "ann", "bob"]


def test_a_block_within_itself_ends_as_often_as_it_begins() -> None:
    ann = popoto.acting_as("ann")
    with popoto.acting_as("bob"):
        with ann:
            with ann:
                assert actor() == "ann"
            assert actor() == "ann"
        assert actor() == "bob"
    assert actor() is None


def test_one_block_is_entered_by_several_tasks_and_threads_at_once() -> None:
    """As one that a module keeps is, by those who answer requests."""
    bot = popoto.acting_as("bot")
    seen: list[str | None] = []

    async def answer(begun: asyncio.Event, ends: asyncio.Event) -> None:
        with bot:
            begun.set()
            await ends.wait()
            seen.append(actor())
        seen.append(actor())

    async def both() -> None:
        events = [asyncio.Event() for _ in range(4)]
        first = asyncio.create_task(answer(events[0], events[1]))
        second = asyncio.create_task(answer(events[2], events[3]))
        for each in (events[0], events[2]):
            await each.wait()
        events[1].set()
        await first
        events[3].set()
        await second

    asyncio.run(both())
    assert seen == ["bot", None] * 2
    seen.clear()
    both_begun = threading.Barrier(2)

    def act() -> None:
        with bot:
            both_begun.wait(120)
            seen.append(actor())
        seen.append(actor())

    threads = [threading.Thread(target=act) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(seen, key=repr) == ["bot", "bot", None, None]


def test_a_block_is_left_where_it_was_entered() -> None:
    bot = popoto.acting_as("bot")
    entered = contextvars.copy_context()
    entered.run(bot.__enter__)
    with pytest.raises(RuntimeError, match=r"acting_as\(\) was entered in another thread or task"):
        bot.__exit__(None, None, None)
    entered.run(bot.__exit__, None, None, None)
    assert entered.run(actor) is None


def test_a_block_that_was_entered_or_decorates_is_not_told_of() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with popoto.acting_as("ann"):
            pass
        assert popoto.acting_as("ann")(len)("abc") == 3
        gc.collect()
    assert [str(each.message) for each in told] == []


def test_a_task_that_outlives_the_block_is_not_told_of(purse: Purse) -> None:
    async def save(is_over: asyncio.Event) -> None:
        await is_over.wait()
        await purse.async_save()

    async def work() -> None:
        is_over = asyncio.Event()
        async with transaction() as changes:
            task = asyncio.create_task(save(is_over))
            changes.create(Receipt)
        is_over.set()
        await task

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        asyncio.run(work())
    assert [str(each.message) for each in told] == []
