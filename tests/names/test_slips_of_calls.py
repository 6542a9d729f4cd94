"""What callers say and nothing reads: attributes, settings, keys of outcomes, channels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import popoto
from popoto import (
    BM25Field,
    ConfidenceField,
    ContextAssembler,
    CoOccurrenceField,
    DecayingSortedField,
    Defaults,
    ExistenceFilter,
    GeoField,
    IntField,
    KeyField,
    Model,
    ModelException,
    ObservationProtocol,
    Publisher,
    Q,
    QueryException,
    StreamConsumer,
    StringField,
    Subscriber,
    SubscriberException,
)
from popoto.embeddings.abstract import AbstractEmbeddingProvider, check_provider
from popoto.exceptions import UnknownNameError
from popoto.stores.abstract import check_store
from popoto.stores.filesystem import FilesystemStore
from tests.driver import Api


class Note(Model):
    name = KeyField()
    title = StringField(default="")
    count = IntField(default=0)
    sure = ConfidenceField()
    decay = DecayingSortedField()
    edges = CoOccurrenceField()
    words = BM25Field(source="title")
    seen = ExistenceFilter()
    home = GeoField()
    _cache_of_text: str | None = None


class StrictNote(Model):
    name = KeyField()
    title = StringField(default="")

    class Meta:
        strict = True


@pytest.fixture
def strict_process() -> Iterator[None]:
    popoto.configure(strict=True)
    yield
    popoto.configure(strict=False)


# Attributes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("slip", ["titel", "ttile", "titlle", "itle"])
def test_a_save_tells_of_an_attribute_that_looks_like_a_field(api: Api, slip: str) -> None:
    note: Any = Note.create(name="a")
    setattr(note, slip, "x")
    if slip == "itle":  # a letter less, in a short name, is another word
        api(note.save)
        return
    for _ in range(2):
        with pytest.warns(UserWarning, match=f"attribute '{slip}'.*did you mean 'title'"):
            api(note.save)


def test_a_strict_model_refuses_it_and_writes_nothing(api: Api) -> None:
    note: Any = StrictNote.create(name="a")
    note.title, note.titel = "new", "x"
    with pytest.raises(UnknownNameError, match="did you mean 'title'"):
        api(note.save)
    loaded = StrictNote.query.get(name="a")
    assert loaded is not None
    assert loaded.title == ""


def test_attributes_of_other_names_are_free(api: Api) -> None:
    note: Any = Note.create(name="a")
    note.titles, note.title2, note.publisher, note._titel = ["x"], "x", object(), 1
    note._cache_of_text = "x"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        api(note.save)


def test_what_the_constructor_has_told_is_not_told_again() -> None:
    with pytest.warns(UserWarning, match="titel"):
        note: Any = Note(name="a", titel="x")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        note.save()


# Conditions and orders ---------------------------------------------------------------------------


def test_a_q_is_true_if_it_has_conditions_as_in_django() -> None:
    assert not Q()
    assert not Q() & Q()
    assert Q(name="a")
    assert ~Q(name="a")
    assert Q(name="a") | Q(count=1)


@pytest.mark.parametrize("name", ["edges", "words", "seen"])
def test_no_order_follows_from_a_field_without_values(api: Api, name: str) -> None:
    with pytest.raises(QueryException, match=f"Note.{name} cannot be ordered by"):
        api(Note.query.order_by(name).all)


def test_one_centre_is_given_and_not_two(api: Api) -> None:
    note = Note.create(name="a", home=(1, 1))
    for wrong in (
        {"home": (1, 1), "home_member": note},
        {"home_latitude": 1, "home_member": note},
        {"home": (1, 1), "home_latitude": 1, "home_longitude": 2},
    ):
        with pytest.raises(QueryException, match="not more than one of them"):
            api(Note.query.filter(**wrong).all)


def test_a_base_score_that_there_is_not_is_told_of(api: Api) -> None:
    with pytest.warns(UserWarning, match=r"base_score_field='cuont' is no field.*'count'"):
        api(Note.query.top_by_decay, "decay", base_score_field="cuont")


def test_related_records_are_named(api: Api) -> None:
    with pytest.raises(QueryException, match="select_related needs the relationships"):
        api(Note.query.select_related().all)


@pytest.mark.parametrize("name", ["auther", "auther__name", "name"])
def test_related_records_that_there_are_not_are_told_of_however_little_is_found(
    api: Api, name: str
) -> None:
    for found in (Note.query, Note.query.filter(name="x").limit(0)):
        with pytest.raises(QueryException, match=r"has no Relationship '(auther|name)'"):
            api(found.select_related(name).all)


def test_names_are_given_as_names(api: Api) -> None:
    note = api(Note.create, name="a")
    with pytest.raises(ModelException, match=r"Note.refresh\(fields='name'\): give a list"):
        api(note.refresh, "name")
    for call in (Note.query.only, Note.query.values, Note.query.values_list):
        wrong: Any = call
        with pytest.raises(QueryException, match=r"names \['name'\], which is no field"):
            api(wrong(["name"]).all)


# Dicts -------------------------------------------------------------------------------------------


def test_to_dict_tells_of_names_that_are_no_fields() -> None:
    note = Note(name="a", title="x")
    with pytest.warns(UserWarning, match="no field 'titel'; did you mean 'title'"):
        assert note.to_dict(include=["name", "titel"]) == {"name": "a"}
    with pytest.warns(UserWarning, match="no field 'titel'"):
        note.to_dict(exclude=["titel"])
    with pytest.raises(UnknownNameError, match="no field 'titel'"):
        StrictNote(name="a").to_dict(include=["titel"])


def test_to_dict_takes_several_names_and_no_text() -> None:
    for keyword in ("include", "exclude"):
        wrong: Any = {keyword: "name"}
        with pytest.raises(ModelException, match="give a list of names"):
            Note(name="a").to_dict(**wrong)


# Memory ------------------------------------------------------------------------------------------


def observe(api: Api, notes: list[Note], outcomes: dict[Any, str]) -> None:
    if api.is_async:
        api.run(ObservationProtocol.async_on_context_used(notes, outcomes))
    else:
        ObservationProtocol.on_context_used(notes, outcomes)


def test_outcomes_are_those_of_record_keys_or_of_records(api: Api) -> None:
    one, two, three = (Note.create(name=name) for name in "abc")
    outcomes: Any = {one: "acted", two.pk.encode(): "acted", three.pk: "acted"}
    observe(api, [one, two, three], outcomes)
    sure = [ConfidenceField.get_confidence(note, "sure") for note in (one, two, three)]
    assert sure == [0.9, 0.9, 0.9]


@pytest.mark.parametrize("key", ["a", 5, ("Note", "a")])
def test_an_outcome_of_no_such_record_is_told_of(api: Api, key: Any) -> None:
    note = Note.create(name="a")
    with pytest.warns(UserWarning, match=r"is the key of no record of Note.*use record\.pk"):
        observe(api, [note], {key: "acted"})
    assert ConfidenceField.get_confidence(note, "sure") == 0.5


def test_one_map_of_outcomes_may_serve_several_models(api: Api) -> None:
    note = Note.create(name="a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        observe(api, [note], {note.pk: "acted", "Other:a": "used", "Note:gone": "acted"})
    assert ConfidenceField.get_confidence(note, "sure") == 0.9


def test_seeds_are_several_keys_and_edges_lead_from_key_to_key(api: Api) -> None:
    edges = Note.edges
    with pytest.raises(TypeError, match="propagate\\(\\) takes several keys"):
        api(edges.propagate, Note, "Note:a")
    wrong: Any = 1.5
    with pytest.raises(TypeError, match="whole number of hops"):
        api(edges.propagate, Note, ["Note:a"], depth=wrong)
    with pytest.raises(ValueError, match="got None"):
        api(edges.link, Note, None, "Note:a")


def test_a_default_that_there_is_not_is_told_of() -> None:
    settings: Any = Defaults
    with pytest.warns(UserWarning, match="Defaults has no 'DECAY_RAET'.*'DECAY_RATE'"):
        settings.DECAY_RAET = 0.3
    del settings.DECAY_RAET


def test_a_default_that_there_is_not_is_refused_where_names_are(strict_process: None) -> None:
    settings: Any = Defaults
    with pytest.raises(UnknownNameError, match="DECAY_RAET"):
        settings.DECAY_RAET = 0.3
    assert not hasattr(settings, "DECAY_RAET")


def test_an_assembler_tells_of_weights_and_formats_that_there_are_not() -> None:
    with pytest.warns(UserWarning, match="Note has no 'decya'; did you mean 'decay'"):
        ContextAssembler(Note, {"decya": 1.0})
    with pytest.warns(UserWarning, match="output_format='jsn'.* the text is structured"):
        ContextAssembler(Note, {"decay": 1.0}, output_format="jsn")
    with pytest.warns(UserWarning, match="formats are structured, xml, natural, content$"):
        ContextAssembler(Note, {"decay": 1.0}, output_format="yaml")
    with pytest.raises(UnknownNameError, match="titel"):
        ContextAssembler(StrictNote, {"titel": 1.0})


# Messages ----------------------------------------------------------------------------------------


def test_a_subscriber_tells_of_names_that_it_does_not_read() -> None:
    with pytest.warns(UserWarning, match=r"sub_chanel_names: nothing reads it.*sub_channel_names"):

        class Deaf(Subscriber):
            sub_chanel_names = ("news",)

    with pytest.warns(UserWarning, match=r"pre_handel: nothing reads it.*'pre_handle'"):

        class Mute(Subscriber):
            def pre_handel(self, channel: str, data: Any) -> None:
                return None

    with pytest.warns(UserWarning, match=r"Deaf\(channel=…\): a Subscriber takes no such keyword"):
        Deaf(channel="news").close()


def test_channels_are_a_list_of_names() -> None:
    for name in ("sub_channel_names", "sub_channel_patterns"):
        with pytest.raises(SubscriberException, match=f"{name} must be a list"):
            type("Heard", (Subscriber,), {name: "news"})()


def test_a_consumer_has_a_handler_that_can_be_called() -> None:
    wrong: Any = None
    with pytest.raises(TypeError, match="end among the dead letters"):
        StreamConsumer("stream:notes", "group", "one", wrong)


def test_a_publisher_tells_of_keywords_that_it_does_not_take() -> None:
    with pytest.warns(UserWarning, match=r"Publisher\(chanel_name=…\).*no effect"):
        Publisher(chanel_name="news")


# Classes in the place of objects --------------------------------------------------------------


class Vectors(AbstractEmbeddingProvider):
    dimensions = 1

    def embed(self, texts: list[str], input_type: str | None = None) -> list[list[float]]:
        return [[1.0] for _ in texts]


class OneForAll:
    @staticmethod
    def embed(texts: list[str], input_type: str | None = None) -> list[list[float]]:
        return [[1.0] for _ in texts]


def test_a_class_in_the_place_of_a_provider_or_a_store_is_told_of() -> None:
    with pytest.warns(UserWarning, match=r"embedding_provider=….*is a class; give one of its inst"):
        check_provider(Vectors, "configure(embedding_provider=…)")
    with pytest.warns(UserWarning, match=r"content_store=….*is a class; give one of its inst"):
        check_store(FilesystemStore, "configure(content_store=…)")
    check_provider(OneForAll, "here")
    check_store(FilesystemStore("unused"), "here")
