"""Expressions on the fields of other models are told of; those of relatives are not."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from popoto import IntField, KeyField, Model, Q, SortedField
from popoto.exceptions import UnknownNameError
from tests.driver import Api


class Printed(Model):
    name = KeyField()
    year = SortedField(type=int, default=1990)

    class Meta:
        abstract = True


class Novel(Printed):
    pages = IntField(default=1)


class Crime(Novel):
    pass


class Reel(Model):
    name = KeyField()
    year = SortedField(type=int, default=1990)


class StrictReel(Reel):
    class Meta:
        strict = True


CONDITIONS: dict[str, Callable[[], Any]] = {
    "alone": lambda: Novel.year > 1980,
    "joined": lambda: (Novel.year > 1980) & (Reel.name == "a"),
    "reversed": lambda: (Reel.name == "a") & (Novel.year > 1980),
    "or": lambda: (Novel.year > 1980) | Q(name="a"),
    "and Q": lambda: Q(name="a") & (Novel.year > 1980),
    "not": lambda: ~(Novel.year < 1980),
    "pickled": lambda: pickle.loads(pickle.dumps(Q(name="a") & (Novel.year > 1980))),
}


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS.keys())
def test_a_field_of_another_model_is_told_of(api: Api, condition: Callable[[], Any]) -> None:
    Reel.create(name="a")
    for method in (Reel.query.filter, Reel.query.exclude, Reel.query.count):
        with pytest.warns(
            UserWarning, match=r"Reel: .* a field of Novel.*write Reel\.field"
        ) as seen:
            method(condition())
        assert seen[0].filename == __file__
    with pytest.warns(UserWarning, match="a field of Novel"):
        assert api(Reel.query.get, condition()).name == "a"
    with pytest.raises(UnknownNameError, match=r"StrictReel: .*a field of Novel"):
        StrictReel.query.filter(condition())


def test_fields_of_relatives_are_not_told_of(api: Api) -> None:
    Crime.create(name="a")
    for model in (Printed, Novel, Crime):
        assert api(Crime.query.filter((model.year > 1980) & Q(name="a")).count) == 1
    Novel.query.filter(Crime.year > 1980, Printed.name == "a")
