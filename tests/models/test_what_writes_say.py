"""What a write says when it is refused, word for word: who, what, where, and what to do."""

from __future__ import annotations

import pytest
import redis

from popoto.exceptions import (
    AlreadyExistsError,
    ConflictError,
    KeyMutationError,
    ModelException,
    NotStoredError,
    NumberOverflowError,
    RecordGoneError,
    UniquenessError,
    UnsavedError,
    ValidationError,
)
from tests.driver import Api

from .flats import Flat, Refused, changed, first_flat, gone, meanwhile


@pytest.fixture
def flat() -> Flat:
    return first_flat()


REFUSALS: list[tuple[Refused, type[Exception], str]] = [
    (
        lambda api, flat: api(Flat.create, name="b", owner="ann"),
        UniquenessError,
        "Flat.owner must be unique: 'ann' already exists in 'Flat:0:a'; nothing was written",
    ),
    (
        lambda api, flat: api(Flat.create, name="b", kind="k", size=1),
        UniquenessError,
        (
            "Unique index violation: Flat (kind, size) must be unique: a record with these values "
            "already exists: 'Flat:0:a'; nothing was written"
        ),
    ),
    (
        lambda api, flat: api(Flat.create, name="a"),
        AlreadyExistsError,
        (
            "Flat 'Flat:0:a' already exists; nothing was written. To go on, save() or "
            "update_or_create() change it, create(overwrite=True) replaces it."
        ),
    ),
    (
        lambda api, flat: api(changed(Flat.create(name="b"), name="a").save, migrate_key=True),
        AlreadyExistsError,
        (
            "Flat 'Flat:0:a' already exists; nothing was written. To go on, choose another key, or "
            "delete that record first."
        ),
    ),
    (
        lambda api, flat: api(changed(flat, floor=2).save),
        KeyMutationError,
        (
            "Flat.floor is part of the record key and changed from 0 to 2; save(migrate_key=True) "
            "moves the record to the new key"
        ),
    ),
    (
        lambda api, flat: (api(Flat(name="a{&#58;}").save), api(Flat(name="a:").save)),
        ModelException,
        (
            "Flat.name: 'a:' and the stored 'a{&#58;}' make the same record key 'Flat:0:a{&#58;}'; "
            "nothing was written. Use another key value."
        ),
    ),
    (
        lambda api, flat: api(flat.save, update_fields="kind"),
        ModelException,
        "Flat.save(update_fields='kind'): give a list of names",
    ),
    (
        lambda api, flat: api(flat.save, update_fields=["colour"]),
        ModelException,
        (
            "Flat.save(update_fields=…): Unknown field 'colour'; fields are name, floor, owner, "
            "kind, size, rent, area, pairs, log"
        ),
    ),
    (
        lambda api, flat: api(changed(gone(flat), size=2).save, update_fields=["size"]),
        RecordGoneError,
        (
            "'Flat:0:a' is not stored any more (deleted or expired); nothing was written. "
            "save(update_fields=['size']) updates a record; save(recreate=True) writes it whole."
        ),
    ),
    (
        lambda api, flat: api(changed(gone(flat), size=2).save),
        RecordGoneError,
        (
            "'Flat:0:a' is not stored any more (deleted or expired); nothing was written. "
            "save(recreate=True) writes it whole."
        ),
    ),
    (
        lambda api, flat: api(Flat(name="z", size=2).save, update_fields=["size"]),
        NotStoredError,
        (
            "'Flat:0:z' is not stored any more (deleted or expired); nothing was written. "
            "save(update_fields=['size']) updates a record; save() writes it whole."
        ),
    ),
    (
        lambda api, flat: api(flat.save, update_fields=["size"], recreate=True),
        ModelException,
        (
            "Flat.save(update_fields=…, recreate=True): a record that is written again is "
            "written whole; leave update_fields out"
        ),
    ),
    (
        lambda api, flat: api(changed(meanwhile(flat, size=7), rent=1).save, expected=["size"]),
        ConflictError,
        (
            "'Flat:0:a' was changed by another writer: size is 7 and not 1; nothing was written. "
            "refresh() loads what is stored."
        ),
    ),
    (
        lambda api, flat: api(
            changed(meanwhile(flat, size=7, kind=None), rent=1).save, expected=["kind", "size"]
        ),
        ConflictError,
        (
            "'Flat:0:a' was changed by another writer: kind is None and not 'k', size is 7 and "
            "not 1; nothing was written. refresh() loads what is stored."
        ),
    ),
    (
        lambda api, flat: api(changed(gone(flat), size=2).save, expected=True),
        ConflictError,
        (
            "'Flat:0:a' is not stored any more; nothing was written. save() a new instance to "
            "store it again."
        ),
    ),
    (
        lambda api, flat: api(Flat(name="z").save, expected=True),
        UnsavedError,
        (
            "Flat.save(expected=…): this instance is unsaved and was not loaded, so there is "
            "nothing to compare with; give a dict of values"
        ),
    ),
    (
        lambda api, flat: api(flat.save, expected="size"),
        ModelException,
        "Flat.save(expected='size'): give True, a list of names, or a dict of values",
    ),
    (
        lambda api, flat: api(flat.save, expected=["log"]),
        ModelException,
        (
            "Flat.save(expected=…): a capped list is not compared 'log'; fields are name, floor, "
            "owner, kind, size, rent, area, pairs"
        ),
    ),
    (
        lambda api, flat: api(flat.save, expected={"colour": 1}),
        ModelException,
        (
            "Flat.save(expected=…): Unknown field 'colour'; fields are name, floor, owner, kind, "
            "size, rent, area, pairs"
        ),
    ),
    (
        lambda api, flat: api(changed(flat, name="b").save, pipeline=5),
        TypeError,
        (
            "pipeline must be a redis-py Pipeline (client.pipeline(); on a cluster "
            "POPOTO_REDIS_DB.pipeline()), got 5"
        ),
    ),
    (
        lambda api, flat: api(
            Flat.update_or_create, name="a", floor=0, defaults={"floor": 3, "size": 3}
        ),
        KeyMutationError,
        "Flat.floor is part of the record key: update_or_create cannot change it from 0 to 3",
    ),
    # increments
    (
        lambda api, flat: api(flat.atomic_increment, "size", "1"),
        TypeError,
        "Flat.size: the delta must be an int, float or Decimal, got '1'",
    ),
    (
        lambda api, flat: api(flat.atomic_increment, "kind", 1),
        TypeError,
        "Flat.kind holds str: only int, float and Decimal fields can be incremented",
    ),
    (
        lambda api, flat: api(flat.atomic_increment, "log", 1),
        TypeError,
        "Flat.log holds list: only int, float and Decimal fields can be incremented",
    ),
    (
        lambda api, flat: api(flat.atomic_increment, "floor", 1),
        TypeError,
        (
            "Flat.floor is part of the record key, which does not change in place; "
            "save(migrate_key=True) moves a record"
        ),
    ),
    (
        lambda api, flat: api(flat.atomic_increment, "size", 0.5),
        ValidationError,
        (
            "Flat.size cannot be incremented by 0.5: an int field takes whole numbers only; "
            "nothing was written"
        ),
    ),
    (
        lambda api, flat: api(flat.atomic_increment, "area", float("nan")),
        ValidationError,
        "Flat.area cannot be incremented by nan: it is no amount; nothing was written",
    ),
    (
        lambda api, flat: api(flat.atomic_increment, "pairs", 1),
        ValidationError,
        "Flat.pairs: invalid value 1: the field refuses it; nothing was written",
    ),
    (
        lambda api, flat: api(flat.atomic_increment, "size", 2**64),
        NumberOverflowError,
        "Flat.size: 18446744073709551617 is beyond what the field can hold; nothing was written",
    ),
    (
        lambda api, flat: api(flat.atomic_increment, "area", 10**400),
        NumberOverflowError,
        "Flat.area: ",
    ),
    (
        lambda api, flat: api(gone(flat).atomic_increment, "size", 1),
        NotStoredError,
        "'Flat:0:a' is not stored any more (deleted or expired); nothing was written",
    ),
    (
        lambda api, flat: api(Flat(name="z").atomic_increment, "size", 1),
        UnsavedError,
        "Flat.size cannot be incremented",
    ),
]


@pytest.mark.parametrize(("write", "error", "text"), REFUSALS, ids=range(len(REFUSALS)))
def test_a_refusal_says_all_that_has_to_be_known(
    api: Api,
    redis_client: redis.Redis,
    flat: Flat,
    write: Refused,
    error: type[Exception],
    text: str,
) -> None:
    with pytest.raises(error) as caught:
        write(api, flat)
    assert type(caught.value) is error
    assert str(caught.value) == text or (
        error in (UnsavedError, NumberOverflowError) and str(caught.value).startswith(text)
    )
