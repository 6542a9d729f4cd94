"""Habits of other libraries, and slips, of which nothing was said."""

from __future__ import annotations

import datetime
import warnings
from typing import Any

import pytest

from popoto import (
    AccessTrackerMixin,
    DatetimeField,
    EmbeddingField,
    EventStreamMixin,
    ExistenceFilter,
    IntField,
    KeyField,
    Model,
    ModelException,
    ObservationProtocol,
    Relationship,
    SortedField,
    erase,
)
from popoto.exceptions import UnknownNameError
from tests.driver import Api


class Team(Model):
    name = KeyField()


class Memory(AccessTrackerMixin, Model):
    name = KeyField()
    words = ExistenceFilter(fingerprint_fn=lambda memory: memory.name)


def defined(**body: Any) -> Any:
    """A model with this body."""
    return type(Model)("Defined", (Model,), {"name": KeyField(), **body})


def test_options_of_a_plain_class_are_inherited() -> None:
    class Lasting:
        class Meta:
            ttl = 60
            ordering = ("-name",)

    class Before(Lasting, Model):
        name = KeyField()

    class After(Model, Lasting):
        name = KeyField()

        class Meta:
            ttl = 30

    class Further(Before):
        pass

    assert (Before._meta.ttl, Before._meta.order_by) == (60, "-name")
    assert (After._meta.ttl, After._meta.order_by) == (30, "-name")
    assert Further._meta.ttl == 60
    assert Before.create(name="a").remaining_ttl() is not None


def test_unknown_options_of_a_plain_class_are_told_of() -> None:
    class Slipped:
        class Meta:
            tttl = 60

    with pytest.warns(UserWarning, match=r"Slipped\.Meta\.tttl.*did you mean 'ttl'"):
        type(Model)("Slip", (Slipped, Model), {"name": KeyField()})


def test_a_meta_is_inherited_without_a_base() -> None:
    parent: Any = Team
    with pytest.raises(AttributeError, match="options are inherited by themselves"):
        _ = parent.Meta


def test_an_abstract_model_has_no_records() -> None:
    class Settings:
        abstract = True

    base = defined(Meta=Settings)
    with pytest.warns(UserWarning, match="Defined is abstract, so that there are no records"):
        assert base.query.count() == 0
    with pytest.warns(UserWarning, match="ask a model that is derived from it"):
        assert base.objects.all() == []

    class Strict:
        abstract = True
        strict = True

    with pytest.raises(UnknownNameError, match="is abstract"):
        _ = defined(Meta=Strict).query


def test_records_that_delete_themselves_are_counted(api: Api) -> None:
    class Own(Model):
        name = KeyField()

        def delete(self, *args: Any, **kwargs: Any) -> Any:
            if self.name != "kept":
                super().delete(*args, **kwargs)

    Own.bulk_create([Own(name="a"), Own(name="b"), Own(name="kept")])
    assert api(Own.delete_all) == 2


@pytest.mark.parametrize("name", ["clean", "full_clean", "validate", "clean_age", "validate_age"])
def test_checks_that_nobody_calls_are_told_of(name: str) -> None:
    def check(self: Any) -> None:
        raise ValueError("none")

    with pytest.warns(UserWarning, match=r"calls no method.*pre_save\(\), or into an is_valid"):
        defined(age=IntField(), **{name: check})


def test_methods_that_look_at_nothing_or_are_called_are_left_alone() -> None:
    def clean(self: Any) -> None:
        self.name = ""

    def validate(self: Any) -> None:
        raise ValueError("none")

    def pre_save(self: Any, pipeline: Any = None, **keywords: Any) -> Any:
        self.validate()
        return pipeline or True

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*keeps its records under the name")
        defined(clean=clean, validate=validate, pre_save=pre_save, clean_other=validate)


@pytest.mark.parametrize("field", [DatetimeField, SortedField])
def test_a_time_zone_is_one_and_has_something_to_fill_in(field: Any) -> None:
    with pytest.raises(ModelException, match=r"tz='UTC'.*is no time zone"):
        field(type=datetime.datetime, tz="UTC") if field is SortedField else field(tz="UTC")
    keywords = {"type": datetime.datetime} if field is SortedField else {}
    with pytest.warns(UserWarning, match="tz=… is the zone of moments that auto_now"):
        defined(at=field(tz=datetime.UTC, **keywords))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*keeps its records under the name")
        defined(at=field(tz=datetime.UTC, auto_now=True, **keywords))


