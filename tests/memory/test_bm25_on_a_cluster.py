"""Indexes of words on three primaries: their keys are where their model is."""

from __future__ import annotations

import pytest

from popoto import BM25Field, KeyField, Model, ModelException, StringField, transaction
from popoto.memory.text.analysis import Analyzer
from popoto.redis_db import POPOTO_REDIS_DB
from tests.cluster_nodes import stored_keys
from tests.driver import Api

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.usefixtures("on_the_cluster"),
]


class Slip(Model):
    name = KeyField()
    agent = StringField(default="a", indexed=True)
    text = StringField(default="")
    words = BM25Field(source="text")
    own = BM25Field(source="text", partition_by="agent")


def test_the_life_of_documents(api: Api, ports: list[int]) -> None:
    slip = api(Slip.create, name="a", text="apple banana")
    api(Slip.bulk_create, [Slip(name=str(each), text="common", agent="b") for each in range(200)])
    slip.text = "cherry common"
    api(slip.save)
    assert api(BM25Field.search, Slip, "words", "apple") == []
    assert [key for key, _ in api(BM25Field.search, Slip, "words", "cherry")] == ["Slip:a"]
    query = Slip.query.filter(agent="a")
    assert [each.name for each in api(query.keyword_search, "common", field="words")] == ["a"]
    assert [each.name for each in api(query.keyword_search, "common", field="own")] == ["a"]
    slip.name, slip.agent = "moved", "b"
    api(slip.save, migrate_key=True)
    assert [key for key, _ in api(BM25Field.search, Slip, "own", "cherry", agent="b")] == [
        "Slip:moved"
    ]
    assert all(key.startswith(b"{Slip}") for key in stored_keys(ports))
    api(Slip.rebuild_indexes)
    assert api(Slip.check_indexes)["total"] == 0
    assert [key for key, _ in api(BM25Field.search, Slip, "words", "cherry")] == ["Slip:moved"]
    api(Slip.delete_all)
    left = {key for key in stored_keys(ports) if b":n" not in key and b":avgdl" not in key}
    assert left == set()


def test_records_that_are_gone_are_taken_out(api: Api) -> None:
    for name in "abc":
        api(Slip.create, name=name, text="apple")
    POPOTO_REDIS_DB.delete("{Slip}Slip:a")
    assert [key for key, _ in api(BM25Field.search, Slip, "words", "apple", limit=2)] == [
        *("Slip:b", "Slip:c")
    ]
    assert POPOTO_REDIS_DB.get("{Slip}$BM25:Slip:words:n") == b"2"


def test_pipelines_and_transactions() -> None:
    with POPOTO_REDIS_DB.pipeline() as pipeline:
        Slip(name="a", text="apple").save(pipeline=pipeline)
        pipeline.execute()
    with transaction() as together:
        together.create(Slip, name="b", text="apple")
    assert len(BM25Field.search(Slip, "words", "apple")) == 2


def test_another_analyzer(api: Api) -> None:
    def model(analyzer: Analyzer | str) -> type[Model]:
        class Reed(Model):
            name = KeyField()
            text = StringField()
            words = BM25Field(source="text", analyzer=analyzer)

        return Reed

    api(model("words").create, name="a", text="apple")
    Reed = model(Analyzer("letters", 1, list))
    with pytest.raises(ModelException, match=r"rebuild_indexes\(\)"):
        api(BM25Field.search, Reed, "words", "p")
    api(Reed.rebuild_indexes)
    assert [key for key, _ in api(BM25Field.search, Reed, "words", "p")] == ["Reed:a"]


def test_what_is_remembered_of_a_large_index_follows_its_shard(api: Api, ports: list[int]) -> None:
    texts = {f"{each:04}": f"apple {'banana ' * (each % 9)}cherry" for each in range(1_100)}
    api(Slip.bulk_create, [Slip(name=name, text=text) for name, text in texts.items()])
    for number in range(4):
        api(Slip.create, name=f"n{number}", text="banana " * 30)
        found = api(BM25Field.search, Slip, "words", "banana cherry", 50)
        assert {key for key, _ in found[: number + 1]} == {
            f"Slip:n{at}" for at in range(number + 1)
        }
        assert len({key for key, _ in found}) == 50
    assert b"{Slip}$BM25:Slip:words:changes" in stored_keys(ports)
    api(Slip.delete_all)
    assert not [key for key in stored_keys(ports) if b"changes" in key]
