"""Fields that a model inherits: asked on the base's field, they answer for the model given."""

from __future__ import annotations

from typing import Any

import pytest

from popoto import (
    ConfidenceField,
    CoOccurrenceField,
    CyclicDecayField,
    KeyField,
    Model,
    StringField,
)
from tests.driver import Api


class Thought(Model):
    name = KeyField()
    mood = StringField(default="calm")
    links = CoOccurrenceField()
    sure = ConfidenceField(partition_by="mood")
    due = CyclicDecayField(cycles=[(86_400, 1.0)], pressure_rate=0.1, partition_by="mood")


class Dream(Thought):
    place = StringField(default="")


class Stone(Model):
    name = KeyField()


#: Type checkers know the class attribute as the type of its values.
FIELDS: Any = Thought._meta.fields


def test_edges_are_those_of_the_model_that_is_given(api: Api) -> None:
    one, other = (Dream.create(name=name) for name in "ab")
    assert api(FIELDS["links"].link, Dream, one, other, 0.5) == 0.5
    assert api(Dream.links.get_linked, Dream, one) == [("Dream:b", 0.5)]
    assert api(FIELDS["links"].get_linked, Dream, one) == [("Dream:b", 0.5)]
    assert api(FIELDS["links"].propagate, Dream, [one]) == {"Dream:b": 0.25}
    assert api(FIELDS["links"].get_linked, Thought, one) == []
    assert FIELDS["links"].get_edge_key(Dream, "x") == "$CoOccurrencF:Dream:links:x"
    assert FIELDS["links"].get_edge_key(one, "x") == "$CoOccurrencF:Dream:links:x"
    assert FIELDS["links"].get_edge_key_prefix(Dream) == "$CoOccurrencF:Dream:links:"
    one.delete()
    assert api(Dream.links.get_linked, Dream, other) == []


def test_keys_are_those_of_the_model_that_is_given() -> None:
    dream: Any = Dream.create(name="a", mood="deep")
    sure, due = FIELDS["sure"], FIELDS["due"]
    stem = "$ConfidencF:Dream:sure:data"
    assert sure.get_data_hash_key(dream, "sure") == f"{stem}:deep"
    assert sure.get_data_hash_key_from_values(Dream, "sure", mood="calm") == f"{stem}:calm"
    dream.mood = "light"
    assert sure.get_data_hash_key(dream, "sure") == f"{stem}:light"
    assert sure.get_old_data_hash_key(dream, "sure") == f"{stem}:deep"
    assert due.get_cycles_hash_key(dream, "due") == "$CyclicDecayF:Dream:due:light:cycles"
    assert due.get_pressure_hash_key(dream, "due") == "$CyclicDecayF:Dream:due:light:pressure"


@pytest.mark.parametrize("method", ["link", "strengthen", "unlink", "weaken_all", "get_linked"])
def test_a_model_without_the_field_has_no_edges_of_it(api: Api, method: str) -> None:
    keys = ("a", "b") if method in ("link", "strengthen", "unlink") else ("a",)
    with pytest.raises(TypeError, match=r"Thought.links: .*'links', which Stone does not have"):
        api(getattr(FIELDS["links"], method), Stone, *keys)
    with pytest.raises(TypeError, match=r"Thought.links: .* takes a model, got None"):
        api(getattr(FIELDS["links"], method), None, *keys)
