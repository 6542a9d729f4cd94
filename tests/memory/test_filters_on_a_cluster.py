"""Filters and sketches on three primaries: their keys are where their model is."""

from __future__ import annotations

import pytest
import redis

from popoto import ModelException, transaction
from popoto.redis_db import POPOTO_REDIS_DB
from tests.cluster_nodes import stored_keys
from tests.driver import Api
from tests.memory.words import Note, Plain, filter_model

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.usefixtures("on_the_cluster"),
]


def test_the_life_of_words(api: Api, ports: list[int]) -> None:
    for model in (Note, Plain):
        api(model.bulk_create, [model(name=f"name{each}") for each in ()])
    note = api(Note.create, name="a", text="kubernetes")
    api(Plain.create, name="gardening")
    api(Note.bulk_create, [Note(name=str(each), text="common words") for each in range(20)])
    note.text = "deployment"
    api(note.save, update_fields=["text"])
    asked = ["kubernetes", "deployment", "common", "unknown"]
    assert list(api(Note.words.might_exist_batch, Note, asked).values()) == [True] * 3 + [False]
    assert api(Note.counts.get_frequency, Note, "common") == 20
    assert api(Plain.words.might_exist, Plain, "gardening") is True
    assert api(Note.words.fill_ratio, Note) > 0
    assert {b"{Note}$EF:Note:words", b"{Plain}$FS:Plain:counts"} <= stored_keys(ports)
    assert api(Note.rebuild_indexes) == 21
    assert list(api(Note.words.might_exist_batch, Note, asked).values()) == [
        *(False, True, True, False)
    ]
    assert api(Note.check_indexes)["total"] == 0
    api(Note.delete_all)
    api(Plain.delete_all)
    assert stored_keys(ports) == set()


def test_pipelines_and_transactions(ports: list[int]) -> None:
    with POPOTO_REDIS_DB.pipeline() as pipeline:
        Note(name="a", text="kubernetes").save(pipeline=pipeline)
        pipeline.execute()
    with transaction() as together:
        together.create(Note, name="b", text="deployment")
    assert Note.words.might_exist_count(Note, ["kubernetes", "deployment", "other"]) == 2


def test_other_settings_and_other_kinds_of_keys(api: Api, ports: list[int]) -> None:
    api(filter_model(capacity=100).create, name="a", text="kubernetes")
    Page = filter_model(capacity=200)
    with pytest.raises(ModelException, match=r"rebuild_indexes\(\)"):
        api(Page.words.might_exist, Page, "kubernetes")
    with pytest.raises(ModelException, match=r"rebuild_indexes\(\)"):
        api(Page.create, name="b", text="deployment")
    api(Page.rebuild_indexes)
    assert api(Page.words.might_exist, Page, "kubernetes") is True
    client: redis.Redis = POPOTO_REDIS_DB  # type: ignore[assignment]
    client.delete("{Page}$EF:Page:words")
    client.rpush("{Page}$EF:Page:words", "a list")
    with pytest.raises(ModelException, match="holds a list"):
        api(Page.create, name="b", text="deployment")
