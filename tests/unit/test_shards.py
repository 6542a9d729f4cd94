"""Shards of a model: which one a record, a key and conditions belong to. No cluster is needed."""

from __future__ import annotations

import datetime
import pickle
from copy import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popoto import KeyField, Model, Q, StringField
from popoto.engine.keys import shard_name
from popoto.models.reading.fixing import fixed_shards
from popoto.models.reading.spec import QuerySpec


class Kept(Model):
    agent = KeyField(null=True)
    name = KeyField(default="n")
    text = StringField(null=True)

    class Meta:
        shard_by = "agent"


class Daily(Model):
    day = KeyField(type=datetime.date)

    class Meta:
        shard_by = "day"


@given(st.text(), st.text())
def test_different_texts_have_different_tags_without_braces(one: str, other: str) -> None:
    tags = shard_name("Kept", one), shard_name("Kept", other)
    assert (tags[0] == tags[1]) == (one == other)
    assert not any(character in tag for tag in tags for character in "{}\n\0")


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_key_and_a_value_tell_the_same_shard(agent: str) -> None:
    record = Kept(agent=agent)
    assert record._meta.shard == Kept._meta.at(record.pk).shard
    (fixed,) = fixed_shards(Kept._meta, [Q(agent=agent)]) or ()
    assert fixed.shard == record._meta.shard


def test_a_record_is_in_the_shard_of_its_value_until_it_is_stored_elsewhere() -> None:
    record = Kept(agent="ann")
    assert record._meta.shard == "Kept:ann"
    record.agent = "bob"
    assert record._meta.shard == copy(record)._meta.shard == "Kept:bob"
    record.save()
    record.agent = "cleo"
    assert record._meta.shard == pickle.loads(pickle.dumps(record))._meta.shard == "Kept:bob"
    record.delete()
    assert record._meta.shard == "Kept:cleo"
    record.agent = None
    assert record._meta.shard == "Kept:None"
    assert Daily(day=datetime.date(2024, 1, 2))._meta.shard == "Daily:2024-01-02"


def test_a_view_is_the_same_but_for_the_shard() -> None:
    whole, view = Kept._meta, Kept._meta.in_shard("ann")
    assert (view.shard, view.shard_text, view.is_spread) == ("Kept:ann", "ann", False)
    assert (whole.shard, whole.shard_text, whole.is_spread) == ("Kept", None, True)
    assert view.by_name is whole.by_name
    assert view.model is Kept
    assert whole.at("Kept:ann:n") is view.at("Kept:ann:x") is view
    assert whole.at("Kept:ann") is whole.at("Other:ann:x") is whole


@pytest.mark.parametrize(
    ("conditions", "shards"),
    [
        ((Q(agent="a"),), ["a"]),
        ((Q(agent__in=["b", "a", "b"]),), ["a", "b"]),
        ((Q(agent__in=[]),), []),
        ((Q(agent=None),), ["None"]),
        ((Q(pk="Kept:a:x"),), ["a"]),
        ((Q(pk__in=["Kept:a:x", "Kept:b:x"]),), ["a", "b"]),
        ((Q(agent="a"), Q(name="n")), ["a"]),
        ((Q(agent="a") & Q(agent__in=["a", "b"]),), ["a"]),
        ((Q(agent="a"), Q(agent="b")), []),
        ((Q(agent="a") | Q(agent="b"),), ["a", "b"]),
        ((Q(agent="a", name="n") | Q(agent="a", name="m"),), ["a"]),
        ((Q(agent="a") & (Q(name="n") | Q(name="m")),), ["a"]),
        ((Kept.agent == "a",), ["a"]),
        ((), None),
        ((Q(name="n"),), None),
        ((Q(agent="a") | Q(name="n"),), None),
        ((~Q(agent="a"),), None),
        ((Q(agent__ne="a"),), None),
        ((Q(agent__startswith="a"),), None),
        ((Q(agent__in="a"),), None),
    ],
)
def test_conditions_tell_which_shards_are_asked(
    conditions: tuple[Any, ...], shards: list[str] | None
) -> None:
    found = Kept.query.filter(*conditions)._spec
    asked = fixed_shards(Kept._meta, found.conditions)
    assert (None if asked is None else [each.shard_text for each in asked]) == shards
    is_one = shards is not None and len(shards) == 1
    assert QuerySpec(Kept, found.conditions).options.is_spread is not is_one


def test_other_models_have_one_shard() -> None:
    class Plain(Model):
        name = KeyField()

    assert Plain._meta.at("Plain:a") is Plain._meta.in_shard("a") is Plain(name="a")._meta
    assert fixed_shards(Plain._meta, [Q(name="a")]) is None
    assert (Plain._meta.shard, Plain._meta.is_spread) == ("Plain", False)


def test_models_derived_from_one_in_shards_are_in_shards() -> None:
    class Further(Kept):
        more = StringField(null=True)

    assert Further(agent="a")._meta.shard == "Further:a"
    assert Further._meta.in_shard("a").by_name.keys() == {"agent", "name", "text", "more"}
    assert Kept._meta.by_name.keys() == {"agent", "name", "text"}


def test_a_field_that_is_added_later_is_in_every_view() -> None:
    class Growing(Model):
        agent = KeyField()

        class Meta:
            shard_by = "agent"

    before = Growing._meta.in_shard("a")
    Growing._meta.add_field("more", StringField(null=True))
    assert "more" not in before.by_name
    assert "more" in Growing._meta.in_shard("a").by_name
    assert Growing.create(agent="a", more="x").more == "x"
