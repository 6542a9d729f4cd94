"""The quick look at a value of a field's own type says no more than the whole look does."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popoto import (
    BooleanField,
    DateField,
    DatetimeField,
    DecayingSortedField,
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
    SortedField,
    StringField,
    UniqueField,
    UniqueKeyField,
)
from popoto.engine.codec import MAX_INT, MIN_INT

VALUES = st.one_of(
    st.integers(),
    st.sampled_from([MIN_INT, MIN_INT - 1, MAX_INT, MAX_INT + 1]),
    st.floats(),
    st.text(max_size=8),
    st.booleans(),
    st.decimals(),
    st.sampled_from([Decimal("sNaN"), Decimal("NaN"), Decimal("-0")]),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.timezones()),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


class Shouting(StringField):
    def coerce(self, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value


class Even(IntField):
    def problem(self, value: Any, *, null_check: bool = True) -> str | None:
        if isinstance(value, int) and value % 2:
            return "it is odd"
        return super().problem(value, null_check=null_check)


class Undefined(SortedField):
    """Its place in the order is no number for some values."""

    def score(self, value: Any) -> float:
        return math.nan if value == 1 else float(value)


class Sample(Model):
    key = UniqueKeyField()
    name = KeyField(type=str)
    text = StringField()
    short = StringField(max_length=4)
    chosen: Literal["a", "b"] = StringField(default="a")
    number = IntField()
    some: Literal[1, 2] = IntField(default=1)
    grade: Literal["x", "y"] | None
    ratio = FloatField()
    exact = DecimalField()
    is_on = BooleanField()
    day = DateField()
    moment = DatetimeField()
    stamped = DatetimeField(auto_now_add=True)
    items = ListField()
    latest = ListField(max_length=2)
    pairs = DictField()
    town = IndexedField(type=str)
    code = UniqueField(type=int)
    rating = SortedField(type=float)
    rank = SortedField(type=int)
    price = SortedField(type=Decimal)
    since = SortedField(type=datetime.datetime)
    fresh = DecayingSortedField()
    loud = Shouting()
    even = Even()
    odd = Undefined(type=int)


FIELDS: dict[str, Field[Any]] = dict(Sample._meta.by_name)


@pytest.mark.parametrize("name", FIELDS)
@given(value=VALUES)
def test_what_passes_the_quick_look_is_taken_as_it_is(name: str, value: Any) -> None:
    field = FIELDS[name]
    if field.passes is None or type(value) is not field.type or not field.passes(value):
        return
    assert field.coerce(value) is value
    assert field.problem(value) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", "a"),
        ("short", "four"),
        ("number", MAX_INT),
        ("ratio", math.nan),
        ("exact", Decimal("NaN")),
        ("day", datetime.date(1, 1, 1)),
        ("moment", datetime.datetime(1, 1, 1)),
        ("items", [1]),
        ("rating", math.inf),
        ("rank", MIN_INT),
    ],
)
def test_usual_values_take_the_quick_look_alone(name: str, value: Any) -> None:
    field = FIELDS[name]
    assert field.passes is not None
    assert field.passes(value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": MAX_INT + 1},
        {"number": MIN_INT - 1},
        {"exact": Decimal("sNaN")},
        {"short": "fiver"},
        {"chosen": "c"},
        {"some": 3},
        {"grade": "z"},
        {"rating": math.nan},
        {"rank": MAX_INT + 1},
        {"even": 1},
        {"odd": 1},
    ],
)
def test_what_may_not_be_saved_is_refused_in_spite_of_its_type(wrong: dict[str, Any]) -> None:
    with pytest.raises(ModelException, match=f"Sample.{next(iter(wrong))}"):
        Sample(**wrong)


def test_a_field_with_a_conversion_of_its_own_converts_values_of_its_type() -> None:
    assert Sample(loud="quiet").loud == "QUIET"


def test_a_check_of_a_class_is_asked_in_spite_of_the_type() -> None:
    class Refusing(StringField):
        @classmethod
        def is_valid(
            cls, field: Field[Any], value: Any, null_check: bool = True, **kwargs: Any
        ) -> bool:
            return value != "no"

    class Asked(Model):
        key = UniqueKeyField()
        answer = Refusing()

    with pytest.raises(ModelException, match="Refusing refuses it"):
        Asked(answer="no")
