"""When a vector is made, and what becomes of it as its record is written, moved and deleted."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
import redis

from popoto import ContentField, EmbeddingField, KeyField, Model, ModelException, StringField
from popoto.embeddings.default import set_default_provider
from popoto.exceptions import VectorMismatchError
from tests.driver import Api
from tests.vectors.provider import TABLE, Known


def names(api: Api, model: Any, question: str, **more: Any) -> list[str]:
    found: list[Any] = api(model.query.semantic_search, question, **more)
    return [each.name for each in found]


def test_a_save_embeds_the_text_and_the_value_is_the_number_of_dimensions(
    api: Api, note: Any, provider: Known
) -> None:
    saved = api(note.create, name="a", text="a")
    assert saved.vector == 3
    assert provider.calls == [(["a"], "document")]
    assert vars(api(note.query.get, name="a"))["vector"] == 3


def test_an_unchanged_text_is_not_embedded_again(api: Api, note: Any, provider: Known) -> None:
    saved = api(note.create, name="a", text="a")
    saved.rank = 7
    api(saved.save)
    loaded = api(note.query.get, name="a")
    api(loaded.save)
    assert provider.texts == ["a"]
    loaded.text = "b"
    api(loaded.save)
    assert provider.texts == ["a", "b"]
    assert names(api, note, "right") == []


def test_bulk_writes_ask_for_many_texts_at_a_time_and_each_text_once(
    api: Api, note: Any, provider: Known
) -> None:
    provider.size = 3
    api(note.bulk_create, [note(name=str(n), text="abcd~a"[n]) for n in range(6)])
    assert [texts for texts, _ in provider.calls] == [["a", "b", "c"], ["d", "~"]]
    assert names(api, note, "right") == ["5", "0", "4"]


def test_a_text_that_is_cleared_is_not_found_any_more(api: Api, note: Any) -> None:
    saved = api(note.create, name="a", text="a")
    for empty in (None, ""):
        saved.text = "a"
        api(saved.save)
        assert names(api, note, "right") == ["a"]
        saved.text = empty
        api(saved.save)
        assert saved.vector is None
        assert api(note.query.get, name="a").vector is None
        assert names(api, note, "right") == []


def test_a_record_that_moves_takes_its_vector_along(
    api: Api, note: Any, provider: Known, redis_client: redis.Redis
) -> None:
    saved = api(note.create, name="a", text="a")
    saved.name = "z"
    api(saved.save, migrate_key=True)
    assert provider.texts == ["a"]
    (found,) = api(note.query.semantic_search, "right")
    assert (found.name, found.vector, found.text) == ("z", 3, "a")
    assert not redis_client.exists("Note:a")


def test_a_deleted_record_leaves_no_vector(api: Api, note: Any, redis_client: redis.Redis) -> None:
    for name in "abcd":
        api(note.create, name=name, text=name)
    api(api(note.query.get, name="a").delete)
    assert names(api, note, "up") == ["b"]
    api(note.query.filter(name="b").delete)
    assert names(api, note, "up") == []
    api(note.delete_all)
    assert EmbeddingField.load_embeddings(note) == (None, [])
    assert redis_client.keys("*") == []


def test_a_record_made_anew_without_text_does_not_inherit_a_vector(
    api: Api, note: Any, redis_client: redis.Redis
) -> None:
    for looks_meanwhile in (True, False):
        api(note.create, name="a", text="a")
        assert names(api, note, "right") == ["a"]
        redis_client.delete("Note:a")
        if looks_meanwhile:
            assert names(api, note, "right") == []
        api(note.create, name="a", text=None)
        assert names(api, note, "right") == []
        api(note.delete_all)


def test_a_new_instance_that_replaces_a_record_clears_its_vector(api: Api, note: Any) -> None:
    api(note.create, name="a", text="a")
    api(note(name="a", text=None).save)
    assert names(api, note, "right") == []


def test_partial_saves_embed_where_they_name_the_field(
    api: Api, note: Any, provider: Known
) -> None:
    saved = api(note.create, name="a", text="b")
    saved.text = "a"
    api(saved.save, update_fields=["text"])
    assert provider.texts == ["b"]
    api(saved.save, update_fields=["vector"])
    assert provider.texts == ["b", "a"]
    assert names(api, note, "right") == ["a"]


def test_what_a_partial_save_has_left_out_is_made_later(
    api: Api, note: Any, provider: Known
) -> None:
    saved = api(note.create, name="a", text="b")
    saved.text = "a"
    api(saved.save, update_fields=["text"])
    assert api(note.embed_missing) == 1
    assert names(api, note, "right") == ["a"]
    assert api(note.embed_missing) == 0


def test_a_text_that_a_partial_save_has_cleared_loses_its_vector_later(
    api: Api, note: Any, redis_client: redis.Redis
) -> None:
    saved = api(note.create, name="a", text="a")
    saved.text = None
    api(saved.save, update_fields=["text"])
    assert api(note.embed_missing) == 0
    assert names(api, note, "right") == []
    assert api(note.query.get, name="a").vector is None
    assert not redis_client.exists("$EmbeddingF:Note:vector:missing")


def test_a_record_made_anew_while_nobody_embeds_does_not_inherit_a_vector(
    api: Api, store: Any, provider: Known, redis_client: redis.Redis
) -> None:
    class Served(Model):
        name = KeyField()
        text = StringField()
        vector = EmbeddingField(source="text", store="server")

    set_default_provider(provider)
    api(Served.create, name="a", text="a")
    assert names(api, Served, "right") == ["a"]
    redis_client.delete("Served:a")
    set_default_provider(None)
    api(Served.create, name="a", text="b")
    set_default_provider(provider)
    assert names(api, Served, "up") == []
    assert api(Served.embed_missing) == 1
    assert names(api, Served, "up") == ["a"]


def test_a_text_that_changes_while_vectors_are_caught_up_with_keeps_its_own(
    api: Api, note: Any, provider: Known
) -> None:
    saved = api(note.create, name="a", text="a")
    saved.text = "c"
    api(saved.save, update_fields=["text"])

    class Meanwhile(Known):
        def embed(self, texts: list[str], input_type: str | None = None) -> list[list[float]]:
            if texts == ["c"]:
                note.vector._provider = provider
                other = note.query.get(name="a")
                other.text = "b"
                other.save()
            return super().embed(texts, input_type)

    note.vector._provider = Meanwhile(TABLE)
    assert api(note.embed_missing) == 0
    assert api(note.query.get, name="a").text == "b"
    assert [each._similarity_score for each in api(note.query.semantic_search, "b")] == [1.0]


def test_nothing_is_embedded_without_provider_source_or_wish(api: Api) -> None:
    class Loose(Model):
        name = KeyField()
        text = StringField()
        unwanted = EmbeddingField(source="text", auto_embed=False, provider=Known())
        without_source = EmbeddingField(provider=Known())
        without_provider = EmbeddingField(source="text")

    loose = api(Loose.create, name="a", text="a", unwanted=7)
    assert (loose.unwanted, loose.without_source, loose.without_provider) == (7, None, None)
    set_default_provider(Known(TABLE))
    assert api(Loose.embed_missing) == 1
    assert api(Loose.query.get, name="a").without_provider == 3


class Answering(Known):
    """Returns what it is told to, or what that makes of the texts."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def embed(self, texts: list[str], input_type: str | None = None) -> Any:
        return self.answer(texts) if callable(self.answer) else self.answer


