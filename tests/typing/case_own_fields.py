# pyright: strict
"""Fields that users write are typed by the same means as the shipped ones."""

from typing import Any, assert_type

from popoto import Expression, Field, KeyField, Model, SortedField
from popoto.fields.sorted_field_mixin import SortedFieldMixin


class EmailField(Field):
    """Without a parameter a field holds str."""


class ScoreField(SortedFieldMixin[float], Field[float]):
    """The parameter is the type of the values."""


class LooseField(SortedFieldMixin, Field):
    """A mixin without a parameter leaves the type of the values open."""


class StarsField(SortedField[int]):
    """So is the parameter of any shipped field that takes `type=`."""


class Restaurant(Model):
    name = KeyField()
    email = EmailField()
    score = ScoreField()
    stars = StarsField()
    loose = LooseField(type=int)
    owner_email: str | None = EmailField(null=True)
    wrong = ScoreField(type=str)  # error


def own_fields_have_types(record: Restaurant) -> None:
    assert_type(record.email, str)
    assert_type(record.score, float)
    assert_type(record.stars, int)
    assert_type(record.loose, Any)
    assert_type(record.owner_email, str | None)
    assert_type(Restaurant.score, ScoreField)
    assert_type(Restaurant.score > 4, Expression)
    record.stars = 4.5  # error
