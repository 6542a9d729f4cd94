"""Hooks of user-defined fields where the published package calls them as well."""

from __future__ import annotations

from typing import Any

import redis

from popoto import Field, KeyField, Model
from tests.driver import Api


class InitialField(Field[str]):
    """Keeps a set of records per first letter."""

    @classmethod
    def on_save(
        cls,
        model_instance: Any,
        field_name: str,
        field_value: Any,
        pipeline: Any = None,
        **kwargs: Any,
    ) -> Any:
        if field_value:
            key = cls.get_special_use_field_db_key(model_instance, field_name, field_value[0])
            pipeline.sadd(key.redis_key, model_instance.db_key.redis_key)
        return pipeline


class Word(Model):
    name = KeyField()
    text = InitialField()

    def save(self, pipeline: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().save(pipeline=pipeline)


INDEX = "$InitiaF:Word:text:p"


def test_a_rebuild_calls_on_save_of_each_record(api: Api, redis_client: redis.Redis) -> None:
    api(Word.create, name="a", text="pear")
    api(Word.create, name="b", text="plum")
    api(Word.create, name="c")
    redis_client.hset("Word:b", "text", b"\xc1")
    redis_client.delete(INDEX)
    rebuilt = api(Word.rebuild_indexes)
    assert int(rebuilt) == 3
    assert [problem.key for problem in rebuilt.problems] == ["Word:b"]
    assert redis_client.smembers(INDEX) == {b"Word:a"}


def test_bulk_saves_go_through_a_save_that_takes_few_arguments(api: Api) -> None:
    api(Word.bulk_create, [Word(name="a", text="fig")])
    assert Word.query.count() == 1
