"""Hooks of user-defined fields: when they are called, with what, and what they may do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from operator import attrgetter
from typing import Any

import pytest
import redis

from popoto import (
    BM25Field,
    ExistenceFilter,
    Field,
    FrequencySketch,
    GeoField,
    IndexedField,
    KeyField,
    Model,
    ModelException,
    StringField,
)
from popoto.models.db_key import DB_key
from tests.driver import Api, RoundTrips

calls: list[tuple[str, dict[str, Any]]] = []


class Counted(Field):
    """Keeps a set of lengths beside the record, with hooks as the documentation shows them."""

    @classmethod
    def is_valid(cls, field: Any, value: Any, null_check: bool = True, **kwargs: Any) -> bool:
        calls.append(("is_valid", {"value": value, "null_check": null_check}))
        return super().is_valid(field, value, null_check, **kwargs) and value != "forbidden"

    def format_value_pre_save(self, field_value: Any, **kwargs: Any) -> Any:
        calls.append(("format_value_pre_save", {"value": field_value, **kwargs}))
        return field_value.strip() if field_value else field_value

    @classmethod
    def on_save(
        cls,
        model_instance: Any,
        field_name: str,
        field_value: Any,
        pipeline: Any = None,
        **kwargs: Any,
    ) -> Any:
        calls.append(
            (
                "on_save",
                {
                    "name": field_name,
                    "value": field_value,
                    "key": str(model_instance.db_key),
                    "old": model_instance._saved_field_values.get(field_name),
                    "is_pipeline": isinstance(pipeline, redis.client.Pipeline),
                    **kwargs,
                },
            )
        )
        if field_value == "explode":
            raise RuntimeError("hook failed")
        key = cls.get_special_use_field_db_key(model_instance, field_name)
        if pipeline:
            return pipeline.sadd(key.redis_key, str(model_instance.db_key)).expire(
                key.redis_key, 99
            )
        return None

    @classmethod
    def on_delete(
        cls,
        model_instance: Any,
        field_name: str,
        field_value: Any,
        pipeline: Any = None,
        **kwargs: Any,
    ) -> Any:
        calls.append(("on_delete", {"name": field_name, "value": field_value, **kwargs}))
        key = cls.get_special_use_field_db_key(model_instance, field_name)
        return pipeline.srem(key.redis_key, str(kwargs["saved_redis_key"])) if pipeline else None

    def get_filter_query_params(self, field_name: str) -> set[str]:
        return {f"{field_name}__longer"}

    @classmethod
    def filter_query(cls, model: Any, field_name: str, **params: Any) -> Any:
        calls.append(("filter_query", params))
        return [b"Doc:b", b"Doc:a"]


class Doc(Model):
    name = KeyField()
    body = Counted()
    kind = IndexedField()
    spot = GeoField()


SET = "$CountF:Doc:body"


@pytest.fixture(autouse=True)
def no_calls() -> Iterator[None]:
    calls.clear()
    yield
    calls.clear()


def named(name: str) -> list[dict[str, Any]]:
    return [arguments for called, arguments in calls if called == name]


def test_the_hooks_of_a_save(api: Api, redis_client: redis.Redis) -> None:
    assert Counted.field_class_key == DB_key("$CountF") or str(Counted.field_class_key) == "$CountF"
    doc = Doc(name="a", body=" text ", kind="x")
    calls.clear()
    api(doc.save, skip_auto_now=True, reason="why")
    assert [name for name, _ in calls] == ["is_valid", "format_value_pre_save", "on_save"]
    assert named("is_valid") == [{"value": " text ", "null_check": True}]
    assert named("format_value_pre_save") == [{"value": " text ", "skip_auto_now": True}]
    assert named("on_save") == [
        {"name": "body", "value": "text", "key": "Doc:a", "old": None, "is_pipeline": True,
         "ignore_errors": False, "reason": "why"}
    ]  # fmt: skip
    assert doc.body == "text"
    assert api(Doc.query.get, name="a").body == "text"
    assert redis_client.smembers(SET) == {b"Doc:a"}
    assert redis_client.ttl(SET) > 0


def test_a_field_may_refuse_a_value(api: Api) -> None:
    with pytest.raises(ModelException):
        Doc(name="a", body="forbidden")
    doc = Doc(name="a")
    doc.body = "forbidden"
    with pytest.raises(ModelException, match="invalid"):
        api(doc.save)


def test_a_partial_save_calls_hooks_of_listed_fields_only(api: Api) -> None:
    doc = api(Doc.create, name="a", body="b", kind="x")
    calls.clear()
    doc.kind = "y"
    api(doc.save, update_fields=["kind"])
    assert calls == []
    doc.body = "c"
    api(doc.save, update_fields=["body"])
    assert [(each["value"], each["old"]) for each in named("on_save")] == [("c", "b")]


def test_the_hooks_of_a_delete(api: Api, redis_client: redis.Redis) -> None:
    api(Doc.create, name="a", body="b")
    (doc,) = api(Doc.query.all)
    doc.body = "unsaved"
    calls.clear()
    api(doc.delete, reason="why")
    assert calls == [
        ("on_delete", {"name": "body", "value": "b", "saved_redis_key": "Doc:a", "reason": "why"})
    ]
    assert redis_client.keys("*") == []


def test_the_hooks_of_a_migration(api: Api, redis_client: redis.Redis) -> None:
    doc = api(Doc.create, name="a", body="b")
    doc.name, doc.body = "z", "c"
    calls.clear()
    api(doc.save, migrate_key=True)
    assert [name for name, _ in calls if name.startswith("on_")] == ["on_delete", "on_save"]
    assert named("on_delete") == [{"name": "body", "value": "b", "saved_redis_key": "Doc:a"}]
    (saved,) = named("on_save")
    assert (saved["key"], saved["value"]) == ("Doc:z", "c")
    assert redis_client.smembers(SET) == {b"Doc:z"}


def test_an_exception_in_a_hook_aborts_with_nothing_written(
    api: Api, redis_client: redis.Redis
) -> None:
    with pytest.raises(RuntimeError, match="hook failed"):
        api(Doc(name="a", body="explode").save)
    assert redis_client.keys("*") == []


def test_hooks_under_a_pipeline_of_the_caller(api: Api, redis_client: redis.Redis) -> None:
    if api.is_async:
        return
    pipeline = redis_client.pipeline()
    api(Doc(name="a", body="b").save, pipeline)
    assert redis_client.exists(SET) == 0
    pipeline.execute()
    assert redis_client.smembers(SET) == {b"Doc:a"}


def test_a_hook_may_return_nothing(api: Api) -> None:
    class Silent(Field):
        @classmethod
        def on_save(cls, model_instance: Any, field_name: str, *args: Any, **kwargs: Any) -> None:
            kwargs["pipeline"].incr("$Silent:Quiet")

    class Quiet(Model):
        name = KeyField()
        text = Silent()

    api(Quiet.create, name="a", text="t")
    assert api(Quiet.query.get, name="a").text == "t"


def test_lookups_of_a_field_of_ones_own(api: Api) -> None:
    for name in ("a", "b", "c"):
        api(Doc.create, name=name, body=name)
    assert Doc._meta.filter_query_params_by_field["body"] == {"body__longer"}
    found = api(Doc.query.filter(body__longer=3).all)
    assert {each.name for each in found} == {"a", "b"}
    assert named("filter_query") == [{"body__longer": 3}]


def test_hooks_of_a_shipped_field_may_be_extended(api: Api, redis_client: redis.Redis) -> None:
    class Announced(IndexedField):
        @classmethod
        def on_save(cls, *args: Any, **kwargs: Any) -> Any:
            calls.append(("announced", {"value": kwargs["field_value"]}))
            return super().on_save(*args, **kwargs)

    class News(Model):
        name = KeyField()
        topic = Announced()
        text = StringField()

    news = api(News.create, name="a", topic="x")
    prefix = str(Announced.field_class_key)
    assert redis_client.smembers(f"{prefix}:News:topic:x") == {b"News:a"}
    news.topic = "y"
    api(news.save)
    assert redis_client.exists(f"{prefix}:News:topic:x") == 0
    assert [each.name for each in api(News.query.filter(topic="y").all)] == ["a"]
    assert [each["value"] for each in named("announced")] == ["x", "y"]
    api(news.delete)
    assert redis_client.keys("*") == []


def test_hooks_of_shipped_fields_can_be_called_directly(redis_client: redis.Redis) -> None:
    doc = Doc.create(name="a", body="b", kind="x")
    field = Doc._meta.fields["kind"]
    key = "$IndexF:Doc:kind:x"
    removed = field.on_delete(model_instance=doc, field_name="kind", field_value="x", pipeline=None)
    assert removed == 1
    assert redis_client.exists(key) == 0
    field.on_save(doc, field_name="kind", field_value="x", pipeline=None)
    assert redis_client.smembers(key) == {b"Doc:a"}
    pipeline = redis_client.pipeline()
    assert field.on_delete(doc, "kind", "x", pipeline=pipeline, saved_redis_key="Doc:a") is pipeline
    assert redis_client.exists(key) == 1
    pipeline.execute()
    assert redis_client.exists(key) == 0


def test_hooks_that_are_called_directly_say_how_many_entries_changed(
    redis_client: redis.Redis,
) -> None:
    doc = Doc.create(name="a", body="b", kind="x")
    field = Doc._meta.fields["kind"]
    assert field.on_save(doc, field_name="kind", field_value="x") == 0
    assert field.on_save(doc, field_name="kind", field_value="y") == 2
    assert redis_client.smembers("$IndexF:Doc:kind:y") == {b"Doc:a"}
    pipeline = redis_client.pipeline()
    assert field.on_save(doc, field_name="kind", field_value="x", pipeline=pipeline) is pipeline
    assert len(pipeline) == 1
    spot = Doc._meta.fields["spot"]
    assert spot.on_save(doc, field_name="spot", field_value=None) == 0
    assert spot.on_save(doc, field_name="spot", field_value=None, pipeline=pipeline) is pipeline
    assert len(pipeline) == 1
    redis_client.delete("$IndexF:Doc:kind:x")
    redis_client.set("$IndexF:Doc:kind:x", "foreign")
    with pytest.raises(ModelException) as caught:
        field.on_save(doc, field_name="kind", field_value="x")
    assert str(caught.value) == (
        "the key '$IndexF:Doc:kind:x' holds a string where a set belongs; nothing was written. "
        "Rename or delete that key."
    )


class Article(Model):
    name = KeyField()
    text = Field(type=str, default="Kubernetes guide")
    words = BM25Field(source="text")
    known = ExistenceFilter(fingerprint_fn=attrgetter("text"))
    counts = FrequencySketch(fingerprint_fn=attrgetter("text"))


def test_hooks_that_are_called_directly_take_words_in(redis_client: redis.Redis) -> None:
    article = Article.create(name="a")
    redis_client.delete(*redis_client.keys("$EF:*"), *redis_client.keys("$FS:*"))
    Article.words.on_delete(article, "words", None)
    assert Article.query.keyword_search("guide") == []
    pipeline = redis_client.pipeline()
    for name in ("words", "known", "counts"):
        field = Article._meta.fields[name]
        assert field.on_save(article, field_name=name, field_value=None) == 1
        assert field.on_save(article, name, None, pipeline=pipeline) is pipeline
    assert [each.name for each in Article.query.keyword_search("guide")] == ["a"]
    assert Article.known.might_exist(Article, "kubernetes")
    assert Article.counts.get_frequency(Article, "kubernetes") == 1
    pipeline.execute()
    assert Article.counts.get_frequency(Article, "kubernetes") == 2
    assert [each.name for each in Article.query.keyword_search("guide")] == ["a"]


def test_a_hook_that_goes_on_to_ours_takes_words_in_once(api: Api) -> None:
    class Counting(FrequencySketch):
        @classmethod
        def on_save(cls, *args: Any, **kwargs: Any) -> Any:
            return super().on_save(*args, **kwargs)

    class Note(Model):
        name = KeyField()
        counts = Counting()

    note = api(Note.create, name="abc")
    assert Note.counts.get_frequency(Note, "abc") == 1
    api(note.save)
    assert Note.counts.get_frequency(Note, "abc") == 2
    Note.rebuild_indexes()
    assert Note.counts.get_frequency(Note, "abc") == 1


def test_special_keys() -> None:
    assert Counted.get_special_use_field_db_key(Doc, "body", "x").redis_key == f"{SET}:x"
    assert Counted.get_special_use_field_db_key(Doc(name="a"), "body").redis_key == SET


def test_a_hook_may_queue_very_many_members(api: Api, redis_client: redis.Redis) -> None:
    class Wide(Field):
        @classmethod
        def on_save(cls, model_instance: Any, field_name: str, *args: Any, **kwargs: Any) -> Any:
            return kwargs["pipeline"].sadd("$Wide:Large", *range(20_000))

    class Narrow(Field):
        @classmethod
        def on_save(cls, model_instance: Any, field_name: str, *args: Any, **kwargs: Any) -> Any:
            return kwargs["pipeline"].zadd("$Narrow:Large", {str(n): n for n in range(20_000)})

    class Large(Model):
        name = KeyField()
        wide = Wide()

    class Refused(Model):
        name = KeyField()
        narrow = Narrow()

    api(Large.create, name="a")
    assert redis_client.scard("$Wide:Large") == 20_000
    with pytest.raises(ValueError, match="ZADD with 40000 arguments"):
        api(Refused.create, name="a")
    assert redis_client.exists("Refused:a") == 0


def test_an_addition_calls_the_hooks_of_its_own_field_alone(api: Api) -> None:
    class Watched(Field):
        @classmethod
        def on_save(cls, model_instance: Any, field_name: str, *args: Any, **kwargs: Any) -> Any:
            calls.append((field_name, {"value": kwargs["field_value"], **kwargs}))
            return kwargs["pipeline"]

    class Tally(Model):
        name = KeyField()
        count = Watched(type=int, default=0)
        other = Watched(type=str, default="o")

    tally = api(Tally.create, name="a")
    calls.clear()
    assert api(tally.atomic_increment, "count", 3) == 3
    assert [(name, each["value"], each["ignore_errors"]) for name, each in calls] == [
        ("count", 3, False)
    ]
    calls.clear()
    tally.other = "p"
    api(tally.save, update_fields=["other"], ignore_errors=True)
    assert [(name, each["value"], each["ignore_errors"]) for name, each in calls] == [
        ("other", "p", True)
    ]


def test_what_no_script_may_call_follows_the_commit(
    api: Api,
    redis_client: redis.Redis,
    round_trips: Callable[[], AbstractContextManager[RoundTrips]],
) -> None:
    class Loud(Field):
        @classmethod
        def on_save(cls, model_instance: Any, field_name: str, *args: Any, **kwargs: Any) -> Any:
            if kwargs["field_value"] is not None:
                kwargs["pipeline"].eval("return redis.call('INCR', KEYS[1])", 1, "$Loud")
            return kwargs["pipeline"]

    class Radio(Model):
        name = KeyField()
        word = Loud(type=str)

    api(Radio.create, name="known script")
    for number, word in enumerate(("hello", None)):
        with round_trips() as seen:
            api(Radio.create, name=str(number), word=word)
        assert seen.sends == (1 if word is None else 2)
    assert redis_client.get("$Loud") == b"1"
    with round_trips() as seen:
        api(Radio.bulk_create, [Radio(name=name, word="again") for name in "ab"])
    assert (seen.sends, redis_client.get("$Loud")) == (2, b"3")
