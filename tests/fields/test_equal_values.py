"""Equal values are one value: in keys, indexes, claims and lookups, whatever their text."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from popoto import (
    AutoKeyField,
    DecimalField,
    IndexedField,
    KeyField,
    KeyMutationError,
    Model,
    ModelException,
    SortedField,
    SortedKeyField,
    StringField,
    UniqueField,
    redis_db,
)
from popoto.exceptions import AlreadyExistsError, UniquenessError
from popoto.fields.spelling import decimal_text, spellings
from popoto.models.db_key import DB_key
from tests.driver import Api

UTC = datetime.UTC
BERLIN = ZoneInfo("Europe/Berlin")


def zone(hours: float) -> datetime.timezone:
    return datetime.timezone(datetime.timedelta(hours=hours))


def model_of(kind: type[Any]) -> type[Any]:
    """A model with each kind of field that has this type."""

    class Equal(Model):
        number = AutoKeyField()
        part = KeyField(type=kind, null=True)
        state = IndexedField(type=kind, null=True)
        code = UniqueField(type=kind)
        first = IndexedField(type=kind, null=True)
        second = StringField(null=True)

        class Meta:
            indexes = ((("first", "second"), True),)

    class Keyed(Model):
        only = KeyField(type=kind)
        text = StringField(null=True)

    Equal.keyed = Keyed
    return Equal


MODELS = {kind: model_of(kind) for kind in (int, float, Decimal, datetime.datetime, datetime.time)}

NOON = datetime.datetime(2024, 5, 1, 12, 0, tzinfo=UTC)

PAIRS: dict[str, tuple[type[Any], Any, Any]] = {
    "zeros": (float, 0.0, -0.0),
    "a truth and a number": (int, 1, True),
    "another one": (int, False, 0),
    "a float for an int": (int, 5, 5.0),
    "an int for a float": (float, 1.0, 1),
    "noughts": (Decimal, Decimal("1.50"), Decimal("1.5")),
    "an exponent": (Decimal, Decimal(1000), Decimal("1E+3")),
    "zeros of Decimals": (Decimal, Decimal("0.00"), Decimal("-0")),
    "a Decimal and a float": (Decimal, Decimal("0.10"), 0.1),
    "two zones": (datetime.datetime, NOON, NOON.astimezone(zone(5.5))),
    "a zone with a name": (datetime.datetime, NOON, NOON.astimezone(BERLIN)),
    "two times": (
        datetime.time,
        datetime.time(10, 0, tzinfo=UTC),
        datetime.time(12, 0, tzinfo=zone(2)),
    ),
    "times of the day before": (
        datetime.time,
        datetime.time(1, 0, tzinfo=zone(2)),
        datetime.time(2, 30, tzinfo=zone(3.5)),
    ),
    "times of the day after": (
        datetime.time,
        datetime.time(23, 0, tzinfo=zone(-2)),
        datetime.time(22, 30, tzinfo=zone(-2.5)),
    ),
}
BOTH_WAYS = {
    f"{name}, {way}": (kind, *values)
    for name, (kind, one, other) in PAIRS.items()
    for way, values in (("so", (one, other)), ("the other way round", (other, one)))
}
equal_values = pytest.mark.parametrize(("kind", "one", "other"), BOTH_WAYS.values(), ids=BOTH_WAYS)


@equal_values
def test_a_lookup_finds_the_other(api: Api, kind: type[Any], one: Any, other: Any) -> None:
    model = MODELS[kind]
    record = api(model.create, part=one, state=one, code=one)
    for lookup in (
        {"part": other},
        {"state": other},
        {"code": other},
        {"state__in": [None, other]},
        {"part": other, "number": record.number},
    ):
        assert api(model.query.get, **lookup) == record
        assert api(model.query.count, **lookup) == 1
    assert api(model.query.count, state__ne=other) == 0
    assert api(model.query.count, state__isnull=False) == 1
    assert api(model.check_indexes)["total"] == 0


@equal_values
def test_a_unique_value_is_claimed_once(api: Api, kind: type[Any], one: Any, other: Any) -> None:
    model = MODELS[kind]
    record = api(model.create, code=one)
    with pytest.raises(UniquenessError, match=r"Equal\.code must be unique"):
        api(model.create, code=other)
    assert api(model.query.count) == 1
    record.code = other
    api(record.save)
    api(record.delete)
    api(model.create, code=other)
    assert api(model.check_indexes)["total"] == 0


@equal_values
def test_a_unique_pair_is_claimed_once(api: Api, kind: type[Any], one: Any, other: Any) -> None:
    model = MODELS[kind]
    first, second = (one, other)
    api(model.create, code=_other_of(kind, 1), first=first, second="s")
    with pytest.raises(UniquenessError, match="Unique index violation"):
        api(model.create, code=_other_of(kind, 2), first=second, second="s")
    api(model.create, code=_other_of(kind, 2), first=second, second="t")


def _other_of(kind: type[Any], number: int) -> Any:
    if kind is datetime.datetime:
        return datetime.datetime(2000 + number, 1, 1)
    return datetime.time(number) if kind is datetime.time else kind(10 + number)


@equal_values
def test_equal_keys_are_one_record(api: Api, kind: type[Any], one: Any, other: Any) -> None:
    keyed = MODELS[kind].keyed
    record = api(keyed.create, only=one, text="a")
    with pytest.raises(AlreadyExistsError):
        api(keyed.create, only=other)
    assert api(keyed.query.get, only=other) == record
    assert api(keyed.query.get, only=other, text="a") == record
    assert api(keyed.query.get, only=other, text="b") is None
    assert api(keyed.load, only=other).pk == record.pk
    assert api(keyed.get_or_create, only=other)[1] is False
    assert api(keyed.update_or_create, only=other, defaults={"text": "c"})[0].pk == record.pk
    again = keyed(only=other, text="d")
    api(again.save)
    assert again.pk == record.pk
    assert api(keyed.query.count) == 1
    assert [each.text for each in keyed.query.all()] == ["d"]
    assert api(keyed.check_indexes)["total"] == 0
    assert api(again.delete) is True
    assert api(keyed.query.count) == 0


@equal_values
def test_an_instance_that_was_only_made_stands_for_the_record(
    api: Api, kind: type[Any], one: Any, other: Any
) -> None:
    keyed = MODELS[kind].keyed
    record = api(keyed.create, only=one, text="a")
    again = keyed(only=other, text="b")
    api(again.save, update_fields=["text"])
    assert api(keyed.query.get, record.pk).text == "b"
    pipeline = redis_db.POPOTO_REDIS_DB.pipeline()
    keyed(only=other, text="c").save(pipeline=pipeline)
    pipeline.execute()
    assert [(each.pk, each.text) for each in keyed.query.all()] == [(record.pk, "c")]
    assert api(keyed(only=other).delete) is True
    assert api(keyed.query.count) == 0


@equal_values
def test_a_pipeline_creates_equal_keys_once(
    redis_client: redis.Redis, kind: type[Any], one: Any, other: Any
) -> None:
    keyed = MODELS[kind].keyed
    keyed.create(only=one)
    with pytest.raises(AlreadyExistsError):
        keyed.create(only=other, pipeline=redis_db.POPOTO_REDIS_DB.pipeline())
    pipeline = redis_db.POPOTO_REDIS_DB.pipeline()
    keyed(only=other).delete(pipeline=pipeline)
    pipeline.execute()
    assert redis_client.keys("*Keyed*") == []


@equal_values
def test_a_key_that_is_set_to_an_equal_one_is_no_other(
    api: Api, kind: type[Any], one: Any, other: Any
) -> None:
    keyed = MODELS[kind].keyed
    record = api(keyed.create, only=one)
    record.only = other
    record.text = "t"
    api(record.save)
    assert api(keyed.query.get, record.pk).text == "t"
    record.only = _other_of(kind, 3)
    with pytest.raises(KeyMutationError):
        api(record.save)
    assert api(keyed.query.count) == 1


@equal_values
def test_equal_rows_of_one_call_are_one_value(
    api: Api, kind: type[Any], one: Any, other: Any
) -> None:
    model = MODELS[kind]
    with pytest.raises(Exception, match="unique"):
        api(model.bulk_create, [model(code=one), model(code=other)])
    assert api(model.query.count) == 0
    keyed = model.keyed
    api(keyed.bulk_create, [keyed(only=one, text="a"), keyed(only=other, text="b")])
    assert [each.text for each in keyed.query.all()] == ["b"]
    assert api(keyed.check_indexes)["total"] == 0


# What is written ---------------------------------------------------------------------------------


def test_the_text_of_a_decimal_is_as_it_was_given(redis_client: redis.Redis) -> None:
    keyed = MODELS[Decimal].keyed
    for text in ("1.50", "0.00", "1E+3", "-0.5"):
        record = keyed.create(only=Decimal(text))
        assert record.db_key[1] == text
        assert record.db_key.redis_key == record.pk
    assert redis_client.exists("$KeyF:Keyed:only:1.50")


def test_there_is_one_text_of_other_equal_values(redis_client: redis.Redis) -> None:
    for kind, value, text in (
        (int, True, "1"),
        (float, -0.0, "0.0"),
        (
            datetime.datetime,
            NOON.astimezone(BERLIN),
            "2024/-05/-01 12{&#58;}00{&#58;}00+00{&#58;}00",
        ),
        (datetime.time, datetime.time(12, tzinfo=zone(2)), "10{&#58;}00{&#58;}00+00{&#58;}00"),
    ):
        model = MODELS[kind]
        record = model.create(state=value, code=value)
        assert redis_client.smembers(f"$IndexF:Equal:state:{text}") == {record.pk.encode()}
        assert redis_client.smembers(f"$UniquF:Equal:code:{text}") == {record.pk.encode()}
        assert model.keyed.create(only=value).pk == f"Keyed:{text}"
        model.delete_all()
        model.keyed.delete_all()


def test_what_is_given_back_is_what_was_given(api: Api) -> None:
    moment = NOON.astimezone(zone(5.5))
    api(MODELS[datetime.datetime].create, part=moment, code=moment)
    found = api(MODELS[datetime.datetime].query.get, code=NOON)
    assert found.code.utcoffset() == found.part.utcoffset() == datetime.timedelta(hours=5.5)
    api(MODELS[Decimal].create, code=Decimal("1.50"))
    assert str(api(MODELS[Decimal].query.get, code=Decimal("1.5")).code) == "1.50"


def test_a_moment_without_a_zone_is_no_moment_with_one(api: Api) -> None:
    model = MODELS[datetime.datetime]
    api(model.create, code=NOON)
    api(model.create, code=NOON.replace(tzinfo=None))
    assert api(model.query.get, code=NOON).code.tzinfo is not None
    assert api(model.query.count) == 2


def test_moments_at_the_ends_of_time_keep_their_zone(api: Api) -> None:
    model = MODELS[datetime.datetime]
    for value in (
        datetime.datetime.max.replace(tzinfo=zone(-5)),
        datetime.datetime.min.replace(tzinfo=zone(5)),
    ):
        api(model.create, code=value)
        assert api(model.query.get, code=value).code == value


def test_a_decimal_without_end_stands_under_its_shortest_text(redis_client: redis.Redis) -> None:
    model = MODELS[Decimal]
    record = model.create(code=Decimal("1." + "0" * 40))
    assert redis_client.smembers("$UniquF:Equal:code:1") == {record.pk.encode()}
    assert model.query.get(code=1) == record
    assert str(model.query.get(code=1).code) == "1." + "0" * 40


# What was written before ------------------------------------------------------------------------

BEFORE: dict[str, tuple[type[Any], Any, str, Any]] = {
    "a truth": (int, True, "True", 1),
    "a zero": (float, -0.0, "/-0.0", 0.0),
    "a moment": (
        datetime.datetime,
        NOON.astimezone(zone(2)),
        "2024/-05/-01 14{&#58;}00{&#58;}00+02{&#58;}00",
        NOON.astimezone(zone(2)),
    ),
    "a time": (
        datetime.time,
        datetime.time(12, tzinfo=zone(2)),
        "12{&#58;}00{&#58;}00+02{&#58;}00",
        datetime.time(12, tzinfo=zone(2)),
    ),
}


@pytest.mark.parametrize(("kind", "value", "text", "asked"), BEFORE.values(), ids=BEFORE)
def test_what_stands_under_another_text_is_found_and_brought_to_the_one(
    api: Api, redis_client: redis.Redis, kind: type[Any], value: Any, text: str, asked: Any
) -> None:
    model = MODELS[kind]
    record = api(model.create, state=value, code=value)
    (one,) = redis_client.keys("$IndexF:Equal:state:*")
    redis_client.rename(one, f"$IndexF:Equal:state:{text}")
    (claim,) = redis_client.keys("$UniquF:Equal:code:*")
    redis_client.rename(claim, f"$UniquF:Equal:code:{text}")
    assert api(model.query.get, state=asked) == record
    assert api(model.query.get, code=asked) == record
    with pytest.raises(UniquenessError):
        api(model.create, code=value)
    assert api(model.check_indexes)["wrong_values"] == {"state": 1, "code": 1}
    api(model.rebuild_indexes)
    assert redis_client.keys("$IndexF:Equal:state:*") == [one]
    assert redis_client.keys("$UniquF:Equal:code:*") == [claim]
    assert api(model.check_indexes)["total"] == 0


def test_equal_keys_of_one_pipeline_are_one_record(api: Api, redis_client: redis.Redis) -> None:
    model = MODELS[Decimal].keyed
    with redis_client.pipeline() as pipeline:
        api(model(only=Decimal("1.5"), text="first").save, pipeline=pipeline)
        api(model(only=Decimal("1.50"), text="second").save, pipeline=pipeline)
        with pytest.raises(AlreadyExistsError):
            api(model.create, only=Decimal("1.500"), pipeline=pipeline)
        pipeline.execute()
    assert redis_client.keys("Keyed:*") == [b"Keyed:1.5"]
    assert api(model.query.get, only=Decimal("1.5")).text == "second"
    with redis_client.pipeline() as pipeline:
        api(model(only=Decimal("1.50")).delete, pipeline=pipeline)
        api(model(only=Decimal("1.500"), text="third").save, pipeline=pipeline)
        pipeline.execute()
    assert redis_client.keys("Keyed:*") == [b"Keyed:1.500"]
    assert api(model.check_indexes)["total"] == 0


#: A value of each type that is none of those.
OTHER: dict[type[Any], Any] = {
    int: 7,
    float: 7.5,
    datetime.datetime: NOON + datetime.timedelta(days=1),
    datetime.time: datetime.time(13, tzinfo=UTC),
}


@pytest.mark.parametrize(("kind", "value", "text", "asked"), BEFORE.values(), ids=BEFORE)
def test_a_group_under_another_text_is_taken(
    api: Api, redis_client: redis.Redis, kind: type[Any], value: Any, text: str, asked: Any
) -> None:
    model = MODELS[kind]
    record = api(model.create, code=value, first=value, second="x")
    ((digest, key),) = redis_client.hgetall("$Index:Equal:first:second").items()
    joined = f"{DB_key.unclean(text)}:x".encode()
    former = hashlib.sha256(joined).hexdigest()[:16]
    assert former.encode() != digest
    redis_client.hdel("$Index:Equal:first:second", digest)
    redis_client.hset("$Index:Equal:first:second", former, key)
    with pytest.raises(UniquenessError, match="Unique index violation"):
        api(model.create, code=OTHER[kind], first=asked, second="x")
    assert api(model.query.count) == 1
    api(model.rebuild_indexes)
    assert redis_client.hgetall("$Index:Equal:first:second") == {digest: key}
    record.second = "y"
    api(record.save)
    api(model.create, code=OTHER[kind], first=asked, second="x")


@pytest.mark.parametrize(("kind", "value", "text", "asked"), BEFORE.values(), ids=BEFORE)
def test_a_record_under_another_text_stays_where_it_is(
    api: Api, redis_client: redis.Redis, kind: type[Any], value: Any, text: str, asked: Any
) -> None:
    keyed = MODELS[kind].keyed
    record = api(keyed.create, only=value)
    redis_client.rename(record.pk, f"Keyed:{text}")
    redis_client.srem("$Class:Keyed", record.pk)
    redis_client.sadd("$Class:Keyed", f"Keyed:{text}")
    (one,) = redis_client.keys("$KeyF:Keyed:only:*")
    redis_client.delete(one, "$Values:Keyed:$keys")
    redis_client.sadd(f"$KeyF:Keyed:only:{text}", f"Keyed:{text}")
    found = api(keyed.query.get, only=asked)
    assert found.pk == f"Keyed:{text}"
    found.text = "t"
    api(found.save)
    assert api(keyed.get_or_create, only=asked)[1] is False
    assert api(keyed.rebuild_indexes) == 1
    assert redis_client.keys("$KeyF:Keyed:only:*") == [one]
    assert api(keyed.check_indexes)["total"] == 0
    found = api(keyed.query.filter(only=asked).all)[0]
    assert (found.pk, found.text) == (f"Keyed:{text}", "t")
    assert api(found.delete) is True
    assert redis_client.keys("*Keyed*") == []


@pytest.mark.parametrize(("kind", "value", "text", "asked"), BEFORE.values(), ids=BEFORE)
def test_a_change_leaves_nothing_under_another_text(
    api: Api, redis_client: redis.Redis, kind: type[Any], value: Any, text: str, asked: Any
) -> None:
    model = MODELS[kind]
    record = api(model.create, state=value, code=value)
    redis_client.sadd(f"$IndexF:Equal:state:{text}", record.pk)
    redis_client.sadd(f"$UniquF:Equal:code:{text}", record.pk)
    record.state = _other_of(kind, 1)
    api(record.save)
    assert api(model.query.count, state=asked) == 0
    assert api(model.query.filter(state=asked).all) == []
    api(record.delete)
    assert redis_client.keys("*Equal*") == []


class Priced(Model):
    price = SortedKeyField(type=Decimal)
    text = StringField(null=True)


def test_a_sorted_key(api: Api) -> None:
    api(Priced.create, price=Decimal("1.50"), text="a")
    assert api(Priced.query.get, price=Decimal("1.5")).text == "a"
    assert [each.text for each in Priced.query.filter(price=Decimal("1.5"), text="a")] == ["a"]
    with pytest.raises(AlreadyExistsError):
        api(Priced.create, price=Decimal("1.500"))


def _parted(kind: type[Any]) -> type[Any]:
    class Parted(Model):
        part = IndexedField(type=kind)
        rank = SortedField(partition_by="part", default=0.0)

    return Parted


PARTED = {kind: _parted(kind) for kind in MODELS}


@equal_values
def test_a_partition_is_one(api: Api, kind: type[Any], one: Any, other: Any) -> None:
    parted = PARTED[kind]
    for number, value in enumerate((one, other, _other_of(kind, 1))):
        api(parted.create, part=value, rank=number)
    for value in (one, other):
        found = api(parted.query.filter(part=value, rank__gte=0).all)
        assert [each.rank for each in found] == [0, 1]
    assert api(parted.check_indexes)["total"] == 0


# Properties ---------------------------------------------------------------------------------------

#: Offsets of zones, in minutes.
offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: zone(minutes / 60))
moments = st.datetimes(
    datetime.datetime(1, 1, 3), datetime.datetime(9999, 12, 29), timezones=offsets
)
decimals = st.decimals(allow_nan=False, allow_infinity=False)


def texts(kind: type[Any], value: Any) -> Sequence[str]:
    return MODELS[kind]._meta.by_name["state"].spellings(value)


@given(value=decimals, noughts=st.integers(0, 28))
def test_a_decimal_with_more_noughts_has_a_text_that_is_known(value: Decimal, noughts: int) -> None:
    sign, digits, exponent = value.as_tuple()
    other = Decimal((sign, (*digits, *(0,) * noughts), int(exponent) - noughts))
    assert other == value
    assert decimal_text(other) in spellings(Decimal, value)
    assert decimal_text(value) in spellings(Decimal, other)
    assert all(Decimal(text) == value for text in spellings(Decimal, value))


@given(value=moments, other=offsets)
def test_one_moment_has_one_text(value: datetime.datetime, other: datetime.timezone) -> None:
    field = MODELS[datetime.datetime]._meta.by_name["state"]
    assert field.text_of(value) == field.text_of(value.astimezone(other))
    assert {*texts(datetime.datetime, value)} <= {field.text_of(value), str(value)}


@given(one=st.times(timezones=offsets), other=st.times(timezones=offsets))
def test_times_have_one_text_exactly_if_they_are_equal(
    one: datetime.time, other: datetime.time
) -> None:
    field = MODELS[datetime.time]._meta.by_name["state"]
    assert field.canonical(one) == one
    assert (field.text_of(one) == field.text_of(other)) is (one == other)
    away = datetime.datetime.combine(datetime.date(2024, 1, 2), one).astimezone(other.tzinfo)
    if away.date() == datetime.date(2024, 1, 2):
        assert field.text_of(away.timetz()) == field.text_of(one)


@given(
    data=st.one_of(
        *(
            st.tuples(st.just(kind), values, values)
            for kind, values in (
                (int, st.sampled_from([0, 1, 2, True, False, -1])),
                (float, st.sampled_from([0.0, -0.0, 1.0, 0.1, -1.5])),
                (
                    Decimal,
                    st.sampled_from([*map(Decimal, ("1", "1.0", "10", "1E+1", "0", "-0.0"))]),
                ),
                (
                    datetime.datetime,
                    st.sampled_from([NOON, NOON.astimezone(BERLIN), NOON.replace(tzinfo=None)]),
                ),
            )
        )
    )
)
@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_an_index_agrees_with_python(
    redis_client: redis.Redis, data: tuple[type[Any], Any, Any]
) -> None:
    kind, one, other = data
    model = MODELS[kind]
    redis_client.flushdb()
    model.create(state=one, code=one)
    is_equal = one == other
    assert model.query.count(state=other) == is_equal
    if is_equal:
        with pytest.raises(UniquenessError):
            model.create(code=other)
    else:
        model.create(code=other)
    assert model.check_indexes()["total"] == 0


def test_of_three_decimals_a_unique_index_takes_texts_as_written(api: Api) -> None:
    """They have more than 1,000 texts together; of two, all are looked at."""

    class Two(Model):
        name = KeyField()
        a = DecimalField()
        b = DecimalField()

        class Meta:
            indexes = ((("a", "b"), True),)

    class Three(Two):
        c = DecimalField(default=Decimal(1))

        class Meta:
            indexes = ((("a", "b", "c"), True),)

    for model in (Two, Three):
        api(model.create, name="x", a=Decimal("1.0"), b=Decimal(2))
    with pytest.raises(ModelException, match="unique"):
        api(Two.create, name="y", a=Decimal("1.00"), b=Decimal(2))
    api(Three.create, name="y", a=Decimal("1.00"), b=Decimal(2))
    with pytest.raises(ModelException, match="unique"):
        api(Three.create, name="z", a=Decimal("1.00"), b=Decimal(2))
