"""Conversion and validation of values: at construction, by `is_valid`, at save."""

from __future__ import annotations

import contextlib
import datetime
import logging
import uuid
from decimal import Decimal
from typing import Any

import pytest

from popoto import (
    AutoKeyField,
    BooleanField,
    BytesField,
    DateField,
    DatetimeField,
    DecimalField,
    DictField,
    Field,
    FloatField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    ModelException,
    Relationship,
    SetField,
    SortedKeyField,
    StringField,
    TimeField,
    TupleField,
    UniqueField,
    UniqueKeyField,
)
from popoto.exceptions import ValidationError
from tests.driver import Api

KINDS: dict[str, Any] = {
    "int": IntField,
    "float": FloatField,
    "decimal": DecimalField,
    "text": StringField,
    "bool": BooleanField,
    "bytes": BytesField,
    "list": ListField,
    "set": SetField,
    "tuple": TupleField,
    "dict": DictField,
    "date": DateField,
    "datetime": DatetimeField,
    "time": TimeField,
}


class Owner(Model):
    name = KeyField()


class All(Model):
    name = KeyField()
    int_value = IntField()
    float_value = FloatField()
    decimal_value = DecimalField()
    text_value = StringField()
    bool_value = BooleanField()
    bytes_value = BytesField()
    list_value = ListField()
    set_value = SetField()
    tuple_value = TupleField()
    dict_value = DictField()
    date_value = DateField()
    datetime_value = DatetimeField()
    time_value = TimeField()
    short = StringField(max_length=3)
    needed = StringField(null=False, default="x")
    owner = Relationship(model=Owner)
    capped = ListField(max_length=2)


ACCEPTED = [
    ("int", "5", 5),
    ("int", 2.0, 2),
    ("int", Decimal(3), 3),
    ("int", b"7", 7),
    ("int", True, True),
    ("float", "1.5", 1.5),
    ("float", 3, 3.0),
    ("float", Decimal("0.5"), 0.5),
    ("decimal", "1.10", Decimal("1.10")),
    ("decimal", 3, Decimal(3)),
    ("decimal", 0.25, Decimal("0.25")),
    ("text", 5, "5"),
    ("text", uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ("bool", "false", False),
    ("bool", "TRUE", True),
    ("bool", "0", False),
    ("bool", 1, True),
    ("bytes", [1, 2], b"\x01\x02"),
    ("bytes", bytearray(b"x"), b"x"),
    ("bytes", memoryview(b"y"), b"y"),
    ("list", (1, 2), [1, 2]),
    ("set", [1, 1], {1}),
    ("tuple", [1], (1,)),
    ("dict", [("a", 1)], {"a": 1}),
    ("time", 5, datetime.time(5)),
]

REFUSED = [
    ("int", "abc"),
    ("int", "2.5"),
    ("int", 2.7),
    ("int", [1]),
    ("int", 2**64),
    ("int", -(2**63) - 1),
    ("int", float("nan")),
    ("int", float("inf")),
    ("float", "x"),
    ("float", [1]),
    ("decimal", "x"),
    ("decimal", [1]),
    ("bool", "maybe"),
    ("bytes", "text"),
    ("bytes", 5),
    ("list", "abc"),
    ("list", 5),
    ("dict", 5),
    ("dict", [1]),
    ("set", 5),
    ("tuple", 5),
    ("date", "2020-01-01T01:02"),
    ("date", datetime.datetime(2020, 1, 1, 1)),
    ("datetime", "tomorrow"),
    ("datetime", datetime.date(2020, 1, 1)),
    ("time", "one"),
    ("time", 25),
    ("text", b"x"),
]


@pytest.mark.parametrize(("kind", "given", "value"), ACCEPTED)
def test_accepted_values_are_converted(kind: str, given: object, value: object) -> None:
    record = All(name="a", **{f"{kind}_value": given})
    found = getattr(record, f"{kind}_value")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("kind", "given", "value"), ACCEPTED)
def test_assigned_values_are_converted_by_is_valid(kind: str, given: object, value: object) -> None:
    record = All(name="a")
    setattr(record, f"{kind}_value", given)
    assert record.is_valid() is True
    assert getattr(record, f"{kind}_value") == value


