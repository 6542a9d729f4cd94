"""What errors of writes carry beside their text: values, notes, and how often it was tried."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import redis

import popoto
from popoto.exceptions import (
    AlreadyExistsError,
    ConflictError,
    ModelException,
    NumberOverflowError,
    StoredDataError,
    UniquenessError,
    ValidationError,
)
from tests.driver import Api
from tests.interference import before_each_commit, in_each_pause

from .flats import Flat, Refused, changed, first_flat, gone, meanwhile


@pytest.fixture
def flat() -> Flat:
    return first_flat()


def test_bytes_that_are_no_number_are_told(api: Api, redis_client: redis.Redis, flat: Flat) -> None:
    redis_client.hset("Flat:0:a", mapping={"rent": b"\xc1", "size": b"\xa1x"})
    for name in ("rent", "size"):
        with pytest.raises(StoredDataError, match=rf"^Flat\.{name} holds bytes that are no number"):
            api(flat.atomic_increment, name, 1)


def test_errors_carry_what_they_are_about(api: Api, flat: Flat) -> None:
    for name, delta, value in (("pairs", 1, 1), ("size", 0.5, 0.5), ("size", 2**64, 2**64 + 1)):
        with pytest.raises((ValidationError, NumberOverflowError)) as caught:
            api(flat.atomic_increment, name, delta)
        error = caught.value
        assert (error.model_name, error.field_name, error.value) == ("Flat", name, value)


def test_a_conflict_carries_all_three_sides(api: Api, flat: Flat) -> None:
    meanwhile(flat, size=7, rent=Decimal(5))
    with pytest.raises(ConflictError) as caught:
        api(changed(flat, area=2.0, log=["x"]).save, expected={"size": 1, "rent": None})
    assert caught.value.expected == {"size": 1, "rent": None}
    assert caught.value.mine == {"area": 2.0, "log": ["x"]}
    assert caught.value.stored == {
        "name": "a",
        "floor": 0,
        "owner": "ann",
        "kind": "k",
        "size": 7,
        "rent": Decimal(5),
        "area": None,
        "pairs": None,
    }
    gone(flat)
    with pytest.raises(ConflictError) as caught:
        api(flat.save, expected={"size": 1})
    assert (caught.value.expected, caught.value.stored) == ({"size": 1}, None)
    assert caught.value.mine == {"area": 2.0, "log": ["x"]}


# In a transaction ------------------------------------------------------------------------------


def committed(api: Api, *operations: tuple[Any, ...]) -> list[Any]:
    transaction = popoto.transaction()
    for name, *arguments in operations:
        getattr(transaction, name)(*arguments)
    return api(transaction.commit)


def test_a_transaction_tells_the_operation_and_its_place(api: Api, flat: Flat) -> None:
    other = Flat.create(name="b")
    for operation, what in (
        (("save", changed(other, owner="ann")), "save"),
        (("increment", gone(Flat.create(name="g")), "size", 1), "increment of 'size'"),
        (("expect", meanwhile(Flat.create(name="e"), size=9)), "expectation"),
    ):
        with pytest.raises(ModelException) as caught:
            committed(api, ("increment", flat, "size", 2), operation)
        assert caught.value.__notes__ == [
            (
                f"Operation 1 of the transaction, {what} of {operation[1]!r}; none of its 2 "
                "operations was carried out."
            )
        ]


def test_a_transaction_tells_a_creation_as_what_it_is(api: Api, flat: Flat) -> None:
    transaction = popoto.transaction()
    transaction.increment(flat, "size", 2)
    other = Flat.create(name="b")
    made = transaction.create(Flat, name=other.name)
    with pytest.raises(AlreadyExistsError) as caught:
        api(transaction.commit)
    (note,) = caught.value.__notes__
    assert note.startswith(f"Operation 1 of the transaction, create of {made!r}; none of its 2")


def test_two_operations_that_claim_one_value_name_each_other(api: Api) -> None:
    first, second = Flat(name="x", owner="o"), Flat(name="y", owner="o")
    with pytest.raises(UniquenessError) as caught:
        committed(api, ("save", first), ("save", second))
    assert str(caught.value) == (
        f"Flat.owner must be unique: the value of the save of {second!r} in this transaction "
        f"already exists in the save of {first!r} in this transaction; nothing was written"
    )
    first, second = Flat(name="x", kind="o", size=5), Flat(name="y", kind="o", size=5)
    with pytest.raises(UniquenessError) as caught:
        committed(api, ("save", first), ("save", second))
    assert str(caught.value).startswith(
        "Unique index violation: Flat (kind, size) must be unique: the value of the save of "
    )


# Other writers who are always faster -----------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "what"),
    [
        (lambda api, flat: api(changed(flat, kind="mine").save), "save of {}"),
        (lambda api, flat: api(flat.delete), "delete of {}"),
        (lambda api, flat: api(flat.atomic_increment, "size", 1), "increment of 'size' of {}"),
        (
            lambda api, flat: committed(
                api, ("delete", flat), ("save", Flat(name="x")), ("save", Flat(name="y"))
            ),
            "delete of {} (and 2 more)",
        ),
    ],
    ids=["save", "delete", "increment", "transaction"],
)
def test_who_gives_up_says_how_often_it_was_tried(
    api: Api, monkeypatch: pytest.MonkeyPatch, flat: Flat, write: Refused, what: str
) -> None:
    tries = 0

    def other_writer() -> None:
        nonlocal tries
        tries += 1
        meanwhile(flat, kind=f"k{tries}", size=tries + 1)

    Flat.query.count(kind="k")
    title = repr(flat)
    with monkeypatch.context() as patch:
        before_each_commit(patch, other_writer)
        in_each_pause(patch, lambda: None)
        with pytest.raises(ConflictError) as caught:
            write(api, flat)
    assert str(caught.value) == (
        f"the {what.format(title)} could not be carried out: other writers changed what it writes "
        "64 times meanwhile; nothing was written. Do it again."
    )
    assert tries == 64


def test_a_refused_addition_leaves_what_is_set_here_and_not_saved(api: Api, flat: Flat) -> None:
    Flat.create(name="b", kind="k", size=3)
    flat.size = 9
    with pytest.raises(UniquenessError):
        api(flat.atomic_increment, "size", 2)
    assert flat.size == 9
    assert Flat.query.get(name="a", floor=0).size == 1
    assert api(flat.atomic_increment, "size", 4) == 5
    assert flat.size == 5
