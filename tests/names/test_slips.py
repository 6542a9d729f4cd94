"""What a class body says and nothing reads: hooks, settings of mixins, options, sources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest

import popoto
from popoto import (
    AccessTrackerMixin,
    AutoKeyField,
    BM25Field,
    CoOccurrenceField,
    DatetimeField,
    EmbeddingField,
    EventStreamMixin,
    Field,
    IntField,
    KeyField,
    ListField,
    Model,
    ModelException,
    Relationship,
    SortedField,
    StringField,
    WriteFilterMixin,
)
from popoto.exceptions import UnknownNameError, ValidationError
from tests.driver import Api


def made(*bases: type, **body: Any) -> Any:
    """A model with a key and what else is in its body."""
    names = {"__module__": __name__, "name": KeyField(), **body}
    return type(Model)("Box", (*bases, Model), names)


def act(self: Any, **options: Any) -> Any:
    return None


@pytest.fixture
def strict_process() -> Iterator[None]:
    popoto.configure(strict=True)
    yield
    popoto.configure(strict=False)


# Hooks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("pre_sav", "pre_save"),
        ("presave", "pre_save"),
        ("isvalid", "is_valid"),
        ("compute_filter_scor", "compute_filter_score"),
    ],
)
def test_a_misspelt_hook_is_told_of(wrong: str, right: str) -> None:
    with pytest.warns(UserWarning, match=rf"Box\.{wrong}\(\).*did you mean '{right}'"):
        made(WriteFilterMixin, **{wrong: act})


@pytest.mark.parametrize("name", ["post_save", "on_saved", "pre_delete", "async_pre_save"])
def test_a_hook_of_other_libraries_is_told_of(name: str) -> None:
    with pytest.warns(UserWarning, match=rf"Box\.{name}\(\): popoto calls no method of this name"):
        made(**{name: act})


def test_a_hook_that_the_class_calls_itself_is_none_of_our_business(
    recwarn: pytest.WarningsRecorder,
) -> None:
    class Box(Model):
        name = KeyField()

        def save(self, *arguments: Any, **options: Any) -> Any:
            found = super().save(*arguments, **options)
            self.post_save()
            return found

        def post_save(self) -> None:
            self.is_told = True

        def is_invalid(self) -> bool:
            return False

    assert not recwarn.list


@pytest.mark.parametrize("name", ["pre_save", "is_valid", "save", "delete"])
def test_a_hook_that_nobody_would_await_is_refused(name: str) -> None:
    async def hook(self: Any, **options: Any) -> bool:
        return True

    with pytest.raises(ModelException, match=rf"Box\.{name} is called by plain code"):
        made(**{name: hook})


# Settings ----------------------------------------------------------------------------------------


def test_a_setting_of_a_mixin_that_is_no_base_is_told_of() -> None:
    with pytest.warns(UserWarning, match=r"_stream_name is read by EventStreamMixin alone"):
        made(_stream_name="boxes")
    with pytest.warns(UserWarning, match=r"compute_filter_score is read by WriteFilterMixin alone"):
        made(compute_filter_score=act)


def test_a_misspelt_setting_is_told_of() -> None:
    with pytest.warns(UserWarning, match=r"_track_read .*did you mean '_track_reads'"):
        made(AccessTrackerMixin, _track_read=False)
    with pytest.warns(UserWarning, match=r"_stream_nme .*did you mean '_stream_name'"):
        made(EventStreamMixin, _stream_nme="boxes")


def test_events_that_lack_what_they_are_to_tell_are_told_of() -> None:
    with pytest.warns(UserWarning, match=r"_stream_metadata_fields names 'nmae'.*'name'"):
        made(EventStreamMixin, _stream_metadata_fields=("nmae",))


def test_a_time_to_live_of_the_class_is_told_of() -> None:
    with pytest.warns(UserWarning, match=r"Box\._ttl .*use Meta\.ttl"):
        made(_ttl=60)


@pytest.mark.parametrize("name", ["Mata", "Config", "Metadata"])
def test_options_in_a_class_of_another_name_are_told_of(name: str) -> None:
    with pytest.warns(UserWarning, match=rf"Box\.{name}: options go into a class named Meta"):
        made(**{name: type(name, (), {"ttl": 60})})


def test_an_option_without_a_value_is_told_of() -> None:
    class Meta:
        ttl: int

    with pytest.warns(UserWarning, match=r"Meta\.ttl has an annotation and no value"):
        made(Meta=Meta)


def test_options_of_no_effect_are_told_of() -> None:
    with pytest.warns(UserWarning, match=r"Meta\._ttl has no effect; did you mean 'ttl'"):
        made(Meta=type("Meta", (), {"_ttl": 60}))
    with pytest.warns(UserWarning, match="replica_timeout has no effect without wait_for_replicas"):
        made(Meta=type("Meta", (), {"replica_timeout": 2}))


def test_abstract_is_true_or_false() -> None:
    with pytest.raises(ModelException, match=r"Meta\.abstract must be True or False, got 'no'"):
        made(Meta=type("Meta", (), {"abstract": "no"}))


def test_all_of_them_are_refused_where_unknown_names_are(strict_process: None) -> None:
    with pytest.raises(UnknownNameError, match="_stream_name"):
        made(_stream_name="boxes")
    with pytest.raises(UnknownNameError, match="replica_timeout"):
        made(Meta=type("Meta", (), {"replica_timeout": 2}))
    with pytest.raises(UnknownNameError, match="max_length"):
        IntField(max_length=3)


# Keywords of fields ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "remedy"),
    [
        (IntField, {"max_length": 3}, "it limits texts"),
        (Relationship, {"model": "Box", "max_length": 3}, "it limits texts"),
        (StringField, {"sorted": True}, "SortedField"),
        (StringField, {"auto": True}, "AutoKeyField"),
        (Field, {"value": "x"}, "default=…"),
        (AutoKeyField, {"default": "x"}, "a value of its own"),
        (CoOccurrenceField, {"default": "x"}, "it keeps no values"),
    ],
)
def test_a_keyword_that_does_nothing_is_told_of(
    kind: type[Field[Any]], options: dict[str, Any], remedy: str
) -> None:
    with pytest.warns(UserWarning, match=f"{kind.__name__}.* has no effect; .*{remedy}"):
        kind(**options)


@pytest.mark.parametrize("length", [0, -1, "3", True, 2.5])
def test_a_length_that_limits_nothing_is_refused(length: Any) -> None:
    for kind in (StringField, KeyField, ListField):
        with pytest.raises(ModelException, match="max_length"):
            kind(max_length=length)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (StringField, "null"),
        (StringField, "unique"),
        (StringField, "indexed"),
        (DatetimeField, "auto_now"),
        (SortedField, "auto_now_add"),
        (CoOccurrenceField, "symmetric"),
    ],
)
def test_a_flag_is_true_or_false(kind: type[Field[Any]], name: str) -> None:
    with pytest.raises(ModelException, match=f"{name} is True or False"):
        kind(**{name: "no"})


def test_an_index_of_a_field_that_there_is_not_is_told_of() -> None:
    with pytest.warns(UserWarning, match=r"Box\.words: its source 'txt' is no field.*'text'"):
        made(text=StringField(), words=BM25Field(source="txt"))
    with pytest.warns(UserWarning, match=r"Box\.vector: its source 'txt' is no field.*'text'"):
        made(text=StringField(), vector=EmbeddingField(source="txt"))
    with pytest.warns(UserWarning, match=r"Box\.vector: its source '' is no field"):
        made(text=StringField(), vector=EmbeddingField(source=""))


def test_what_cannot_embed_or_keep_texts_is_told_of() -> None:
    with pytest.warns(UserWarning, match="'openai' cannot embed"):
        EmbeddingField(source="text", provider="openai")
    with pytest.warns(UserWarning, match="5 cannot keep texts"):
        popoto.ContentField(store=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_settings_of_the_process_are_looked_at() -> None:
    wrong: Any = "no"
    for name in ("strict", "blocking_relationships"):
        with pytest.raises(ValueError, match=rf"configure\({name}=…\) must be True or False"):
            popoto.configure(**{name: wrong})
    try:
        with pytest.warns(UserWarning, match="'openai' cannot embed"):
            popoto.configure(embedding_provider=wrong and "openai")
        with pytest.warns(UserWarning, match="'s3' cannot keep texts"):
            popoto.configure(content_store="s3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    finally:
        popoto.fields.embedding_field.set_default_provider(None)
        popoto.fields.content_field.set_default_store(None)


# Annotations that name the values ----------------------------------------------------------------


class Light(Model):
    name = KeyField()
    colour: Literal["red", "green"] = "red"
    next: Literal["red", "green"] | None = None
    steps: Literal[1, 2] = IntField(default=1)  # type: ignore[assignment]


def test_a_value_that_a_literal_does_not_have_is_refused(api: Api) -> None:
    for wrong in ({"colour": "blue"}, {"next": "blue"}, {"steps": 3}):
        with pytest.raises(ValidationError, match="it is none of"):
            api(Light.create, name="a", **wrong)
    found = api(Light.create, name="a", colour="green", steps=2)
    found.colour = "blue"
    with pytest.raises(ValidationError, match="it is none of 'green', 'red'"):
        api(found.save)
    loaded = api(Light.query.get, name="a")
    assert loaded is not None
    assert (loaded.colour, loaded.next) == ("green", None)


def test_edges_have_no_value_of_their_own() -> None:
    class Linked(Model):
        name = KeyField()
        edges = CoOccurrenceField()

    with pytest.raises(ValidationError, match="it takes no value"):
        Linked(name="a", edges="Linked:b")