@pytest.mark.parametrize("annotation", [int, list[Team], dict, "set[Team]"])
def test_a_relationship_is_to_one_record(annotation: Any) -> None:
    with pytest.raises(ModelException, match="refers to one record"):
        defined(team=Relationship(Team), __annotations__={"team": annotation}, __module__=__name__)


@pytest.mark.parametrize(
    "annotation", [Team, Team | None, str, "Team", "Team | str | None", Any, object, Relationship]
)
def test_a_relationship_may_be_called_what_it_is(annotation: Any) -> None:
    model = defined(
        team=Relationship(Team), __annotations__={"team": annotation}, __module__=__name__
    )
    assert model._meta.field_names == ["name", "team"]


def test_an_embedding_is_made_of_one_field() -> None:
    source: Any = ["name"]
    with pytest.raises(ModelException, match=r"source=\['name'\]\): give the name of a field"):
        EmbeddingField(source=source)


def test_settings_of_a_stream_that_nobody_means() -> None:
    for settings, told in (
        ({"_stream_max_length": 0}, "keeps no event; None keeps all"),
        ({"_stream_name": "stream:orders"}, "its key is 'stream:stream:orders'"),
    ):
        with pytest.warns(UserWarning, match=told):
            type(Model)("Told", (EventStreamMixin, Model), {"name": KeyField(), **settings})


@pytest.mark.parametrize("ttl", [0, -1])
def test_a_ttl_of_no_time_is_told_of(api: Api, ttl: int) -> None:
    team = Team.create(name="a")
    with pytest.warns(UserWarning, match=r"has expired already.*ttl=None means"):
        api(team.save, ttl=ttl)
    with pytest.warns(UserWarning, match="has expired already"):
        api(Team.create, name="b", ttl=ttl)
    assert api(Team.query.count) == 0
    # What is worked out may well be over.
    api(Team.create, name="c", ttl=datetime.timedelta(seconds=-1))
    api(Team.create, name="d", expire_at=datetime.datetime.now() - datetime.timedelta(days=1))


def test_keywords_of_other_calls(api: Api) -> None:
    for keyword in ("overwrite", "pipeline", "defaults"):
        with pytest.warns(UserWarning, match=f"'{keyword}' is a keyword of other calls"):
            Team(name="a", **{keyword: None})


def test_one_text_is_not_several(api: Api) -> None:
    Memory.create(name="one")
    field: Any = Memory.words
    with pytest.warns(UserWarning, match="each of its letters is looked for"):
        found = api(field.might_exist_batch, Memory, "one")
    assert set(found) == set("one")


async def test_reads_are_noted_of_a_record() -> None:
    given: Any = [Memory.create(name="one")]
    with pytest.raises(TypeError, match=r"on_read\(\) takes a record"):
        ObservationProtocol.on_read(given)
    with pytest.raises(TypeError, match=r"on_read\(\) takes a record"):
        await ObservationProtocol.async_on_read(given)
    ObservationProtocol.on_read(Team.create(name="a"))


def test_a_record_is_no_subject_of_texts(api: Api) -> None:
    class Person(Model):
        name = KeyField()

        class Meta:
            subject = "name"

    person = Person.create(name="ann")
    with pytest.raises(ModelException, match="give the value that tells whose"):
        api(Person.erase, name=person)
    with pytest.raises(ModelException, match="nothing was removed"):
        erase(person, [Person])
    assert Person.query.count() == 1


def test_twins_have_other_names_than_in_django() -> None:
    query: Any = Team.query
    model: Any = Team
    for slip, told in (
        (lambda: query.aget, r"async_get\(\)"),
        (lambda: query.filter().afirst, r"async_first\(\)"),
        (lambda: model.acreate, r"Team\.async_create\(\)"),
    ):
        with pytest.raises(AttributeError, match=told):
            slip()
    with pytest.raises(AttributeError, match=r"has no attribute 'anothing'$"):
        _ = model.anothing