@pytest.mark.parametrize(("kind", "given"), REFUSED)
def test_refused_values_are_model_exceptions_at_construction(kind: str, given: object) -> None:
    with pytest.raises(ModelException, match="Could not instantiate class") as caught:
        All(name="a", **{f"{kind}_value": given})
    assert isinstance(caught.value, ValueError)
    assert f"All.{kind}_value" in str(caught.value)


@pytest.mark.parametrize(("kind", "given"), REFUSED)
def test_refused_values_are_invalid_and_cannot_be_saved(
    api: Api, kind: str, given: object, redis_client: Any
) -> None:
    record = All(name="a")
    setattr(record, f"{kind}_value", given)
    assert record.is_valid() is False
    with pytest.raises(ModelException, match="invalid"):
        api(record.save)
    assert api(record.save, ignore_errors=True) is False
    assert redis_client.keys("*") == []


def test_a_subclass_value_is_accepted_as_it_is() -> None:
    assert All(int_value=True).int_value is True


def test_a_refusal_names_model_field_and_value() -> None:
    with pytest.raises(ValidationError) as caught:
        All(name="a", int_value="many")
    error = caught.value
    assert (error.model_name, error.field_name, error.value) == ("All", "int_value", "many")


def test_later_fields_are_converted_although_an_earlier_one_fails() -> None:
    record = All(name="a")
    record.int_value = "abc"
    record.float_value = "1.5"
    assert record.is_valid() is False
    assert record.float_value == 1.5


def test_a_refusal_is_logged(caplog: pytest.LogCaptureFixture, api: Api) -> None:
    def constructs() -> None:
        All(name="a", int_value="abc")

    def creates() -> None:
        api(All.create, name="a", int_value="abc")

    record = All(name="a")
    record.int_value = "abc"
    for refused in (record.is_valid, lambda: api(record.save), constructs, creates):
        caplog.clear()
        with caplog.at_level(logging.ERROR), contextlib.suppress(ModelException):
            refused()
        assert [each.name for each in caplog.records] == ["POPOTO.model_base"], refused
        assert "int_value" in caplog.text


# Null and length --------------------------------------------------------------------------


def test_null_is_checked_at_save_only(api: Api) -> None:
    record = All(name="a", needed=None)
    assert record.is_valid(null_check=False) is True
    assert record.is_valid() is False
    with pytest.raises(ModelException, match="null"):
        api(record.save)


def test_length_equal_to_the_limit_passes() -> None:
    assert All(short="abc").short == "abc"
    with pytest.raises(ModelException, match="max_length"):
        All(short="abcd")
    with pytest.raises(ModelException):
        All(short=1234)


def test_there_is_no_length_limit_by_default(api: Api) -> None:
    class Long(Model):
        name = KeyField()
        note = StringField()

    api(Long.create, name="n" * 2000, note="x" * 5000)
    assert len(api(Long.query.get, name="n" * 2000).note) == 5000


def test_relationships_and_capped_lists_are_not_converted(api: Api) -> None:
    owner = api(Owner.create, name="o")
    record = All(name="a", owner=owner, capped=(1, 2))
    assert record.is_valid()
    assert record.owner is owner
    record.owner = "nocolon"
    assert record.is_valid() is False
    with pytest.raises(ModelException):
        api(record.save)


def test_an_instance_of_another_model_is_no_valid_reference(api: Api) -> None:
    record = All(name="a")
    record.owner = All(name="b")
    with pytest.raises(ModelException):
        api(record.save)


# Expiry settings ---------------------------------------------------------------------------


LATER = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)


class Lease(Model):
    name = KeyField()

    class Meta:
        ttl = 60


def test_ttl_and_expire_at_exclude_each_other(api: Api) -> None:
    with pytest.raises(ModelException, match="ttl and expire_at"):
        Owner(name="a", _ttl=5, _expire_at=LATER)
    with pytest.raises(ModelException, match="ttl and expire_at"):
        Lease(name="a", _expire_at=LATER)
    lease = Lease(name="a")
    lease._expire_at = LATER
    with pytest.raises(ModelException, match="ttl and expire_at"):
        lease.is_valid()
    with pytest.raises(ModelException, match="ttl and expire_at"):
        api(lease.save, ignore_errors=True)
    lease._ttl = None
    api(lease.save)


