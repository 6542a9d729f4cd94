"""A transaction: writes of several records and models, all or nothing, in one commit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import pytest
import redis

import popoto
from popoto import redis_db
from popoto.exceptions import (
    AlreadyExistsError,
    ConflictError,
    KeyMutationError,
    ModelException,
    NotStoredError,
    UniquenessError,
    UnsavedError,
    ValidationError,
)
from popoto.models.transactions import Transaction
from tests.driver import Api, RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Account(popoto.Model):
    name = popoto.KeyField()
    email = popoto.UniqueField(null=False)
    balance = popoto.SortedField(type=int, default=0)
    limit_ = popoto.DecimalField(default=Decimal(0))
    city = popoto.IndexedField()
    street = popoto.StringField()
    log = popoto.ListField(max_length=3)

    class Meta:
        indexes = ((("city", "street"), True),)


class Receipt(popoto.Model):
    text = popoto.StringField(null=False)
    at = popoto.DatetimeField(auto_now_add=True)


class Versioned(popoto.Model):
    name = popoto.KeyField()
    text = popoto.StringField()
    version = popoto.IntField()

    class Meta:
        version_field = "version"


Block = Callable[[Transaction], object]


def committed(api: Api, block: Block) -> Transaction:
    """Run a block in a transaction, sync or async."""
    transaction = popoto.transaction()
    if not api.is_async:
        with transaction as entered:
            assert entered is transaction
            block(transaction)
        return transaction

    async def run() -> None:
        async with transaction as entered:
            assert entered is transaction
            block(transaction)

    api.run(run())
    return transaction


def account(name: str, **values: Any) -> Account:
    return Account.create(name=name, email=values.pop("email", f"{name}@"), **values)


def everything() -> dict[bytes, object]:
    """What the server holds."""
    client = redis_db.POPOTO_REDIS_DB
    return {key: client.dump(key) for key in redis_db.scan_keys("*")}


# Results ---------------------------------------------------------------------------------


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
def test_every_operation_is_carried_out_and_has_its_result(api: Api, round_trips: Counter) -> None:
    ann, bob, gone = account("ann", balance=10), account("bob"), account("gone")
    Receipt.create(text="to know the scripts")
    missing = Receipt(text="never saved")
    ann.city = "Rome"
    made: list[Receipt] = []

    def block(transaction: Transaction) -> None:
        transaction.save(ann)
        transaction.increment(bob, "balance", 5)
        made.append(transaction.create(Receipt, text="five"))
        transaction.delete(gone)
        transaction.save(Receipt(text="new"))
        transaction.save(Receipt(text="nothing"), update_fields=[])

    with round_trips() as seen:
        transaction = committed(api, block)
    assert seen.sends == 1
    assert transaction.results == [0, 5, made[0], True, 3, 0]
    assert made[0]._is_persisted
    assert bob.balance == 5
    assert Account.query.filter(city="Rome").count() == 1
    assert Account.query.filter(balance__gte=5).count() == 2
    assert Receipt.query.count() == 3
    assert committed(api, lambda transaction: transaction.delete(missing)).results == [False]


class Vetoed(popoto.Model):
    name = popoto.KeyField()

    def pre_save(self, **kwargs: Any) -> Any:
        return False


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
def test_what_a_hook_keeps_from_being_saved_has_a_result_too(api: Api) -> None:
    """That of a save says so, and that of a creation is the instance, as outside."""
    transaction = popoto.transaction()
    transaction.save(Vetoed(name="a"))
    made = transaction.create(Vetoed, name="b")
    receipt = transaction.create(Receipt, text="c")
    assert api(transaction.commit) == [False, made, receipt]
    assert Vetoed.query.count() == 0
    assert Receipt.query.count() == 1


def test_results_are_there_after_the_commit(api: Api) -> None:
    transaction = popoto.transaction()
    transaction.save(Receipt(text="a"))
    assert transaction.results == []
    assert Receipt.query.count() == 0
    results = api.run(transaction.async_commit()) if api.is_async else transaction.commit()
    assert results == transaction.results == [3]
    assert Receipt.query.count() == 1


def test_nothing_to_do_costs_nothing(api: Api, round_trips: Counter) -> None:
    with round_trips() as seen:
        transaction = committed(api, lambda _: None)
    assert seen.sends == 0
    assert transaction.results == []


def test_instances_are_saved_as_they_were_when_they_joined(api: Api) -> None:
    receipt = Receipt(text="early")

    def block(transaction: Transaction) -> None:
        transaction.save(receipt)
        receipt.text = "late"

    committed(api, block)
    assert Receipt.query.first().text == "early"
    assert receipt.save() == 0
    assert Receipt.query.first().text == "late"


# All or nothing --------------------------------------------------------------------------


def test_an_exception_in_the_block_sends_nothing(api: Api, round_trips: Counter) -> None:
    receipt = Receipt(text="a")

    def block(transaction: Transaction) -> None:
        transaction.save(receipt)
        raise LookupError("of the caller's own")

    with round_trips() as seen, pytest.raises(LookupError):
        committed(api, block)
    assert seen.sends == 0
    assert not receipt._is_persisted


Prepared = Callable[[Account, Account], Block]


def taken_email(ann: Account, bob: Account) -> Block:
    def block(transaction: Transaction) -> None:
        bob.email = "ann@"
        transaction.save(bob)

    return block


def taken_place(ann: Account, bob: Account) -> Block:
    def block(transaction: Transaction) -> None:
        bob.city, bob.street = "Rome", "Via Roma"
        transaction.save(bob)

    return block


def taken_key(ann: Account, bob: Account) -> Block:
    return lambda transaction: transaction.create(Account, name="ann", email="other@")


def two_of_one_email(ann: Account, bob: Account) -> Block:
    def block(transaction: Transaction) -> None:
        transaction.save(Account(name="c", email="same@"))
        transaction.save(Account(name="d", email="same@"))

    return block


def two_of_one_place(ann: Account, bob: Account) -> Block:
    def block(transaction: Transaction) -> None:
        transaction.save(Account(name="c", email="c@", city="Oslo", street="x"))
        transaction.save(Account(name="d", email="d@", city="Oslo", street="x"))

    return block


def stale_expectation(ann: Account, bob: Account) -> Block:
    stale = Account.query.get(name="bob")
    bob.city = "Oslo"
    bob.save()
    return lambda transaction: transaction.expect(stale)


def gone_for_an_increment(ann: Account, bob: Account) -> Block:
    stale = Account.query.get(name="bob")
    bob.delete()
    return lambda transaction: transaction.increment(stale, "balance", 1)


def gone_for_a_partial_save(ann: Account, bob: Account) -> Block:
    stale = Account.query.get(name="bob")
    bob.delete()
    return lambda transaction: transaction.save(stale, update_fields=["city"])


def occupied_new_key(ann: Account, bob: Account) -> Block:
    account("taken")

    def block(transaction: Transaction) -> None:
        bob.name = "taken"
        transaction.save(bob, migrate_key=True)

    return block


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
@pytest.mark.parametrize(
    ("prepared", "error"),
    [
        (taken_email, UniquenessError),
        (taken_place, UniquenessError),
        (taken_key, AlreadyExistsError),
        (two_of_one_email, UniquenessError),
        (two_of_one_place, UniquenessError),
        (stale_expectation, ConflictError),
        (gone_for_an_increment, NotStoredError),
        (gone_for_a_partial_save, ModelException),
        (occupied_new_key, AlreadyExistsError),
    ],
)
def test_what_one_operation_refuses_undoes_all(
    api: Api, prepared: Prepared, error: type[Exception]
) -> None:
    ann, bob = account("ann", city="Rome", street="Via Roma"), account("bob")
    carl, receipt = account("carl"), Receipt(text="never")
    victim = Receipt.create(text="stays")
    block = prepared(ann, bob)
    before: dict[bytes, object] = {}

    def with_others(transaction: Transaction) -> None:
        transaction.save(receipt)
        block(transaction)
        transaction.delete(victim)
        transaction.increment(carl, "balance", 1)
        before.update(everything())

    with pytest.raises(error) as caught:
        committed(api, with_others)
    assert everything() == before
    assert not receipt._is_persisted
    assert receipt._stored == {}
    assert victim._is_persisted
    assert carl.balance == 0
    if "two_of" not in prepared.__name__:
        assert any("Operation 1 of the transaction" in note for note in caught.value.__notes__)


def test_what_is_wrong_before_the_server_is_asked_is_said_at_the_call() -> None:
    ann = account("ann")
    with popoto.transaction() as transaction:
        with pytest.raises(ValidationError):
            transaction.save(Receipt())
        with pytest.raises(UnsavedError):
            transaction.increment(Account(name="x", email="x@"), "balance", 1)
        with pytest.raises(UnsavedError):
            transaction.expect(Account(name="x", email="x@"))
        with pytest.raises(TypeError):
            transaction.increment(ann, "city", 1)
        ann.name = "other"
        with pytest.raises(KeyMutationError):
            transaction.save(ann)
    assert transaction.results == []


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
def test_a_key_of_a_wrong_type_stops_everything(api: Api, redis_client: redis.Redis) -> None:
    redis_client.set("$Class:Account", "text")
    with pytest.raises(ModelException, match=r"\$Class:Account"):
        committed(
            api,
            lambda transaction: [
                transaction.save(Receipt(text="a")),
                transaction.save(Account(name="x", email="x@")),
            ],
        )
    assert redis_client.keys("*") == [b"$Class:Account"]


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
def test_an_index_of_a_wrong_type_stops_an_increment(api: Api, redis_client: redis.Redis) -> None:
    ann = account("ann")
    redis_client.set("$SortF:Account:balance", "text")
    with pytest.raises(ModelException, match=r"\$SortF:Account:balance"):
        committed(
            api,
            lambda transaction: [
                transaction.save(Receipt(text="a")),
                transaction.increment(ann, "balance", 1),
            ],
        )
    assert Account.query.get(name="ann").balance == 0
    assert not redis_client.keys("Receipt:*")


def test_a_record_takes_part_once() -> None:
    ann = account("ann")
    with popoto.transaction() as transaction:
        transaction.increment(ann, "balance", 1)
        with pytest.raises(ModelException, match="already"):
            transaction.save(Account.query.get(name="ann"))
    assert transaction.results == [1]


def test_a_transaction_is_committed_once() -> None:
    transaction = popoto.transaction()
    transaction.save(Receipt(text="a"))
    transaction.commit()
    with pytest.raises(ModelException, match="over"):
        transaction.commit()
    with pytest.raises(ModelException, match="over"):
        transaction.save(Receipt(text="b"))
    with popoto.transaction() as discarded:
        discarded.save(Receipt(text="c"))
        discarded.discard()
    assert Receipt.query.count() == 1


# Claims that change hands ------------------------------------------------------------------


def test_records_exchange_their_unique_values(api: Api) -> None:
    ann = account("ann", city="Rome", street="a")
    bob = account("bob", city="Oslo", street="b")
    for name in ("email", "city", "street"):
        mine, theirs = getattr(ann, name), getattr(bob, name)
        setattr(ann, name, theirs)
        setattr(bob, name, mine)
    committed(api, lambda transaction: [transaction.save(ann), transaction.save(bob)])
    assert Account.query.filter(email="ann@").first() == bob
    assert Account.query.filter(email="bob@").first() == ann
    assert Account.query.filter(city="Rome").first() == bob
    with pytest.raises(UniquenessError):
        account("c", city="Rome", street="a")
    with pytest.raises(UniquenessError):
        account("c", email="ann@")
    ann.delete()
    bob.delete()
    assert not [key for key in redis_db.scan_keys("*") if b"Account" in key]


@pytest.mark.parametrize("deleted_first", [True, False])
def test_a_new_record_takes_the_unique_value_of_a_deleted_one(
    api: Api, deleted_first: bool
) -> None:
    ann = account("ann", city="Rome", street="a")
    new = Account(name="new", email="ann@", city="Rome", street="a")

    def block(transaction: Transaction) -> None:
        if deleted_first:
            transaction.delete(ann)
            transaction.save(new)
        else:
            transaction.save(new)
            transaction.delete(ann)

    committed(api, block)
    assert Account.query.filter(email="ann@").all() == [new]
    with pytest.raises(UniquenessError):
        account("c", city="Rome", street="a")


def test_a_holder_that_keeps_its_value_is_in_the_way(api: Api) -> None:
    ann, bob = account("ann"), account("bob")
    ann.city = "Rome"
    bob.email = "ann@"
    with pytest.raises(UniquenessError):
        committed(api, lambda transaction: [transaction.save(ann), transaction.save(bob)])
    assert Account.query.get(name="ann").city is None


# Other writers ---------------------------------------------------------------------------


def test_operations_follow_what_others_have_stored(api: Api) -> None:
    ann, bob = account("ann", city="Rome"), account("bob", city="Rome")
    for name in ("ann", "bob"):
        other = Account.query.get(name=name)
        other.city, other.balance = "Oslo", 7
        other.save()
    ann.city = "Bonn"

    def block(transaction: Transaction) -> None:
        transaction.save(ann)
        transaction.delete(bob)

    assert committed(api, block).results == [0, True]
    assert Account.query.filter(city="Bonn").count() == 1
    assert Account.query.count() == 1
    assert not Account.query.filter(city__in=["Rome", "Oslo"]).count()


def test_versions_and_expectations_hold(api: Api) -> None:
    page, other = Versioned.create(name="a"), Versioned.create(name="b")
    stale = Versioned.query.get(name="a")
    page.text = "1"
    committed(api, lambda transaction: [transaction.save(page), transaction.expect(other)])
    assert page.version == 2
    stale.text = "2"
    with pytest.raises(ConflictError) as caught:
        committed(api, lambda transaction: transaction.save(stale))
    assert caught.value.expected == {"version": 1}
    with pytest.raises(ConflictError):
        committed(api, lambda transaction: transaction.expect(page, {"text": "other"}))


@pytest.mark.parametrize("field", ["balance", "limit_"])
def test_money_is_neither_lost_nor_made(field: str) -> None:
    accounts = [account(name, **{field: 100}) for name in "abcd"]

    async def move(source: str, target: str, amount: int) -> None:
        async with popoto.transaction() as transaction:
            transaction.increment(await Account.query.async_get(name=source), field, -amount)
            transaction.increment(await Account.query.async_get(name=target), field, amount)

    async def move_all() -> None:
        await asyncio.gather(
            *(move("abcd"[n % 4], "abcd"[(n + 1 + n % 3) % 4], n % 7) for n in range(40))
        )

    asyncio.run(move_all())
    assert sum(getattr(found, field) for found in Account.query.all()) == 400
    assert len(accounts) == 4


def test_readers_see_all_or_nothing() -> None:
    ann, bob = account("ann", balance=100), account("bob", balance=0)
    seen: set[int] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            seen.add(sum(found.balance for found in Account.query.all()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(50):
        with popoto.transaction() as transaction:
            transaction.increment(ann, "balance", -1)
            transaction.increment(bob, "balance", 1)
    stop.set()
    watcher.join(120)
    assert seen == {100}


def test_hooks_and_companions_take_part(api: Api, redis_client: redis.Redis) -> None:
    ann = account("ann", log=["a", "b"])
    new = Account(name="new", email="new@", log=["x"])
    committed(api, lambda transaction: [transaction.delete(ann), transaction.save(new)])
    assert list(Account.query.get(name="new").log) == ["x"]
    assert not redis_client.exists("Account:ann::log")


# Cluster ---------------------------------------------------------------------------------


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.usefixtures("on_the_cluster")
def test_on_a_cluster_a_transaction_concerns_one_shard() -> None:
    both = Api(is_async=True), Api(is_async=False)
    for number, api in enumerate(both):
        first, second = account(f"a{number}"), account(f"b{number}")
        moved = committed(
            api,
            lambda transaction, first=first, second=second: [
                transaction.increment(first, "balance", 1),
                transaction.increment(second, "balance", -1),
            ],
        )
        assert moved.results == [1, -1]
        with pytest.raises(ModelException, match="one shard, not Account, Receipt"):
            committed(
                api,
                lambda transaction, first=first: [
                    transaction.increment(first, "balance", 1),
                    transaction.save(Receipt(text="a")),
                ],
            )
        assert Account.query.get(name=f"a{number}").balance == 1
        api.close()