@pytest.mark.parametrize("answer", [[], None, lambda texts: [None for _ in texts]])
def test_what_has_no_vector_is_saved_without_one_told_of_and_marked(
    api: Api, note: Any, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    note.create(name="b", text="b")
    note.vector._provider = Answering(answer)
    assert api(note.create, name="a", text="a").vector is None
    (told,) = caplog.messages
    assert "Note.vector: Answering returned no vector for 1 of 1 texts" in told
    assert "embed_missing() makes it" in told
    with pytest.raises(RuntimeError, match=r"Answering returned no vector.*nothing was searched"):
        api(note.query.semantic_search, "up")
    note.vector._provider = Known(TABLE)
    assert api(note.embed_missing) == 1


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ([[1, 2, 3]] * 3, "Answering returned 3 vectors for 2 texts"),
        ([[1, 2, 3]], "Answering returned 1 vectors for 2 texts"),
        ([1.0, 2.0], "Answering returned one vector; a list of vectors, one for each text"),
        ("ab", "Answering returned 'ab'; a list of vectors"),
        ({"data": [[1, 2, 3]]}, r"Answering returned \{'data': .*; a list of vectors"),
        (5, "Answering returned 5; a list of vectors"),
        (lambda texts: asyncio.sleep(0), "Answering has an async embed.*async_embed"),
        ([[1, math.nan, 2]] * 2, ".*not finite"),
        ([[1, math.inf, 2]] * 2, ".*not finite"),
        ([["x"]] * 2, "no vector of numbers"),
    ],
)
def test_what_is_no_list_of_vectors_is_refused_by_name(
    api: Api, note: Any, answer: Any, told: str
) -> None:
    note.vector._provider = Answering(answer)
    note.vector.on_failure = "raise"
    notes = [note(name="a", text="a"), note(name="b", text="b")]
    with pytest.raises(RuntimeError, match=f"vector of Note: {told}.*nothing was written"):
        api(note.bulk_create, notes)
    assert note.query.count() == 0