@pytest.mark.parametrize("ttl", ["5", 2.5, True, [1]])
def test_a_wrong_ttl_is_refused_before_writing(api: Api, ttl: object, redis_client: Any) -> None:
    owner = Owner(name="a")
    owner._ttl = ttl
    with pytest.raises(ModelException, match="_ttl"):
        api(owner.save)
    assert redis_client.keys("*") == []


@pytest.mark.parametrize("moment", ["2100", 5, datetime.date(2100, 1, 1)])
def test_a_wrong_expire_at_is_refused_before_writing(
    api: Api, moment: object, redis_client: Any
) -> None:
    owner = Owner(name="a")
    owner._expire_at = moment
    with pytest.raises(ModelException, match="_expire_at"):
        api(owner.save)
    assert redis_client.keys("*") == []


# Constructors of fields -----------------------------------------------------------------------


@pytest.mark.parametrize("type_", [object, complex, frozenset, Model, "int"])
def test_types_that_no_field_has(type_: Any) -> None:
    with pytest.raises(ModelException, match="not a valid Field type"):
        Field(type=type_)


@pytest.mark.parametrize("type_", [list, dict, set, tuple, bytes])
def test_types_that_no_key_field_has(type_: Any) -> None:
    with pytest.raises(ModelException, match="not a valid KeyField type"):
        KeyField(type=type_)


@pytest.mark.parametrize(
    "type_", [int, float, Decimal, str, bool, datetime.date, datetime.datetime, datetime.time]
)
def test_types_of_key_fields(type_: Any) -> None:
    field = KeyField(type=type_)
    assert (field.type, field.null, field.key) == (type_, True, True)


@pytest.mark.parametrize("kind", [UniqueKeyField, AutoKeyField, UniqueField])
def test_unique_fields_are_never_null(kind: Any) -> None:
    field = kind()
    assert (field.null, field.unique) == (False, True)
    with pytest.raises(ModelException, match="null"):
        kind(null=True)
    with pytest.raises(ModelException, match="unique"):
        kind(unique=False)


def test_sorted_key_fields_are_never_null() -> None:
    with pytest.raises(ModelException, match="cannot be null"):
        SortedKeyField(type=int, null=True)


def test_strategies_of_automatic_keys() -> None:
    with pytest.raises(ValueError, match="Invalid strategy") as caught:
        AutoKeyField(strategy="serial")
    assert all(name in str(caught.value) for name in ("serial", "uuid4", "ulid", "ksuid"))
    for strategy, package in (("ulid", "ulid-py"), ("ksuid", "cyksuid")):
        field = AutoKeyField(strategy=strategy)
        assert field.strategy == strategy
        with pytest.raises(ImportError, match=f"pip install {package}"):
            field.get_new_auto_key_value()


@pytest.mark.parametrize("length", [0, 33, -1, "8"])
def test_lengths_of_automatic_keys(length: Any) -> None:
    with pytest.raises(ModelException, match="auto_uuid_length"):
        AutoKeyField(auto_uuid_length=length)


@pytest.mark.parametrize("value", ["short", "x" * 33, 5])
def test_a_given_automatic_key_has_the_right_length(value: object) -> None:
    class Auto(Model):
        uid = AutoKeyField()

    with pytest.raises(ModelException):
        Auto(uid=value)
    assert Auto(uid="x" * 32).uid == "x" * 32


def test_a_short_automatic_key() -> None:
    class Auto(Model):
        uid = AutoKeyField(auto_uuid_length=8)

    assert len(Auto().uid) == 8
    field = Auto._meta.fields["uid"]
    field.set_auto_key_value(force=True)
    assert len(field.get_new_auto_key_value()) == 8


def test_attributes_of_every_field() -> None:
    field = Field(type=int, null=False, default=3)
    names = ("type", "key", "unique", "auto", "null", "value", "max_length", "default", "sorted",
             "indexed", "name")  # fmt: skip
    assert [hasattr(field, name) for name in names] == [True] * len(names)
    assert field.field_defaults["null"] is True
    assert IndexedField().field_defaults["indexed"] is True


def test_is_valid_of_a_field_does_not_convert() -> None:
    assert Field.is_valid(Field(type=int), "5") is False
    assert Field.is_valid(Field(type=int), 5) is True
    field = Field(type=int, null=False)
    assert field.is_valid(field, None) is False
    assert field.is_valid(field, None, null_check=False) is True