def test_any_iterable_of_vectors_will_do(api: Api, note: Any) -> None:
    note.vector._provider = Answering(lambda texts: ([1, 0, 0] for _ in texts))
    assert api(note.create, name="a", text="a").vector == 3
    assert [each.name for each in api(note.query.semantic_search, "up")] == ["a"]


def test_a_failing_provider_of_vectors_in_files_refuses_the_save(api: Api, provider: Known) -> None:
    class Filed(Model):
        name = KeyField()
        text = StringField()
        vector = EmbeddingField(source="text", provider=provider)

    provider.error = ConnectionError("no route")
    with pytest.raises(
        RuntimeError, match=r"Embedding provider failed for vector of \w+: no route"
    ):
        api(Filed.create, name="a", text="a")
    assert api(Filed.query.get, name="a") is None


def test_a_failing_provider_of_vectors_on_the_server_loses_no_record(
    api: Api, provider: Known, caplog: pytest.LogCaptureFixture
) -> None:
    class Served(Model):
        name = KeyField()
        text = StringField()
        vector = EmbeddingField(source="text", provider=provider, store="server")

    api(Served.create, name="b", text="b")
    provider.error = ConnectionError("no route")
    api(Served.create, name="a", text="a")
    changed = api(Served.query.get, name="b")
    changed.text = "a"
    api(changed.save)
    assert changed.vector is None
    assert "no route" in caplog.text
    with pytest.raises(RuntimeError, match="no route"):
        api(Served.embed_missing)
    provider.error = None
    assert names(api, Served, "up") == []
    assert api(Served.embed_missing) == 2
    assert sorted(names(api, Served, "right")) == ["a", "b"]


def test_a_vector_of_another_length_than_told_refuses_the_save(api: Api, note: Any) -> None:
    note.vector._provider = Known({"a": (1, 2)}, dimensions=5)
    with pytest.raises(ValueError, match=r"2 dimensions.*5"):
        api(note.create, name="a", text="a")
    assert api(note.query.get, name="a") is None


def test_arrays_are_vectors_too(api: Api, note: Any) -> None:
    import numpy as np

    class Arrays(Known):
        def embed(self, texts: list[str], input_type: str | None = None) -> Any:
            return np.array(super().embed(texts, input_type), dtype=np.float64)

    note.vector._provider = Arrays(TABLE)
    api(note.create, name="a", text="a")
    assert names(api, note, "right") == ["a"]


@pytest.mark.parametrize("body_first", [True, False])
def test_the_source_may_be_content(api: Api, provider: Known, store: Any, body_first: bool) -> None:
    vector = EmbeddingField(source="body", provider=provider, store=store)
    fields = {"body": ContentField(), "vector": vector}
    order = list(fields) if body_first else list(reversed(fields))
    space = {"name": KeyField(), "__module__": __name__, **{each: fields[each] for each in order}}
    Paper: Any = type("Paper", (Model,), space)
    api(Paper.create, name="a", body="a")
    loaded = api(Paper.query.get, name="a")
    api(loaded.save)
    assert provider.texts == ["a"]
    loaded.body = "b"
    api(loaded.save)
    api(loaded.save, update_fields=["vector"])
    assert provider.texts == ["a", "b", "b"]
    assert names(api, Paper, "up") == ["a"]


def test_two_fields_have_vectors_of_their_own(api: Api, store: Any) -> None:
    first, second = Known(TABLE), Known(TABLE)

    class Both(Model):
        name = KeyField()
        text = StringField()
        title = StringField()
        one = EmbeddingField(source="text", provider=first, store=store)
        two = EmbeddingField(source="title", provider=second, store=store)

    api(Both.create, name="x", text="a", title="c")
    assert names(api, Both, "right") == ["x"]
    assert api(Both.reembed) == 0
    both = api(Both.query.get, name="x")
    both.title = "b"
    api(both.save)
    assert names(api, Both, "right") == ["x"]
    assert (first.texts, second.texts) == (["a"], ["c", "b"])


def test_vectors_of_another_model_are_refused_until_all_are_made_anew(
    api: Api, note: Any, store: str
) -> None:
    note.vector._provider = Known(TABLE, name="old")
    for name in "ab":
        api(note.create, name=name, text=name)
    note.vector._provider = new = Known({"a": (1, 0), "right": (1, 0)}, name="new", dimensions=2)
    with pytest.raises(VectorMismatchError, match=r"old.*new.*reembed"):
        api(note.query.semantic_search, "right")
    with pytest.raises(VectorMismatchError, match=r"old.*new.*reembed"):
        api(note.create, name="c", text="c")
    assert api(note.query.get, name="c") is None
    assert api(note.reembed) == 2
    assert names(api, note, "right") == ["a", "b"]
    assert api(note.query.get, name="a").vector == 2
    assert sorted(new.texts) == ["a", "b", "c"]


def test_an_interrupted_reembedding_is_taken_up_again(api: Api, note: Any) -> None:
    for number in range(6):
        api(note.create, name=str(number), text=f"text {number}")

    class Tires(Known):
        def embed(self, texts: list[str], input_type: str | None = None) -> list[list[float]]:
            if len(self.calls) == 2:
                self.calls.append(([], None))
                raise ConnectionError("tired")
            return super().embed(texts, input_type)

    note.vector._provider = tired = Tires(dimensions=4, name="new")
    with pytest.raises(RuntimeError, match="tired"):
        api(note.reembed, batch_size=2)
    assert api(note.reembed, batch_size=2) == 2
    assert sorted(tired.texts) == [f"text {number}" for number in range(6)]
    assert len(names(api, note, "any")) == 6


def test_catching_up_needs_a_field_and_a_provider(api: Api) -> None:
    class Bare(Model):
        name = KeyField()

    class Idle(Model):
        name = KeyField()
        text = StringField()
        vector = EmbeddingField(source="text")

    with pytest.raises(ModelException, match="no EmbeddingField"):
        api(Bare.embed_missing)
    with pytest.raises(ModelException, match="no embedding provider"):
        api(Idle.reembed)


@pytest.mark.parametrize(
    "options",
    [{"store": "cloud"}, {"precision": "int8"}, {"on_failure": "shrug"}],
)
def test_settings_that_cannot_work_are_refused(options: Any) -> None:
    with pytest.raises(ModelException, match="EmbeddingField"):
        EmbeddingField(source="text", **options)


def test_without_numpy_the_field_names_the_extra(
    note: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from popoto.fields import embedding_field

    monkeypatch.setattr(embedding_field, "_numpy_available", False)
    with pytest.raises(ImportError, match=r"popoto\[embeddings\]"):
        EmbeddingField(source="text")
    assert EmbeddingField.load_embeddings(note) == (None, [])
